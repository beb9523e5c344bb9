"""The mailbox: bounded, two lanes, and never in doubt whether a letter was taken."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from typing import Any

import anyio
import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.future import AioFuture
from ruche.actors.mailbox import Letter, Mailbox, Offer
from ruche.plugins.errors import MailboxFull


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Reader:
    """An owner that counts its wake-ups."""

    put_timeout = 0.01

    def __init__(self, limit: int) -> None:
        self.woken = 0
        self.mailbox = Mailbox(limit)
        self.mailbox.owner = self

    def _wake(self) -> None:
        self.woken += 1

    def _now(self) -> float:
        return 0.0


def taken(mailbox: Mailbox) -> list[Any]:
    got = []
    while (letter := mailbox.take()) is not None:
        got.append(letter.message)
    return got


@given(st.lists(st.one_of(st.tuples(st.just("put"), st.integers()), st.tuples(st.just("control"), st.integers()),
                          st.tuples(st.just("take"), st.none()), st.tuples(st.just("more"), st.integers(0, 3)))),
       st.integers(1, 4))
def test_it_behaves_as_two_queues_of_which_control_goes_first(steps: list[tuple[str, Any]], limit: int) -> None:
    reader = Reader(limit)
    mailbox, control, items = reader.mailbox, deque[Any](), deque[Any]()
    for step, value in steps:
        if step == "put":
            expected = Offer.TAKEN if len(items) < limit else Offer.FULL
            assert mailbox.offer(Letter(value)) is expected
            if expected is Offer.TAKEN:
                items.append(value)
        elif step == "control":
            assert mailbox.offer(Letter(value), control=True) is Offer.TAKEN
            control.append(value)
        elif step == "take":
            letter = mailbox.take()
            expected_item = control.popleft() if control else items.popleft() if items else None
            assert (None if letter is None else letter.message) == expected_item
        else:
            some = [] if control else [items.popleft() for _ in range(min(value, len(items)))]
            assert [letter.message for letter in mailbox.take_more(value)] == some
        assert len(mailbox) == len(control) + len(items)
        assert mailbox.empty() == (not control and not items)
    assert [letter.message for letter in mailbox.close()] == [*control, *items]


@given(st.lists(st.booleans(), max_size=30))
def test_the_owner_is_woken_once_for_each_time_that_it_went_idle(puts: list[bool]) -> None:
    reader, wakes, idle = Reader(100), 0, True
    for put in puts:
        if put:
            reader.mailbox.offer(Letter(1))
            wakes += idle
            idle = False
        elif reader.mailbox.take() is None:
            idle = True
    assert reader.woken == wakes


def test_a_full_mailbox_refuses_with_a_time_to_come_back() -> None:
    async def on_loop() -> None:
        reader = Reader(1)
        reader.mailbox.put(Letter("a"))
        with pytest.raises(MailboxFull) as refusal:
            reader.mailbox.put(Letter("b"))
        assert refusal.value.retry_after == 1.0

    asyncio.run(on_loop())


def test_a_thread_waits_for_room_and_gives_up_after_the_owners_patience() -> None:
    reader = Reader(1)
    reader.mailbox.put(Letter("a"))
    with pytest.raises(MailboxFull):
        reader.mailbox.put(Letter("b"))
    assert taken(reader.mailbox) == ["a"], "a refused letter must not arrive later"


def test_a_waiting_thread_goes_on_when_there_is_room() -> None:
    reader = Reader(1)
    reader.put_timeout = 5.0
    reader.mailbox.put(Letter("a"))
    thread = threading.Thread(target=reader.mailbox.put, args=[Letter("b")])
    thread.start()
    got: list[Any] = []
    while thread.is_alive() or not reader.mailbox.empty():
        letter = reader.mailbox.take()
        if letter is not None:
            got.append(letter.message)
    assert got == ["a", "b"]


@pytest.mark.anyio
async def test_waiting_tasks_are_let_in_in_the_order_in_which_they_came() -> None:
    reader = Reader(1)
    reader.mailbox.put(Letter(0))
    async with anyio.create_task_group() as group:
        for number in range(1, 6):
            group.start_soon(reader.mailbox.put_async, Letter(number))
        await anyio.wait_all_tasks_blocked()
        assert taken(reader.mailbox) == [0, 1, 2, 3, 4, 5]


@pytest.mark.anyio
async def test_a_waiter_that_is_cancelled_leaves_nothing_and_holds_nobody_up() -> None:
    reader = Reader(1)
    reader.mailbox.put(Letter(0))
    async with anyio.create_task_group() as group:
        quitters = [asyncio.ensure_future(reader.mailbox.put_async(Letter("never"))) for _ in range(3)]
        group.start_soon(reader.mailbox.put_async, Letter(1))
        await anyio.wait_all_tasks_blocked()
        for quitter in quitters:
            quitter.cancel()
        await asyncio.wait(quitters)
        assert taken(reader.mailbox) == [0, 1]


@pytest.mark.anyio
async def test_closing_refuses_those_who_wait_for_room() -> None:
    reader = Reader(1)
    reader.mailbox.put(Letter(0))
    reply: AioFuture[Any] = AioFuture()
    waiting = asyncio.ensure_future(reader.mailbox.put_async(Letter(1, reply)))
    await anyio.wait_all_tasks_blocked()
    assert [letter.message for letter in reader.mailbox.close()] == [0]
    with pytest.raises(pykka.ActorDeadError):
        await waiting
    with pytest.raises(pykka.ActorDeadError):
        await reply


def test_after_close_a_tell_is_refused_and_an_ask_is_answered() -> None:
    mailbox = Reader(5).mailbox
    mailbox.close()
    reply: AioFuture[Any] = AioFuture()
    mailbox.put(Letter("ask", reply))
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)
    with pytest.raises(pykka.ActorDeadError):
        mailbox.put(Letter("tell"))


def test_every_letter_put_while_another_thread_closes_is_either_handed_back_or_refused() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(50):
            _race_puts_with_close()
    finally:
        sys.setswitchinterval(before)


def _race_puts_with_close() -> None:
    mailbox = Reader(1000).mailbox
    start = threading.Barrier(3)
    outcomes: list[list[Offer]] = [[], []]

    def put(mine: list[Offer]) -> None:
        start.wait(1)
        mine.extend(mailbox.offer(Letter(1)) for _ in range(30))

    threads = [threading.Thread(target=put, args=[mine]) for mine in outcomes]
    for thread in threads:
        thread.start()
    start.wait(1)
    left = mailbox.close()
    for thread in threads:
        thread.join(1)
    assert sum(outcome is Offer.TAKEN for mine in outcomes for outcome in mine) == len(left)
    assert mailbox.empty()


def test_a_plain_pykka_envelope_is_taken_as_a_letter_without_deadline() -> None:
    mailbox = Reader(5).mailbox
    mailbox.put(pykka._envelope.Envelope("plain"))  # type: ignore[attr-defined]
    letter = mailbox.take()
    assert letter is not None
    assert (letter.message, letter.deadline, letter.trace) == ("plain", float("inf"), "")


def test_an_empty_mailbox_holds_no_queue() -> None:
    mailbox = Reader(5).mailbox
    mailbox.put(Letter(1))
    assert taken(mailbox) == [1]
    assert mailbox._items is None
    assert mailbox._control is None
