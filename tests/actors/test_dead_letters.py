"""A message that nobody can answer is kept with the reason, and holds nobody else up."""

from __future__ import annotations

import os
from pathlib import Path

import anyio.to_thread
import pytest

from ruche.actors.dead_letters import Dead
from ruche.actors.directory import Policy
from ruche.actors.recovery import recover
from ruche.actors.session import Look, Say
from ruche.engine.again import run_all_again
from ruche.engine.config import Settings
from ruche.plugins.contracts import Effect, EffectOutcome, Stage, TurnInput
from ruche.plugins.errors import Unavailable
from ruche.plugins.tape import Tape
from ruche.storage.evidence import Evidence
from ruche.storage.keysources import FileKeySource
from ruche.storage.model.conversation import Profile, SessionKey
from ruche.storage.model.record import DeadLettered, ProfileSaved
from ruche.storage.store import Store
from ruche.storage.verifying import verify
from tests.actors.hosted import hosted
from tests.actors.rig import KEY, WEB, Rig, RootKey, ScriptedBrain, all_of, echo, ended, message, rig
from tests.actors.test_session_supersede import AT_ONCE, Gate

pytestmark = pytest.mark.anyio

QUICK = Policy(base=0.001, cap=0.002)


async def dead(it: Rig) -> list[DeadLettered]:
    return await it.scribe.read(lambda store: store.tenant(KEY.tenant).dead_letters())


async def fails_on_poison(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    if turn.messages[-1].text == "poison":
        raise ValueError
    return await echo(turn, stage, tape)


def no_words(key: SessionKey) -> str:
    raise ZeroDivisionError("the engine's own fault, each time that a turn fails")


async def test_a_message_on_which_the_engine_fails_again_and_again_is_given_up_and_those_behind_it_are_answered(
        tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(fails_on_poison), refusal=no_words, policy=QUICK) as it:
        before = await it.turn("one")
        poisoned, behind = await all_of(it.turn("poison", idempotency_key="p"), it.turn("two"))
        assert isinstance(poisoned, Unavailable)
        assert isinstance(behind, Unavailable), "the conversation was interrupted; the message is kept"
        await ended(it, before.session_id, 3)
        after = await it.turn("three")
        runs = await it.runs(before.session_id)
        assert [run.said for run in runs] == [("one",), ("poison",), ("two",), ("three",)]
        assert after.reply == "you said: three"
        [letter] = await dead(it)
        assert (letter.message.text, letter.key, letter.attempts) == ("poison", KEY, 3)
        given_up = runs[1]
        assert (given_up.id, given_up.status, given_up.outcome, given_up.risk, given_up.error, given_up.reply) == (
            letter.turn_id, "failed", "ERROR", "ERROR", "DEAD_LETTERED", "")
        assert "poison" not in str((await it.directory.ask(str(KEY), Look())).session.history)
        assert await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(before.session_id).ok)
        assert [(e.kind, e.data["error"]["code"]) for e in await it.events(before.session_id)
                if e.kind == "turn.failed"] == [("turn.failed", "DEAD_LETTERED")]
        assert it.store.unanswered() == []
    with Store.open(tmp_path / "data", RootKey()) as store:
        assert [letter.message.text for letter in store.dead_letters()] == ["poison"]


async def test_a_dead_letter_is_not_answered_by_a_restart_and_its_request_needs_a_new_key(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(fails_on_poison), refusal=no_words, policy=QUICK) as it:
        before = await it.turn("one")
        await all_of(it.turn("poison", idempotency_key="p"))
        await ended(it, before.session_id, 2)
    async with rig(tmp_path, ScriptedBrain()) as it:
        assert await recover(it.directory, it.hosting, it.store.unanswered()) == 0
        with pytest.raises(Dead, match="new idempotency key"):
            await it.turn("poison", idempotency_key="p")
        again = await it.turn("poison", idempotency_key="q")
        assert again.reply == "you said: poison"


async def test_a_message_that_crashes_its_session_is_refused_and_kept_and_the_turn_in_hand_goes_on(
        tmp_path: Path) -> None:
    torn = False

    def entropy(size: int) -> bytes:
        if torn:
            raise KeyError
        return os.urandom(size)

    gate = Gate()
    brain = ScriptedBrain(gate)
    async with rig(tmp_path, brain, entropy=entropy, channel_bases=AT_ONCE, policy=QUICK) as it:
        first = await it.say("one", WEB, want="accepted")
        await brain.begun.wait()
        gate.open.set()
        torn = True
        with pytest.raises(KeyError):
            await it.turn("two", WEB)
        torn = False
        await ended(it, first.session_id, 1)
        await it.turn("three", WEB)  # journalled behind the letter
        [letter] = await dead(it)
        assert (letter.message.text, letter.reason, letter.attempts) == ("two", "KeyError", 1)
        assert (await it.runs(first.session_id))[0].said == ("one",)


async def test_what_was_sent_without_waiting_and_could_not_be_taken_is_kept(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        await it.directory.drain()
        await anyio.to_thread.run_sync(it.directory.tell, str(KEY), Say(message("too late")))
        with pytest.raises(Unavailable):
            await it.turn("refused, and told so")
        await it.scribe.commit(ProfileSaved(tenant="acme", at_ms=1, profile=Profile(interlocutor="lee", tenant="acme")))
        assert [(letter.message.text, letter.reason) for letter in await dead(it)] == [("too late", "UNAVAILABLE")]


async def test_what_a_turn_that_is_given_up_had_done_is_undone_where_it_can_be(tmp_path: Path) -> None:
    async def book(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        for policy in ("COMPENSATABLE", "IRREVERSIBLE"):
            effect = Effect(tool=policy, key=f"{turn.turn_group}:{policy}", policy=policy)
            if (await stage.reserve(effect)).status == "new":
                await stage.settle(effect, EffectOutcome(status="ok", result=1))
        raise ValueError

    async with rig(tmp_path, ScriptedBrain(book), refusal=no_words, policy=QUICK) as it:
        [answer] = await all_of(it.turn("book"))
        assert isinstance(answer, Unavailable)
        await ended(it, (await it.directory.ask(str(KEY), Look())).session.id, 1)
        assert [(item.kind, item.target) for _, item in it.store.outbox()] == [("compensation", "COMPENSATABLE")]


async def test_a_session_with_a_turn_that_was_given_up_is_replayed_and_verified_and_the_letter_names_the_run(
        tmp_path: Path) -> None:
    async with hosted(tmp_path, None) as (engine, host):
        await engine.chat(agent="desk", user="kim", message="hello")
        real, host.hosting.brain = host.hosting.brain, ScriptedBrain(fails_on_poison)
        host.hosting.refusal = no_words
        with pytest.raises(Unavailable):
            await engine.chat(agent="desk", user="kim", message="poison")
        [session] = (await engine.sessions("default")).items
        async for event in engine.events("default", session.id):
            if event.kind == "turn.failed":
                break
        host.hosting.brain = real
        last = await engine.chat(agent="desk", user="kim", message="still there?")
        [letter] = await engine.dead_letters("default")
        run = await engine.run("default", letter.turn_id)
        assert (run.said, run.status, run.error, run.id) == (("poison",), "failed", "DEAD_LETTERED", event.turn_id)
        assert (await engine.run("default", last.turn_id)).sequence == 2
        assert (await engine.verify("default", session.id)).ok
    data = tmp_path / "data"
    report = verify(data, Evidence(data, FileKeySource(data / "keys" / "root.key")), [], None)
    assert report["ok"], report
    again = await run_all_again(Settings(data=data))
    assert (again.same, again.differences, again.left_out) == (3, (), 0)
