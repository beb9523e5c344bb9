"""The run of a superseded turn, of the engine's own brain: read by its id, verified offline, and run again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ruche.engine.again import run_all_again
from ruche.engine.config import Settings
from ruche.plugins.contracts import Brain, Stage, TurnInput, TurnOutput
from ruche.plugins.tape import Tape
from ruche.storage.evidence import Evidence
from ruche.storage.keysources import FileKeySource
from ruche.storage.verifying import verify
from tests.actors.hosted import hosted

pytestmark = pytest.mark.anyio

RULES = "- {id: hours, if: the visitor asks when it opens, examples: [when do you open], then: We open at nine.}"


class Busy:
    """A brain that is still busy with the first message when the second arrives."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.begun = asyncio.Event()

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        if len(turn.messages) == 1 and not turn.session.turn_count:
            self.begun.set()
            await asyncio.Event().wait()
        return await self._brain.think(turn, tape, stage)


async def test_a_superseded_turn_has_a_run_that_is_verified_and_replayed_with_the_others(tmp_path: Path) -> None:
    async with hosted(tmp_path, None, files={"rules.yaml": RULES}) as (engine, host):
        busy = host.hosting.brain = Busy(host.hosting.brain)
        accepted = await engine.accept(agent="desk", user="kim", message="Good", channel="voice")
        await busy.begun.wait()
        turn = await engine.chat(agent="desk", user="kim", message="When do you open?", channel="voice")
        last = await engine.chat(agent="desk", user="kim", message="And when do you open?", channel="voice")
        old = await engine.run("default", accepted.turn_id)
        assert (old.status, old.superseded_by, old.said, old.risk) == ("superseded", turn.turn_id, ("Good",), "GREEN")
        new = await engine.run("default", turn.turn_id)
        assert (new.said, new.turn_group_id) == (("Good", "When do you open?"), old.id)
        assert (await engine.verify("default", turn.session_id)).ok
        assert [run.sequence for run in (new, old, await engine.run("default", last.turn_id))] == [0, 1, 2]
    data = tmp_path / "data"
    report = verify(data, Evidence(data, FileKeySource(data / "keys" / "root.key")), [], None)
    assert report["ok"], report
    again = await run_all_again(Settings(data=data))
    assert (again.same, again.differences, again.left_out) == (3, (), 0)
