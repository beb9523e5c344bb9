"""Seed after seed, in one process."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator

from tests.simulation.lives import Report, simulate

COLLECT_EVERY = 100


def run_seeds(seeds: Iterable[int]) -> Iterator[Report]:
    """Reports in order. Meanwhile nothing is logged, and garbage is collected between seeds only: what a weak
    reference finds must not depend on when the collector runs."""
    level, collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        for place, seed in enumerate(seeds, 1):
            yield simulate(seed)
            if place % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        logging.disable(level)
        if collecting:
            gc.enable()
