"""What becomes of a turn when the interlocutor goes on: windows, superseding, absorbing, queueing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ruche.actors.fair import FairGate
from ruche.actors.session import Say, Typing
from ruche.actors.supersede import Decision
from ruche.plugins.contracts import AbsorbingStage, Effect, EffectOutcome, Stage, TurnInput, TurnOutput
from ruche.plugins.tape import Tape
from tests.actors.rig import KEY, WEB, ScriptedBrain, all_of, echo, ending, message, output, rig

pytestmark = pytest.mark.anyio

AT_ONCE = {"web": 0, "api": 0}


class Gate:
    """A script whose first turn waits until it is opened, or is cancelled."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if len(turn.messages) == 1 and turn.session.turn_count == 0:
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await echo(turn, stage, tape)


async def test_a_superseding_turn_keeps_the_texts_and_answers_all_callers(tmp_path: Path) -> None:
    gate = Gate()
    brain = ScriptedBrain(gate)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE) as it:
        first = asyncio.ensure_future(it.turn("refund #123", WEB))
        await brain.begun.wait()
        second = await it.turn("actually #456", WEB)
        assert (await first) == second
        assert second.reply == "you said: refund #123 / actually #456"
        assert gate.cancelled == 1
        assert (await it.runs(second.session_id))[0].said == ("refund #123", "actually #456")
        old, new = (turn.turn_id for turn in brain.turns)
        assert brain.turns[1].turn_group == old
        assert [(e.kind, e.turn_id) for e in await it.events(second.session_id)] == [
            ("turn.accepted", old), ("turn.superseded", old), ("turn.accepted", new), ("turn.completed", new)]
        assert it.store.unanswered() == []


async def test_every_superseded_turn_has_a_run_of_its_own_in_an_unbroken_chain(tmp_path: Path) -> None:
    begun = asyncio.Queue[str]()

    async def wait_twice(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        tape.ask_now("coin", None, lambda: "heads", str)
        begun.put_nowait(turn.turn_id)
        if len(turn.messages) < 3 and not turn.session.turn_count:
            await asyncio.Event().wait()
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(wait_twice), channel_bases=AT_ONCE) as it:
        asked = []
        for text in ("one", "two", "three"):
            asked.append(asyncio.ensure_future(it.turn(text, WEB)))
            await begun.get()
        turns = [await one for one in asked]
        assert turns[0] == turns[1] == turns[2]
        later = await it.turn("four", WEB)
        answer, first, second, last = await it.runs(later.session_id)
        assert (answer.id, answer.status, last.said) == (turns[0].turn_id, "complete", ("four",))
        assert [(run.said, run.status, run.superseded_by, run.reply) for run in (first, second)] == [
            (("one",), "superseded", answer.id, ""), (("one", "two"), "superseded", answer.id, "")]
        assert (first.turn_group_id, second.turn_group_id, answer.turn_group_id) == ("", first.id, "")
        assert [entry.site for entry in first.tape] == ["input", "coin"]
        verified = await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(later.session_id))
        assert (verified.runs, verified.problems) == (4, ())


async def test_absorbing_restarts_the_same_turn_over_all_messages(tmp_path: Path) -> None:
    gate = Gate()
    brain = ScriptedBrain(gate)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.ABSORB) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        second = await it.turn("two", WEB)
        assert (await first) == second
        assert second.turn_id == brain.turns[0].turn_id == brain.turns[1].turn_id
        assert second.reply == "you said: one / two"


class Absorbing(ScriptedBrain):
    """Waits with its first turn, then answers everything that it may take up by then."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.keeps_quiet = asyncio.Event(), False
        self.waits: list[bool] = []

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        self.turns.append(turn)
        self.begun.set()
        await self.go.wait()
        assert isinstance(stage, AbsorbingStage)
        self.waits.append(stage.pending())
        taken = stage.absorb()
        self.waits.append(stage.pending())
        whole = turn if self.keeps_quiet else replace(turn, messages=(*turn.messages, *taken))
        return output(whole, await echo(whole, stage, tape), tape)


async def test_a_turn_that_continues_takes_newer_messages_up_and_answers_all_callers(tmp_path: Path) -> None:
    brain = Absorbing()
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.CONTINUE) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        second = await it.say("two", WEB, want="accepted")
        third = asyncio.ensure_future(it.turn("three", WEB))
        await asyncio.ensure_future(it.say("four", WEB, want="accepted", idempotency_key="k"))  # durable behind it
        brain.go.set()
        turn = await first
        assert (await third) == turn
        assert turn.reply == "you said: one / two / three / four"
        assert len(brain.turns) == 1
        assert brain.waits == [True, False], "what was taken up waits no more, so that nothing is put off for it"
        assert (await it.turn("four", WEB, idempotency_key="k")) == turn
        answer, *taken = await it.runs(turn.session_id)
        assert [(run.said, run.status, run.superseded_by) for run in taken] == [
            (("two", "three", "four"), "superseded", answer.id)]
        assert second.turn_id == taken[0].id
        assert [(e.kind, e.turn_id) for e in await it.events(turn.session_id, 4)] == [
            ("turn.superseded", second.turn_id), ("turn.completed", answer.id)]
        assert await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(turn.session_id).ok)


async def test_what_a_continuing_turn_does_not_take_up_is_answered_by_the_next(tmp_path: Path) -> None:
    gate = Gate()
    brain = ScriptedBrain(gate)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.CONTINUE) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        second = await it.say("two", WEB, want="events")
        gate.open.set()
        assert (await first).reply == "you said: one"
        assert (await ending(second)).data["reply"] == "you said: two"


async def test_a_brain_that_takes_a_message_up_and_does_not_answer_it_fails_its_turn(tmp_path: Path) -> None:
    brain = Absorbing()
    brain.keeps_quiet = True
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.CONTINUE) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        await it.say("two", WEB, want="accepted")
        brain.go.set()
        turn = await first
        assert turn.status == "failed"
        run = (await it.runs(turn.session_id))[0]
        assert (run.said, run.error) == (("one", "two"), "INVALID_OUTPUT")


@pytest.mark.parametrize(("decision", "told"), [(Decision.QUEUE, True), (Decision.FORCE_COMPLETE, False)])
async def test_queued_messages_get_their_own_turn_and_only_queue_tells_the_brain(
        tmp_path: Path, decision: Decision, told: bool) -> None:
    gate, pending = Gate(), list[bool]()

    async def script(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        reply = await gate(turn, stage, tape)
        pending.append(stage.pending())
        return reply

    brain = ScriptedBrain(script)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: decision) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await brain.begun.wait()
        taken = await it.say("two", WEB, want="accepted")
        gate.open.set()
        assert (await first).reply == "you said: one"
        await it.turn("three", WEB)
        assert taken.turn_id == brain.turns[1].turn_id
        assert pending[0] is told


async def test_after_a_released_segment_a_turn_is_finished_first(tmp_path: Path) -> None:
    go, released = asyncio.Event(), asyncio.Event()

    async def speak(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            await stage.release("First.")
            released.set()
            await go.wait()
            return "First."
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(speak), channel_bases=AT_ONCE) as it:
        first = asyncio.ensure_future(it.turn("one", WEB))
        await released.wait()
        second = await it.say("two", WEB, want="events")
        go.set()
        assert (await first).reply == "First."
        assert (await ending(second)).data["reply"] == "you said: two"


async def test_after_an_effect_a_turn_is_finished_first(tmp_path: Path) -> None:
    go, reserved = asyncio.Event(), asyncio.Event()

    async def act(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            effect = Effect(tool="pay", key=f"{turn.turn_group}:pay", policy="IRREVERSIBLE")
            assert (await stage.reserve(effect)).status == "new"
            reserved.set()
            await go.wait()
            await stage.settle(effect, EffectOutcome(status="ok", result=7))
            return "paid"
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(act), channel_bases=AT_ONCE) as it:
        first = asyncio.ensure_future(it.turn("pay", WEB))
        await reserved.wait()
        second = await it.say("wait", WEB, want="events")
        go.set()
        assert (await first).reply == "paid"
        assert (await ending(second)).data["reply"] == "you said: wait"


async def test_after_an_effect_that_cannot_be_undone_no_decider_takes_the_turn_back(tmp_path: Path) -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def act(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            effect = Effect(tool="pay", key=f"{turn.turn_group}:pay", policy="IRREVERSIBLE")
            await stage.reserve(effect)
            await stage.settle(effect, EffectOutcome(status="ok", result=7))
            done.set()
            await go.wait()
            return "paid"
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(act), channel_bases=AT_ONCE, decider=lambda _: Decision.SUPERSEDE) as it:
        first = asyncio.ensure_future(it.turn("pay", WEB))
        await done.wait()
        second = await it.say("wait", WEB, want="events")
        go.set()
        assert (await first).reply == "paid"
        assert (await ending(second)).data["reply"] == "you said: wait"


async def test_messages_within_the_window_are_one_turn_with_one_answer(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        texts = ("I have a question about", "my order", "it never came.")
        turns = await all_of(*(it.turn(text, WEB) for text in texts))
        assert len({turn.turn_id for turn in turns}) == 1
        assert [m.text for m in brain.turns[0].messages] == list(texts)
        assert brain.turns[0].waited_ms >= 200


async def test_the_gaps_within_a_turn_are_learned(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(), channel_bases={"web": 200}) as it:
        said = [Say(message("one.", at_ms=1_000)), Say(message("two.", at_ms=1_450))]
        await all_of(*(it.directory.ask(str(WEB), each) for each in said))
        profile = await it.scribe.read(lambda store: store.tenant(KEY.tenant).profile(KEY.interlocutor))
        assert profile is not None
        assert profile.cadence_ms == (450,)


async def test_typing_keeps_the_window_open(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    loop = asyncio.get_running_loop()
    async with rig(tmp_path, brain, channel_bases={"web": 300}) as it:
        begun = loop.time()
        taken = await it.say("A whole sentence.", WEB, want="events")  # 200 ms by itself
        it.directory.tell(str(WEB), Typing())
        await ending(taken)
        assert loop.time() - begun >= 0.3


async def test_a_channel_without_window_answers_at_once(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        await it.turn("hello")
        assert brain.turns[0].waited_ms < 200


async def test_messages_that_wait_for_a_slot_join_their_turn(tmp_path: Path) -> None:
    gate = Gate()
    brain = ScriptedBrain(gate)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, gate=FairGate(1, 1)) as it:
        other = asyncio.ensure_future(it.turn("busy", replace(WEB, interlocutor="lee")))
        await brain.begun.wait()
        first = await it.say("one", WEB, want="events")
        second = await it.say("two", WEB, want="events")
        gate.open.set()
        await other
        assert (await ending(first)) == (await ending(second))
