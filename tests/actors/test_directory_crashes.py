"""Virtual actors that crash: restarted with patience, put to rest when that does not help, and nobody left waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.directory import Directory
from ruche.actors.future import AioFuture
from ruche.actors.supervise import DeadLetter, Policy
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import MailboxFull, StorageStopped, Unavailable
from tests.actors.test_directory import QUICK, Again, Disk, Session, Time, anyio_backend, outcome

__all__ = ["anyio_backend"]


@pytest.mark.anyio
async def test_a_crash_refuses_its_message_and_those_behind_it_are_answered_in_order_from_what_was_stored() -> None:
    disk, buried = Disk(), list[DeadLetter]()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK, on_dead_letter=buried.append)
        messages = ["a", "boom", "b", "c"]
        answers = await asyncio.gather(*(outcome(directory.ask("k", message, trace=f"t-{message}"))
                                         for message in messages))
        assert isinstance(answers[1], ValueError)
        assert answers[3] == ["a", "b", "c"], "half-done memory must not survive"
        assert directory.stats["crashed"] == directory.stats["restarted"] == 1
        assert [(letter.message, letter.reason, letter.attempts, letter.trace) for letter in buried] == [
            ("boom", "ValueError", 1, "t-boom")]


@pytest.mark.anyio
async def test_messages_that_come_while_a_crashed_actor_cleans_up_stay_behind_those_that_came_before() -> None:
    cleaning: AioFuture[None] = AioFuture()

    class Cleaning(Session):
        async def on_failure(self, *_: Any) -> None:
            await cleaning

    async with ActorSystem():
        directory = Directory(Cleaning, Disk(), policy=QUICK)
        crash = asyncio.ensure_future(outcome(directory.ask("k", "boom")))
        before = asyncio.ensure_future(directory.ask("k", "before"))
        await anyio.wait_all_tasks_blocked()
        after = asyncio.ensure_future(directory.ask("k", "after"))
        await anyio.wait_all_tasks_blocked()
        cleaning.set()
        assert isinstance(await crash, ValueError)
        assert await before == ["before"]
        assert await after == ["before", "after"]


@pytest.mark.anyio
async def test_an_idempotent_message_is_tried_again_before_it_is_given_up() -> None:
    failures: list[int] = []

    class Flaky(Session):
        async def on_receive(self, message: Any) -> Any:
            failures.append(1)
            if len(failures) == 1 or message == "poison":
                raise ValueError("flaky")
            return "at the second try"

    buried: list[DeadLetter] = []
    async with ActorSystem():
        directory = Directory(Flaky, Disk(), policy=QUICK, on_dead_letter=buried.append)
        assert await directory.ask("k", Again("fine")) == "at the second try"
        with pytest.raises(ValueError, match="flaky"):
            await directory.ask("other", Again("poison"))
        assert [letter.attempts for letter in buried] == [2]


@pytest.mark.anyio
async def test_a_key_that_crashes_too_often_rests_and_comes_back_while_others_are_served() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK, clock=clock)
        for _ in range(3):
            assert isinstance(await outcome(directory.ask("k", "boom")), ValueError)
        with pytest.raises(Unavailable) as refusal:
            await directory.ask("k", "x")
        assert refusal.value.retry_after == 30
        assert await directory.ask("other", "x") == ["x"]
        clock.now += 30
        assert await directory.ask("k", "x") == ["x"]
        assert directory.stats["quarantined"] == 1


@pytest.mark.anyio
async def test_crashes_that_lie_outside_the_window_do_not_add_up() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK, clock=clock)
        for _ in range(6):
            assert isinstance(await outcome(directory.ask("k", "boom")), ValueError)
            clock.now += 61
        assert await directory.ask("k", "x") == ["x"]
        assert directory.stats["quarantined"] == 0


@pytest.mark.anyio
async def test_what_waits_for_a_key_that_is_put_to_rest_is_told_when_to_come_back() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK)
        answers = await asyncio.gather(*(outcome(directory.ask("k", message)) for message in ["boom"] * 3 + ["x"]))
        assert [type(answer) for answer in answers] == [ValueError] * 3 + [Unavailable]
        assert answers[3].retry_after == 30


@given(crashes=st.integers(1, 40), chance=st.floats(0, 0.999))
def test_the_delay_before_a_restart_grows_up_to_the_cap_and_jitter_only_shortens_it(crashes: int,
                                                                                    chance: float) -> None:
    policy = Policy(base=0.05, factor=2, cap=5, jitter=0.2)
    whole = min(5.0, 0.05 * 2 ** (crashes - 1))
    assert whole * 0.8 <= policy.delay(crashes, chance) <= whole
    assert policy.delay(crashes, 0.0) <= policy.delay(crashes + 1, 0.0)


@pytest.mark.anyio
async def test_the_jitter_comes_from_the_chance_that_is_handed_in() -> None:
    asked: list[int] = []

    def chance() -> float:
        asked.append(1)
        return 0.5

    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK, chance=chance)
        await outcome(directory.ask("k", "boom"))
        assert await directory.ask("k", "x") == ["x"]
        assert len(asked) == 1


@pytest.mark.anyio
async def test_while_a_key_waits_for_its_restart_only_so_many_messages_are_held() -> None:
    policy = Policy(base=60, buffer=2)
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=policy)
        await outcome(directory.ask("k", "boom"))
        held = [asyncio.ensure_future(directory.ask("k", number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(MailboxFull):
            await directory.ask("k", "one too many")
        await directory.drain()
        assert [type(await outcome(reply)) for reply in held] == [Unavailable] * 2


@pytest.mark.anyio
async def test_when_storage_is_down_for_many_keys_the_directory_escalates_once_and_recovers() -> None:
    disk, alarms = Disk(), list[BaseException]()
    disk.error = OSError("storage down")
    policy = Policy(base=0.001, jitter=0, max_restarts=50, kind_max=5)
    async with ActorSystem():
        def recover(_: Any, error: BaseException) -> None:
            alarms.append(error)
            asyncio.get_running_loop().call_soon(setattr, disk, "error", None)

        directory = Directory(Session, disk, policy=policy, on_escalate=recover)
        answers = await asyncio.gather(*(directory.ask(f"k{number}", "x") for number in range(8)))
        assert directory.stats["crashed"] >= 8
        assert answers == [["x"]] * 8, "the messages that waited must be answered after the recovery"
        assert [type(alarm) for alarm in alarms] == [OSError]
        assert directory.stats["escalated"] == 1


@pytest.mark.anyio
async def test_a_refusal_while_starting_reaches_the_callers_at_once() -> None:
    disk = Disk()
    disk.error = StorageStopped("restart the engine")
    async with ActorSystem():
        directory = Directory(Session, disk, policy=Policy(base=60))
        with pytest.raises(StorageStopped):
            await directory.ask("k", "x")
        assert "k" not in directory
        disk.error = None
        assert await directory.ask("k", "x") == ["x"]


@pytest.mark.anyio
async def test_an_actor_that_cannot_even_be_made_is_supervised_too() -> None:
    made: list[str] = []

    class Unmade(Session):
        def __init__(self, key: str, disk: Disk) -> None:
            made.append(key)
            if len(made) < 3:
                raise OSError("not now")
            super().__init__(key, disk)

    async with ActorSystem():
        directory = Directory(Unmade, Disk(), policy=QUICK)
        assert await directory.ask("k", "x", timeout=2) == ["x"]
        assert directory.stats["crashed"] == 2
