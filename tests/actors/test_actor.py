"""Coroutine actors: order, idleness, ends, deadlines, and full mailboxes."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.actor import AioActor, AioActorRef
from ruche.actors.future import AioFuture
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
        await anyio.wait_all_tasks_blocked()
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
