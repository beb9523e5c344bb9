"""The same request is answered once, however often and whenever it is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ruche.actors.directory import Policy
from ruche.actors.logical import Taken
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import IdempotencyMismatch
from ruche.plugins.tape import Tape
from tests.actors.rig import KEY, ScriptedBrain, all_of, passivated, rig

pytestmark = pytest.mark.anyio


async def test_a_repeated_request_gets_the_same_turn_also_after_passivation(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain, policy=Policy(idle_after=0.0)) as it:
        first = await it.turn("pay", idempotency_key="k", fingerprint="f")
        assert await it.turn("pay", idempotency_key="k", fingerprint="f") == first
        await passivated(it, KEY)
        assert await it.turn("pay", idempotency_key="k", fingerprint="f") == first
        assert len(brain.turns) == 1


async def test_a_request_repeated_while_the_first_is_in_hand_waits_for_the_same_turn(tmp_path: Path) -> None:
    brain = ScriptedBrain()
    async with rig(tmp_path, brain) as it:
        turns = await all_of(*(it.turn("pay", idempotency_key="k", fingerprint="f") for _ in range(5)))
        assert turns.count(turns[0]) == 5
        assert len(brain.turns) == 1


async def test_another_request_under_the_same_key_is_refused_in_hand_and_afterwards(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        first, refused = await all_of(it.turn("pay 5", idempotency_key="k", fingerprint="five"),
                                      it.turn("pay 6", idempotency_key="k", fingerprint="six"))
        assert first.reply == "you said: pay 5"
        assert isinstance(refused, IdempotencyMismatch)
        with pytest.raises(IdempotencyMismatch):
            await it.turn("pay 7", idempotency_key="k", fingerprint="seven")


async def test_an_accepted_request_is_known_when_it_is_repeated(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return "done"

    brain = ScriptedBrain(wait)
    async with rig(tmp_path, brain) as it:
        taken = await it.say("pay", want="accepted", idempotency_key="k", fingerprint="f")
        again = await it.say("pay", want="accepted", idempotency_key="k", fingerprint="f")
        assert isinstance(again, Taken)
        assert (again.turn_id, again.message_id) == (taken.turn_id, taken.message_id)
        go.set()
        turn = await it.turn("pay", idempotency_key="k", fingerprint="f")
        assert turn.turn_id == taken.turn_id
        late = await it.say("pay", want="accepted", idempotency_key="k", fingerprint="f")
        assert late.turn_id == taken.turn_id
        assert len(brain.turns) == 1


async def test_the_same_key_of_another_person_is_another_request(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        one = await it.turn("pay", idempotency_key="k", fingerprint="f")
        two = await it.turn("pay", replace(KEY, interlocutor="lee"), idempotency_key="k", fingerprint="f")
        assert one.turn_id != two.turn_id
