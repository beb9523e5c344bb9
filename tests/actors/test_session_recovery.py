"""After the process died: what was accepted is answered, what was said is kept, nothing is done twice."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from ruche.actors.recovery import recover
from ruche.actors.session import Close
from ruche.plugins.contracts import Effect, EffectOutcome, Stage, TurnInput
from ruche.plugins.errors import Unavailable
from ruche.plugins.tape import Tape
from ruche.storage.model.turn import Turn
from tests.actors.rig import KEY, ScriptedBrain, echo, ended, rig

pytestmark = pytest.mark.anyio


def died(path: Path) -> Path:
    """What a process that died now would leave on the disk."""
    image = path / "after"
    shutil.copytree(path / "data", image / "data", ignore=shutil.ignore_patterns("lock"))
    return image


async def never(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    await asyncio.Event().wait()
    return ""


async def test_accepted_messages_are_answered_in_order_before_newer_ones(tmp_path: Path) -> None:
    brain = ScriptedBrain(never)
    async with rig(tmp_path, brain) as it:
        taken = [await it.say(f"n{n}", want="accepted") for n in range(3)]
        image = died(tmp_path)
    second = ScriptedBrain()
    async with rig(image, second) as it:
        assert await recover(it.directory, it.hosting, it.store.unanswered()) == 1
        turn = await it.turn("newer")
        runs = await it.runs(taken[0].session_id)
        assert [run.said for run in runs] == [("n0",), ("n1",), ("n2",), ("newer",)]
        assert [run.id for run in runs] == [*(each.turn_id for each in taken), turn.turn_id]
        assert [event.seq for event in await it.events(turn.session_id)] == list(range(1, 9))
        assert (await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(turn.session_id))).ok


async def test_a_turn_that_had_said_something_is_closed_with_exactly_that(tmp_path: Path) -> None:
    said = asyncio.Event()

    async def half(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await stage.release("I was about to ")
        await stage.release("say")
        said.set()
        return await never(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(half)) as it:
        taken = await it.say("tell me", want="accepted", idempotency_key="k", fingerprint="f")
        await said.wait()
        image = died(tmp_path)
    brain = ScriptedBrain()
    async with rig(image, brain) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken.session_id, 1)
        [run] = await it.runs(taken.session_id)
        assert (run.id, run.status, run.reply) == (taken.turn_id, "interrupted", "I was about to say")
        assert run.segments == ("I was about to ", "say")
        assert brain.turns == []
        again: Turn = await it.turn("tell me", idempotency_key="k", fingerprint="f")
        assert (again.status, again.reply) == ("interrupted", "I was about to say")
        assert [e.kind for e in await it.events(taken.session_id)] == [
            "turn.accepted", "message.segment", "message.segment", "turn.completed"]


async def test_an_effect_whose_outcome_is_unknown_is_not_repeated(tmp_path: Path) -> None:
    reserved, outcomes = asyncio.Event(), list[EffectOutcome]()

    async def pay(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        outcomes.append(await stage.reserve(Effect(tool="pay", key=f"{turn.turn_group}:pay", policy="IRREVERSIBLE")))
        reserved.set()
        return await never(turn, stage, tape) if len(outcomes) == 1 else "done"

    async with rig(tmp_path, ScriptedBrain(pay)) as it:
        taken = await it.say("pay", want="accepted")
        await reserved.wait()
        image = died(tmp_path)
    async with rig(image, ScriptedBrain(pay)) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken.session_id, 1)
        assert [outcome.status for outcome in outcomes] == ["new", "unknown"]


@pytest.mark.parametrize(("policy", "expected"), [
    ("PURE", "new"), ("IDEMPOTENT", "new"), ("COMPENSATABLE", "unknown"), ("IRREVERSIBLE", "unknown")])
async def test_only_what_its_policy_allows_is_reserved_twice(tmp_path: Path, policy: str, expected: str) -> None:
    seen: list[str] = []

    async def twice(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        effect = Effect(tool="t", key="k", policy=policy)  # type: ignore[arg-type]
        together = await asyncio.gather(stage.reserve(effect), stage.reserve(effect))
        seen.extend(sorted(outcome.status for outcome in together))
        seen.append((await stage.reserve(effect)).status)
        await stage.settle(effect, EffectOutcome(status="ok", result={"n": 1}))
        seen.append((await stage.reserve(effect)).status)
        return "done"

    async with rig(tmp_path, ScriptedBrain(twice)) as it:
        await it.turn("go")
    settled = "new" if policy == "PURE" else "ok"
    first_two = ["new", "new"] if policy == "PURE" else ["new", "unknown"]
    assert seen == [*first_two, expected, settled]


async def test_superseded_messages_are_answered_by_the_turn_that_replaced_theirs(tmp_path: Path) -> None:
    web = replace(KEY, channel="web")
    brain = ScriptedBrain(never)
    async with rig(tmp_path, brain, channel_bases={"web": 0}) as it:
        await it.say("refund #123", web, want="accepted")
        await brain.begun.wait()
        taken = await it.say("actually #456", web, want="accepted")
        image = died(tmp_path)
    async with rig(image, ScriptedBrain(), channel_bases={"web": 0}) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, taken.session_id, 1)
        run, old = await it.runs(taken.session_id)
        assert (run.id, run.said) == (taken.turn_id, ("refund #123", "actually #456"))
        assert (old.status, old.superseded_by, old.said) == ("superseded", run.id, ("refund #123",))
        assert await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(run.session).problems) == ()


async def test_a_session_that_was_to_be_replaced_is_closed_by_the_restart(tmp_path: Path) -> None:
    brain = ScriptedBrain(never)
    async with rig(tmp_path, brain) as it:
        first = await it.say("one", want="accepted")
        second = await it.say("two", want="accepted", new_session=True)
        image = died(tmp_path)
    async with rig(image, ScriptedBrain()) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await ended(it, second.session_id, 1)
        assert [run.said for run in await it.runs(first.session_id)] == [("one",)]
        assert [run.said for run in await it.runs(second.session_id)] == [("two",)]
        old = await it.scribe.read(lambda store: store.tenant(KEY.tenant).session_by_id(first.session_id))
        assert old is not None
        assert old.closed_ms is not None
        assert (await it.directory.ask(str(KEY), Close(second.session_id))).id == second.session_id


async def test_a_caller_whose_turn_the_shutdown_cuts_is_told_and_answered_after_the_restart(tmp_path: Path) -> None:
    brain = ScriptedBrain(never)
    async with rig(tmp_path, brain) as it:
        caller = asyncio.ensure_future(it.turn("wait for me"))
        await brain.begun.wait()
    with pytest.raises(Unavailable, match="will be answered"):
        await caller
    async with rig(tmp_path, ScriptedBrain()) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        turn = await it.turn("hello again")
        assert [run.said for run in await it.runs(turn.session_id)] == [("wait for me",), ("hello again",)]


async def test_a_conversation_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        first = await it.turn("one")
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        assert await recover(it.directory, it.hosting, it.store.unanswered()) == 0
        second = await it.turn("two")
        assert second.session_id == first.session_id
        assert brain.turns[0].session.history[0].said == ("one",)


async def test_a_session_whose_activation_crashes_goes_on_with_what_it_owed(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    crashed: list[str] = []

    def refusal_crashes_once(key: object) -> str:
        if not crashed:
            crashed.append(str(key))
            raise Broken
        return "Sorry."

    async def fail_first(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "bad":
            raise RuntimeError
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(fail_first), refusal=refusal_crashes_once) as it:
        taken = await it.say("bad", want="accepted")
        turn = await it.turn("good")
        assert it.directory.stats["crashed"] == 1
        assert [(run.said, run.status) for run in await it.runs(turn.session_id)] == [
            (("bad",), "failed"), (("good",), "complete")]
        assert turn.session_id == taken.session_id
        assert it.store.unanswered() == []
