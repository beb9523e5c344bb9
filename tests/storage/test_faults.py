"""Disks, power, processes and clocks fail; what was acknowledged stays. `python -m bench.faults` prints the table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.faults import table
from tests.storage.faults import Faults


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is some: what is synced is modelled, not waited for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def faults(folder: Path) -> Iterator[Faults]:
    found = Faults(Path(tempfile.mkdtemp(dir=folder)))
    yield found
    print("\n".join(table(found)))
    assert found.wrong == []


def outcomes(faults: Faults, outcome: str) -> int:
    return sum(count for (_, one), count in faults.matrix.items() if one == outcome)


def test_a_life_has_more_than_forty_named_fault_points(faults: Faults) -> None:
    assert len({(name, when) for name in faults.calls for when in ("before", "half", "after")}) >= 120
    assert len(faults.calls) > 200


def test_a_death_at_forty_kinds_of_call_loses_nothing(faults: Faults) -> None:
    faults.deaths(faults.some_deaths(40))
    assert outcomes(faults, "whole") == 40
    assert faults.slowest < 20


def test_a_call_that_fails_once_loses_nothing_and_is_told_in_words(faults: Faults) -> None:
    faults.failures(list(faults.some_failures(every=False))[::3])
    assert outcomes(faults, "whole") > 20


def test_a_power_cut_loses_nothing_whatever_the_disk_made_of_what_was_not_synced(faults: Faults) -> None:
    faults.power_cuts(range(3, len(faults.calls), 80))
    assert outcomes(faults, "whole") >= 18


def test_a_flipped_bit_or_a_lost_end_of_any_file_is_found_or_harmless(faults: Faults) -> None:
    faults.flips(1)
    faults.cuts(1)
    assert outcomes(faults, "refused to open") > 3


def test_a_full_file_system_refuses_and_goes_on_when_there_is_room_again(faults: Faults) -> None:
    faults.full_disk()
    assert outcomes(faults, "whole") == 4


def test_a_clock_that_jumps_does_no_harm(faults: Faults) -> None:
    faults.clock_jumps()
    assert outcomes(faults, "whole") == 3


@pytest.mark.parametrize("kills", [40, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_real_processes_that_are_killed_at_named_calls_lose_nothing(faults: Faults, kills: int) -> None:
    faults.kills(kills, step=len(faults.calls) // kills)
    assert outcomes(faults, "whole") == kills
