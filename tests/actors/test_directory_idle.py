"""Virtual actors that are let go: when idle, above the cap, and what races with that."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from ruche.actors.directory import Directory
from ruche.actors.future import AioFuture
from ruche.actors.supervise import Policy
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import Unavailable
from tests.actors.test_directory import QUICK, Disk, Session, Time, anyio_backend, settled

__all__ = ["anyio_backend"]


@pytest.mark.anyio
async def test_idle_actors_are_let_go_and_come_back_with_what_they_knew() -> None:
    clock, disk = Time(), Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK, clock=clock)
        await directory.ask("old", 1)
        clock.now += 40
        await directory.ask("young", 1)
        clock.now += 30
        assert directory.sweep() == 1
        await settled(directory, "old")
        assert "old" not in directory
        assert "young" in directory
        assert await directory.ask("old", 2) == [1, 2]


@pytest.mark.anyio
async def test_a_busy_actor_is_not_let_go() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK, clock=clock)
        gate: AioFuture[str] = AioFuture()
        working = asyncio.ensure_future(directory.ask("k", gate))
        await anyio.wait_all_tasks_blocked()
        clock.now += 100
        assert directory.sweep() == 0
        gate.set("done")
        assert await working == "done"
        assert directory.sweep() == 0, "being busy counts as use"
        clock.now += 100
        assert directory.sweep() == 1


@pytest.mark.anyio
async def test_messages_that_race_with_the_passivation_are_answered_in_order_by_the_next_activation() -> None:
    clock, disk = Time(), Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK, clock=clock)
        await directory.ask("k", 0)
        disk.gate = AioFuture()
        clock.now += 100
        directory.sweep()
        racing = [asyncio.ensure_future(directory.ask("k", number)) for number in (1, 2)]
        await anyio.wait_all_tasks_blocked()
        late = asyncio.ensure_future(directory.ask("k", 3))
        await anyio.wait_all_tasks_blocked()
        assert directory.snapshot()["states"] == {"leaving": 1}
        gate, disk.gate = disk.gate, None
        gate.set()
        assert await late == [0, 1, 2, 3]
        assert [await reply for reply in racing] == [[0, 1], [0, 1, 2]]
        assert directory.stats["activated"] == 2


@pytest.mark.anyio
async def test_above_the_cap_the_least_recently_used_is_let_go_for_the_new() -> None:
    disk = Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=Policy(max_active=3))
        for key in ("a", "b", "c", "a", "d"):
            await directory.ask(key, 1)
        await anyio.wait_all_tasks_blocked()
        assert {key for key in "abcd" if key in directory} == {"a", "c", "d"}
        for number in range(200):
            await directory.ask(f"k{number}", 1)
            assert len(directory) <= 4
        assert await directory.ask("b", 2) == [1, 2]


@pytest.mark.anyio
async def test_after_many_were_let_go_there_is_room_for_as_many_as_before() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=Policy(max_active=3), clock=clock)
        for number in range(6):
            await directory.ask(f"k{number}", 1)
        clock.now += 100
        directory.sweep()
        await anyio.wait_all_tasks_blocked()
        assert len(directory) == 0
        for number in range(3):
            await directory.ask(f"k{number}", 1)
        await anyio.wait_all_tasks_blocked()
        assert len(directory) == 3


@pytest.mark.anyio
async def test_an_actor_that_is_stopped_twice_stays_away_until_it_is_needed() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk())
        await directory.ask("k", 1)
        ref = directory.live("k")
        assert ref is not None
        stops = [ref.stop(block=False) for _ in range(2)]
        assert [await stop for stop in stops] == [True, True]
        assert "k" not in directory
        assert await directory.ask("k", 2) == [1, 2]


@pytest.mark.anyio
async def test_when_all_are_busy_new_keys_are_refused_beyond_the_overshoot() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=Policy(max_active=4, overshoot=0.5))
        gate: AioFuture[str] = AioFuture()
        working = [asyncio.ensure_future(directory.ask(f"k{number}", gate)) for number in range(6)]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Unavailable) as refusal:
            await directory.ask("one too many", "x")
        assert refusal.value.retry_after == 1.0
        gate.set("done")
        assert await asyncio.gather(*working) == ["done"] * 6
        assert await directory.ask("now", "x") == ["x"]
