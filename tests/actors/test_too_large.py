"""A turn that is too large to be kept ends as a failed one; its conversation goes on and its data can be opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.actors.stage import REPLY_CHARACTERS
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import TooLarge
from ruche.plugins.tape import Tape
from ruche.storage.payload import RUN_BYTES
from tests.actors.rig import ScriptedBrain, echo, rig

pytestmark = pytest.mark.anyio


async def heard_too_much(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    """The first turn learns more from outside than a run may hold."""
    if not turn.session.turn_count:
        tape.ask_now("tool", None, lambda: "x" * (RUN_BYTES + 1), str)
    return await echo(turn, stage, tape)


async def said_too_much(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    return "x" * (REPLY_CHARACTERS + 1) if not turn.session.turn_count else await echo(turn, stage, tape)


async def released_too_much(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    if turn.session.turn_count:
        return await echo(turn, stage, tape)
    await stage.release("This much is fine. ")
    with pytest.raises(TooLarge, match="at most"):
        await stage.release("x" * REPLY_CHARACTERS)
    raise RuntimeError("and the brain gives up")


@pytest.mark.parametrize(("script", "reply"), [(heard_too_much, ""), (said_too_much, ""),
                                              (released_too_much, "This much is fine. ")])
async def test_it_is_closed_as_failed_and_the_next_message_is_answered(tmp_path: Path, script: object,
                                                                      reply: str) -> None:
    async with rig(tmp_path, ScriptedBrain(script)) as it:  # type: ignore[arg-type]
        failed = await it.turn("one")
        assert failed.status == "failed"
        assert failed.reply == reply or not reply
        assert (await it.turn("two")).reply == "you said: two"
        assert not it.hosting.owing
    async with rig(tmp_path, ScriptedBrain()) as it:
        assert (await it.turn("three")).reply == "you said: three"
        assert [run.status for run in await it.runs(failed.session_id)] == ["failed", "complete", "complete"]
