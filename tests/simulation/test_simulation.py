"""The runtime keeps its promises in every simulated world, and a world goes the same way whenever it is run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from tests.simulation.runs import run_seeds

SEEDS, LONG_SEEDS = 2_000, 10_000


def broken_seeds(seeds: range) -> list[str]:
    return [f"seed {report.seed}: {'; '.join(report.violations)}" for report in run_seeds(seeds) if report.violations]


@pytest.mark.parametrize("first", range(0, SEEDS, 500))
def test_no_law_is_broken_in_any_of_the_first_worlds(first: int) -> None:
    assert broken_seeds(range(first, first + 500)) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(SEEDS, LONG_SEEDS, 2_000))
def test_no_law_is_broken_in_many_more_worlds(first: int) -> None:
    assert broken_seeds(range(first, first + 2_000)) == []


def test_a_seed_goes_the_same_way_twice_and_other_seeds_go_other_ways() -> None:
    first = [report.fingerprint for report in run_seeds(range(60))]
    assert [report.fingerprint for report in run_seeds(range(60))] == first
    assert len(set(first)) == 60


def test_a_seed_goes_the_same_way_in_another_process() -> None:
    [here] = run_seeds([7])
    root = Path(__file__).parents[2]
    there = subprocess.run([sys.executable, "-m", "tests.simulation", "--seed", "7"], cwd=root, capture_output=True,
                           text=True, env={**os.environ, "PYTHONHASHSEED": "5"}, check=False)
    assert there.returncode == 0, there.stderr
    assert there.stdout.strip().endswith(f"seed 7: every law held ({here.fingerprint})")
    assert "START" in there.stdout


class Idents(ServiceActor):
    def on_receive(self, message: Any) -> int:
        return threading.get_ident()


def test_real_threads_beside_a_simulation_go_on_as_if_it_were_not_there() -> None:
    told: list[int] = []
    done = threading.Event()

    async def serve() -> None:
        async with ActorSystem():
            service = Idents.start()
            while not done.is_set():
                told.append(await service.ask(None, block=False))

    server = threading.Thread(target=lambda: asyncio.run(serve()))
    server.start()
    try:
        assert broken_seeds(range(60)) == []
    finally:
        done.set()
        server.join()
    assert len(told) > 1
    assert len(set(told)) == 1
    assert told[0] > 0
