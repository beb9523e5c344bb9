"""What a reply contains and what kind of reply it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ruche.plugins.contracts import Generated, Prompt
from tests.brain.agents import RULES, taxi
from tests.brain.talk import Functions, bundle, talking

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("moment", "zone", "greeting"), [
    ("2026-03-29T10:30:00", "Europe/Paris", "Good afternoon, it is 12."),  # summer time began that night
    ("2026-03-28T10:30:00", "Europe/Paris", "Good morning, it is 11."),
    ("2026-11-20T23:30:00", "UTC", "Good evening, it is 23."),
    ("2026-11-20T23:30:00", "Asia/Tokyo", "Good morning, it is 8.")])
async def test_the_greeting_follows_the_time_of_day_where_the_agent_lives(
        moment: str, zone: str, greeting: str) -> None:
    agent = bundle(agent={"greeting": "Good {{ now.part_of_day }}, it is {{ now.hour }}.", "timezone": zone})
    async with talking(agent) as talk:
        talk.now_ms = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)
        assert await talk.reply("hello") == greeting


async def test_the_first_reply_greets_and_answers_and_the_second_only_answers() -> None:
    async with talking(bundle(rules=RULES, agent={"greeting": "Welcome!"})) as talk:
        assert await talk.reply("when do you open?") == "Welcome! We are open from 9 to 17."
        assert await talk.reply("when do you open?") == "We are open from 9 to 17."
        assert await talk.reply("good morning") == "Welcome!"


async def test_a_message_that_nothing_answers_gets_the_agents_unmatched_text() -> None:
    async with talking(bundle(rules=RULES, agent={"unmatched": "That is beyond me."})) as talk:
        run = await talk.say("colourless green ideas sleep furiously")
        assert (run.reply, run.categories, run.response_type) == ("That is beyond me.", ("OUT_OF_SCOPE",), "ANSWER")
        assert talk.session.unmatched_streak == 1
        await talk.say("when do you open?")
        assert talk.session.unmatched_streak == 0


async def test_a_question_that_only_names_something_is_not_thanked_for() -> None:
    agent = bundle(fields=[{"name": "colour", "allowed": ["red"]}], agent={"unmatched": "That is beyond me."})
    async with talking(agent) as talk:
        assert await talk.reply("why is red so loud?") == "That is beyond me."
        assert await talk.reply("my colour is red") == "Thank you, I have noted that."


async def test_the_second_unmatched_message_in_a_row_offers_a_person_where_there_is_one() -> None:
    agent = bundle(rules=RULES, agent={"handoff": {"enabled": True, "text": "Anna takes over."}})
    async with talking(agent) as talk:
        assert "person" not in await talk.reply("colourless green ideas")
        run = await talk.say("sleep furiously")
        assert run.reply.endswith("Would you like me to pass you on to a person?")
        run = await talk.say("yes please")
        assert (run.reply, run.status, run.response_type) == ("Anna takes over.", "handed_off", "HANDOFF")
        assert talk.session.handed_off


async def test_no_person_is_offered_where_there_is_none() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        for _ in range(3):
            assert "person" not in await talk.reply("colourless green ideas")


@pytest.mark.parametrize("effect", ["REFUSE", "ESCALATE", "HANDOFF"])
async def test_the_kind_of_a_reply_is_declared_and_not_read_from_its_words(effect: str) -> None:
    declared = {"id": "d", "if": "the user asks for the secret", "then": "All is well.", "effect": effect,
                "examples": ["what is the secret"]}
    words = {"id": "w", "if": "the user asks about escalation", "then": "We never escalate, hand off or refuse.",
             "examples": ["do you escalate"]}
    async with talking(bundle(rules=[declared, words])) as talk:
        assert (await talk.say("what is the secret")).response_type == effect
        assert (await talk.say("do you escalate")).response_type == "ANSWER"


async def test_an_exclusive_template_is_said_word_for_word_and_no_model_is_asked() -> None:
    class Model:
        name = "model"

        async def generate(self, prompt: Prompt) -> Generated:
            raise AssertionError

        def stream(self, prompt: Prompt) -> Any:
            raise AssertionError

    agent = bundle(
        templates=[{"id": "legal", "text": "Sure,  this is legal text. Sure, it is.", "mode": "EXCLUSIVE"}],
        rules=[{"id": "law", "if": "the user asks for the terms", "then": "Quote the terms.", "templates": ["legal"],
                "examples": ["what are the terms"]}])
    async with talking(agent, generator=Model()) as talk:
        run = await talk.say("what are the terms")
        assert (run.reply, run.usage.model_calls) == ("Sure,  this is legal text. Sure, it is.", 0)


async def test_an_instruction_is_not_read_out_but_what_it_says_to_say_is() -> None:
    rules = [{"id": "a", "if": "the user asks for alpha", "then": "Tell the user that alpha is sold out.",
              "examples": ["is there alpha"]},
             {"id": "b", "if": "the user asks for beta", "then": "Apologise and offer something else.",
              "examples": ["is there beta"]}]
    async with talking(bundle(rules=rules)) as talk:
        assert await talk.reply("is there alpha") == "Alpha is sold out."
        assert "Apologise" not in await talk.reply("is there beta")


async def test_an_answer_that_cannot_be_used_is_told_and_asked_for_again() -> None:
    agent = bundle(
        fields=[{"name": "people", "type": "number", "maximum": 8, "ask": "For how many?"}],
        scenarios=[{"id": "s", "entry": "the user begins", "examples": ["begin"],
                    "steps": [{"id": "one", "collects": ["people"], "next": []}]}])
    async with talking(agent) as talk:
        await talk.say("begin")
        run = await talk.say("12")
        assert run.reply == "I cannot use that answer. Please give a number of at most 8. For how many?"
        assert run.decisions["learn"]["rejected"] == {"people": "is above 8"}
        assert await talk.reply("4") == "Thank you, I have noted that."
        assert talk.known("people") == 4


async def test_a_model_is_told_which_fields_are_known_and_never_their_values() -> None:
    prompts: list[Prompt] = []

    class Model:
        name = "model"

        async def generate(self, prompt: Prompt) -> Generated:
            prompts.append(prompt)
            return Generated(text="Fine.")

        async def stream(self, prompt: Prompt) -> Any:
            prompts.append(prompt)
            yield "Fine."

    agent = taxi(agent={"models": {"generator": "model"}})
    async with talking(agent, Functions(book=lambda place, pickup_time: {}), generator=Model()) as talk:
        await talk.say("I need a taxi")
        await talk.say("Secret Street 5")
        assert prompts[-1].plan["variables"] == {"place": "known", "pickup_time": "unknown"}
        assert "Secret Street" not in prompts[-1].instructions + repr(prompts[-1].plan)


async def test_what_is_known_of_a_person_is_kept_for_other_sessions_and_the_rest_is_not() -> None:
    agent = bundle(
        fields=[{"name": "email", "type": "email"}, {"name": "colour", "allowed": ["red"], "scope": "SESSION"},
                {"name": "city", "allowed": ["Rome"], "scope": "IDENTITY", "persist": False}])
    async with talking(agent) as talk:
        await talk.say("write to ada@example.org, red, Rome")
        assert set(talk.profile.fields) == {"email"}
        assert set(talk.session.fields) == {"colour", "city"}
        assert talk.profile.version == 1
        await talk.say("actually my email is ada@lovelace.org")
        value = talk.profile.fields["email"]
        assert (value.value, [old for old, _ in value.history]) == ("ada@lovelace.org", ["ada@example.org"])


async def test_a_value_that_has_expired_is_not_known_any_more() -> None:
    agent = taxi(fields=[{"name": "place", "type": "string", "ask": "Where?", "freshness_seconds": 60},
                         {"name": "pickup_time", "type": "time", "ask": "When?", "freshness_seconds": 60}])
    async with talking(agent) as talk:
        await talk.say("I need a taxi at 7pm")
        assert await talk.reply("Main Street 5") == "A taxi from Main Street 5 at 19:00, shall I book it?"
        talk.now_ms += 120_000
        assert await talk.reply("yes") in ("Where?", "When?")
