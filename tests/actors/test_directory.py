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
from ruche.actors.supervise import DeadLetter, Policy, Terminated
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import DeadlineExceeded, MailboxFull, RucheError, StorageStopped, Unavailable


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


@pytest.mark.anyio
async def test_idle_actors_are_let_go_and_come_back_with_what_they_knew() -> None:
    clock, disk = Time(), Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK, clock=clock)
        await directory.ask("old", 1)
        clock.now += 40
        await directory.ask("young", 1)
        clock.now += 30
        assert directory.sweep() == 1
        await settled(directory, "old")
        assert "old" not in directory
        assert "young" in directory
        assert await directory.ask("old", 2) == [1, 2]


@pytest.mark.anyio
async def test_a_busy_actor_is_not_let_go() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=QUICK, clock=clock)
        gate: AioFuture[str] = AioFuture()
        working = asyncio.ensure_future(directory.ask("k", gate))
        await anyio.wait_all_tasks_blocked()
        clock.now += 100
        assert directory.sweep() == 0
        gate.set("done")
        assert await working == "done"
        assert directory.sweep() == 0, "being busy counts as use"
        clock.now += 100
        assert directory.sweep() == 1


@pytest.mark.anyio
async def test_messages_that_race_with_the_passivation_are_answered_in_order_by_the_next_activation() -> None:
    clock, disk = Time(), Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=QUICK, clock=clock)
        await directory.ask("k", 0)
        disk.gate = AioFuture()
        clock.now += 100
        directory.sweep()
        racing = [asyncio.ensure_future(directory.ask("k", number)) for number in (1, 2)]
        await anyio.wait_all_tasks_blocked()
        late = asyncio.ensure_future(directory.ask("k", 3))
        await anyio.wait_all_tasks_blocked()
        assert directory.snapshot()["states"] == {"leaving": 1}
        gate, disk.gate = disk.gate, None
        gate.set()
        assert await late == [0, 1, 2, 3]
        assert [await reply for reply in racing] == [[0, 1], [0, 1, 2]]
        assert directory.stats["activated"] == 2


@pytest.mark.anyio
async def test_above_the_cap_the_least_recently_used_is_let_go_for_the_new() -> None:
    disk = Disk()
    async with ActorSystem():
        directory = Directory(Session, disk, policy=Policy(max_active=3))
        for key in ("a", "b", "c", "a", "d"):
            await directory.ask(key, 1)
        await anyio.wait_all_tasks_blocked()
        assert {key for key in "abcd" if key in directory} == {"a", "c", "d"}
        for number in range(200):
            await directory.ask(f"k{number}", 1)
            assert len(directory) <= 4
        assert await directory.ask("b", 2) == [1, 2]


@pytest.mark.anyio
async def test_after_many_were_let_go_there_is_room_for_as_many_as_before() -> None:
    clock = Time()
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=Policy(max_active=3), clock=clock)
        for number in range(6):
            await directory.ask(f"k{number}", 1)
        clock.now += 100
        directory.sweep()
        await anyio.wait_all_tasks_blocked()
        assert len(directory) == 0
        for number in range(3):
            await directory.ask(f"k{number}", 1)
        await anyio.wait_all_tasks_blocked()
        assert len(directory) == 3


@pytest.mark.anyio
async def test_an_actor_that_is_stopped_twice_stays_away_until_it_is_needed() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk())
        await directory.ask("k", 1)
        ref = directory.live("k")
        assert ref is not None
        stops = [ref.stop(block=False) for _ in range(2)]
        assert [await stop for stop in stops] == [True, True]
        assert "k" not in directory
        assert await directory.ask("k", 2) == [1, 2]


@pytest.mark.anyio
async def test_when_all_are_busy_new_keys_are_refused_beyond_the_overshoot() -> None:
    async with ActorSystem():
        directory = Directory(Session, Disk(), policy=Policy(max_active=4, overshoot=0.5))
        gate: AioFuture[str] = AioFuture()
        working = [asyncio.ensure_future(directory.ask(f"k{number}", gate)) for number in range(6)]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Unavailable) as refusal:
            await directory.ask("one too many", "x")
        assert refusal.value.retry_after == 1.0
        gate.set("done")
        assert await asyncio.gather(*working) == ["done"] * 6
        assert await directory.ask("now", "x") == ["x"]


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
