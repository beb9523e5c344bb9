"""Thread services: their futures, their batches, their ends, and how they come back."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.directory import Directory
from ruche.actors.exits import HandlerCancelled
from ruche.actors.future import AioFuture
from ruche.actors.retriever import Retriever
from ruche.actors.service import ServiceActor
from ruche.actors.supervise import DeadLetter, Policy
from ruche.actors.supervised import SupervisedService
from ruche.actors.system import ActorSystem
from ruche.actors.threads import Threads
from ruche.plugins.contracts import Vectors
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import Conflict, DeadlineExceeded, MailboxFull, Unavailable


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Service(ServiceActor):
    """Echoes; raises exceptions; waits for events, saying when it does."""

    def __init__(self, key: str = "") -> None:
        super().__init__()
        self.ended: list[str] = []
        self.reached = threading.Event()

    def on_stop(self) -> None:
        self.ended.append("stopped")

    def on_failure(self, *_: Any) -> None:
        self.ended.append("failed")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, threading.Event):
            self.reached.set()
            return message.wait(2)
        if message == "thread":
            return threading.get_ident()
        if message == "trace":
            return self.trace
        return message


@pytest.mark.anyio
async def test_a_service_works_on_its_own_thread_while_the_loop_goes_on() -> None:
    async with ActorSystem():
        ref = Service.start()
        event = threading.Event()
        asyncio.get_running_loop().call_later(0.005, event.set)
        assert await ref.ask_async(event) is True
        assert await ref.ask_async("thread") != threading.get_ident()
        assert await ref.ask_async("trace", trace="req") == "req"
        assert await ref.proxy().on_receive("proxied") == "proxied"


@pytest.mark.anyio
async def test_answers_keep_the_order_of_the_questions() -> None:
    async with ActorSystem():
        ref = Service.start()
        replies = [ref.ask(number, block=False) for number in range(500)]
        assert [await reply for reply in replies] == list(range(500))


@pytest.mark.anyio
async def test_a_domain_error_is_an_answer_and_any_other_ends_the_service() -> None:
    async with ActorSystem():
        ref = Service.start()
        actor: Any = ref.actor_inbox.owner
        with pytest.raises(Conflict):
            await ref.ask_async(Conflict("no"))
        crash, late = ref.ask(OSError("disk"), block=False), ref.ask("late", block=False)
        with pytest.raises(OSError, match="disk"):
            await crash
        with pytest.raises(pykka.ActorDeadError):
            await late
        assert actor.ended == ["failed"]


@pytest.mark.anyio
async def test_stopping_handles_what_is_there_first() -> None:
    async with ActorSystem():
        ref = Service.start()
        actor: Any = ref.actor_inbox.owner
        before, stopped = ref.ask("b", block=False), ref.stop(block=False)
        assert await before == "b"
        assert await stopped is True
        assert await ref.stop_async() is False
    assert actor.ended == ["stopped"]


@pytest.mark.anyio
async def test_a_message_past_its_deadline_is_refused_unrun() -> None:
    async with ActorSystem():
        ref = Service.start()
        event = threading.Event()
        ref.tell(event)
        late = ref.ask(Conflict("would be raised if it ran"), block=False, timeout=0.001)
        with pytest.raises(DeadlineExceeded):
            await ref.ask_async("x", timeout=0.005)
        event.set()
        with pytest.raises(DeadlineExceeded):
            await late


@pytest.mark.anyio
async def test_what_is_put_before_the_thread_starts_rings_no_bell_and_is_answered() -> None:
    async with ActorSystem() as system:
        actor = system.make(Service)
        reply = actor.actor_ref.ask("early", block=False)
        assert actor._bell.locked(), "two rings before the first wait would be an error in the sender"
        actor._start_actor_loop()
        assert await reply == "early"
        await actor.actor_ref.stop(block=False)


@pytest.mark.anyio
async def test_a_service_that_exits_the_interpreter_while_starting_ends_alone_and_with_an_ordinary_error() -> None:
    class Exiting(Service):
        def on_start(self) -> None:
            raise SystemExit(3)

    async with ActorSystem():
        directory = Directory(Exiting, policy=QUICK)
        ended: AioFuture[Any] = AioFuture()
        directory.monitor("k", ended.set)
        directory.wake("k")
        assert isinstance((await ended).reason, RuntimeError)


@pytest.mark.anyio
async def test_a_full_service_refuses_the_loop() -> None:
    class Small(Service):
        mailbox_size = 1

    async with ActorSystem():
        ref = Small.start()
        actor: Any = ref.actor_inbox.owner
        event = threading.Event()
        ref.tell(event)
        assert await anyio.to_thread.run_sync(actor.reached.wait, 1)
        ref.tell("waits")
        with pytest.raises(MailboxFull):
            ref.tell("one too many")
        event.set()


class Batching(Service):
    batch = 4

    def on_receive_many(self, messages: Sequence[Any]) -> Sequence[Any]:
        first = messages[0]
        if isinstance(first, threading.Event):
            self.reached.set()
            first.wait(2)
        if "boom" in messages:
            raise OSError("boom")
        if "refuse" in messages:
            raise Conflict("refused together")
        return [Conflict("odd") if message == "odd" else len(messages) for message in messages]


async def batches(ref: Any, messages: Sequence[Any]) -> list[Any]:
    """Answers to messages that all wait while the service is held up."""
    actor = ref.actor_inbox.owner
    gate = threading.Event()
    actor.reached.clear()
    ref.tell(gate)
    assert await anyio.to_thread.run_sync(actor.reached.wait, 1)
    replies = [ref.ask(message, block=False) for message in messages]
    gate.set()
    return [await outcome(reply) for reply in replies]


async def outcome(reply: Any) -> Any:
    try:
        return await reply
    except Exception as error:
        return type(error)


@pytest.mark.anyio
async def test_a_batching_service_gets_what_waits_together_and_each_asker_its_own_answer() -> None:
    async with ActorSystem():
        ref = Batching.start()
        assert await batches(ref, [1, "odd", 3, 4, 5]) == [4, Conflict, 4, 4, 1]
        assert await batches(ref, [1, "refuse"]) == [Conflict, Conflict]
        assert await ref.proxy().on_receive("alone") == "alone"
        assert await batches(ref, [1, "boom", 3, 4, 5]) == [OSError] * 4 + [pykka.ActorDeadError]


@pytest.mark.anyio
async def test_asks_from_many_threads_that_race_with_the_stop_are_all_answered() -> None:
    def ask_much(ref: Any, replies: list[Any]) -> None:
        replies.extend(ref.ask(number, block=False) for number in range(200))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        async with ActorSystem():
            for _ in range(10):
                ref = Service.start()
                replies: list[Any] = []
                threads = [threading.Thread(target=ask_much, args=[ref, replies]) for _ in range(2)]
                for thread in threads:
                    thread.start()
                await ref.stop_async()
                await anyio.to_thread.run_sync(lambda threads=threads: [thread.join(2) for thread in threads])
                async with asyncio.timeout(5):
                    outcomes = [await outcome(reply) for reply in replies]
                assert len(outcomes) == 400
                assert {kind for kind in outcomes if isinstance(kind, type)} <= {pykka.ActorDeadError}
    finally:
        sys.setswitchinterval(before)


QUICK = Policy(base=0.001, max_restarts=2, window=60, quarantine=30, jitter=0)


@pytest.mark.anyio
async def test_a_service_that_dies_is_restarted_and_what_waited_is_answered_in_order() -> None:
    buried: list[DeadLetter] = []
    async with ActorSystem():
        service = SupervisedService(Service, policy=QUICK, on_dead_letter=buried.append)
        first = service.live()
        crash = asyncio.ensure_future(service.ask(OSError("disk")))
        later = [asyncio.ensure_future(service.ask(number)) for number in range(5)]
        with pytest.raises(OSError, match="disk"):
            await crash
        assert [await reply for reply in later] == list(range(5))
        assert service.live() is not first
        assert service.stats["restarted"] == 1
        assert [letter.reason for letter in buried] == ["OSError"]


@pytest.mark.anyio
async def test_a_service_that_cannot_start_is_tried_again_until_it_does() -> None:
    attempts: list[int] = []

    class Starting(Service):
        def on_start(self) -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise OSError("model file missing")

    async with ActorSystem():
        service = SupervisedService(Starting, policy=QUICK)
        assert await service.ask("x", timeout=2) == "x"
        assert len(attempts) == 3


@pytest.mark.anyio
async def test_a_service_that_dies_too_often_is_unavailable_for_a_while() -> None:
    async with ActorSystem():
        service = SupervisedService(Service, policy=QUICK)
        for _ in range(3):
            with pytest.raises(OSError, match="disk"):
                await service.ask(OSError("disk"))
        with pytest.raises(Unavailable) as refusal:
            await service.ask("x")
        assert 29 < (refusal.value.retry_after or 0) <= 30
        assert service.snapshot()["states"] == {"quarantined": 1}


@pytest.mark.anyio
async def test_any_thread_may_tell_a_supervised_service_and_what_is_refused_is_a_dead_letter() -> None:
    heard: AioFuture[Any] = AioFuture()
    buried: AioFuture[DeadLetter] = AioFuture()

    class Hears(Service):
        def on_receive(self, message: Any) -> Any:
            heard.set(message)

    async with ActorSystem():
        service = SupervisedService(Hears, policy=QUICK, on_dead_letter=buried.set)
        await anyio.to_thread.run_sync(service.tell, "from a thread")
        assert await heard == "from a thread"
        await service.drain()
        await anyio.to_thread.run_sync(service.tell, "too late")
        letter = await buried
        assert (letter.message, letter.reason) == ("too late", "UNAVAILABLE")


@pytest.mark.anyio
async def test_draining_waits_for_the_work_that_is_there() -> None:
    async with ActorSystem():
        service = SupervisedService(Service)
        event = threading.Event()
        working = asyncio.ensure_future(service.ask(event))
        draining = asyncio.ensure_future(service.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        event.set()
        assert await working is True
        await draining
        with pytest.raises(Unavailable):
            await service.ask("x")


@pytest.mark.anyio
@pytest.mark.parametrize("supervised", [True, False])
async def test_a_thread_that_hangs_holds_the_system_no_longer_than_its_grace_and_its_askers_are_answered(
        supervised: bool) -> None:
    released = threading.Event()
    async with ActorSystem(grace=0.01):
        service: Any = SupervisedService(Service) if supervised else Service.start()
        ask = service.ask if supervised else service.ask_async
        asking = [asyncio.ensure_future(outcome(ask(message))) for message in (released, "waiting")]
        await anyio.wait_all_tasks_blocked()
    assert [await reply for reply in asking] == [pykka.ActorDeadError] * 2
    assert pykka.ActorRegistry.get_all() == []
    released.set()


class Mortal(HashingEmbedder):
    """Ends its thread on some words."""

    immediate = False

    def encode(self, texts: Sequence[str]) -> Vectors:
        if "die" in texts:
            raise SystemExit
        return super().encode(texts)


@pytest.mark.anyio
async def test_an_embedder_that_ends_its_thread_costs_one_answer_and_serves_again() -> None:
    async with ActorSystem():
        retriever = Retriever(Mortal())
        with pytest.raises(HandlerCancelled):
            await retriever.encode(["die"])
        assert len(await retriever.encode(["live"])) == 1
        assert retriever.snapshot()["restarted"] == 1


@pytest.mark.anyio
async def test_waiting_for_room_in_a_supervised_service_goes_on_with_its_next_activation() -> None:
    class Narrow(Service):
        mailbox_size = 1

    async with ActorSystem():
        service = SupervisedService(Narrow, policy=QUICK)
        crash = asyncio.ensure_future(outcome(service.ask(OSError("disk"))))
        waiting = [asyncio.ensure_future(service.ask_async(number, wait=True)) for number in range(3)]
        async with asyncio.timeout(20):
            assert [await reply for reply in waiting] == [0, 1, 2]
            assert await crash is OSError


class Counted(Threads):
    def __init__(self) -> None:
        self.started: list[threading.Thread] = []

    def start(self, run: Callable[[], None], name: str, *, daemon: bool) -> None:
        thread = threading.Thread(target=run, name=name, daemon=daemon)
        self.started.append(thread)
        thread.start()


@pytest.mark.anyio
async def test_an_idle_service_that_nobody_had_time_to_stop_ends_its_thread_all_the_same() -> None:
    threads = Counted()
    async with ActorSystem(grace=0.01, threads=threads) as system:
        service = SupervisedService(Service)
        assert await service.ask("x") == "x"
        system.before_exit(asyncio.Event().wait)  # goes first, and takes all the time there is
    await anyio.to_thread.run_sync(threads.started[0].join, 10)
    assert not threads.started[0].is_alive()
