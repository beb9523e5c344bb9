"""Replies are held against what the turn knows, whose data they name, and what was asked."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.actors.retriever import Retriever
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import ProviderFailed
from ruche.storage.model.conversation import FieldValue, Profile
from tests.brain.talk import Functions, bundle, talking
from tests.brain.test_enforce import SAFE, SPELL, Scripted

pytestmark = pytest.mark.anyio

GROUND = {"id": "ground", "if": "always", "then": "Say only what you know.", "hard": True,
          "enforce": {"use": "grounding"}}
BALANCE = {"id": "balance", "if": "the user asks for the balance", "then": "Tell the balance: {{ balance }} euros.",
           "examples": ["what is my balance"], "tools": [{"tool": "bank"}]}


@pytest.mark.parametrize(("draft", "released"), [
    ("You have 40 euros, Ada. Ask for Grace at 5 Main Street.", True), ("You have 41 euros.", False),
    ("You have 40 euros, Bob.", False), ("You have 40 euros, and 777 besides.", False),
    ("It is Friday at noon.", False),
    ("It is Wednesday.", True), ("Your limit is 90.", True)])
async def test_figures_and_names_are_grounded_in_tools_variables_fields_knowledge_and_texts(
        draft: str, released: bool) -> None:
    """The user's own 777 is no source; the tool's limit, which no output takes over, is one."""
    agent = bundle(rules=[BALANCE, GROUND], templates=[SAFE], fields=[{"name": "name"}],
                   knowledge={"faq.md": "Grace Hopper sits at 5 Main Street."},
                   tools=[{"id": "bank", "python": "t.py:bank", "outputs": {"balance": "balance"}}])
    async with talking(agent, Functions(bank=lambda: {"balance": 40, "limit": 90}),
                       generator=Scripted(draft, draft)) as talk:
        ada = FieldValue(value="Ada", source="human_entered", at_ms=0)
        talk.profile = Profile(interlocutor="ada", tenant="default", fields={"name": ada})
        run = await talk.say("what is my balance, is it 777?")
        assert run.reply == (draft if released else SAFE["text"])
        assert "".join(talk.desk.released) in (draft, "", SAFE["text"])


async def test_personal_data_of_others_never_goes_out_and_ones_own_does_where_the_author_allows_it() -> None:
    rule = {"id": "mute", "if": "always", "then": "Tell no personal data.", "hard": True,
            "enforce": {"use": "personal_data", "options": {"allow": ["profile.email"]}}}
    say = {**SPELL, "then": "Your mail is {{ email }}, theirs {{ other }}.", "tools": [{"tool": "wand"}]}
    agent = bundle(rules=[say, rule], templates=[SAFE], fields=[{"name": "email", "type": "email"}],
                   tools=[{"id": "wand", "python": "t.py:wand", "outputs": {"other": "other"}}])
    for other, reply in (("ada@example.org", "Your mail is ada@example.org, theirs ada@example.org."),
                         ("bob@example.org", SAFE["text"]), ("4111 1111 1111 1111", SAFE["text"])):
        async with talking(agent, Functions(wand=lambda other=other: {"other": other})) as talk:
            await talk.say("I am ada@example.org")
            assert await talk.reply("cast a spell") == reply


ON_TOPIC = {"id": "topic", "if": "always", "then": "Answer what was asked.", "hard": True,
            "enforce": {"use": "relevance", "options": {"least": 0.2}}}
WHERE = {"id": "where", "if": "the user asks where the office is", "then": "The office is in Main Street.",
         "examples": ["where is the office"]}


@pytest.mark.parametrize(("draft", "released"), [("The office is in Main Street.", True),
                                                 ("Penguins cannot fly.", False)])
async def test_a_reply_about_something_else_is_not_sent_where_the_author_says_so(draft: str, released: bool) -> None:
    agent = bundle(rules=[WHERE, ON_TOPIC], templates=[SAFE])
    async with talking(agent, generator=Scripted(draft, draft)) as talk:
        run = await talk.say("where is the office")
        assert run.reply == (draft if released else SAFE["text"])
        assert dict(run.enforcement.checked)["topic"] == ("pass" if released else "fail")


async def test_a_reply_that_does_not_answer_is_not_judged_by_its_likeness() -> None:
    async with talking(bundle(rules=[WHERE, ON_TOPIC], templates=[SAFE])) as talk:
        run = await talk.say("sing me a shanty")
        assert (run.reply, dict(run.enforcement.checked)["topic"]) == ("I am sorry, I cannot help with that.",
                                                                       "not_applicable")


async def test_without_an_embedders_answer_a_hard_rule_of_relevance_fails_closed() -> None:
    class Failing:
        """A retriever whose embedder is gone when replies are compared."""

        real: Retriever

        async def retrieve(self, *request: Any, **more: Any) -> Any:
            return await self.real.retrieve(*request, **more)

        async def likeness(self, one: str, other: str) -> tuple[float, float | None]:
            raise ProviderFailed("the embedder is gone")

    agent, failing = bundle(rules=[WHERE, ON_TOPIC], templates=[SAFE]), Failing()
    async with talking(agent, retrieval=failing) as talk:
        failing.real = Retriever(HashingEmbedder())
        await failing.real.prepare(agent, 1)
        run = await talk.say("where is the office")
        assert (run.reply, run.enforcement.violations[0].reason) == (
            SAFE["text"], "the likeness of question and reply is not known")


async def test_an_embedder_without_a_measure_of_its_own_judges_nothing_by_itself() -> None:
    rule = {**ON_TOPIC, "enforce": {"use": "relevance"}}
    async with talking(bundle(rules=[WHERE, rule], templates=[SAFE])) as talk:
        run = await talk.say("where is the office")
        assert dict(run.enforcement.checked)["topic"] == "not_applicable"
