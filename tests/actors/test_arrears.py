"""What was put off for a full disk is answered by itself once there is room."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ruche.actors.arrears import Arrears
from ruche.plugins.errors import StorageFull
from tests.actors.rig import KEY, ScriptedBrain, all_of, ended, ending, passivated, rig
from tests.actors.test_session_storage import FaultyDisk, filling

pytestmark = pytest.mark.anyio

LEE = replace(KEY, interlocutor="lee")


async def test_a_turn_that_was_put_off_is_answered_when_the_clock_finds_room(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with rig(tmp_path, filling(disk), disk=disk) as it:
        first = await it.turn("hello")
        arrears = Arrears(it.directory, it.hosting)
        assert await arrears.collect() == 0
        taken = await it.say("fill", want="events")
        with pytest.raises(StorageFull):
            await ending(taken)
        disk.full = False
        assert await arrears.collect() == 1
        await ended(it, first.session_id, 2)
        assert [run.said for run in await it.runs(first.session_id)] == [("hello",), ("fill",)]
        assert (await arrears.collect(), it.store.unanswered()) == (0, [])


async def test_a_session_that_was_let_go_meanwhile_is_woken(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with rig(tmp_path, filling(disk), disk=disk) as it:
        first = await it.turn("hello")
        taken = await it.say("fill", want="events")
        with pytest.raises(StorageFull):
            await ending(taken)
        it.directory._held.policy.__dict__["idle_after"] = 0
        await passivated(it, KEY)
        assert not it.hosting.owing
        disk.full = False
        assert await Arrears(it.directory, it.hosting).collect() == 1
        await ended(it, first.session_id, 2)
        assert it.store.unanswered() == []


async def test_while_the_disk_is_full_one_session_tries_and_less_and_less_often(tmp_path: Path) -> None:
    disk, brain = FaultyDisk(), ScriptedBrain()
    async with rig(tmp_path, brain, disk=disk) as it:
        await all_of(it.turn("hello"), it.turn("hello", LEE))
        now = [100.0]
        it.directory.now = lambda: now[0]  # type: ignore[method-assign]
        arrears = Arrears(it.directory, it.hosting)
        it.hosting.owing.update(dict.fromkeys((str(KEY), str(LEE))))
        disk.full = True
        with pytest.raises(StorageFull):
            await it.turn("refused", replace(KEY, interlocutor="max"))
        tried = []
        for now[0] in range(100, 240, 5):
            if await arrears.collect():
                tried.append(now[0])
        assert tried == [100, 105, 115, 135, 175, 235]
        disk.full = False
        await it.turn("accepted", replace(KEY, interlocutor="max"))
        it.hosting.owing.update(dict.fromkeys((str(KEY), str(LEE))))
        assert await arrears.collect() == 2
