"""Scenarios within steps of others, rest on request, circles, and the bound on how many are in progress."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Hit
from ruche.plugins.errors import ConfigurationError
from tests.brain.talk import Talk, bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked, rule, scored

pytestmark = pytest.mark.anyio

FIELDS = [{"name": "city", "ask": "Which city?", "scope": "CASE", "allowed": ["Rome", "Oslo"]},
          {"name": "pin", "ask": "Your PIN?", "scope": "CASE", "pattern": "[0-9]{4}"}]
IDENTIFY = {"id": "identify", "entry": "who somebody is", "steps": [
    {"id": "pin", "collects": ["pin"], "next": [{"to": "known"}]}, {"id": "known", "say": "I know you."}]}
BEGIN = Ranked(scenarios=scored(trip=0.9).hits.rules)


def trip(*edges: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"id": "trip", "entry": "a trip", "steps": [
        {"id": "who", "scenario": "identify", "say": "First I ask who you are.",
         "next": [*edges, {"to": "where"}], **parts},
        {"id": "where", "collects": ["city"], "next": [{"to": "done"}]},
        {"id": "refused", "say": "Then I cannot book."}, {"id": "done", "say": "Booked for {{ city }}."}]}


def talk_of(*scenarios: dict[str, Any], rankings: tuple[Ranked, ...] = (BEGIN, scored()), **parts: Any) -> Any:
    return talking(bundle(fields=FIELDS, scenarios=list(scenarios), **parts), retrieval=Turns(*rankings))


def statuses(talk: Talk) -> dict[str, str]:
    return {one.scenario: one.status for one in talk.session.scenarios}


async def test_a_step_goes_through_another_scenario_and_goes_on_in_the_turn_that_ends_it() -> None:
    async with talk_of(trip(), IDENTIFY) as talk:
        run = await talk.say("a trip")
        assert run.reply == "First I ask who you are. Your PIN?"
        assert statuses(talk) == {"trip": "paused", "identify": "active"}
        assert [(move.id, move.action, move.why) for move in run.scenarios if move.action != "START"] == [
            ("trip", "PAUSE", "waits for identify")]
        run = await talk.say("1234")
        assert run.reply == "I know you. Which city?"
        assert ("trip", "RESUME") in [(move.id, move.action) for move in run.scenarios]
        assert statuses(talk) == {"trip": "active"}
        assert await talk.reply("Rome") == "Booked for Rome."


async def test_how_the_inner_scenario_ended_decides_where_the_outer_goes() -> None:
    edge = {"to": "refused", "when": "identify_outcome == 'cancelled'"}
    async with talk_of(trip(edge), IDENTIFY) as talk:
        await talk.say("a trip")
        run = await talk.say("never mind")
        assert run.reply.endswith("Then I cannot book.")
        assert statuses(talk) == {}


async def test_without_a_way_for_it_the_outer_scenario_ends_with_the_inner_one() -> None:
    async with talk_of(trip(), IDENTIFY) as talk:
        await talk.say("a trip")
        run = await talk.say("never mind")
        assert {move.id: move.action for move in run.scenarios} == {"identify": "CANCEL", "trip": "CANCEL"}
        assert statuses(talk) == {}


async def test_a_scenario_that_runs_already_is_joined_and_not_begun_twice() -> None:
    first = Ranked(scenarios=scored(identify=0.9).hits.rules)
    async with talk_of(trip(), IDENTIFY, rankings=(first, BEGIN, scored())) as talk:
        assert await talk.reply("who am I") == "Your PIN?"
        await talk.say("a trip")
        assert statuses(talk) == {"trip": "paused", "identify": "active"}
        assert await talk.reply("1234") == "I know you. Which city?"


async def test_a_step_needs_what_it_collects_before_the_scenario_within_it_begins() -> None:
    async with talk_of(trip(collects=["city"]), IDENTIFY) as talk:
        assert (await talk.reply("a trip")).endswith("Which city?")
        assert (await talk.reply("Oslo")).endswith("Your PIN?")


async def test_a_scenario_that_goes_through_itself_comes_to_an_end() -> None:
    snake = {"id": "trip", "entry": "a trip", "steps": [{"id": "a", "scenario": "tail", "next": [{"to": "end"}]},
                                                        {"id": "end", "say": "End."}]}
    tail = {"id": "tail", "entry": "a tail", "steps": [{"id": "b", "scenario": "trip", "next": [{"to": "end"}]},
                                                       {"id": "end", "say": "Tail."}]}
    async with talk_of(snake, tail) as talk:
        run = await talk.say("a trip")
        assert run.reply
        assert len(talk.session.scenarios) <= 2


def test_a_step_names_a_scenario_that_exists() -> None:
    from ruche.engine.brain.compiled import CompiledAgent

    with pytest.raises(ConfigurationError, match="no scenario called nowhere"):
        CompiledAgent(bundle(fields=FIELDS, scenarios=[trip(scenario="nowhere"), IDENTIFY]), 1)


# --- rest and return --------------------------------------------------------------------------------------------------

WHERE = {"id": "trip", "entry": "a trip", "steps": [
    {"id": "where", "collects": ["city"], "next": [{"to": "done"}]}, {"id": "done", "say": "Booked."}]}


async def test_a_scenario_rests_on_request_and_goes_on_on_request() -> None:
    async with talk_of(WHERE) as talk:
        await talk.say("a trip")
        run = await talk.say("not now")
        assert run.reply == "All right, we can go on with that later."
        assert [(move.id, move.action) for move in run.scenarios] == [("trip", "PAUSE")]
        assert statuses(talk) == {"trip": "paused"}
        assert await talk.reply("let's go on") == "Which city?"
        assert await talk.reply("Rome") == "Booked."


async def test_an_answer_that_sounds_like_rest_is_an_answer() -> None:
    fields = [{"name": "city", "ask": "Now or later?", "scope": "CASE", "allowed": ["now", "later"]}]
    async with talking(bundle(fields=fields, scenarios=[WHERE]), retrieval=Turns(BEGIN, scored())) as talk:
        await talk.say("a trip")
        assert await talk.reply("later") == "Booked."


# --- lost places ------------------------------------------------------------------------------------------------------


async def test_a_scenario_that_asks_in_vain_goes_where_the_message_belongs_if_that_is_near() -> None:
    steps = [{"id": "start", "collects": ["pin"], "next": [{"to": "where"}]},
             {"id": "where", "collects": ["city"], "next": [{"to": "price", "if": "the user asks for the price"}]},
             {"id": "price", "say": "It costs 5 euros."}]
    near = Ranked(transitions=(Hit(id="trip/where>price", score=0.9),))
    async with talk_of({"id": "trip", "entry": "a trip", "steps": steps},
                       rankings=(BEGIN, scored(), scored(), near)) as talk:
        assert await talk.reply("a trip") == "Your PIN?"
        await talk.say("hm")
        await talk.say("hm")
        run = await talk.say("the price")
        assert run.reply == "It costs 5 euros."
        assert run.scenarios[0].why.startswith("asked 3 times without an answer; set right: meaning scored")


async def test_a_scenario_that_goes_in_circles_rests() -> None:
    steps = [{"id": "a", "ask": "Left or right?", "next": [{"to": "b", "if": "the user wants to go left"}]},
             {"id": "b", "ask": "Up or down?", "next": [{"to": "a", "if": "the user wants to go up"}]}]
    left, up = (Ranked(transitions=(Hit(id=name, score=0.9),)) for name in ("trip/a>b", "trip/b>a"))
    steps[1]["next"].append({"to": "end", "if": "the user wants to stop"})
    steps.append({"id": "end", "say": "End."})
    async with talk_of({"id": "trip", "entry": "a trip", "steps": steps},
                       rankings=(BEGIN, left, up, left, up, left)) as talk:
        runs = [await talk.say(said) for said in ("a trip", "left", "up", "left", "up", "left")]
        paused = [move for run in runs for move in run.scenarios if move.action == "PAUSE"]
        assert [move.why for move in paused] == ["came to a 3 times within 10 turns"]


async def test_no_question_is_asked_beside_another() -> None:
    async with talk_of(trip(), IDENTIFY, rules=[rule("other", then="Something else.")],
                       rankings=(BEGIN, scored(other=0.6), scored())) as talk:
        assert (await talk.reply("a trip")).count("?") == 1
        assert (await talk.reply("and that?")).count("?") == 1
