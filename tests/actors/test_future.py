"""Futures that are settled anywhere and awaited on the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.future import AioFuture, WouldDeadlock


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.anyio
async def test_a_value_set_by_a_thread_reaches_the_awaiting_task() -> None:
    future: AioFuture[str] = AioFuture()
    thread = threading.Thread(target=future.set, args=["done"])
    asyncio.get_running_loop().call_soon(thread.start)
    async with asyncio.timeout(1):
        assert await future == "done"


@pytest.mark.anyio
async def test_an_exception_set_by_a_thread_is_raised_in_every_awaiting_task() -> None:
    future: AioFuture[None] = AioFuture()
    outcomes = asyncio.gather(*(_outcome(future) for _ in range(3)))
    asyncio.get_running_loop().call_later(0, threading.Thread(target=future.fail, args=[OSError("disk")]).start)
    async with asyncio.timeout(1):
        assert [str(error) for error in await outcomes] == ["disk"] * 3


@pytest.mark.anyio
async def test_the_first_outcome_stands() -> None:
    future: AioFuture[int] = AioFuture()
    future.set(1)
    future.set(2)
    future.fail(OSError())
    assert await future == 1


@pytest.mark.anyio
async def test_a_cancelled_waiter_disturbs_neither_the_future_nor_other_waiters() -> None:
    future: AioFuture[int] = AioFuture()
    patient = asyncio.ensure_future(_outcome(future))
    with anyio.move_on_after(0.001) as scope:
        await future
    assert scope.cancelled_caught
    assert len(future._watchers or ()) == 1, "a waiter that gave up must leave nothing behind"
    future.set(7)
    assert await patient == 7


@pytest.mark.anyio
async def test_a_blocking_get_on_the_loop_is_refused_unless_the_value_is_there() -> None:
    future: AioFuture[int] = AioFuture()
    with pytest.raises(WouldDeadlock, match="await the future"):
        future.get()
    future.set(3)
    assert future.get() == 3


@pytest.mark.anyio
async def test_mapped_joined_and_reduced_futures_can_be_awaited() -> None:
    first: AioFuture[int] = AioFuture()
    second: AioFuture[int] = AioFuture()
    joined = first.join(second)
    threading.Timer(0.005, lambda: (first.set(1), second.set(2))).start()
    assert await joined == [1, 2]
    assert await first.map(lambda number: number + 10) == 11
    assert await joined.reduce(lambda total, number: total + number, 0) == 3
    assert await joined.filter(lambda number: number > 1) == [2]


@pytest.mark.anyio
async def test_a_derived_value_is_made_once() -> None:
    made: list[int] = []
    future: AioFuture[int] = AioFuture()
    future.set(1)
    mapped = future.map(made.append)
    await mapped
    await mapped
    assert made == [1]


def test_a_thread_waits_for_the_value_and_gives_up_after_its_timeout() -> None:
    future: AioFuture[int] = AioFuture()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.001)
    assert not future._watchers
    threading.Timer(0.005, future.set, [5]).start()
    assert future.get(timeout=1) == 5


def test_set_exception_takes_the_exception_being_handled() -> None:
    future: AioFuture[int] = AioFuture()
    try:
        raise KeyError("k")
    except KeyError:
        future.set_exception()
    with pytest.raises(KeyError):
        future.get()


def test_a_future_wakes_waiters_on_several_loops_each_on_its_own() -> None:
    future: AioFuture[int] = AioFuture()
    got: list[tuple[int, int]] = []
    ready = threading.Barrier(4)

    async def wait() -> None:
        asyncio.get_running_loop().call_later(0, ready.wait, 1)
        got.append((await future, threading.get_ident()))

    threads = [threading.Thread(target=asyncio.run, args=[wait()]) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(1)
    future.set(9)
    for thread in threads:
        thread.join(1)
    assert [value for value, _ in got] == [9, 9, 9]
    assert len({ident for _, ident in got}) == 3


def test_settling_after_the_waiting_loop_has_closed_is_no_error() -> None:
    future: AioFuture[int] = AioFuture()

    async def leave_behind() -> None:
        asyncio.ensure_future(_outcome(future))  # noqa: RUF006
        await asyncio.sleep(0)
        future.when_done(lambda: None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_behind())
    pending = asyncio.all_tasks(loop)
    loop.close()
    settling = threading.Thread(target=future.set, args=[1])
    settling.start()
    settling.join(1)
    assert future.get() == 1
    for task in pending:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def _outcome(future: AioFuture[Any]) -> Any:
    try:
        return await future
    except OSError as error:
        return error
