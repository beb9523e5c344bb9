"""The simulation finds what it is there to find: each fault put into the runtime breaks a law in one of the worlds."""

from __future__ import annotations

import pytest

from tests.simulation.breaks import BREAKS, Break, broken
from tests.simulation.runs import run_seeds

SEEDS = 2_000


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_is_found(fault: Break) -> None:
    with broken(fault):
        found = next((report for report in run_seeds(range(SEEDS)) if report.violations), None)
    assert found is not None
