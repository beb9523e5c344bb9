"""Deliveries happen at least once, are retried with patience, and end recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ruche.actors.courier import PAGE, TRIES, Courier, Undeliverable
from ruche.actors.reminders import Reminders
from ruche.plugins.contracts import Stage, TurnInput, TurnOutput
from ruche.plugins.errors import StorageFull
from ruche.plugins.tape import Tape
from ruche.storage.model.event import OutboxItem
from tests.actors.rig import KEY, Rig, ScriptedBrain, output, rig
from tests.actors.test_session_storage import FaultyDisk

pytestmark = pytest.mark.anyio

ITEM = OutboxItem(id="d1", kind="webhook", target="w1", at_ms=1_000, payload={"interlocutor": KEY.interlocutor})


class Sending(ScriptedBrain):
    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        return replace(output(turn, "sent", tape), outbox=(ITEM,))


class Target:
    """A receiver that answers as a test says."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.got: list[tuple[str, OutboxItem]] = []

    async def __call__(self, tenant: str, item: OutboxItem) -> None:
        self.got.append((tenant, item))
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome


class Time:
    now = 5_000

    def __call__(self) -> int:
        return self.now


async def outbox(it: Rig) -> list[tuple[str, OutboxItem]]:
    return await it.scribe.read(lambda store: store.outbox())


async def test_what_a_turn_committed_is_delivered_once_and_leaves_the_outbox(tmp_path: Path) -> None:
    async with rig(tmp_path, Sending()) as it:
        await it.turn("go")
        target = Target()
        courier = Courier(it.scribe, {"webhook": target})
        assert await courier.deliver_due() == 1
        assert await courier.deliver_due() == 0
        assert target.got == [("acme", ITEM)]
        assert await outbox(it) == []


async def test_a_failed_delivery_is_tried_again_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    async with rig(tmp_path, Sending()) as it:
        await it.turn("go")
        time, target = Time(), Target(ConnectionError(), TimeoutError())
        courier = Courier(it.scribe, {"webhook": target}, clock_ms=time)
        assert await courier.deliver_due() == 0
        time.now += 9_999
        assert await courier.deliver_due() == 0
        assert len(target.got) == 1
        time.now += 1
        assert await courier.deliver_due() == 0
        time.now += 20_000
        assert await courier.deliver_due() == 1
        assert [item.attempts for _, item in target.got] == [0, 1, 2]
        assert await outbox(it) == []


async def test_a_delivery_is_given_up_after_its_last_try_or_at_once_when_it_is_hopeless(tmp_path: Path) -> None:
    async with rig(tmp_path, Sending()) as it:
        await it.turn("go")
        time, target = Time(), Target(*[ConnectionError()] * 99)
        courier = Courier(it.scribe, {"webhook": target}, clock_ms=time)
        while await outbox(it):
            assert await courier.deliver_due() == 0
            time.now += 4_000_000
        assert len(target.got) == TRIES
        await it.turn("again")
        hopeless = Target(Undeliverable())
        assert await Courier(it.scribe, {"webhook": hopeless}).deliver_due() == 0
        assert (len(hopeless.got), await outbox(it)) == (1, [])


async def test_a_hanging_receiver_counts_as_failed(tmp_path: Path) -> None:
    async def hang(tenant: str, item: OutboxItem) -> None:
        await asyncio.Event().wait()

    async with rig(tmp_path, Sending()) as it:
        await it.turn("go")
        assert await Courier(it.scribe, {"webhook": hang}, timeout=0.01).deliver_due() == 0
        [(_, item)] = await outbox(it)
        assert item.attempts == 1


async def test_kinds_without_a_route_stay_in_the_outbox(tmp_path: Path) -> None:
    async with rig(tmp_path, Sending()) as it:
        await it.turn("go")
        assert await Courier(it.scribe, {"sms": Target()}).deliver_due() == 0
        assert await outbox(it) == [("acme", ITEM)]


async def test_items_that_nobody_delivers_hide_none_of_those_behind_them(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        time, target = Time(), Target()
        courier = Courier(it.scribe, {"later": target}, clock_ms=time)
        reminders = Reminders(it.scribe, courier, time, iter(map(str, range(999))).__next__)
        for number in range(PAGE + 1):
            await reminders.set("acme", "unknown", number)
        await reminders.set("acme", "later", 4_000)
        assert await courier.deliver_due() == 0
        assert await courier.deliver_due() == 1


async def test_what_cannot_be_settled_is_not_delivered_again_and_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with rig(tmp_path, Sending(), disk=disk) as it:
        await it.turn("go")
        time, delivered = Time(), list[str]()

        async def fill(tenant: str, item: OutboxItem) -> None:
            delivered.append(item.id)
            disk.full = len(delivered) == 1

        courier = Courier(it.scribe, {"webhook": fill}, clock_ms=time)
        with pytest.RaisesGroup(StorageFull):
            await courier.deliver_due()
        assert await courier.deliver_due() == 0
        disk.full = False
        time.now += 10_000
        assert await courier.deliver_due() == 1
        assert delivered == ["d1", "d1"]


async def test_a_delivery_may_say_when_it_is_due_again(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        time, fired = Time(), list[int]()

        async def daily(tenant: str, item: OutboxItem) -> int:
            fired.append(time.now)
            return item.at_ms + 1_000

        courier = Courier(it.scribe, {"daily": daily}, clock_ms=time)
        await Reminders(it.scribe, courier, time, str).ensure("acme", "daily", 6_000, "d")
        for time.now in (5_999, 6_000, 6_999, 7_000):
            await courier.deliver_due()
        assert fired == [6_000, 7_000]
