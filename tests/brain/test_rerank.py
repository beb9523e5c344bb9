"""Passages of knowledge are reordered within the turn, told why not where they are not, and replayed from the tape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ruche.actors.reranker import Reranking
from ruche.plugins.breaker import Breaker
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.rerankers import SentenceReranker
from ruche.plugins.tape import ReplayTape
from tests.brain.talk import Talk, bundle, talking, without_times

pytestmark = pytest.mark.anyio

PAGES = {f"page{number}.md": f"Fees for transfers, part {number}. " + "More words. " * number for number in range(12)}


class Longest:
    """Prefers long passages."""

    name = "longest"

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        return [float(len(passage)) for passage in passages]


class Broken(Longest):
    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        raise ValueError("broken")


class Slow(HashingEmbedder):
    """As a model is: not immediate."""

    immediate = False


@asynccontextmanager
async def reading(reranker: Longest | SentenceReranker | None) -> AsyncIterator[tuple[Talk, Reranking]]:
    async with talking(bundle(knowledge=PAGES)) as talk:
        ranking = Reranking(reranker, budget=10.0, breaker=Breaker(failures=2))
        talk.brain._ranking = ranking
        yield talk, ranking


async def test_knowledge_is_reordered_and_the_run_tells_the_places() -> None:
    async with reading(Longest()) as (talk, _):
        run = await talk.say("what are the fees for transfers?")
        told = run.decisions["retrieve"]
        assert len(told["ranked"]) == 8
        assert sorted(told["ranked"]) != list(told["ranked"])
        assert "unranked" not in told
        assert len(run.memory) == 5


@pytest.mark.parametrize(("reranker", "asked"), [(Broken(), ["failed", "failed", "open"]), (None, [None] * 3)])
async def test_without_a_reranker_the_search_stands_cut_to_the_same_number(
        reranker: Longest | None, asked: list[str | None]) -> None:
    async with reading(reranker) as (talk, _):
        reasons = []
        for _ in range(3):
            run = await talk.say("what are the fees for transfers?")
            reasons.append(run.decisions["retrieve"].get("unranked"))
            assert run.decisions["retrieve"].get("ranked", tuple(range(8))) == tuple(range(8))
        assert reasons == asked


async def test_passages_that_must_be_encoded_first_are_learnt_and_used_from_then_on() -> None:
    async with reading(SentenceReranker(Slow(), VectorCache())) as (talk, ranking):
        first = await talk.say("what are the fees for transfers?")
        assert first.decisions["retrieve"]["unranked"] == "cold"
        while (run := await talk.say("what are the fees for transfers?")).decisions["retrieve"].get("unranked"):
            assert run.decisions["retrieve"]["unranked"] == "cold"
        assert ranking.outcomes["reranked"] == 1
        assert ranking.breaker.state == "closed"


async def test_a_reranked_turn_is_replayed_without_the_reranker() -> None:
    async with reading(Longest()) as (talk, _):
        run = await talk.say("what are the fees for transfers?")
        talk.brain._ranking = Reranking(Broken())
        again = await talk.brain.think(talk.inputs[-1], ReplayTape(run.tape), talk.desk)
        assert without_times(again.run) == without_times(run)


async def test_an_agent_without_knowledge_asks_nobody() -> None:
    async with talking(bundle()) as talk:
        talk.brain._ranking = Reranking(Broken())
        run = await talk.say("hello")
        assert "rerank" not in [entry.site for entry in run.tape]
