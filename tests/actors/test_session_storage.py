"""What callers are told, and what stays true, when the disk is full, fails or stalls."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from ruche.actors.session import Look
from ruche.plugins.contracts import Effect, Stage, TurnInput
from ruche.plugins.errors import StorageFull, StorageStopped, Unavailable
from ruche.plugins.tape import Tape
from ruche.storage.platform import Disk
from tests.actors.rig import KEY, ScriptedBrain, all_of, echo, ending, rig

pytestmark = pytest.mark.anyio


class FaultyDisk(Disk):
    """A real disk that is full, broken or stalled when a test says so."""

    def __init__(self) -> None:
        self.full = False
        self.broken = False
        self.free = threading.Event()
        self.free.set()

    def write(self, descriptor: int, content: bytes) -> None:
        self.free.wait(10)
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
        super().write(descriptor, content)

    def sync(self, descriptor: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "input/output error")
        super().sync(descriptor)


def filling(disk: FaultyDisk) -> ScriptedBrain:
    """A brain during whose turns called `fill` the disk becomes full."""
    async def script(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[-1].text == "fill" and len(brain.turns) == 2:
            disk.full = True
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(script)
    return brain


async def test_a_full_disk_refuses_messages_and_soon_before_anybody_thinks(tmp_path: Path) -> None:
    disk, brain = FaultyDisk(), ScriptedBrain()
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        disk.full = True
        for text in ("two", "three", "four"):
            with pytest.raises(StorageFull):
                await it.turn(text)
        disk.full = False
        fifth = await it.turn("five")
        assert fifth.session_id == first.session_id
        assert [turn.messages[0].text for turn in brain.turns] == ["one", "two", "five"]
        assert [run.said for run in await it.runs(first.session_id)] == [("one",), ("five",)]
        assert [event.seq for event in await it.events(first.session_id)] == [1, 2, 3, 4]


async def test_a_turn_whose_message_cannot_be_kept_is_cancelled_and_leaves_nothing(tmp_path: Path) -> None:
    disk, cancelled = FaultyDisk(), list[str]()

    async def fill(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "fill":
            disk.full = True
            try:
                await asyncio.Event().wait()  # until the message's own frame finds no space
            finally:
                cancelled.append(turn.turn_id)
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(fill), disk=disk) as it:
        first = await it.turn("one")
        with pytest.raises(StorageFull):
            await it.turn("fill")
        disk.full = False
        await it.turn("three")
        assert len(cancelled) == 1
        assert it.store.unanswered() == []
        assert [run.said for run in await it.runs(first.session_id)] == [("one",), ("three",)]
        assert [event.seq for event in await it.events(first.session_id)] == [1, 2, 3, 4]


async def test_a_quick_turn_and_its_message_share_one_sync(tmp_path: Path) -> None:
    syncs: list[int] = []

    class Counting(FaultyDisk):
        def sync(self, descriptor: int) -> None:
            syncs.append(descriptor)
            super().sync(descriptor)

    async with rig(tmp_path, ScriptedBrain(), disk=Counting()) as it:
        await it.turn("one")
        before = len(syncs)
        await it.turn("two")
        assert len(syncs) - before == 1


async def test_a_message_is_durable_before_anything_is_done_about_it(tmp_path: Path) -> None:
    known: list[list[str]] = []

    async def act(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await stage.reserve(Effect(tool="pay", key="k", policy="IRREVERSIBLE"))
        known.append([accepted.message.text for accepted in it.store.unanswered()])
        return "done"

    async with rig(tmp_path, ScriptedBrain(act)) as it:
        await it.turn("pay")
    assert known == [["pay"]]


async def test_a_commit_that_finds_no_space_fails_its_callers_and_changes_nothing(tmp_path: Path) -> None:
    disk = FaultyDisk()
    brain = filling(disk)
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        before = (await it.directory.ask(str(KEY), Look())).session
        taken = await it.say("fill", want="events")
        with pytest.raises(StorageFull):
            await ending(taken)
        after = (await it.directory.ask(str(KEY), Look())).session
        assert after == before
        assert [run.said for run in await it.runs(first.session_id)] == [("one",)]


async def test_what_lost_its_commit_is_answered_when_there_is_space_again_before_anything_newer(tmp_path: Path) -> None:
    disk = FaultyDisk()
    brain = filling(disk)
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        taken = await it.say("fill", want="events")
        with pytest.raises(StorageFull):
            await ending(taken)
        owed = brain.turns[1].turn_id
        disk.full = False
        await it.turn("three")
        runs = await it.runs(first.session_id)
        assert [(run.said, run.id == owed) for run in runs] == [(("one",), False), (("fill",), True),
                                                                (("three",), False)]
        assert it.store.unanswered() == []
        assert [event.seq for event in await it.events(first.session_id)] == [1, 2, 3, 4, 5, 6]
        assert (await it.scribe.read(lambda s: s.tenant(KEY.tenant).verify_session(first.session_id))).ok


async def test_a_request_that_lost_its_commit_is_answered_when_it_is_repeated(tmp_path: Path) -> None:
    disk = FaultyDisk()
    brain = filling(disk)
    async with rig(tmp_path, brain, disk=disk) as it:
        first = await it.turn("one")
        taken = await it.say("fill", want="events", idempotency_key="k", fingerprint="f")
        with pytest.raises(StorageFull):
            await ending(taken)
        disk.full = False
        turn = await it.turn("fill", idempotency_key="k", fingerprint="f")
        assert turn.turn_id == brain.turns[1].turn_id
        assert [run.said for run in await it.runs(first.session_id)] == [("one",), ("fill",)]


async def test_a_failed_sync_stops_writing_and_not_reading(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with rig(tmp_path, ScriptedBrain(), disk=disk) as it:
        first = await it.turn("one")
        disk.broken = True
        errors = await all_of(it.turn("two"), it.turn("three"))
        assert all(isinstance(error, StorageStopped) for error in errors)
        disk.broken = False
        with pytest.raises(StorageStopped):
            await it.turn("four")
        assert it.scribe.stopped
        assert [run.said for run in await it.runs(first.session_id)] == [("one",)]


async def test_callers_of_a_stalled_commit_are_told_and_the_turn_is_kept_when_the_disk_moves_again(
        tmp_path: Path) -> None:
    disk = FaultyDisk()

    async def stall(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.session.turn_count == 0:
            disk.free.clear()
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(stall), disk=disk, commit_seconds=0.05) as it:
        with pytest.raises(Unavailable) as caught:
            await it.turn("one")
        second = asyncio.ensure_future(it.turn("two"))
        disk.free.set()
        assert (await second).reply == "you said: two"
        run = await it.scribe.read(lambda store: store.tenant(KEY.tenant).run(caught.value.details["turn_id"]))
        assert run is not None
        assert run.said == ("one",)
