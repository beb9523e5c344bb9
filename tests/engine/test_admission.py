"""Admission: a flood waits outside, whoever is quiet never does, and nobody is left there."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.admission import FIRST, Admission

TICK = 0.02


class Loop:
    """What a loop does with its time, as it is told: `share` of it is computed. Each look at the clock is a tick."""

    def __init__(self, share: float = 0.0, late: float = 0.0) -> None:
        self.share, self.late = share, late
        self.now = self.worked = 0.0

    def clock(self) -> float:
        spent = TICK + self.late
        self.now += spent
        self.worked += spent * self.share
        return self.now

    def computed(self) -> float:
        return self.worked


def admission_on(loop: Loop) -> Admission:
    """Ticks follow one another at once; each is told that it took as long as a real one."""
    return Admission(loop.clock, loop.computed, tick_s=0.0 if loop.late else TICK)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        for _ in itertools.takewhile(lambda _: not holds(), itertools.count()):
            await asyncio.sleep(0)


class Visitors:
    """Requests that stay until they are told to go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.inside: list[str] = []
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, tenant: str, count: int = 1) -> None:
        self.tasks += [asyncio.ensure_future(self._visit(tenant, number)) for number in range(count)]

    async def _visit(self, tenant: str, number: int) -> None:
        async with self.admission.inside(tenant):
            self.inside.append(f"{tenant}-{number}")
            await asyncio.sleep(0)
            await self.go.wait()

    def count(self, tenant: str) -> int:
        return sum(name.startswith(tenant) for name in self.inside)

    async def leave(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks)


@pytest.mark.anyio
async def test_requests_that_leave_the_loop_idle_are_all_let_in() -> None:
    visitors = Visitors(admission_on(Loop(share=0.1)))
    visitors.come("slow", 100)
    await until(lambda: visitors.count("slow") == 100)
    await visitors.leave()
    assert visitors.admission.snapshot() == {"inside": {}, "outside": {}}


@pytest.mark.anyio
async def test_requests_that_keep_the_loop_busy_are_let_in_one_by_one_in_order() -> None:
    admission, order, most = admission_on(Loop(share=0.9)), list[int](), list[int]()

    async def visit(number: int) -> None:
        async with admission.inside("loud"):
            order.append(number)
            most.append(admission.snapshot()["inside"]["loud"])
            await asyncio.sleep(TICK)

    await asyncio.gather(*(visit(number) for number in range(20)))
    assert order == list(range(20))
    assert max(most) == FIRST
    assert most[-5:] == [1] * 5


@pytest.mark.anyio
async def test_a_quiet_tenant_is_let_in_at_once_beside_a_flood() -> None:
    admission = admission_on(Loop(share=0.9))
    visitors = Visitors(admission)
    visitors.come("loud", 500)
    await until(lambda: admission.snapshot()["outside"].get("loud") == 500 - FIRST)
    visitors.come("quiet", FIRST)
    await asyncio.sleep(0)
    assert visitors.count("quiet") == FIRST
    await visitors.leave()
    assert Counter(name.partition("-")[0] for name in visitors.inside) == {"loud": 500, "quiet": FIRST}


@pytest.mark.anyio
async def test_a_busy_loop_makes_only_those_wait_who_were_let_in_most() -> None:
    admission = admission_on(Loop(late=1.0))
    loud, quiet = Visitors(admission), Visitors(admission)
    loud.go.set()
    loud.come("loud", 2000)
    await until(lambda: loud.count("loud") > 200)
    quiet.come("quiet", 20)
    await until(lambda: quiet.count("quiet") == 20)
    assert loud.count("loud") < 1000
    await quiet.leave()
    await loud.leave()


@pytest.mark.anyio
async def test_a_loop_that_comes_too_late_counts_as_busy_however_little_it_computes() -> None:
    admission = admission_on(Loop(share=0.1, late=1.0))
    visitors = Visitors(admission)
    visitors.come("loud", 50)
    await until(lambda: bool(admission.snapshot()["outside"]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert visitors.count("loud") == FIRST
    await visitors.leave()


@pytest.mark.anyio
async def test_those_who_stay_long_on_a_busy_loop_do_not_keep_the_others_outside_for_ever() -> None:
    visitors = Visitors(admission_on(Loop(late=1.0)))
    visitors.come("slow", 10)
    await until(lambda: visitors.count("slow") == 10)
    await visitors.leave()


@pytest.mark.anyio
async def test_whoever_gives_up_outside_takes_nobodys_place() -> None:
    admission = admission_on(Loop(share=0.9))
    visitors = Visitors(admission)
    visitors.come("loud", FIRST + 10)
    await until(lambda: bool(admission.snapshot()["outside"]))
    for place in (FIRST, FIRST + 4, FIRST + 9):
        visitors.tasks[place].cancel()
    await until(lambda: admission.snapshot()["outside"]["loud"] == 7)
    visitors.go.set()
    await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert len(visitors.inside) == FIRST + 7
    assert admission.snapshot() == {"inside": {}, "outside": {}}


@pytest.mark.anyio
async def test_one_who_is_let_in_and_gives_up_in_the_same_breath_lets_in_the_next() -> None:
    admission = admission_on(Loop(share=0.9))
    for _ in range(FIRST):
        await admission.enter("loud")
    first, second = (asyncio.ensure_future(admission.enter("loud")) for _ in range(2))
    await until(lambda: admission.snapshot()["outside"] == {"loud": 2})
    admission.leave("loud")
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 10)
    assert admission.snapshot()["inside"] == {"loud": FIRST}


@pytest.mark.anyio
async def test_all_who_are_cancelled_at_once_inside_and_outside_hear_of_that_alone() -> None:
    visitors = Visitors(admission_on(Loop(share=0.9)))
    visitors.come("loud", FIRST + 10)
    await until(lambda: visitors.admission.snapshot()["outside"].get("loud") == 10)
    for task in visitors.tasks:
        task.cancel()
    heard = await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert {type(one) for one in heard} == {asyncio.CancelledError}
    visitors.come("loud")
    await until(lambda: visitors.count("loud") == FIRST + 1)
    visitors.go.set()
    await visitors.tasks[-1]
    assert visitors.admission.snapshot() == {"inside": {}, "outside": {}}


STEPS = st.lists(st.tuples(st.sampled_from(["come", "leave", "give up", "tick"]), st.sampled_from("abc"),
                           st.booleans()), max_size=60)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_whatever_happens_nobody_is_left_outside_an_admission_that_has_room(steps: list[tuple[str, str, bool]]) -> None:
    async def play() -> None:
        loop = Loop()
        admission = Admission(loop.clock, loop.computed, tick_s=0.0)
        loop.late = -TICK  # every tick takes no time
        tasks = dict[str, list[tuple[asyncio.Event, asyncio.Task[None]]]]({name: [] for name in "abc"})

        async def visit(tenant: str, go: asyncio.Event) -> None:
            async with admission.inside(tenant):
                await go.wait()

        for action, tenant, first in steps:
            there = tasks[tenant]
            if action == "come":
                go = asyncio.Event()
                there.append((go, asyncio.ensure_future(visit(tenant, go))))
            elif there and action == "leave":
                there[0 if first else -1][0].set()
            elif there and action == "give up":
                there[0 if first else -1][1].cancel()
            await asyncio.sleep(0)
        for go, _ in (one for there in tasks.values() for one in there):
            go.set()
        done = asyncio.gather(*(task for there in tasks.values() for _, task in there), return_exceptions=True)
        await asyncio.wait_for(done, 10)
        assert admission.snapshot() == {"inside": {}, "outside": {}}

    asyncio.run(play())
