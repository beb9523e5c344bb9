"""Values to choose from are compared with an answer in other words, for the fields that were asked about."""

from __future__ import annotations

import pytest

from bench.suites.talking import Room
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Hits
from ruche.plugins.embedders.minilm import MiniLmEmbedder
from tests.brain.talk import bundle

pytestmark = pytest.mark.anyio

PARTS = {
    "fields": [{"name": "kind", "scope": "CASE", "allowed": ["Music", "Sports", "Cooking"], "ask": "Which kind?"},
               {"name": "level", "scope": "CASE", "allowed": ["1", "2"], "ask": "Which level?"},
               {"name": "colour", "allowed": ["red", "green"]}],
    "scenarios": [{"id": "find", "entry": "the user wants to go out tonight", "steps": [
        {"id": "kind", "collects": ["kind", "level"], "next": [{"to": "end"}]},
        {"id": "end", "say": "{{ kind }} it is."}]}]}


async def found(embedder: MiniLmEmbedder, text: str, scopes: tuple[str, ...] | None) -> Hits:
    async with ActorSystem() as system:
        retriever = Retriever(embedder, system)
        agent = bundle(**PARTS)
        await retriever.prepare(agent, 1)
        return await retriever.retrieve("default", agent.id, 1, text, 30, scopes)


async def test_the_two_likeliest_values_of_a_field_are_told_where_it_is_asked_about(minilm: MiniLmEmbedder) -> None:
    hits = await found(minilm, "I would love to see a concert", ("field/kind",))
    assert [hit.id for hit in hits.options][:1] == ["kind=Music"]
    assert len(hits.options) == 2
    assert (await found(minilm, "I would love to see a concert", None)).options == ()
    assert (await found(minilm, "I would love to see a concert", ("find",))).options == ()


async def test_numbers_and_fields_that_nothing_collects_are_not_compared(minilm: MiniLmEmbedder) -> None:
    assert (await found(minilm, "a green one", ("field/level", "field/colour"))).options == ()


@pytest.mark.parametrize(("answer", "value"), [
    ("a concert would be lovely", "Music"), ("let us watch a football match", "Sports"),
    ("I do not mind at all", None)])
async def test_an_answer_in_other_words_counts_where_one_value_leads(minilm: MiniLmEmbedder, answer: str,
                                                                    value: str | None) -> None:
    async with ActorSystem() as system:
        talk = (await Room.open(Retriever(minilm, system), bundle(**PARTS), [])).talk()
        await talk.say("I want to go out tonight")
        await talk.say(answer)
    assert talk.known().get("kind") == value
