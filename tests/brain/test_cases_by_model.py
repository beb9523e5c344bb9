"""Conversations with labels, in the way of the suites `matching` and `journeys`, over a scripted model endpoint: the
prompts hold what a model needs to label them right, and what it answers is applied exactly."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from bench.model_server import Answer, ModelServer
from ruche.storage.model.conversation import Exchange
from tests.brain.talk import Talk
from tests.brain.test_judge import judged

pytestmark = pytest.mark.anyio


class Case(NamedTuple):
    """What was said before (person, agent), the last message, conditions with actions by name, and those that hold."""

    before: tuple[tuple[str, str], ...]
    message: str
    conditions: dict[str, tuple[str, str]]
    hold: frozenset[str]


GARDEN = {
    "allergic": ("the customer is allergic to something in the order", "Offer to leave it out."),
    "ordering": ("the customer is ordering food", "Repeat the order."),
    "angry": ("the customer has become angry", "Apologise."),
    "first_visit": ("it is the customer's first visit", "Tell about the welcome drink."),
}
CASES = {
    "told earlier in the conversation": Case(
        (("Nuts make me ill, by the way.", "Thank you for telling me."),), "The walnut cake, please.", GARDEN,
        frozenset({"allergic", "ordering"})),
    "resembles a condition that does not hold": Case(
        (), "My neighbour was angry about your garden, can you believe it?", GARDEN, frozenset()),
    "changed in the course of it": Case(
        (("Two soups.", "Two soups, noted."), ("No, three!", "Three soups.")),
        "I said it twice now. This is getting on my nerves.", GARDEN, frozenset({"angry"})),
    "all of them at once": Case(
        (("I have never been here.", "Welcome!"),),
        "I want the nut soup although nuts make me ill, and hurry up at last!", GARDEN, frozenset(GARDEN)),
}


def begun(talk: Talk, before: tuple[tuple[str, str], ...]) -> None:
    history = tuple(Exchange(turn_id=f"before-{place}", said=(said,), reply=reply)
                    for place, (said, reply) in enumerate(before))
    talk.session = msgspec.structs.replace(talk.session, history=history, turn_count=len(history))


def rules_of(case: Case) -> tuple[dict[str, Any], ...]:
    return tuple({"id": name, "if": condition, "then": action} for name, (condition, action) in
                 case.conditions.items())


def labels(case: Case) -> str:
    return json.dumps({"rules": {name: "applies" if name in case.hold else "not_related" for name in case.conditions}})


def texts(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"])


@pytest.mark.parametrize("name", CASES)
async def test_a_filter_sees_every_condition_and_the_course_of_the_conversation_and_is_obeyed(name: str) -> None:
    case = CASES[name]
    async with judged(labels(case), Answer("As you wish."), rules=rules_of(case), agent={"rule_threshold": 0.0},
                      models={"filter": True, "judge": None}) as (talk, server):
        begun(talk, case.before)
        run = await talk.say(case.message)
    sift = texts(server.requests[0])
    assert all(f'"{rule}"' in sift and condition in sift for rule, (condition, _) in case.conditions.items())
    assert all(part in sift for exchange in case.before for part in exchange)
    assert case.message in sift
    assert all(action in sift for _, action in case.conditions.values())
    assert {rule.id for rule in run.rules} == case.hold


@pytest.mark.parametrize("name", CASES)
async def test_the_speaker_is_told_the_actions_of_the_rules_that_hold_and_no_others(name: str) -> None:
    case = CASES[name]
    async with judged(labels(case), Answer("As you wish."), rules=rules_of(case), agent={"rule_threshold": 0.0},
                      models={"filter": True, "judge": None}) as (talk, server):
        begun(talk, case.before)
        await talk.say(case.message)
    spoken = texts(server.requests[1])
    assert {rule for rule, (_, action) in case.conditions.items() if action in spoken} == case.hold
    assert case.message in spoken
    assert all(reply in spoken for _, reply in case.before)


BOOKING: dict[str, Any] = {
    "fields": [{"name": "flavour", "scope": "CASE", "ask": "Which flavour?"},
               {"name": "topping", "scope": "CASE", "ask": "Which topping?"},
               {"name": "scoops", "type": "number", "scope": "CASE", "ask": "How many scoops?"}],
    "scenarios": [{"id": "ice", "entry": "the customer wants an ice cream", "examples": ["an ice cream please"],
                   "steps": [
        {"id": "flavour", "collects": ["flavour"], "can_skip": True, "next": [{"to": "topping"}]},
        {"id": "topping", "collects": ["topping"], "can_skip": True, "next": [{"to": "scoops"}]},
        {"id": "scoops", "collects": ["scoops"], "can_skip": True, "next": [{"to": "sum"}]},
        {"id": "sum", "ask": "{{ scoops }} of {{ flavour }} with {{ topping }}, is that all?"}]}]}


def found(*values: tuple[str, str, str]) -> str:
    return json.dumps({"language": "en", "intent": "", "tone": "neutral", "values": [
        {"field": name, "value": value, "quote": quote} for name, value, quote in values]})


def reading(*script: str) -> Any:
    return judged(*script, rules=(), bundle=BOOKING, agent={"preset": "balanced"},
                  models={"generator": "composer", "judge": None})


def asked_fields(server: ModelServer) -> list[str]:
    """The fields that the last reading was told about as just asked for."""
    lists = server.requests[-1]["messages"][0]["content"]
    return list(json.loads(lists.split('<lists from="author">')[1].split("</lists>")[0])["asked"])


async def test_answers_to_later_questions_that_a_model_reads_let_steps_be_passed() -> None:
    read = found(("flavour", "mint", "mint"), ("topping", "nuts", "nuts on it"))
    async with reading(found(), read) as (talk, server):
        await talk.say("an ice cream please")
        run = await talk.say("mint, with nuts on it")
        assert asked_fields(server) == ["flavour"]
    assert run.reply == "How many scoops?"
    assert talk.step == "ice/scoops"


async def test_a_value_that_a_model_reads_in_a_changed_mind_replaces_the_earlier_one() -> None:
    async with reading(found(), found(("flavour", "mint", "mint")), found(("flavour", "lemon", "lemon"))) as (talk, _):
        await talk.say("an ice cream please")
        await talk.say("mint")
        await talk.say("actually I would rather have lemon as flavour")
    assert talk.known("flavour") == "lemon"
    assert talk.step == "ice/topping"


async def test_what_a_model_claims_without_its_being_said_changes_nothing() -> None:
    async with reading(found(), found(("flavour", "mint", "chocolate mint"), ("scoops", "9", "nine"))) as (talk, _):
        await talk.say("an ice cream please")
        await talk.say("hm, what do you have?")
    assert (talk.known("flavour"), talk.known("scoops")) == (None, None)
    assert talk.step == "ice/flavour"
