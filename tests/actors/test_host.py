"""What the engine does with its actors: how it stops, and whom it tells."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import Unavailable
from ruche.plugins.tape import Tape
from tests.actors.hosted import hosted
from tests.actors.rig import ScriptedBrain, echo

pytestmark = pytest.mark.anyio


async def never_again(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    """Answers the first message only."""
    if turn.session.turn_count:
        await asyncio.Event().wait()
    return await echo(turn, stage, tape)


async def test_a_listener_reads_what_is_kept_and_then_hears_that_the_engine_stops(tmp_path: Path) -> None:
    heard: list[str] = []
    async with hosted(tmp_path, ScriptedBrain(never_again)) as (engine, _):
        first = await engine.chat(agent="desk", user="kim", message="one")

        async def listen() -> None:
            async for event in engine.events("default", first.session_id):
                heard.append(event.kind)

        listening = asyncio.ensure_future(listen())
        await engine.accept(agent="desk", user="kim", message="two")
    with anyio.fail_after(20), pytest.raises(Unavailable, match="shutting down"):
        await listening
    assert heard == ["turn.accepted", "turn.completed", "turn.accepted"]


async def test_a_listener_hears_that_the_engine_stops_also_when_actors_have_to_be_cut_off(tmp_path: Path) -> None:
    async def stubborn(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        try:
            return await never_again(turn, stage, tape)
        except asyncio.CancelledError:
            await asyncio.Event().wait()
            raise

    async with hosted(tmp_path, ScriptedBrain(stubborn)) as (engine, host):
        first = await engine.chat(agent="desk", user="kim", message="one")
        listener = host.hosting.feeds.listen(first.session_id, 99)
        await engine.accept(agent="desk", user="kim", message="two")
        host.sessions._system.grace = 0.05
    with anyio.fail_after(20), pytest.raises(Unavailable, match="shutting down"):
        await listener.next()
