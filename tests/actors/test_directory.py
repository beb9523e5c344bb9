"""Virtual actors: woken by key, let go when idle, restarted when they crash, and nothing lost in between."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.actors.actor import AioActor
from ruche.actors.directory import Directory
from ruche.actors.future import AioFuture
from ruche.actors.supervise import Policy, Terminated
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import DeadlineExceeded, MailboxFull, RucheError, Unavailable


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Disk(dict[str, list[Any]]):
    """Where sessions keep what they know; can be down, and can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.gate: AioFuture[None] | None = None
        self.reads: list[str] = []

    async def load(self, key: str) -> list[Any]:
        self.reads.append(key)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return list(self.get(key, []))

    async def save(self, key: str, state: list[Any]) -> None:
        if self.gate is not None:
            await self.gate
        self[key] = list(state)


class Again(str):
    """A message that may be tried twice."""

    idempotent = True


class Session(AioActor):
    """Appends messages to what it loaded; answers with all of it. `boom` leaves a mess in memory and crashes."""

    registered = False
    mailbox_size = 5

    def __init__(self, key: str, disk: Disk) -> None:
        super().__init__()
        self.key, self.disk = key, disk
        self.state: list[Any] = []

    async def on_start(self) -> None:
        self.state = await self.disk.load(self.key)

    async def on_stop(self) -> None:
        await self.disk.save(self.key, self.state)

    async def on_receive(self, message: Any) -> Any:
        if message == "boom":
            self.state.append("half done")
            raise ValueError("boom")
        if isinstance(message, AioFuture):
            return await message
        self.state.append(message)
        await self.disk.save(self.key, self.state)
        return list(self.state)


class Time:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


QUICK = Policy(base=0.001, jitter=0, max_restarts=2, window=60, quarantine=30, idle_after=60)


async def outcome(coroutine: Any) -> Any:
    try:
        return await coroutine
    except (ValueError, OSError, RucheError, pykka.ActorDeadError) as error:
        return error


async def settled(directory: Directory[Any], key: str) -> None:
    """Return when the key's present activation has ended."""
    ended: AioFuture[None] = AioFuture()
    directory.monitor(key, lambda _: ended.set())
    await ended


@pytest.mark.anyio
async def test_a_key_is_woken_by_its_first_message_after_its_state_was_read_once() -> None:
    disk = Disk()
    disk["k"] = ["before"]
    async with ActorSystem():
        directory = Directory(Session, disk)
        assert "k" not in directory
        answers = await asyncio.gather(*(directory.ask("k", number) for number in range(3)))
        assert answers[2] == ["before", 0, 1, 2]
        assert disk.reads == ["k"]
        assert "k" in directory
        assert pykka.ActorRegistry.get_all() == [], "thousands of sessions must not be in pykka's list"


@pytest.mark.anyio
async def test_a_full_mailbox_is_refused_at_once_and_counted() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk())
        gate: AioFuture[str] = AioFuture()
        working = asyncio.ensure_future(directory.ask("k", gate))
        await anyio.wait_all_tasks_blocked()
        for number in range(5):
            directory.tell("k", number)
        with pytest.raises(MailboxFull):
            directory.tell("k", "one too many")
        assert directory.stats["refused"] == 1
        assert directory.snapshot()["longest"] == {"k": 5}
        first = directory.control("k", "control")
        gate.set("done")
        assert await working == "done"
        assert await first == ["control"]


@pytest.mark.anyio
async def test_an_ask_gives_up_at_its_timeout_and_its_message_is_not_begun_later() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk())
        gate: AioFuture[str] = AioFuture()
        working = asyncio.ensure_future(directory.ask("k", gate))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(DeadlineExceeded):
            await directory.ask("k", "late", timeout=0.005)
        gate.set("done")
        await working
        assert await directory.ask("k", "x") == ["x"]


@pytest.mark.anyio
async def test_a_monitor_hears_once_of_the_end_of_an_activation_and_why() -> None:
    class Hearing(AioActor):
        def on_start(self) -> None:
            self.heard: list[Any] = []

        def on_receive(self, message: Any) -> Any:
            self.heard.append(message)
            return self.heard

    async with ActorSystem():
        directory, hearing = Directory(Session, Disk(), policy=QUICK), Hearing.start()
        await directory.ask("k", 1)
        heard: list[Terminated] = []
        directory.monitor("k", heard.append)
        directory.monitor("k", hearing)
        await outcome(directory.ask("k", "boom"))
        await directory.ask("k", 2)
        await outcome(directory.ask("k", "boom"))
        assert [(news.key, type(news.reason)) for news in heard] == [("k", ValueError)]
        assert len(await hearing.ask_async("x")) == 2
        directory.monitor("k", lambda news: 1 / 0)
        directory.monitor("k", heard.append)
        await directory.drain()
        assert heard[1:] == [Terminated("k", None)], "a monitor that fails must not silence the others"


@pytest.mark.anyio
async def test_a_crash_takes_linked_keys_along_and_their_letters_are_kept() -> None:
    disk = Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK)
        await directory.ask("a", 1)
        await directory.ask("b", 1)
        directory.link("a", "b")
        before = directory.live("b")
        gate: AioFuture[str] = AioFuture()
        working = asyncio.ensure_future(directory.ask("b", gate))
        waiting = asyncio.ensure_future(directory.ask("b", 2))
        await anyio.wait_all_tasks_blocked()
        await outcome(directory.ask("a", "boom"))
        gate.set("done")
        assert await working == "done"
        assert await waiting == [1, 2]
        assert directory.live("b") is not before
        assert directory.stats["crashed"] == 1, "being taken along is no crash of one's own"


@pytest.mark.anyio
async def test_draining_saves_every_actor_and_refuses_what_comes_after() -> None:
    disk = Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK)
        last = [asyncio.ensure_future(directory.ask(f"k{number % 300}", number)) for number in range(600)]
        await asyncio.sleep(0)
        await directory.drain()
        assert {type(reply.result()) for reply in last} == {list}
        assert len(directory) == 0
        assert len(disk) == 300
        with pytest.raises(Unavailable):
            await directory.ask("k", "x")


@pytest.mark.anyio
async def test_leaving_the_system_drains_its_directories() -> None:
    class SavesAtTheEnd(Session):
        async def on_receive(self, message: Any) -> Any:
            self.state.append(message)

    disk = Disk()
    async with ActorSystem():
        Directory(SavesAtTheEnd, disk).tell("k", 1)
    assert disk == {"k": [1]}


@pytest.mark.anyio
async def test_a_key_can_be_woken_without_a_message() -> None:
    disk = Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK)
        directory.wake("k")
        directory.wake("k")
        await anyio.wait_all_tasks_blocked()
        assert disk.reads == ["k"]
        assert directory.live("k") is not None


@pytest.mark.anyio
async def test_threads_may_tell_a_key() -> None:
    heard: AioFuture[int] = AioFuture()

    class Hearing(Session):
        async def on_receive(self, message: Any) -> Any:
            heard.set(threading.get_ident())

    async with ActorSystem():
        directory = Directory(Hearing, Disk())
        await anyio.to_thread.run_sync(directory.tell, "k", "x")
        assert await heard == threading.get_ident()


@pytest.mark.anyio
async def test_sweeping_by_itself_lets_idle_actors_go() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=Policy(idle_after=0.0))
        await directory.ask("k", 1)
        directory.sweep_every(0.001)
        async with asyncio.timeout(1):
            await settled(directory, "k")
        assert directory.stats["passivated"] == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["say", "boom", "sweep", "yield", "again"])),
                max_size=25))
def test_whatever_happens_every_ask_is_answered_and_what_was_said_is_kept_in_order(
        steps: list[tuple[str, str]]) -> None:
    async def play() -> None:
        clock, disk = Time(), Disk()
        policy = Policy(base=0.0, max_restarts=1000, kind_max=1000, max_active=2, overshoot=1.0)
        asked: list[tuple[str, int, Any]] = []
        async with ActorSystem():
            directory = Directory(Session, disk, policy=policy, clock=clock)
            for number, (key, step) in enumerate(steps):
                if step == "sweep":
                    clock.now += 100
                    directory.sweep()
                elif step == "yield":
                    await asyncio.sleep(0)
                else:
                    message: Any = {"say": number, "again": Again(number), "boom": "boom"}[step]
                    asked.append((key, number, asyncio.ensure_future(outcome(directory.ask(key, message)))))
            async with asyncio.timeout(5):
                answers = [(key, number, await reply) for key, number, reply in asked]
        for key in "abc":
            said = [number for of, number, answer in answers if of == key and isinstance(answer, list)]
            assert [int(entry) for entry in disk.get(key, [])] == said

    asyncio.run(play())
