"""The gate in front of turns: limits, turns for every tenant, and nothing lost when somebody gives up."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.actors.fair import FairGate
from ruche.plugins.errors import RateLimited


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


async def enter(gate: FairGate, tenant: str, order: list[str]) -> None:
    await gate.enter(tenant)
    order.append(tenant)


@pytest.mark.anyio
async def test_a_flood_of_one_tenant_lets_every_other_have_its_turn() -> None:
    gate, order = FairGate(total=2, per_tenant=2, pace=4), list[str]()
    async with gate.slot("big"), gate.slot("big"):
        waiting = [asyncio.ensure_future(enter(gate, tenant, order)) for tenant in ["big"] * 50 + ["small", "tiny"]]
        await anyio.wait_all_tasks_blocked()
        assert order == []
    for _ in range(50):
        await asyncio.sleep(0)
        gate.leave(order[gate_count(order, gate)])
    await asyncio.gather(*waiting)
    assert order.index("small") <= 2
    assert order.index("tiny") <= 3
    assert Counter(order) == {"big": 50, "small": 1, "tiny": 1}


@pytest.mark.anyio
async def test_a_flood_of_turns_that_only_compute_is_let_in_a_few_at_a_time() -> None:
    """Security item 15: whoever comes beside a flood waits for few of its turns, though slots are free for all."""
    gate, order = FairGate(total=100, per_tenant=100, pace=4), list[str]()
    await asyncio.gather(*(enter(gate, tenant, order) for tenant in ["big"] * 50 + ["small"]))
    assert order.index("small") <= 5
    assert Counter(order) == {"big": 50, "small": 1}


@pytest.mark.anyio
async def test_slots_go_on_being_given_though_nobody_gives_one_back() -> None:
    gate, order = FairGate(total=100, per_tenant=100, pace=1), list[str]()
    await asyncio.gather(*(enter(gate, "only", order) for _ in range(30)))
    assert gate.busy == 30


def gate_count(order: list[str], gate: FairGate) -> int:
    """Position of the oldest entry that still holds its slot."""
    return len(order) - gate.busy


@pytest.mark.anyio
async def test_a_tenant_has_no_more_than_its_limit_though_slots_are_free() -> None:
    gate, order = FairGate(total=10, per_tenant=2, limits={"paying": 3}, pace=10), list[str]()
    waiting = [asyncio.ensure_future(enter(gate, tenant, order)) for tenant in ["free"] * 4 + ["paying"] * 4]
    await anyio.wait_all_tasks_blocked()
    assert Counter(order) == {"free": 2, "paying": 3}
    assert gate.snapshot() == {"running": {"free": 2, "paying": 3}, "waiting": {"free": 2, "paying": 1}}
    gate.leave("free")
    await anyio.wait_all_tasks_blocked()
    assert Counter(order) == {"free": 3, "paying": 3}
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


@pytest.mark.anyio
async def test_too_many_waiters_of_one_tenant_are_refused_and_others_are_not() -> None:
    gate = FairGate(total=1, per_tenant=1, waiting=2)
    order: list[str] = []
    async with gate.slot("big"):
        waiting = [asyncio.ensure_future(enter(gate, "big", order)) for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimited) as refusal:
            await gate.enter("big")
        assert refusal.value.retry_after == 1.0
        waiting.append(asyncio.ensure_future(enter(gate, "small", order)))
        await anyio.wait_all_tasks_blocked()
    for _ in range(3):
        await anyio.wait_all_tasks_blocked()
        gate.leave(order[-1])
    await asyncio.gather(*waiting)


@pytest.mark.anyio
async def test_a_waiter_that_is_cancelled_takes_no_slot_even_when_it_was_just_granted() -> None:
    gate, order = FairGate(total=1, per_tenant=1), list[str]()
    async with gate.slot("a"):
        waits = asyncio.ensure_future(enter(gate, "a", order))
        granted = asyncio.ensure_future(enter(gate, "a", order))
        await anyio.wait_all_tasks_blocked()
        waits.cancel()
        await asyncio.wait([waits])
    granted.cancel()
    await asyncio.wait([granted])
    assert order == []
    assert gate.busy == 0
    assert gate.snapshot() == {"running": {}, "waiting": {}}
    async with gate.slot("a"):
        assert gate.busy == 1


@pytest.mark.anyio
async def test_when_all_waiters_of_a_tenant_gave_up_the_slot_goes_to_others() -> None:
    gate = FairGate(total=1, per_tenant=1)
    async with gate.slot("a"):
        quitter = asyncio.ensure_future(gate.enter("b"))
        other = asyncio.ensure_future(gate.enter("c"))
        await anyio.wait_all_tasks_blocked()
        quitter.cancel()
        await asyncio.wait([quitter])
    await other
    assert gate.snapshot() == {"running": {"c": 1}, "waiting": {}}


@pytest.mark.anyio
async def test_an_error_inside_gives_the_slot_back() -> None:
    gate = FairGate(total=1, per_tenant=1)
    with pytest.raises(ValueError, match="inside"):
        async with gate.slot("a"):
            raise ValueError("inside")
    assert gate.busy == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel", "yield"]), st.sampled_from("abc")), max_size=60),
       st.integers(1, 4), st.integers(1, 3))
def test_limits_hold_and_no_slot_stays_free_while_somebody_may_have_it(steps: list[tuple[str, str]], total: int,
                                                                       per_tenant: int) -> None:
    async def play() -> None:
        gate = FairGate(total, per_tenant)
        inside: list[str] = []
        waiting: list[tuple[str, asyncio.Future[None]]] = []
        for step, tenant in steps:
            if step == "enter":
                waiting.append((tenant, asyncio.ensure_future(enter(gate, tenant, inside))))
            elif step == "leave" and inside:
                gate.leave(inside.pop(0))
            elif step == "cancel" and waiting:
                waiting.pop()[1].cancel()
            elif step == "yield":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            running = gate.snapshot()["running"]
            assert sum(running.values()) == gate.busy <= total
            assert all(count <= per_tenant for count in running.values())
        for _ in range(2 + total):  # one slot a round
            await asyncio.sleep(0)
        held = gate.snapshot()
        for tenant in held["waiting"]:
            assert gate.busy == total or held["running"].get(tenant, 0) == per_tenant
        assert sorted(inside) == sorted(Counter(held["running"]).elements())
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    asyncio.run(play())
