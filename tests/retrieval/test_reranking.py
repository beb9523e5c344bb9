"""The reranking service: within its budget, behind its breaker, and never at the price of a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from threading import Event

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.reranker import Reranking
from ruche.actors.system import ActorSystem
from ruche.plugins.breaker import Breaker
from ruche.plugins.rerankers import CrossEncoder

PASSAGES = ["short", "a longer passage", "the longest passage of them all", "mid size"]


class ByLength:
    """A reranker that prefers long passages."""

    name = "by-length"

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        return [float(len(passage)) for passage in passages]


class Stuck(ByLength):
    """Stays in its first call until it is let go, as a model on a dead device does."""

    def __init__(self) -> None:
        self.calls, self.release = 0, Event()

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        self.calls += 1
        self.release.wait(10)
        return super().score(query, passages)


class Saying(ByLength):
    """Gives or raises what it was made with."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem() as running:
        yield running


@pytest.mark.anyio
async def test_candidates_come_back_best_first(system: ActorSystem) -> None:
    reranked = await Reranking(ByLength(), system=system).rerank("q", PASSAGES, keep=3)
    assert reranked.places == (2, 1, 3)
    assert reranked.scores == (31.0, 16.0, 8.0)
    assert reranked.reason is None


@pytest.mark.anyio
async def test_equal_scores_keep_the_order_of_retrieval(system: ActorSystem) -> None:
    reranked = await Reranking(Saying([0.5, 0.50001, 0.9, 0.5]), system=system).rerank("q", PASSAGES)
    assert reranked.places == (2, 0, 1, 3)


@pytest.mark.anyio
async def test_a_real_cross_encoder_runs_behind_it(system: ActorSystem, cross_folder: Path) -> None:
    model = CrossEncoder(cross_folder, device="cpu")
    reranked = await Reranking(model, budget=10, system=system).rerank("q", PASSAGES)
    scores = model.score("q", PASSAGES)
    assert reranked.places == tuple(sorted(range(4), key=lambda place: (-round(scores[place], 4), place)))


@pytest.mark.anyio
@pytest.mark.parametrize(("made", "reason"), [
    (lambda system: Reranking(None, system=system), "disabled"),
    (lambda system: Reranking(ByLength(), enabled=False, system=system), "disabled"),
    (lambda system: Reranking(Saying(ValueError("x")), system=system), "failed"),
    (lambda system: Reranking(Saying([1.0]), system=system), "failed"),
    (lambda system: Reranking(Saying([1.0, float("nan"), 2.0, 3.0]), system=system), "failed"),
    (lambda system: Reranking(Saying("no"), system=system), "failed"),
])
async def test_whatever_goes_wrong_the_first_order_stands_with_the_reason(
        system: ActorSystem, made: object, reason: str) -> None:
    reranking = made(system)  # type: ignore[operator]
    assert await reranking.rerank("q", PASSAGES, keep=3) == ((0, 1, 2), None, reason)
    assert reranking.outcomes == {reason: 1}


@pytest.mark.anyio
async def test_one_candidate_or_none_is_returned_as_it_is(system: ActorSystem) -> None:
    reranking = Reranking(ByLength(), system=system)
    assert await reranking.rerank("q", ["one"]) == ((0,), None, "few")
    assert await reranking.rerank("q", []) == ((), None, "few")


@pytest.mark.anyio
async def test_past_the_budget_the_first_order_stands_and_waiting_jobs_are_dropped_unrun(system: ActorSystem) -> None:
    model = Stuck()
    reranking = Reranking(model, budget=0.05, system=system)
    for _ in range(3):
        assert (await reranking.rerank("q", PASSAGES)).reason == "late"
    model.release.set()
    reranking._budget = 10.0
    assert (await reranking.rerank("q", PASSAGES)).reason is None
    assert model.calls == 2


@pytest.mark.anyio
async def test_the_breaker_spares_an_outage_its_time_and_closes_after_a_good_trial(system: ActorSystem) -> None:
    clock, model = Clock(), Saying(ValueError("down"))
    reranking = Reranking(model, breaker=Breaker(failures=3, cooldown=10, clock=clock), system=system)
    reasons = [(await reranking.rerank("q", PASSAGES)).reason for _ in range(5)]
    assert reasons == ["failed", "failed", "failed", "open", "open"]
    clock.now = 10.0
    assert (await reranking.rerank("q", PASSAGES)).reason == "failed"
    assert (await reranking.rerank("q", PASSAGES)).reason == "open"
    clock.now, model.answer = 20.0, [4.0, 3.0, 2.0, 1.0]
    assert (await reranking.rerank("q", PASSAGES)).reason is None
    assert reranking.breaker.state == "closed"
    assert reranking.breaker.trips == 2


@pytest.mark.anyio
async def test_more_jobs_than_may_wait_are_answered_at_once(system: ActorSystem) -> None:
    model = Stuck()
    reranking = Reranking(model, budget=10, system=system)
    answers: list[str | None] = []

    async def ask() -> None:
        answers.append((await reranking.rerank("q", PASSAGES)).reason)
        if answers.count("busy") == 3:
            model.release.set()

    async with anyio.create_task_group() as group:
        for _ in range(25):
            group.start_soon(ask)
    assert answers.count("busy") >= 3
    assert answers.count("busy") + answers.count(None) == 25
    assert reranking.breaker.state == "closed"


@pytest.mark.anyio
async def test_a_cancelled_trial_leaves_the_next_one_free(system: ActorSystem) -> None:
    clock, model = Clock(), Stuck()
    breaker = Breaker(failures=1, cooldown=1, clock=clock)
    breaker.failed()
    clock.now = 1.0
    reranking = Reranking(model, budget=10, breaker=breaker, system=system)
    with anyio.move_on_after(0.05):
        await reranking.rerank("q", PASSAGES)
    assert breaker.state == "half-open"
    model.release.set()
    assert (await reranking.rerank("q", PASSAGES)).reason is None
    assert breaker.state == "closed"


# --- the breaker alone


def test_failures_that_lie_further_apart_than_the_window_do_not_open_it() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, window=30, clock=clock)
    for clock.now in (0.0, 31.0, 62.0):
        breaker.failed()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"


def test_half_open_lets_one_call_through_at_a_time() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, cooldown=5, clock=clock)
    breaker.failed()
    clock.now = 5.0
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.abandoned()
    assert breaker.allow()


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "leave"]), st.integers(0, 20)), max_size=60))
def test_no_call_is_allowed_while_it_is_open_and_it_always_recovers(steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    breaker = Breaker(failures=2, window=30, cooldown=10, clock=clock)
    for outcome, pause in steps:
        clock.now += pause
        state = breaker.state
        allowed = breaker.allow()
        assert allowed == (state != "open")
        if allowed:
            {"ok": breaker.succeeded, "fail": breaker.failed, "leave": breaker.abandoned}[outcome]()
    clock.now += 10.0
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.state == "closed"


class Batching(ByLength):
    """Scores requests together; a batch with a bad request in it fails."""

    batches = True

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered, self.release = Event(), Event()

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        if query == "bad":
            raise ValueError("bad")
        return super().score(query, passages)

    def score_many(self, jobs: Sequence[tuple[str, Sequence[str]]]) -> list[Sequence[float]]:
        self.sizes.append(len(jobs))
        self.entered.set()
        self.release.wait(10)
        return [self.score(query, passages) for query, passages in jobs]


@pytest.mark.anyio
async def test_requests_that_wait_share_a_batch_and_a_bad_one_costs_its_own_answer(system: ActorSystem) -> None:
    model = Batching()
    reranking = Reranking(model, budget=10, system=system)
    reasons: dict[str, str | None] = {}

    async def ask(query: str) -> None:
        reasons[query] = (await reranking.rerank(query, PASSAGES)).reason

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "first")
        await anyio.to_thread.run_sync(model.entered.wait)
        for query in ("bad", "second", "third"):
            tasks.start_soon(ask, query)
        await anyio.wait_all_tasks_blocked()
        model.release.set()
    assert reasons == {"first": None, "bad": "failed", "second": None, "third": None}
    assert model.sizes == [1, 3]
