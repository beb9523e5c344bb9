"""Faults that the simulation found in sessions, each as the shortest conversation that shows it on a real store."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from ruche.actors.recovery import recover
from ruche.actors.session import Close, Look, Say, SessionActor
from ruche.actors.supersede import Decision
from ruche.plugins.contracts import Effect, Stage, TurnInput
from ruche.plugins.errors import InvalidRequest, StorageFull, Unavailable
from ruche.plugins.tape import Tape
from ruche.storage.model.run import Run
from ruche.storage.tenant import TenantStore
from tests.actors.rig import KEY, WEB, Rig, ScriptedBrain, all_of, echo, ended, ending, message, rig
from tests.actors.test_session_recovery import died, never
from tests.actors.test_session_storage import FaultyDisk

pytestmark = pytest.mark.anyio

AT_ONCE = {"web": 0, "api": 0}


async def said(it: Rig, session_id: str) -> list[tuple[str, ...]]:
    return [run.said for run in await it.runs(session_id)]


async def test_a_turn_that_two_messages_restart_is_thought_once_more_and_committed_once(tmp_path: Path) -> None:
    brain = ScriptedBrain()

    async def first_waits(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        return await never(turn, stage, tape) if len(turn.messages) == 1 else await echo(turn, stage, tape)

    brain.script = first_waits
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.ABSORB) as it:
        one = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        two, three = await all_of(it.turn("two", WEB), it.turn("three", WEB))
        assert two == three == await one
        assert await said(it, two.session_id) == [("one", "two", "three")]
        assert len(brain.turns) == 2


async def test_a_caller_who_leaves_before_its_stream_begins_leaves_no_listener(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        await it.turn("one")
        leaving = asyncio.ensure_future(it.say("two", want="events"))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        del leaving
        assert await said(it, (await it.turn("three")).session_id) == [("one",), ("two",), ("three",)]
        gc.collect()
        assert len(it.hosting.feeds) == 0


async def test_a_waiting_message_does_not_overtake_one_that_lost_its_commit(tmp_path: Path) -> None:
    disk, queued = FaultyDisk(), asyncio.Event()

    async def fill(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "lost" and len(brain.turns) == 2:
            await queued.wait()
            disk.full = True
        elif turn.messages[0].text == "waiting":
            disk.full = False
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(fill)
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        lost = await it.say("lost", want="events")
        waiting = await it.say("waiting", want="events")
        queued.set()
        for taken in (lost, waiting):
            with pytest.raises(StorageFull):
                await ending(taken)
        disk.full = False
        await it.turn("new")
        assert await said(it, first.session_id) == [("one",), ("lost",), ("waiting",), ("new",)]


async def test_what_was_said_before_a_lost_commit_is_not_said_again(tmp_path: Path) -> None:
    disk = FaultyDisk()

    async def speak(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text != "speak":
            return await echo(turn, stage, tape)
        await stage.release("once")
        disk.full = len(brain.turns) == 2
        return "once"

    brain = ScriptedBrain(speak)
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        taken = await it.say("speak", want="events")
        with pytest.raises(StorageFull):
            await ending(taken)
        disk.full = False
        await it.turn("new")
        kinds = [event.kind for event in await it.events(first.session_id) if event.turn_id == taken.turn_id]
        assert kinds == ["turn.accepted", "message.segment", "turn.completed"]
        assert [(run.reply, run.status) for run in await it.runs(first.session_id)][1] == ("once", "interrupted")


async def test_a_session_that_could_not_be_closed_is_closed_before_the_next_one_goes_on(tmp_path: Path) -> None:
    disk = FaultyDisk()

    async def fill(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "old" and len(brain.turns) == 1:
            await it.say("new", want="accepted", new_session=True)
            disk.full = True
        elif turn.messages[0].text == "new":
            disk.full = False
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(fill)
    async with rig(tmp_path, brain, disk=disk) as it:
        with pytest.raises(StorageFull):
            await it.turn("old")
        disk.full = False
        last = await it.turn("newer")
        sessions = (await it.scribe.read(lambda store: store.tenant(KEY.tenant).sessions())).items
        assert sorted(state.closed_ms is None for state in sessions) == [False, True]
        assert await said(it, last.session_id) == [("new",), ("newer",)]
        assert it.store.unanswered() == []


async def test_a_message_after_a_failed_close_goes_to_the_newest_session(tmp_path: Path) -> None:
    disk, opened, closing = FaultyDisk(), list[str](), list[asyncio.Future[Any]]()

    async def fill(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "old" and len(brain.turns) == 1:
            opened.append((await it.say("new", want="accepted", new_session=True)).session_id)
            closing.append(asyncio.ensure_future(it.directory.ask(str(KEY), Close(opened[0]))))
            await it.directory.ask(str(KEY), Look())  # read after the close
            disk.full = True
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(fill)
    async with rig(tmp_path, brain, disk=disk) as it:
        with pytest.raises(StorageFull):
            await it.turn("old")
        with pytest.raises(StorageFull):
            await closing[0]
        disk.full = False
        assert (await it.turn("newer")).session_id == opened[0]
        assert await said(it, opened[0]) == [("new",), ("newer",)]


async def test_after_a_crash_an_effect_of_a_superseded_turn_is_recognised(tmp_path: Path) -> None:
    reserved, statuses = asyncio.Event(), list[str]()

    async def pay(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        effect = Effect(tool="pay", key=f"{turn.turn_group}:pay", policy="IRREVERSIBLE")
        statuses.append((await stage.reserve(effect)).status)
        reserved.set()
        return await never(turn, stage, tape) if len(statuses) < 3 else "done"

    options = {"channel_bases": AT_ONCE, "decider": lambda _: Decision.SUPERSEDE}
    async with rig(tmp_path, ScriptedBrain(pay), **options) as it:
        await it.say("pay", WEB, want="accepted")
        await reserved.wait()
        reserved.clear()
        taken = await it.say("and hurry", WEB, want="accepted")
        await reserved.wait()
        image = died(tmp_path)
    async with rig(image, ScriptedBrain(pay), **options) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken.session_id, 1)
    assert statuses == ["new", "unknown", "unknown"]


async def test_messages_of_a_session_are_journalled_before_those_of_the_session_after_it(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(never)) as it:
        held = asyncio.ensure_future(it.turn("old"))  # shares its turn's sync, so it waits a little
        await asyncio.sleep(0)
        await it.say("new", want="accepted", new_session=True)
        assert [accepted.message.text for accepted in it.store.unanswered()] == ["old", "new"]
    with pytest.raises(Unavailable):
        await held


async def test_a_superseded_brain_that_ignores_its_cancellation_says_nothing_more(tmp_path: Path) -> None:
    async def deaf(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if len(turn.messages) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await stage.release("I go on")
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(deaf)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        turn = await it.turn("two", WEB)
        assert turn == await first
        assert "message.segment" not in {event.kind for event in await it.events(turn.session_id)}


async def test_one_request_at_two_addresses_of_a_person_is_taken_once(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(), channel_bases=AT_ONCE) as it:
        outcomes = await all_of(*(it.turn("pay", key, idempotency_key="k", fingerprint="f") for key in (KEY, WEB)))
        [turn] = [outcome for outcome in outcomes if not isinstance(outcome, Unavailable)]
        assert len({type(outcome) for outcome in outcomes}) == 2
        for key in (KEY, WEB):
            assert await it.turn("pay", key, idempotency_key="k", fingerprint="f") == turn


async def test_a_close_that_a_shutdown_interrupts_is_answered_as_unavailable(tmp_path: Path) -> None:
    brain = ScriptedBrain(never)
    async with rig(tmp_path, brain) as it:
        await it.say("one", want="accepted")
        await brain.begun.wait()
        closing = asyncio.ensure_future(it.directory.ask(str(KEY), Close()))
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await closing


async def test_a_segment_behind_a_message_that_is_lost_does_not_leave(tmp_path: Path) -> None:
    class Once(FaultyDisk):
        """Full for one write, which can be seen to have begun."""

        begun = threading.Event()

        def write(self, descriptor: int, content: bytes) -> None:
            self.begun.set()
            full, self.full = self.full, False
            self.free.wait(10)
            if full:
                raise OSError(errno.ENOSPC, "no space left on device")
            super().write(descriptor, content)

    disk, second = Once(), list[asyncio.Future[Any]]()

    async def speak(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "lost":
            disk.full = True
            disk.begun.clear()
            disk.free.clear()
            second.append(asyncio.ensure_future(it.say("lost too", want="accepted")))
            await asyncio.to_thread(disk.begun.wait, 10)
            speaking = asyncio.ensure_future(stage.release("so"))
            await asyncio.sleep(0)
            disk.free.set()
            await speaking
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(speak), disk=disk) as it:
        first = await it.turn("one")
        with pytest.raises(StorageFull):
            await it.turn("lost")
        await all_of(*second)
        await it.turn("three")
        assert "message.segment" not in {event.kind for event in await it.events(first.session_id)}


async def test_what_a_turn_said_whose_newest_message_was_not_kept_is_kept_over_a_crash(tmp_path: Path) -> None:
    said_something = asyncio.Event()

    async def speak(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if not refused.done():
            return await never(turn, stage, tape)
        await stage.release("so")
        said_something.set()
        return await never(turn, stage, tape)

    brain = ScriptedBrain(speak)
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with rig(tmp_path, brain, channel_bases=AT_ONCE) as it:
        taken = await it.say("one", WEB, want="accepted")
        await brain.begun.wait()
        unkeepable = Say(message("two", metadata={"x": object()}))
        refused.set_result(None)
        with pytest.raises(InvalidRequest):
            await it.directory.ask(str(WEB), unkeepable)
        await said_something.wait()
        image = died(tmp_path)
    async with rig(image, ScriptedBrain(), channel_bases=AT_ONCE) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken.session_id, 1)
        [run] = await it.runs(taken.session_id)
        assert (run.id, run.reply, run.status) == (taken.turn_id, "so", "interrupted")


async def test_a_read_that_fails_while_a_session_wakes_leaves_everything_to_the_next_activation(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(tmp_path, ScriptedBrain(never)) as it:
        taken = [await it.say(f"n{n}", want="accepted") for n in range(2)]
        image = died(tmp_path)
    brain = ScriptedBrain()
    segments, calls = TenantStore.segments, list[str]()

    def failing(self: TenantStore, turn_id: str) -> object:
        calls.append(turn_id)
        if len(calls) == 2:
            raise OSError
        return segments(self, turn_id)

    monkeypatch.setattr(TenantStore, "segments", failing)
    async with rig(image, brain) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken[0].session_id, 2)
        runs: list[Run] = await it.runs(taken[0].session_id)
        assert [run.said for run in runs] == [("n0",), ("n1",)]
        assert len(brain.turns) == 2
        assert it.directory.stats["crashed"] == 1


async def test_a_turn_keeps_its_id_when_the_message_that_replaced_it_crashed_the_session(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal knew nothing of the newer turn, so what that one said in pieces belonged to nobody after a crash."""
    brain, accept = ScriptedBrain(), SessionActor._may_hold
    crashes = iter([False, True])

    async def first_waits(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        return await never(turn, stage, tape) if len(brain.turns) == 1 else await echo(turn, stage, tape)

    def crash(actor: SessionActor, *arguments: Any) -> bool:
        if next(crashes, False):
            raise RuntimeError("between replacing a turn and writing that down")
        return accept(actor, *arguments)

    brain.script = first_waits
    monkeypatch.setattr(SessionActor, "_may_hold", crash)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.SUPERSEDE) as it:
        taken = await it.say("one", WEB, want="accepted")
        await brain.begun.wait()
        with pytest.raises(Unavailable):
            await it.turn("two", WEB)
        [orphan] = it.hosting.orphans[str(WEB)]
        assert orphan.turn_id == taken.turn_id
        await it.turn("three", WEB)
        assert taken.turn_id in [run.id for run in await it.runs(taken.session_id)]
