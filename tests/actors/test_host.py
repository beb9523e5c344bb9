"""What the engine does with its actors: how it stops, and whom it tells."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio.to_thread
import pytest

from ruche.actors.session import Look
from ruche.engine.cli.doctor import examine
from ruche.engine.config import Settings
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
    caught_up = asyncio.Event()
    async with hosted(tmp_path, ScriptedBrain(never_again)) as (engine, _):
        first = await engine.chat(agent="desk", user="kim", message="one")

        async def listen() -> None:
            async for event in engine.events("default", first.session_id):
                heard.append(event.kind)
                if len(heard) == 3:
                    caught_up.set()

        listening = asyncio.ensure_future(listen())
        await engine.accept(agent="desk", user="kim", message="two")
        with anyio.fail_after(20):
            await caught_up.wait()
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


async def test_what_lives_is_shown_to_people_and_counted_for_prometheus(tmp_path: Path) -> None:
    async with hosted(tmp_path, ScriptedBrain()) as (engine, _):
        for user in ("kim", "lee"):
            await engine.chat(agent="desk", user=user, message="one")
        shown, text = engine.actors(), engine.actor_metrics().decode()
        assert shown["sessions"]["actors"] == 2
        assert shown["services"]["writer"]["states"] == {"live": 1}
        assert {"sweep", "apply"} <= set(shown["clock"])
        for line in ('live{kind="sessions"} 2', 'live{kind="writer"} 1', 'activated_total{kind="sessions"} 2',
                     'turns_total{kind="sessions"} 2', 'restarted_total{kind="reader"} 0',
                     'decisions_total{decision="QUEUE"} 0', 'turns{state="running"} 0'):
            assert f"\nruche_actors_{line}.0\n" in text
        assert "kim" not in text


async def test_a_tenant_is_shown_nothing_that_names_another(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    async with hosted(tmp_path, ScriptedBrain(wait)) as (engine, host):
        await engine.accept(agent="desk", user="kim", message="one")
        await begun.wait()
        reader = host.sessions.live("default:desk:kim:api")
        assert reader is not None
        reader.tell(Look())
        assert engine.actors("default")["gate"]["running"] == {"default": 1}
        assert engine.actors("default")["sessions"]["longest"] == {"default:desk:kim:api": 1}
        assert engine.actors("another")["gate"] == {"running": {}, "waiting": {}, "inside": {}, "outside": {}}
        assert engine.actors("another")["sessions"]["longest"] == {}


class Torn(dict[str, int]):
    """Settings that the engine fails on."""

    def get(self, *_: object) -> int:
        raise KeyError


async def test_a_dead_letter_is_listed_for_its_tenant(tmp_path: Path) -> None:
    again = asyncio.Event()

    async def signal(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count:
            again.set()
        return await never_again(turn, stage, tape)

    async with hosted(tmp_path, ScriptedBrain(signal)) as (engine, host):
        first = await engine.chat(agent="desk", user="kim", message="one")
        await engine.accept(agent="desk", user="kim", message="two")
        await again.wait()
        host.hosting.channel_bases = Torn()
        with pytest.raises(Unavailable):
            await engine.accept(agent="desk", user="kim", message="three")
        host.hosting.channel_bases = {}
        await engine.chat(agent="desk", user="lee", message="journalled behind the letter")
        [letter] = await engine.dead_letters("default")
        assert (letter.message.text, letter.key.interlocutor, first.status) == ("three", "kim", "complete")
        assert await engine.dead_letters("another") == []
    found = await anyio.to_thread.run_sync(lambda: list(examine(Settings(data=tmp_path / "data"))))
    [finding] = [one for one in found if one.name == "dead letters"]
    assert finding.state == "warn"
    assert f"{letter.message.id} to desk of default: KeyError (tried 1 times)" in finding.message
    assert "three" not in finding.message
