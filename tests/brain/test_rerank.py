"""Passages of knowledge are reordered within the turn, told why not where they are not, and replayed from the tape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ruche.actors.reranker import Reranking
from ruche.plugins.breaker import Breaker
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.rerankers import SentenceReranker
from ruche.plugins.tape import LiveTape, ReplayTape
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
        assert told["cut"] == {"method": "clustering", "cutoff": told["cut"]["cutoff"], "kept": len(run.memory)}
        assert len(run.memory) < 8


async def test_what_does_not_stand_out_is_cut_and_the_explanation_shows_it() -> None:
    pages = {**PAGES, "garden.md": "Roses want sun. " * 12}
    async with talking(bundle(knowledge=pages)) as talk:
        run = await talk.say("what are the fees for transfers?")
        assert "garden.md#1" not in [one.chunk_id for one in run.memory]
        shown = (await talk.brain.explain(talk.inputs[-1], LiveTape())).knowledge
        assert shown["considered"] == 13
        assert [one["id"] for one in shown["kept"]][:5] == [one.chunk_id for one in run.memory]
        assert shown["method"] == "clustering"
        assert shown["cutoff"] == min(one["score"] for one in shown["kept"])


RULES = [{"id": name, "if": f"the user asks about {what}", "then": f"Say: {name}."} for name, what in (
    ("fees", "transfer fees"), ("speed", "how long a transfer takes, from one bank to the next and home again"),
    ("roses", "roses"))]


@asynccontextmanager
async def ruled(reranker: Longest | SentenceReranker | None, rules: list[dict[str, Any]]) -> AsyncIterator[Talk]:
    async with talking(bundle(rules=rules, agent={"name": "Bank", "rule_threshold": 0.2})) as talk:
        talk.brain._ranking = Reranking(reranker, budget=10.0)
        yield talk


async def test_a_reranker_orders_the_rules_that_match_and_lets_no_other_in() -> None:
    async with ruled(None, RULES) as talk:
        plain = await talk.say("a transfer and its fees")
    async with ruled(Longest(), RULES) as talk:
        run = await talk.say("a transfer and its fees")
        ranks = run.decisions["retrieve"]["rule_ranks"]
        assert max(ranks, key=lambda name: ranks[name]) == "speed"
        assert sorted(ranks) == ["fees", "speed"]
        assert plain.rules[0].id == "fees"
        assert run.rules[0].id == "speed"
        assert {one.id: one.score for one in plain.rules}["fees"] == max(ranks.values())
        talk.brain._ranking = Reranking(Broken())
        again = await talk.brain.think(talk.inputs[-1], ReplayTape(run.tape), talk.desk)
        assert without_times(again.run) == without_times(run)


async def test_a_reranker_that_fails_leaves_the_rules_as_they_were_and_says_so() -> None:
    async with ruled(Broken(), RULES) as talk:
        run = await talk.say("a transfer and its fees")
        assert run.rules[0].id == "fees"
        assert run.decisions["retrieve"]["rules_unranked"] == "failed"


@pytest.mark.parametrize(("reranker", "examples"), [
    (Longest(), ["what does it cost to send money"]), (SentenceReranker(HashingEmbedder()), [])])
async def test_rules_with_examples_and_sentences_that_were_compared_already_are_not_reranked(
        reranker: Longest | SentenceReranker, examples: list[str]) -> None:
    async with ruled(reranker, [{**RULES[0], "examples": examples}, *RULES[1:]]) as talk:
        run = await talk.say("a transfer and its fees")
        assert "rerank rules" not in [entry.site for entry in run.tape]


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
