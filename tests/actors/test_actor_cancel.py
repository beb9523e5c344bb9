"""Superseding, committing, and the nine pitfalls of cancellation that a turn may fall into."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import anyio
import pytest

from ruche.actors.actor import AioActor
from ruche.actors.future import AioFuture
from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import DeadlineExceeded, Superseded


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Turn(AioActor):
    """Runs the coroutine function it is sent, with itself as the argument."""

    turn_scope = True

    async def on_receive(self, turn: Any) -> Any:
        return turn if isinstance(turn, str) else await turn(self)


async def for_ever(_: Any = None) -> None:
    await asyncio.Event().wait()


@pytest.mark.anyio
async def test_superseding_cancels_the_turn_in_flight_and_goes_before_what_waits() -> None:
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    async with ActorSystem():
        ref = Turn.start()
        first = ref.ask(for_ever, block=False)
        waiting = ref.ask(lambda _: note("waiting"), block=False)
        await anyio.wait_all_tasks_blocked()
        newer = ref.supersede(lambda _: note("newer"))
        with pytest.raises(Superseded):
            await first
        await newer
        await waiting
        assert order == ["newer", "waiting"]


@pytest.mark.anyio
async def test_superseding_an_idle_actor_just_sends() -> None:
    async with ActorSystem():
        assert await Turn.start().supersede("message") == "message"


@pytest.mark.anyio
async def test_a_deadline_cancels_the_turn_that_is_worked_on() -> None:
    ended: AioFuture[bool] = AioFuture()

    async def turn(_: Any) -> None:
        try:
            await for_ever()
        finally:
            ended.set(True)

    async with ActorSystem(clock=lambda: 0.0):  # on a machine that is busy it is begun all the same
        ref = Turn.start()
        with pytest.raises(DeadlineExceeded):
            await ref.ask_async(turn, timeout=0.05)
        assert await ended
        assert await ref.ask_async("next") == "next"


@pytest.mark.anyio
async def test_a_commit_that_hangs_ends_the_actor_since_its_outcome_is_unknown() -> None:
    async with ActorSystem():
        ref = Turn.start()
        with pytest.raises(TimeoutError):
            await ref.ask_async(lambda actor: actor.commit(for_ever, timeout=0.005))
        assert not ref.is_alive()


@pytest.mark.anyio
async def test_a_turn_cancelled_before_its_commit_writes_nothing() -> None:
    written: list[str] = []

    async def write() -> None:
        written.append("x")

    async def turn(actor: Turn) -> None:
        actor._cancel_turn()
        await actor.commit(write)

    async with ActorSystem():
        with pytest.raises(Superseded):
            await Turn.start().ask_async(turn)
        assert written == []


async def write_while_superseded(actor: Turn) -> str:
    actor._cancel_turn()
    await asyncio.sleep(0)
    return "committed"


@pytest.mark.anyio
async def test_pitfall_1_a_turn_cancelled_inside_its_commit_without_a_later_checkpoint_answers_normally() -> None:
    async def turn(actor: Turn) -> str:
        value: str = await actor.commit(write_while_superseded, actor)
        return value + " and returned"

    async with ActorSystem():
        assert await Turn.start().ask_async(turn) == "committed and returned"


@pytest.mark.anyio
async def test_pitfall_2_with_a_checkpoint_after_the_commit_the_committed_value_is_the_answer() -> None:
    reached: list[str] = []

    async def turn(actor: Turn) -> str:
        await actor.commit(write_while_superseded, actor)
        await asyncio.sleep(0)
        reached.append("after")
        return "not reached"

    async with ActorSystem():
        assert await Turn.start().ask_async(turn) == "committed"
        assert reached == []


@pytest.mark.anyio
async def test_pitfall_3_a_deadline_does_not_cut_a_commit_which_has_its_own() -> None:
    written: list[str] = []
    gate: AioFuture[None] = AioFuture()

    async def write() -> str:
        await gate
        written.append("x")
        return "x"

    async with ActorSystem(clock=lambda: 0.0):
        ref = Turn.start()
        with pytest.raises(DeadlineExceeded):
            await ref.ask_async(lambda actor: actor.commit(write), timeout=0.05)
        assert written == []
        gate.set()
        assert await ref.ask_async("next") == "next"
        assert written == ["x"]


@pytest.mark.anyio
async def test_pitfall_4_a_caller_leaves_a_service_at_its_deadline_while_the_thread_goes_on() -> None:
    release, finished = threading.Event(), threading.Event()

    class Slow(ServiceActor):
        def on_receive(self, message: Any) -> None:
            release.wait(2)
            finished.set()

    async with ActorSystem():
        ref = Slow.start()
        with anyio.move_on_after(0.005) as scope:
            await ref.ask_async("x")
        assert scope.cancelled_caught
        assert not finished.is_set(), "the caller must not wait for the thread"
        release.set()
        await ref.ask_async("y")
        assert finished.is_set()


@pytest.mark.anyio
async def test_pitfall_5_a_turn_that_swallows_its_cancellation_meets_it_at_every_further_await() -> None:
    swallowed: list[str] = []

    async def stubborn(_: Any) -> None:
        for _ in range(3):
            try:
                await for_ever()
            except asyncio.CancelledError:
                swallowed.append("x")
        await for_ever()

    async with ActorSystem():
        ref = Turn.start()
        first = ref.ask(stubborn, block=False)
        await anyio.wait_all_tasks_blocked()
        assert await ref.supersede("newer") == "newer"
        with pytest.raises(Superseded):
            await first
        assert len(swallowed) == 3


@pytest.mark.anyio
async def test_pitfall_6_a_commit_leaves_no_orphan_where_asyncios_shield_does() -> None:
    finished: list[str] = []
    gates: list[AioFuture[None]] = [AioFuture(), AioFuture()]

    async def inner(name: str, gate: AioFuture[None]) -> None:
        await gate
        finished.append(name)

    async def orphaning(actor: Turn) -> None:
        await asyncio.shield(asyncio.ensure_future(inner("orphan", gates[0])))

    async def committing(actor: Turn) -> None:
        await actor.commit(inner, "commit", gates[1])

    async with ActorSystem():
        ref = Turn.start()
        for turn, gate in ((orphaning, gates[0]), (committing, gates[1])):
            reply = ref.ask(turn, block=False)
            await anyio.wait_all_tasks_blocked()
            newer = ref.supersede(turn.__name__)
            await anyio.wait_all_tasks_blocked()
            assert newer.done() == (turn is orphaning), "the next turn must not begin while a commit runs"
            gate.set()
            await newer
            await anyio.wait_all_tasks_blocked()
            if turn is orphaning:
                with pytest.raises(Superseded):
                    await reply
            else:
                await reply
        assert finished == ["orphan", "commit"]


@pytest.mark.anyio
async def test_pitfall_7_a_cancelled_turn_does_not_cancel_the_future_it_shared() -> None:
    shared: AioFuture[str] = AioFuture()
    bare: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait_for(future: Any) -> str:
        answer: str = await future
        return answer

    async with ActorSystem():
        ref = Turn.start()
        for future in (shared, bare):
            first = ref.ask(lambda _, future=future: wait_for(future), block=False)
            await anyio.wait_all_tasks_blocked()
            await ref.supersede("newer")
            with pytest.raises(Superseded):
                await first
        assert bare.cancelled(), "asyncio's own future is the pitfall"
        shared.set("still there")
        assert await shared == "still there"


@pytest.mark.anyio
async def test_pitfall_8_cleaning_up_after_a_cancelled_turn_needs_a_shield() -> None:
    reached: list[str] = []

    async def turn(_: Any) -> None:
        try:
            await for_ever()
        finally:
            with anyio.move_on_after(1, shield=True):
                await asyncio.sleep(0)
                reached.append("shielded")
            await asyncio.sleep(0)
            reached.append("bare")

    async with ActorSystem():
        ref = Turn.start()
        first = ref.ask(turn, block=False)
        await anyio.wait_all_tasks_blocked()
        await ref.supersede("newer")
        with pytest.raises(Superseded):
            await first
        assert reached == ["shielded"]


@pytest.mark.anyio
async def test_pitfall_9_a_section_without_awaits_outlives_its_deadline_and_the_next_message_is_still_checked() -> None:
    done: list[str] = []
    now = [0.0]

    async def compute(_: Any) -> str:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass
        now[0] = 1.0  # the clock of deadlines stands still meanwhile, however busy the machine is
        done.append("computed")
        return "late"

    async def quick(_: Any) -> None:
        done.append("quick")

    async with ActorSystem(clock=lambda: now[0]):
        ref = Turn.start()
        late = ref.ask(compute, block=False, timeout=0.005)
        expired = ref.ask(quick, block=False, timeout=0.005)
        assert await late == "late", "nothing was cancelled, so the work counts"
        with pytest.raises(DeadlineExceeded):
            await expired
        assert done == ["computed"]
