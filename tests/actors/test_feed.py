"""Subscribers see every event once, in order, from any cursor; one that does not read costs nothing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from ruche.actors.feed import Feeds, ListenerDropped
from ruche.actors.session import Close
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import StorageFull
from ruche.plugins.tape import Tape
from ruche.storage.model.event import Event, EventKind
from tests.actors.rig import KEY, Rig, ScriptedBrain, rig
from tests.actors.test_session_storage import FaultyDisk

pytestmark = pytest.mark.anyio


async def speak(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    stage.progress("plan", 0.5)
    await stage.release("One. ")
    await stage.release("Two.")
    return "One. Two."


async def collect(it: Rig, session_id: str, after: int, count: int) -> list[Event]:
    found: list[Event] = []
    async with aclosing(it.hosting.feeds.follow(session_id, after, it.replay)) as events:
        async for event in events:
            if event.kind != "turn.phase":
                found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_streaming_caller_gets_segments_when_they_are_durable_and_the_whole_answer_last(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(speak)) as it:
        taken = await it.say("hi", want="events")
        events = [await taken.listener.next() for _ in range(5)]
        taken.listener.close()
        assert [event.kind for event in events] == ["turn.accepted", "turn.phase", "message.segment",
                                                    "message.segment", "turn.completed"]
        assert [event.seq for event in events] == [1, 1, 2, 3, 4]
        assert [event.data["text"] for event in events[2:4]] == ["One. ", "Two."]
        assert events[4].data["reply"] == "One. Two."
        assert events[4].data["turn_id"] == taken.turn_id
        assert len(it.hosting.feeds) == 0


async def test_a_listener_that_reconnects_from_its_cursor_misses_and_repeats_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(speak)) as it:
        turn = await it.turn("one")
        first = await collect(it, turn.session_id, 0, 2)
        await it.turn("two")
        going = asyncio.ensure_future(collect(it, turn.session_id, first[-1].seq, 10))
        await it.turn("three")
        assert [event.seq for event in first + await going] == list(range(1, 13))


async def test_what_happens_during_the_replay_is_neither_lost_nor_repeated() -> None:
    feeds, kept = Feeds(), [_event(1), _event(2)]

    async def replay(session_id: str, after: int, limit: int) -> list[Event]:
        kept.append(_event(3))  # durable, and published, before the replay has read it
        feeds.publish(session_id, (_event(3),))
        page = [event for event in kept if event.seq > after]
        feeds.publish(session_id, (_event(4, "session.closed"),))
        return page

    async with aclosing(feeds.follow("s", 0, replay)) as events:
        assert [event.seq async for event in events] == [1, 2, 3, 4]


def _event(seq: int, kind: EventKind = "turn.accepted") -> Event:
    return Event(seq=seq, kind=kind, session_id="s", turn_id="t", at_ms=0)


async def test_a_stream_ends_when_the_session_is_closed(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        turn = await it.turn("one")
        live = asyncio.ensure_future(collect(it, turn.session_id, 0, 99))
        await asyncio.sleep(0)
        await it.directory.ask(str(KEY), Close())
        kept = await collect(it, turn.session_id, 0, 99)
        assert kept == await live
        assert kept[-1].kind == "session.closed"


async def test_a_listener_that_never_reads_is_dropped_and_can_come_back(tmp_path: Path) -> None:
    """Security item 15: a client that does not read cannot make the engine hold its events."""
    async with rig(tmp_path, ScriptedBrain(), feeds=Feeds(limit=4)) as it:
        taken = await it.say("n0", want="events")
        for n in range(1, 4):
            await it.turn(f"n{n}")
        assert len(it.hosting.feeds) == 0
        with pytest.raises(ListenerDropped) as caught:
            await taken.listener.next()
        back = await collect(it, taken.session_id, caught.value.details["cursor"], 8)
        assert [event.seq for event in back] == list(range(1, 9))


async def test_a_streaming_caller_whose_turn_cannot_be_committed_is_told(tmp_path: Path) -> None:
    disk = FaultyDisk()

    async def fill(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        disk.full = True
        return "never seen"

    async with rig(tmp_path, ScriptedBrain(fill), disk=disk) as it:
        taken = await it.say("hi", want="events")
        assert (await taken.listener.next()).kind == "turn.accepted"
        with pytest.raises(StorageFull):
            await taken.listener.next()


async def test_listeners_are_told_when_the_engine_stops() -> None:
    feeds = Feeds()
    listener = feeds.listen("s", 0)
    feeds.publish("s", (_event(1),))
    feeds.close()
    assert (await listener.next()).seq == 1
    with pytest.raises(Exception, match="shutting down"):
        await listener.next()
