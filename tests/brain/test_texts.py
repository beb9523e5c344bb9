"""The agent's own standing texts: greeting, unmatched, refusal, passing on, and the questions for fields."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import Generated, Prompt
from ruche.storage.model.bundle import AgentBundle
from tests.brain.agents import RULES
from tests.brain.talk import bundle, talking

GREETING = "Good {{ now.part_of_day }}! How can I help?"
HANDOVER = {"id": "person", "if": "the user wants to talk to a person", "then": "Hand over", "effect": "HANDOFF"}


def desk(**head: Any) -> AgentBundle:
    return bundle(agent=head, rules=[*RULES, HANDOVER])


# --- greeting -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "heard"), [
    ("when do you open", "Good morning! We are open from 9 to 17."),
    ("hello", "Good morning! How can I help?"),
    ("qwertz", "Good morning! I am sorry, I cannot help with that."),
])
async def test_a_greetings_question_is_for_those_who_have_not_said_what_they_want(said: str, heard: str) -> None:
    async with talking(desk(greeting=GREETING)) as talk:
        assert await talk.reply(said) == heard


@pytest.mark.anyio
async def test_a_greetings_question_gives_way_to_another_question() -> None:
    agent = bundle(
        agent={"greeting": "Hello there! We open at nine. How can I help?"},
        fields=[{"name": "place", "ask": "Where to?"}],
        scenarios=[{"id": "ride", "entry": "the user wants a ride", "steps": [{"id": "to", "collects": ["place"]}]}])
    async with talking(agent) as talk:
        assert await talk.reply("the user wants a ride") == "Hello there! We open at nine. Where to?"


@pytest.mark.anyio
async def test_a_greetings_question_stays_where_the_rule_that_matched_can_say_nothing() -> None:
    agent = bundle(agent={"greeting": GREETING}, rules=[
        {"id": "mood", "if": "the user is happy today", "then": "Be cheerful"}])
    async with talking(agent) as talk:
        assert await talk.reply("the user is happy today") == "Good morning! How can I help?"


@pytest.mark.anyio
async def test_a_greeting_that_only_asks_is_left_out_of_an_answer() -> None:
    async with talking(desk(greeting="How can I help?")) as talk:
        assert await talk.reply("when do you open") == "We are open from 9 to 17."


@pytest.mark.anyio
async def test_a_model_hears_the_greetings_question_only_when_there_is_no_answer() -> None:
    heard: list[str] = []

    class Listens:
        name = "listens"

        async def generate(self, prompt: Prompt) -> Generated:
            heard.extend(part["text"] for part in prompt.plan["contributions"])
            return Generated(text="Hm.")

        async def stream(self, prompt: Prompt) -> Any:
            yield (await self.generate(prompt)).text

    async with talking(desk(greeting=GREETING, models={"generator": "listens"}), generator=Listens()) as talk:
        await talk.say("when do you open")
        assert heard == ["Good morning!", "We are open from 9 to 17."]


# --- placeholders ---------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_values_stand_in_unmatched_and_in_the_text_of_passing_on() -> None:
    agent = desk(unmatched="{{ agent }} cannot tell.", handoff={"enabled": True, "text": "{{ agent }} passes you on."})
    async with talking(agent) as talk:
        assert await talk.reply("qwertz") == "Desk cannot tell."
        assert await talk.reply("the user wants to talk to a person") == "Desk passes you on."
        assert await talk.reply("qwertz") == "Desk passes you on."


@pytest.mark.anyio
async def test_values_stand_in_the_question_for_a_field() -> None:
    agent = bundle(
        fields=[{"name": "day", "type": "date", "ask": "When, {{ agent }} asks?"}],
        scenarios=[{"id": "visit", "entry": "the user plans a visit", "steps": [{"id": "when", "collects": ["day"]}]}])
    async with talking(agent) as talk:
        assert await talk.reply("the user plans a visit") == "When, Desk asks?"


@pytest.mark.anyio
async def test_a_question_that_lacks_its_value_is_asked_in_the_engines_words() -> None:
    agent = bundle(
        fields=[{"name": "day", "type": "date", "ask": "When, {{ other }}?"}, {"name": "other"}],
        scenarios=[{"id": "visit", "entry": "the user plans a visit", "steps": [{"id": "when", "collects": ["day"]}]}])
    async with talking(agent) as talk:
        assert await talk.reply("the user plans a visit") == "Could you tell me your day?"


REFUSED = {"id": "never", "if": "x", "then": "Never say open", "hard": True,
           "enforce": {"use": "phrase", "options": {"forbidden": ["we are open"]}}}
EXCLUSIVE = {"id": "hours", "mode": "EXCLUSIVE", "text": "We are open."}


def refusing(refusal: str) -> AgentBundle:
    """Its only answer breaks its hard rule."""
    return bundle(agent={"refusal": refusal}, templates=[EXCLUSIVE], fields=[{"name": "full_name"}],
                  rules=[{**RULES[0], "templates": ["hours"]}, REFUSED])


@pytest.mark.anyio
@pytest.mark.parametrize(("refusal", "heard"), [
    ("{{ agent }} must not say that.", "Desk must not say that."),
    ("Not that, {{ full_name }}. Please ask somebody.", "Please ask somebody."),
    ("Not that, {{ full_name }}.", "I am sorry, I cannot say that."),
    ("{% if full_name %}Never.{% endif %} No.", "I am sorry, I cannot say that."),
    ("{# for the shop #}No.", "No."),
])
async def test_a_refusal_shows_no_placeholder_and_is_always_said(refusal: str, heard: str) -> None:
    async with talking(refusing(refusal)) as talk:
        run = await talk.say("when do you open")
        assert (run.reply, run.enforcement.fallback) == (heard, "refusal")


@pytest.mark.parametrize(("refusal", "heard"), [
    ("I may not say that.", "I may not say that."),
    ("Good {{ now.part_of_day }}. Please call us.", "Please call us."),
    ("Good {{ now.part_of_day }}.", "I am sorry, I cannot say that."),
])
def test_a_turn_that_failed_is_refused_without_any_value(refusal: str, heard: str) -> None:
    assert CompiledAgent(refusing(refusal), 1).refused == heard


@pytest.mark.anyio
async def test_a_variable_that_only_the_greeting_reads_is_fetched_for_it() -> None:
    from tests.brain.talk import Functions

    agent = bundle(agent={"greeting": "Welcome to {{ town }}."}, tools=[{"id": "where", "python": "t.py:f"}],
                   variables=[{"name": "town", "tool": "where"}], rules=RULES)
    async with talking(agent, Functions(where=lambda: "Graz")) as talk:
        assert await talk.reply("hello") == "Welcome to Graz."


# --- languages ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_standing_texts_have_variants_by_the_id_of_a_template() -> None:
    both = {"hi": ("Hello.", "Guten Tag."), "unknown_to_me": ("No idea.", "Keine Ahnung."),
            "pass": ("You are passed on.", "Ich verbinde."), "which_day": ("Which day?", "An welchem Tag?")}
    templates = [{"id": name, "text": english} for name, (english, _) in both.items()]
    templates += [{"id": f"{name}.de", "text": german, "language": "de"} for name, (_, german) in both.items()]
    agent = bundle(
        agent={"languages": ["en", "de"], "greeting": "hi", "unmatched": "unknown_to_me",
               "handoff": {"enabled": True, "text": "pass"}},
        templates=templates, rules=[{**HANDOVER, "examples": ["ich will mit jemandem sprechen"]}],
        fields=[{"name": "day", "type": "date", "ask": "which_day"}],
        scenarios=[{"id": "visit", "entry": "the user plans a visit", "examples": ["ich möchte einen Besuch planen"],
                    "steps": [{"id": "when", "collects": ["day"]}]}])
    async with talking(agent) as talk:
        assert await talk.reply("ich möchte einen Besuch planen") == "Guten Tag. An welchem Tag?"
        assert await talk.reply("abbrechen") == "In Ordnung, ich habe abgebrochen."
        assert await talk.reply("und was ist das für ein Xylophon") == "Keine Ahnung."
        assert await talk.reply("ich will mit jemandem sprechen") == "Ich verbinde."
