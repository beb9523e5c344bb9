"""The clock sweeps, applies, and outlives what fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from ruche.actors.clock import Clock
from ruche.actors.directory import Policy
from tests.actors.rig import KEY, ScriptedBrain, rig

pytestmark = pytest.mark.anyio


async def test_idle_sessions_are_let_go_and_what_was_journalled_reaches_the_tables(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(), policy=Policy(idle_after=0.0)) as it:
        await it.turn("one")
        done = asyncio.Event()

        async def look() -> None:
            if str(KEY) not in it.directory and not it.store.health()["pending"]:
                done.set()

        clock = Clock(it.directory, it.scribe, sweep_every=0.005, apply_every=0.005)
        clock.every(0.005, "look", look)
        with anyio.fail_after(10):
            await done.wait()
        assert clock.snapshot()["sweep"]["failures"] == clock.snapshot()["apply"]["failures"] == 0


async def test_an_action_that_fails_is_counted_and_runs_again(tmp_path: Path) -> None:
    fourth = asyncio.Event()
    calls: list[int] = []

    async def flaky() -> None:
        calls.append(len(calls))
        if len(calls) == 4:
            fourth.set()
        if len(calls) < 3:
            raise LookupError

    async with rig(tmp_path, ScriptedBrain()) as it:
        clock = Clock(it.directory, it.scribe)
        clock.every(0.001, "flaky", flaky)
        with anyio.fail_after(10):
            await fourth.wait()
        flaked = clock.snapshot()["flaky"]
        assert (flaked["failures"], flaked["error"]) == (2, "")
        with pytest.raises(ValueError, match="flaky"):
            clock.every(1, "flaky", flaky)


async def test_nothing_begins_once_the_clock_has_stopped(tmp_path: Path) -> None:
    runs: list[int] = []

    async def note() -> None:
        runs.append(1)

    async with rig(tmp_path, ScriptedBrain()) as it:
        clock = Clock(it.directory, it.scribe)
        clock.every(0.001, "note", note)
        await clock.stop()
        count = len(runs)
        fired = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, fired.set)
        await fired.wait()
        assert len(runs) == count
