"""The simulation finds what it is there to find: each fault put into the runtime breaks a law in one of the worlds."""

from __future__ import annotations

import pytest

from tests.simulation.breaks import BREAKS, Break, broken
from tests.simulation.runs import run_seeds

SEEDS, RARE_SEEDS = 2_000, 10_000


def found(fault: Break, seeds: int) -> bool:
    with broken(fault):
        return any(report.violations for report in run_seeds(range(seeds)))


@pytest.mark.parametrize("fault", [fault for fault in BREAKS if not fault.rare], ids=lambda fault: fault.name)
def test_a_fault_is_found(fault: Break) -> None:
    assert found(fault, SEEDS)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [fault for fault in BREAKS if fault.rare], ids=lambda fault: fault.name)
def test_a_fault_that_shows_rarely_is_found_in_more_worlds(fault: Break) -> None:
    assert found(fault, RARE_SEEDS)


def test_without_a_fault_nothing_is_found_where_the_faults_are() -> None:
    assert not any(report.violations for report in run_seeds(range(100)))
