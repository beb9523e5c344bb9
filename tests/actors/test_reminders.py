"""A reminder fires at its time, once, also when the engine was not running then."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.actors.courier import Courier
from ruche.actors.reminders import Reminders
from ruche.storage.model.event import OutboxItem
from tests.actors.rig import Rig, ScriptedBrain, rig
from tests.actors.test_courier import Time

pytestmark = pytest.mark.anyio


class Alarm:
    def __init__(self, it: Rig, time: Time) -> None:
        self.rang: list[tuple[str, str, object]] = []
        self.courier = Courier(it.scribe, {"alarm": self.ring}, clock_ms=time)
        self.reminders = Reminders(it.scribe, self.courier, time, it.hosting.new_id)

    async def ring(self, tenant: str, item: OutboxItem) -> None:
        self.rang.append((tenant, item.id, item.payload.get("what")))


async def test_a_reminder_fires_once_at_its_time(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        time = Time()
        alarm = Alarm(it, time)
        await alarm.courier.deliver_due()
        name = await alarm.reminders.set("acme", "alarm", 6_000, what="tea")
        for time.now in (5_999, 6_000, 6_001):
            await alarm.courier.deliver_due()
            assert len(alarm.rang) == (time.now >= 6_000)
        assert alarm.rang == [("acme", name, "tea")]


async def test_a_reminder_survives_a_restart_and_one_that_was_missed_fires_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        await Alarm(it, Time()).reminders.set("acme", "alarm", 6_000, what="tea", interlocutor="kim")
    async with rig(tmp_path, ScriptedBrain()) as it:
        time = Time()
        alarm = Alarm(it, time)
        assert await alarm.courier.deliver_due() == 0
        time.now = 900_000
        assert await alarm.courier.deliver_due() == 1
    async with rig(tmp_path, ScriptedBrain()) as it:
        again = Alarm(it, time)
        assert await again.courier.deliver_due() == 0
        assert (len(alarm.rang), again.rang) == (1, [])


async def test_a_reminder_can_be_moved_and_cancelled(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        time = Time()
        alarm = Alarm(it, time)
        for name in ("moved", "cancelled"):
            await alarm.reminders.set("acme", "alarm", 6_000, id=name)
        await alarm.reminders.set("acme", "alarm", 9_000, id="moved")
        await alarm.reminders.cancel("acme", "cancelled")
        await alarm.reminders.ensure("acme", "alarm", 1, "moved")
        for time.now in (8_999, 9_000):
            await alarm.courier.deliver_due()
        assert [name for _, name, _ in alarm.rang] == ["moved"]
        assert not await it.scribe.read(lambda store: store.waits("acme", "moved"))
