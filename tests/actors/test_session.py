"""One turn at a time, in order, committed before it is answered."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from ruche.actors.directory import Policy
from ruche.actors.future import AioFuture
from ruche.actors.session import Close, Look, Say, Snapshot
from ruche.plugins.contracts import Stage, TurnInput, TurnOutput
from ruche.plugins.errors import DeadlineExceeded, InvalidRequest, MailboxFull, NotFound, ProviderFailed
from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import FieldValue
from tests.actors.rig import KEY, ScriptedBrain, all_of, message, output, passivated, rig

pytestmark = pytest.mark.anyio


async def test_a_message_gets_the_reply_of_its_turn_and_the_run_is_kept(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        turn = await it.turn("hello")
        assert turn.reply == "you said: hello"
        [run] = await it.runs(turn.session_id)
        assert (run.id, run.reply, run.sequence) == (turn.turn_id, turn.reply, 0)
        assert it.store.unanswered() == []
        verified = await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(turn.session_id))
        assert verified.ok


async def test_callers_of_one_session_are_answered_one_by_one_in_order(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        turns = await all_of(*(it.turn(f"n{n}") for n in range(20)))
        assert [turn.reply for turn in turns] == [f"you said: n{n}" for n in range(20)]
        assert [run.said for run in await it.runs(turns[0].session_id)] == [(f"n{n}",) for n in range(20)]
        assert brain.most_at_once == 1


async def test_the_brain_gets_the_state_that_the_turn_before_left(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        for text in ("one", "two", "three"):
            await it.turn(text)
        assert [turn.session.turn_count for turn in brain.turns] == [0, 1, 2]
        assert [exchange.said for exchange in brain.turns[2].session.history] == [("one",), ("two",)]


async def test_sessions_do_not_wait_for_each_other(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def meet(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await both.wait()
        return "met"

    async with rig(tmp_path, ScriptedBrain(meet)) as it:
        turns = await all_of(it.turn("a"), it.turn("b", replace(KEY, interlocutor="lee")))
        assert [turn.reply for turn in turns] == ["met", "met"]
        assert turns[0].session_id != turns[1].session_id


async def test_a_passivated_session_goes_on_where_it_was(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(), policy=Policy(idle_after=0.0)) as it:
        first = await it.turn("one")
        await passivated(it, KEY)
        second = await it.turn("two")
        assert second.session_id == first.session_id
        assert [event.seq for event in await it.events(first.session_id)] == [1, 2, 3, 4]


async def test_a_session_that_thinks_is_not_passivated_and_says_so(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return "done"

    brain = ScriptedBrain(wait)
    async with rig(tmp_path, brain, policy=Policy(idle_after=0.0)) as it, anyio.create_task_group() as tasks:
        tasks.start_soon(it.turn, "slow")
        await brain.begun.wait()
        assert it.directory.sweep() == 0
        look: Snapshot = await it.directory.ask(str(KEY), Look())  # the mailbox answers while the turn runs
        assert look.session is not None
        assert (look.session.processing_turn, look.waiting) == (brain.turns[0].turn_id, 1)
        go.set()


async def test_new_session_closes_the_open_one_after_its_turns(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        first, second = await all_of(it.turn("one"), it.turn("two", new_session=True))
        assert first.session_id != second.session_id
        events = await it.events(first.session_id)
        assert [event.kind for event in events] == ["turn.accepted", "turn.completed", "session.closed"]
        look: Snapshot = await it.directory.ask(str(KEY), Look())
        assert look.session is not None
        assert look.session.id == second.session_id


async def test_close_ends_the_session_and_the_next_message_opens_another(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        first = await it.turn("one")
        closed = await it.directory.ask(str(KEY), Close(first.session_id))
        assert closed.closed_ms is not None
        with pytest.raises(NotFound):
            await it.directory.ask(str(KEY), Close())
        with pytest.raises(NotFound):
            await it.turn("on", session_id=first.session_id)
        assert (await it.turn("two")).session_id != first.session_id


async def test_an_exception_of_the_brain_is_a_kept_turn_and_the_session_goes_on(tmp_path: Path) -> None:
    async def fail_first(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            raise ProviderFailed("the model is away")
        return "back"

    async with rig(tmp_path, ScriptedBrain(fail_first), refusal=lambda key: "Sorry.") as it:
        turn = await it.turn("one")
        assert (turn.status, turn.reply, turn.enforcement.risk) == ("failed", "Sorry.", "ERROR")
        assert (await it.turn("two")).reply == "back"
        runs = await it.runs(turn.session_id)
        assert [(run.outcome, run.error) for run in runs] == [("ERROR", "PROVIDER_ERROR"), ("OK", "")]
        assert (await it.events(turn.session_id, 1))[0].kind == "turn.failed"
        assert (await it.scribe.read(lambda s: s.tenant(KEY.tenant).verify_session(turn.session_id))).ok


async def test_a_failed_turn_that_had_said_something_keeps_exactly_that(tmp_path: Path) -> None:
    async def half(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await stage.release("Half a ")
        await stage.release("sentence")
        raise RuntimeError("lost it")

    async with rig(tmp_path, ScriptedBrain(half)) as it:
        turn = await it.turn("one")
        [run] = await it.runs(turn.session_id)
        assert (turn.reply, run.segments, run.error) == ("Half a sentence", ("Half a ", "sentence"), "INTERNAL")


async def test_the_watchdog_ends_a_stuck_turn_with_its_id_and_the_session_goes_on(tmp_path: Path) -> None:
    async def stuck(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            await asyncio.Event().wait()
        return "free"

    async with rig(tmp_path, ScriptedBrain(stuck), turn_seconds=0.05) as it:
        with pytest.raises(DeadlineExceeded) as caught:
            await it.turn("one")
        run = await it.scribe.read(lambda store: store.tenant(KEY.tenant).run(caught.value.details["turn_id"]))
        assert run is not None
        assert (run.error, run.status) == ("TIMEOUT", "failed")
        assert (await it.turn("two")).reply == "free"


async def test_a_brain_that_raises_cancelled_error_costs_its_own_turn_only(tmp_path: Path) -> None:
    async def cancelled(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            raise asyncio.CancelledError
        return "alive"

    async with rig(tmp_path, ScriptedBrain(cancelled)) as it:
        assert (await it.turn("one")).status == "failed"
        assert (await it.turn("two")).reply == "alive"
        assert it.directory.stats["crashed"] == 0


@pytest.mark.parametrize("changes", [{"id": "another"}, {"session": "another"}, {"sequence": 7}])
async def test_an_output_that_is_not_of_this_turn_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    class Wrong(ScriptedBrain):
        async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
            return output(turn, "wrong", tape, **changes)

    async with rig(tmp_path, Wrong()) as it:
        turn = await it.turn("one")
        [run] = await it.runs(turn.session_id)
        assert (turn.status, run.error) == ("failed", "INVALID_OUTPUT")


async def test_an_output_that_cannot_be_stored_is_a_failed_turn(tmp_path: Path) -> None:
    class Odd(ScriptedBrain):
        async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
            out = output(turn, "odd", tape)
            return replace(out, run=replace(out.run, decisions={"odd": object()}))

    async with rig(tmp_path, Odd()) as it:
        turn = await it.turn("one")
        [run] = await it.runs(turn.session_id)
        assert (turn.status, run.error) == ("failed", "INVALID_OUTPUT")


async def test_a_message_that_cannot_be_stored_is_refused_and_takes_nothing_with_it(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        bad = Say(message("bad", metadata={"odd": object()}))
        good, refused, last = await all_of(it.turn("one"), it.directory.ask(str(KEY), bad), it.turn("two"))
        assert isinstance(refused, InvalidRequest)
        assert (good.reply, last.reply) == ("you said: one", "you said: two")
        assert [event.seq for event in await it.events(good.session_id)] == [1, 2, 3, 4]


async def test_a_session_with_too_many_waiting_messages_refuses_the_next(tmp_path: Path) -> None:
    """Security item 15: what one conversation can make others hold is bounded."""
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return "done"

    brain = ScriptedBrain(wait)
    async with rig(tmp_path, brain, waiting_limit=3) as it, anyio.create_task_group() as tasks:
        for n in range(3):
            tasks.start_soon(it.turn, f"n{n}")
        await brain.begun.wait()
        with pytest.raises(MailboxFull) as caught:
            await it.turn("one too many")
        assert caught.value.retry_after == 1.0
        go.set()


async def test_a_caller_that_leaves_does_not_disturb_its_turn(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return "done"

    brain = ScriptedBrain(wait)
    async with rig(tmp_path, brain) as it:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.turn, "gone")
            await brain.begun.wait()
            tasks.cancel_scope.cancel()
        go.set()
        turn = await it.turn("still there")
        assert [run.said for run in await it.runs(turn.session_id)] == [("gone",), ("still there",)]


async def test_a_long_conversation_holds_on_to_no_answered_caller(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        await it.turn("first")
        gc.collect()
        before = sum(isinstance(each, AioFuture) for each in gc.get_objects())
        for n in range(40):
            await it.turn(f"n{n}")
        gc.collect()
        assert sum(isinstance(each, AioFuture) for each in gc.get_objects()) - before < 5


async def test_two_sessions_of_one_person_do_not_overwrite_each_others_profile(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    class Learner(ScriptedBrain):
        async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
            await both.wait()  # both start from the same profile
            value = FieldValue(value=turn.agent, source="user_provided", at_ms=1)
            profile = replace(turn.profile, fields={**turn.profile.fields, turn.agent: value})
            return output(turn, "noted", tape, profile=profile)

    async with rig(tmp_path, Learner()) as it:
        await all_of(it.turn("a"), it.turn("b", replace(KEY, agent="shop")))
        profile = await it.scribe.read(lambda store: store.tenant(KEY.tenant).profile(KEY.interlocutor))
        assert profile is not None
        assert sorted(profile.fields) == ["desk", "shop"]


async def test_accepted_is_answered_at_once_and_the_turn_follows(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return "done"

    async with rig(tmp_path, ScriptedBrain(wait)) as it:
        taken = await it.say("one", want="accepted")
        assert [accepted.message.text for accepted in it.store.unanswered()] == ["one"]
        go.set()
        turn = await it.turn("two")
        assert [run.id for run in await it.runs(turn.session_id)] == [taken.turn_id, turn.turn_id]
