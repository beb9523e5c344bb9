"""Commits are durable, grouped and in order; a fault costs what is at fault."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path

import anyio
import pytest

from ruche.actors.scribe import Scribe
from ruche.actors.supervise import Policy
from ruche.actors.system import ActorSystem
from ruche.actors.threads import Flag, Threads
from ruche.engine import Engine
from ruche.plugins.errors import StorageFull, StorageStopped, Unavailable
from ruche.storage.model.conversation import Profile
from ruche.storage.model.record import ProfileSaved
from ruche.storage.store import Store
from tests.actors.hosted import hosted
from tests.actors.rig import RootKey, ScriptedBrain, all_of
from tests.actors.test_session_storage import FaultyDisk

pytestmark = pytest.mark.anyio


def saved(name: str, version: int = 1, tenant: str = "acme") -> ProfileSaved:
    return ProfileSaved(tenant=tenant, at_ms=1, profile=Profile(interlocutor=name, tenant=tenant, version=version))


def version(name: str) -> object:
    def read(store: Store) -> int | None:
        profile = store.tenant("acme").profile(name)
        return None if profile is None else profile.version
    return read


async def test_a_committed_record_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            await Scribe(store).commit(saved("kim"))
    with Store.open(tmp_path, RootKey()) as store:
        assert store.tenant("acme").profile("kim") is not None


async def test_reads_see_every_commit_and_the_last_of_many_stands(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            await asyncio.gather(*(scribe.commit(saved("kim", n)) for n in range(1, 101)))
            assert await scribe.read(version("kim")) == 100  # type: ignore[arg-type]
            assert await scribe.apply() > 0
            assert await scribe.read(version("kim")) == 100  # type: ignore[arg-type]


async def test_commits_that_arrive_together_share_a_sync(tmp_path: Path) -> None:
    disk, syncs = FaultyDisk(), list[int]()

    class Counting(FaultyDisk):
        def sync(self, descriptor: int) -> None:
            syncs.append(descriptor)
            super().sync(descriptor)

    disk = Counting()
    with Store.open(tmp_path, RootKey(), disk=disk) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            await scribe.commit(saved("kim"))
            before = len(syncs)
            await asyncio.gather(*(scribe.commit(saved("kim", n)) for n in range(200)))
            assert len(syncs) - before <= 6
            assert scribe.batches <= 7


async def test_done_is_told_in_the_order_of_posting(tmp_path: Path) -> None:
    told: list[int] = []
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe, last = Scribe(store), asyncio.Event()
            for n in range(50):
                scribe.post((saved("kim", n),), lambda error, n=n: told.append(n))  # type: ignore[misc]
            scribe.post((saved("kim", 50),), lambda error: last.set())
            await last.wait()
    assert told == list(range(50))


async def test_a_record_that_cannot_be_encoded_costs_its_own_group_only(tmp_path: Path) -> None:
    odd = ProfileSaved(tenant="acme", at_ms=1, profile=Profile(
        interlocutor="kim", tenant="acme", cadence_ms=(object(),)))  # type: ignore[arg-type]
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            outcomes = await asyncio.gather(*(scribe.commit(record) for record in (saved("a"), odd, saved("b"))),
                                            return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [type(None), TypeError, type(None)]
            assert not scribe.stopped


async def test_a_full_disk_fails_the_group_and_works_again_afterwards(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with Store.open(tmp_path, RootKey(), disk=disk, reserve_bytes=0) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            await scribe.commit(saved("kim", 1))
            disk.full = True
            with pytest.raises(StorageFull):
                await scribe.commit(saved("kim", 2))
            disk.full = False
            assert await scribe.read(version("kim")) == 1  # type: ignore[arg-type]
            await scribe.commit(saved("kim", 3))
            assert await scribe.read(version("kim")) == 3  # type: ignore[arg-type]


async def test_a_failed_sync_stops_writes_for_good_and_reads_go_on(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with Store.open(tmp_path, RootKey(), disk=disk) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            await scribe.commit(saved("kim", 1))
            disk.broken = True
            with pytest.raises(StorageStopped):
                await scribe.commit(saved("kim", 2))
            disk.broken = False
            with pytest.raises(StorageStopped):
                await scribe.commit(saved("kim", 3))
            assert await scribe.read(version("kim")) == 1  # type: ignore[arg-type]


async def test_commits_do_not_wait_for_a_slow_read(tmp_path: Path) -> None:
    release = threading.Event()
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            slow = asyncio.ensure_future(scribe.read(lambda store: release.wait(10)))
            await scribe.commit(saved("kim"))
            assert not slow.done()
            release.set()
            assert await slow


async def test_what_a_read_raises_reaches_its_asker_and_the_reader_lives_on(tmp_path: Path) -> None:
    def fail(store: Store) -> None:
        raise LookupError("not there")

    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            with pytest.raises(LookupError):
                await scribe.read(fail)
            assert await scribe.read(lambda store: 7) == 7


async def test_what_was_posted_before_the_end_is_written_and_what_comes_after_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            last = asyncio.ensure_future(scribe.commit(saved("kim")))
            await asyncio.sleep(0)
        await last
        with pytest.raises(Unavailable, match="shutting down"):
            await scribe.commit(saved("lee"))
        assert store.tenant("acme").profile("kim") is not None


def die(*_: object) -> None:
    raise SystemExit("a thread that ends")


async def test_a_reader_that_dies_costs_its_asker_the_answer_and_is_restarted(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            cut, waiting = await asyncio.gather(scribe.read(die), scribe.read(lambda store: 7), return_exceptions=True)
            assert isinstance(cut, Unavailable)
            assert (waiting, scribe.reader.stats["restarted"]) == (7, 1)


async def test_a_writer_that_dies_while_it_writes_leaves_the_outcome_open_and_stops_the_store(tmp_path: Path) -> None:
    class Deadly(FaultyDisk):
        def sync(self, descriptor: int) -> None:
            if self.broken:
                die()
            super().sync(descriptor)

    disk = Deadly()
    with Store.open(tmp_path, RootKey(), disk=disk) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            await scribe.commit(saved("kim", 1))
            disk.broken = True
            with pytest.raises(StorageStopped, match="died while it wrote"):
                await scribe.commit(saved("kim", 2))
            disk.broken = False
            with pytest.raises(StorageStopped):
                await scribe.commit(saved("kim", 3))
            assert scribe.stopped
            assert await scribe.read(lambda store: store.tenant("acme").profile("kim")) is not None


class MortalFlag:
    """A flag whose first `fatal` uses end the thread that uses it."""

    def __init__(self, flag: Flag, fatal: int) -> None:
        self._flag, self.fatal = flag, fatal

    def clear(self) -> None:
        if self.fatal:
            self.fatal -= 1
            die()
        self._flag.clear()

    def set(self) -> None:
        self._flag.set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._flag.wait(timeout)


class MortalThreads(Threads):
    def __init__(self, fatal: int) -> None:
        self.fatal = fatal

    def flag(self) -> Flag:
        return MortalFlag(super().flag(), self.fatal)


async def test_a_writer_that_dies_before_it_writes_is_restarted_and_nothing_is_lost(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem(threads=MortalThreads(2)):
            scribe = Scribe(store, policy=Policy(base=0.001))
            await asyncio.gather(*(scribe.commit(saved("kim", number)) for number in range(1, 4)))
            assert scribe.writer.stats["restarted"] == 2
            assert await scribe.read(version("kim")) == 3  # type: ignore[arg-type]


async def test_a_writer_that_keeps_dying_refuses_what_comes_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    with Store.open(tmp_path, RootKey()) as store:
        async with ActorSystem(threads=MortalThreads(99)):
            scribe = Scribe(store, policy=Policy(base=0.001, max_restarts=2))
            results = await all_of(*(scribe.commit(saved("kim", number)) for number in range(5)))
            assert [type(result) for result in results] == [Unavailable] * 5
            with pytest.raises(Unavailable, match="rests"):
                await scribe.commit(saved("kim"))


async def test_a_writer_that_comes_back_or_rests_shows_in_the_health_of_the_engine(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruche.engine.host.Scribe", partial(Scribe, policy=Policy(base=0.02, max_restarts=2)))
    async with hosted(tmp_path, ScriptedBrain()) as (engine, host):
        seen = [await journal(engine)]
        host.scribe._enough = MortalFlag(host.scribe._enough, 99)
        waits = asyncio.ensure_future(engine.chat(agent="desk", user="kim", message="one"))
        with anyio.fail_after(20):
            while seen[-1] != "failed":
                seen.append(await journal(engine))
        assert list(dict.fromkeys(seen)) == ["ok", "degraded", "failed"]
        with pytest.raises(Unavailable):
            await waits


async def journal(engine: Engine) -> str:
    return next(one.status for one in await engine.health() if one.name == "journal")
