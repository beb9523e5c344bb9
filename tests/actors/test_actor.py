"""Coroutine actors: order, idleness, ends, deadlines, promises, works, and the way from and to threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.actor import AioActor, AioActorRef
from ruche.actors.future import AioFuture, WouldDeadlock
from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import Conflict, DeadlineExceeded, MailboxFull


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Noting(AioActor):
    """Notes what it hears; waits for futures, raises exceptions, calls functions."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []

    async def on_start(self) -> None:
        self.log.append("start")

    async def on_stop(self) -> None:
        self.log.append("stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.log.append(exception_type)

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, AioFuture):
            return await message
        self.log.append(message)
        return message


def log_of(ref: AioActorRef[Any]) -> list[Any]:
    actor: Any = ref.actor_inbox.owner
    log: list[Any] = actor.log
    return log


@pytest.mark.anyio
async def test_messages_are_handled_one_at_a_time_in_the_order_in_which_they_were_sent() -> None:
    async with ActorSystem():
        ref = Noting.start()
        gate: AioFuture[str] = AioFuture()
        first = ref.ask(gate, block=False)
        for letter in "abc":
            ref.tell(letter)
        await anyio.wait_all_tasks_blocked()
        assert log_of(ref) == ["start"]
        gate.set("open")
        assert await ref.ask_async("d") == "d"
        assert await first == "open"
        assert log_of(ref) == ["start", "a", "b", "c", "d"]


@pytest.mark.anyio
async def test_an_idle_actor_owns_no_task() -> None:
    async with ActorSystem() as system:
        refs = [Noting.start() for _ in range(20)]
        for ref in refs:
            await ref.ask_async(1)
        await asyncio.sleep(0)
        assert not system._tasks


@pytest.mark.anyio
async def test_stopping_handles_what_is_there_and_refuses_what_comes_after() -> None:
    async with ActorSystem():
        ref = Noting.start()
        log = log_of(ref)
        before, stopped, after = ref.ask("b", block=False), ref.stop(block=False), ref.ask("a", block=False)
        assert await before == "b"
        assert await stopped is True
        with pytest.raises(pykka.ActorDeadError):
            await after
        assert log == ["start", "b", "stop"]
        assert await ref.stop_async() is False


@pytest.mark.anyio
async def test_halting_refuses_what_waits() -> None:
    async with ActorSystem():
        ref = Noting.start()
        gate: AioFuture[None] = AioFuture()
        ref.tell(gate)
        await anyio.wait_all_tasks_blocked()
        waiting, halted = ref.ask("w", block=False), ref.halt()
        gate.set()
        assert await halted is True
        with pytest.raises(pykka.ActorDeadError):
            await waiting


@pytest.mark.anyio
async def test_leaving_the_system_stops_every_actor_the_youngest_first() -> None:
    ended: list[int] = []

    class Numbered(Noting):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        async def on_stop(self) -> None:
            ended.append(self.number)

    async with ActorSystem():
        for number in range(3):
            Numbered.start(number).tell("x")
    assert ended == [2, 1, 0]


@pytest.mark.anyio
async def test_an_actor_that_does_not_stop_is_cancelled_and_its_askers_are_answered() -> None:
    class Stuck(AioActor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.Event().wait()

    async with ActorSystem(grace=0.01):
        ref = Stuck.start()
        stuck, waiting = ref.ask("a", block=False), ref.ask("b", block=False)
        await anyio.wait_all_tasks_blocked()
    for reply in (stuck, waiting):
        with pytest.raises(pykka.ActorDeadError):
            await reply


@pytest.mark.anyio
async def test_an_actor_stuck_while_it_stops_is_cancelled_and_its_askers_are_answered() -> None:
    class StuckAtStop(Noting):
        async def on_stop(self) -> None:
            await asyncio.Event().wait()

    async with ActorSystem(grace=0.01):
        ref = StuckAtStop.start()
        stopped, late = ref.stop(block=False), ref.ask("late", block=False)
        await anyio.wait_all_tasks_blocked()
    assert await stopped is False
    with pytest.raises(pykka.ActorDeadError):
        await late


@pytest.mark.anyio
async def test_an_actor_that_swallows_every_cancellation_is_left_behind_and_its_askers_are_answered() -> None:
    released = asyncio.Event()

    class Stubborn(AioActor):
        async def on_receive(self, message: Any) -> None:
            while not released.is_set():
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue

    async with ActorSystem(grace=0.005):
        ref = Stubborn.start()
        stuck, waiting = ref.ask("a", block=False), ref.ask("b", block=False)
        await anyio.wait_all_tasks_blocked()
    for reply in (stuck, waiting):
        with pytest.raises(pykka.ActorDeadError):
            await reply
    released.set()


@pytest.mark.anyio
async def test_a_domain_error_is_an_answer_and_any_other_ends_the_actor() -> None:
    async with ActorSystem():
        ref = Noting.start()
        log = log_of(ref)
        with pytest.raises(Conflict):
            await ref.ask_async(Conflict("taken"))
        ref.tell(Conflict("nobody listens"))
        assert await ref.ask_async("alive") == "alive"
        crashed, late = ref.ask(ValueError("boom"), block=False), ref.ask("late", block=False)
        with pytest.raises(ValueError, match="boom"):
            await crashed
        with pytest.raises(pykka.ActorDeadError):
            await late
        assert log == ["start", "alive", ValueError]


@pytest.mark.anyio
async def test_a_crash_is_logged_without_the_words_of_the_exception(caplog: pytest.LogCaptureFixture) -> None:
    async with ActorSystem():
        with pytest.raises(ValueError, match="secret"):
            await Noting.start().ask_async(ValueError("my secret"))
    assert "Noting crashed of ValueError at" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.anyio
async def test_a_message_nobody_handles_is_logged_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(AioActor):
        pass

    async with ActorSystem():
        assert await Deaf.start().ask_async("my secret") is None
    assert "Deaf has no handler for a str" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.anyio
async def test_a_cancelled_future_that_a_handler_awaits_ends_that_actor_alone() -> None:
    class Awaits(AioActor):
        async def on_receive(self, message: asyncio.Future[None]) -> None:
            await message

    async with ActorSystem():
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        other, ref = Noting.start(), Awaits.start()
        with pytest.raises(RuntimeError, match="cancelled from inside"):
            await ref.ask_async(cancelled)
        assert await other.ask_async("x") == "x"


@pytest.mark.anyio
async def test_a_handler_that_cancels_its_own_task_ends_that_actor_alone() -> None:
    class SelfCancelling(AioActor):
        async def on_receive(self, message: Any) -> None:
            task = asyncio.current_task()
            if task is not None:
                task.cancel()
            await asyncio.sleep(0)

    async with ActorSystem():
        other, ref = Noting.start(), SelfCancelling.start()
        with pytest.raises(RuntimeError, match="cancelled from inside"):
            await ref.ask_async(1)
        assert await other.ask_async("x") == "x"


@pytest.mark.anyio
async def test_a_message_past_its_deadline_is_refused_unrun() -> None:
    async with ActorSystem():
        ref = Noting.start()
        gate: AioFuture[None] = AioFuture()
        ref.tell(gate)
        with pytest.raises(DeadlineExceeded):
            await ref.ask_async("late", timeout=0.005)
        gate.set()
        await ref.ask_async("in time")
        assert log_of(ref) == ["start", "in time"]


@pytest.mark.anyio
async def test_the_callers_own_deadline_travels_with_the_message() -> None:
    class Deadline(AioActor):
        def on_receive(self, message: Any) -> float:
            return self.deadline - self._system.clock()

    async with ActorSystem():
        ref = Deadline.start()
        assert await ref.ask_async("none") == float("inf")
        with anyio.fail_after(5):
            assert 4 < await ref.ask_async("outer") <= 5.01
            assert 0 < await ref.ask_async("own", timeout=1) <= 1.01


@pytest.mark.anyio
async def test_the_trace_of_a_message_is_there_while_it_is_handled() -> None:
    class Traced(AioActor):
        def on_receive(self, message: Any) -> str:
            return self.trace

    async with ActorSystem():
        ref = Traced.start()
        assert await ref.ask_async("x", trace="req-1") == "req-1"
        assert await ref.ask("x", block=False, trace="req-2") == "req-2"
        assert await ref.ask_async("x") == ""


@pytest.mark.anyio
async def test_what_the_sender_has_in_its_context_does_not_leak_into_the_actor() -> None:
    variable = contextvars.ContextVar("variable", default="nothing")

    class Looks(AioActor):
        def on_receive(self, message: Any) -> str:
            return variable.get()

    async with ActorSystem():
        ref = Looks.start()
        await ref.ask_async("begun and idle again")
        variable.set("the sender's")
        assert await ref.ask_async("x") == "nothing"


@pytest.mark.anyio
async def test_a_full_mailbox_refuses_the_loop_at_once_and_suspends_who_chooses_to_wait() -> None:
    class Small(Noting):
        mailbox_size = 2

    async with ActorSystem():
        ref = Small.start()
        gate: AioFuture[None] = AioFuture()
        ref.tell(gate)
        await anyio.wait_all_tasks_blocked()
        ref.tell("a")
        ref.tell("b")
        with pytest.raises(MailboxFull):
            ref.tell("c")
        with pytest.raises(MailboxFull):
            await ref.ask_async("c")
        snapshot = ref.control("control")
        async with anyio.create_task_group() as group:
            group.start_soon(ref.tell_async, "c")
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert await ref.ask_async("d", wait=True) == "d"
        assert await snapshot == "control"
        assert log_of(ref) == ["start", "control", "a", "b", "c", "d"]


@pytest.mark.anyio
async def test_a_promised_answer_comes_later_while_other_messages_are_handled() -> None:
    class Absorbing(AioActor):
        def on_start(self) -> None:
            self.waiting: list[AioFuture[str]] = []

        def on_receive(self, message: str) -> Any:
            if message == "answer":
                for reply in self.waiting:
                    reply.set("together")
                return self.busy
            self.waiting.append(self.promise())
            return "not sent"

    async with ActorSystem():
        ref = Absorbing.start()
        first, second = ref.ask("a", block=False), ref.ask("b", block=False)
        ref.tell("c")
        await anyio.wait_all_tasks_blocked()
        owner: Any = ref.actor_inbox.owner
        assert owner.busy
        await ref.ask_async("answer")
        assert [await first, await second] == ["together"] * 2
        assert not owner.busy


@pytest.mark.anyio
async def test_an_open_promise_fails_with_what_ended_the_actor() -> None:
    class Promises(AioActor):
        def on_receive(self, message: Any) -> Any:
            self.promise()
            if isinstance(message, Exception):
                raise message

    async with ActorSystem():
        crashing = Promises.start()
        open_one, refused = crashing.ask("a", block=False), crashing.ask(Conflict("no"), block=False)
        crash = crashing.ask(OSError("disk"), block=False)
        with pytest.raises(Conflict):
            await refused
        for reply in (open_one, crash):
            with pytest.raises(OSError, match="disk"):
                await reply
        stopping = Promises.start()
        never = stopping.ask("a", block=False)
        await stopping.stop_async()
        with pytest.raises(pykka.ActorDeadError):
            await never


@pytest.mark.anyio
async def test_a_work_runs_beside_the_mailbox_and_is_cancelled_and_awaited_at_the_end() -> None:
    seen: list[str] = []

    class Working(AioActor):
        async def on_receive(self, message: Any) -> Any:
            self.task = self.work(self.toil())
            return message

        async def toil(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("cleaned up")

        async def on_stop(self) -> None:
            seen.append("stopped")

    async with ActorSystem():
        ref = Working.start()
        assert await ref.ask_async("go") == "go"
        owner: Any = ref.actor_inbox.owner
        await anyio.wait_all_tasks_blocked()
        assert owner.busy
        assert not owner.task.done
        await ref.stop_async()
        assert seen == ["cleaned up", "stopped"]
        assert owner.task.done


@pytest.mark.anyio
@pytest.mark.parametrize("error", [OSError("disk"), Conflict("unheard"), asyncio.CancelledError()])
async def test_a_work_that_fails_ends_its_actor(error: BaseException) -> None:
    class Working(Noting):
        async def on_receive(self, message: Any) -> Any:
            self.work(self.toil())

        async def toil(self) -> None:
            raise error

    async with ActorSystem():
        ref = Working.start()
        log = log_of(ref)
        await ref.ask_async("go")
        await anyio.wait_all_tasks_blocked()
        assert not ref.is_alive()
        assert len(log) == 2


@pytest.mark.anyio
async def test_a_commit_inside_a_work_is_finished_when_the_actor_stops() -> None:
    written: list[str] = []

    class Writing(AioActor):
        async def on_receive(self, gate: AioFuture[str]) -> None:
            self.work(self.commit(self.write, gate))
            await asyncio.sleep(0)

        async def write(self, gate: AioFuture[str]) -> None:
            written.append(await gate)

    async with ActorSystem():
        ref = Writing.start()
        gate: AioFuture[str] = AioFuture()
        await ref.ask_async(gate)
        stopped = ref.stop(block=False)
        await anyio.wait_all_tasks_blocked()
        assert not stopped.done()
        gate.set("kept")
        assert await stopped is True
        assert written == ["kept"]


@pytest.mark.anyio
async def test_a_blocking_ask_on_the_loop_is_refused_instead_of_hanging() -> None:
    async with ActorSystem():
        ref = Noting.start()
        with pytest.raises(WouldDeadlock):
            ref.ask("x")


@pytest.mark.anyio
async def test_threads_ask_and_tell_coroutine_actors_without_losing_anything() -> None:
    class Asks(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, ref: AioActorRef[Any]) -> Any:
            for number in range(200):
                ref.tell(number)
            return ref.ask("asked", timeout=2), ref.proxy().on_receive("proxied").get(timeout=2)

    async with ActorSystem():
        ref, thread = Noting.start(), Asks.start()
        answers = await anyio.to_thread.run_sync(lambda: thread.ask(ref, timeout=3))
        assert answers == ("asked", "proxied")
        assert log_of(ref) == ["start", *range(200), "asked", "proxied"]
        thread.stop(block=False)


@pytest.mark.anyio
async def test_a_thread_that_tells_an_actor_of_a_closed_system_is_told_so() -> None:
    class Unlisted(Noting):
        registered = False

    async with ActorSystem() as system:
        actor = system.make(Unlisted)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            actor.actor_ref.ask("x", timeout=1)
        except pykka.ActorDeadError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    await anyio.to_thread.run_sync(thread.join, 2)
    assert len(errors) == 1


@pytest.mark.anyio
async def test_an_actor_can_be_spawned_from_a_thread() -> None:
    async with ActorSystem() as system:
        ref = await anyio.to_thread.run_sync(system.spawn, Noting)
        assert await ref.ask_async("x") == "x"


@pytest.mark.anyio
async def test_a_second_system_on_the_loop_and_an_actor_without_one_are_refused() -> None:
    async with ActorSystem():
        with pytest.raises(RuntimeError, match="has an actor system already"):
            await ActorSystem().__aenter__()
    with pytest.raises(RuntimeError, match="async with ActorSystem"):
        Noting.start()


@pytest.mark.anyio
async def test_post_runs_a_callback_on_the_loop_from_any_thread() -> None:
    async with ActorSystem() as system:
        ran: AioFuture[bool] = AioFuture()
        await anyio.to_thread.run_sync(lambda: system.post(lambda: ran.set(system.on_loop())))
        assert await ran is True
        assert system.on_loop()
        assert await anyio.to_thread.run_sync(system.on_loop) is False


@pytest.mark.anyio
async def test_a_stopped_actor_is_freed_without_the_garbage_collector() -> None:
    async with ActorSystem():
        ref = Noting.start()
        gone = weakref.ref(ref.actor_inbox.owner)
        await ref.ask_async("x")
        gc.disable()
        try:
            await ref.stop_async()
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()


@pytest.mark.anyio
async def test_a_long_queue_lets_other_tasks_have_the_loop() -> None:
    async with ActorSystem():
        ref = Noting.start()
        for number in range(100):
            ref.tell(number)
        for _ in range(3):
            await asyncio.sleep(0)
        assert 0 < len(log_of(ref)) < 100


@pytest.mark.anyio
async def test_services_and_actors_are_addressed_alike() -> None:
    class Service(ServiceActor):
        def on_receive(self, message: Any) -> Any:
            return message, threading.get_ident()

    async with ActorSystem():
        message, thread = await Service.start().ask_async("x", timeout=2)
        assert message == "x"
        assert thread != threading.get_ident()
