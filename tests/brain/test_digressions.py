"""A message that begins another scenario in the midst of one speaks of the new one."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Hit
from tests.brain.talk import bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked

pytestmark = pytest.mark.anyio


def hotel() -> Any:
    fields = [{"name": "room", "type": "number", "scope": "CASE", "ask": "Which room?"},
              {"name": "call_time", "type": "time", "scope": "CASE", "ask": "When shall we call?"},
              {"name": "dinner_time", "type": "time", "scope": "CASE", "ask": "When is dinner?"}]
    call = [{"id": "room", "collects": ["room"], "can_skip": True, "next": [{"to": "time"}]},
            {"id": "time", "collects": ["call_time"], "can_skip": True, "next": [{"to": "end"}]},
            {"id": "end", "say": "We call room {{ room }} at {{ call_time }}."}]
    table = [{"id": "when", "collects": ["dinner_time"], "can_skip": True, "next": [{"to": "end"}]},
             {"id": "end", "say": "Dinner is at {{ dinner_time }}."}]
    return bundle(fields=fields, scenarios=[
        {"id": "call", "entry": "the guest wants a wake-up call", "examples": ["wake me up"], "steps": call},
        {"id": "table", "entry": "the guest wants a table for dinner", "examples": ["a table for dinner"],
         "steps": table}])


async def test_a_value_belongs_to_the_scenario_that_its_message_begins() -> None:
    async with talking(hotel()) as talk:
        assert await talk.reply("wake me up") == "Which room?"
        assert await talk.reply("a table for dinner at 7pm please") == "Dinner is at 19:00. Which room?"
        assert talk.known("call_time") is None
        assert await talk.reply("305") == "When shall we call?"
        assert await talk.reply("6:45 am") == "We call room 305 at 06:45."


async def test_a_value_that_was_asked_for_stays_where_it_was_asked() -> None:
    async with talking(hotel()) as talk:
        for text in ("wake me up", "305"):
            await talk.say(text)
        await talk.say("at 6:45, and a table for dinner")
        assert talk.known("call_time") == "06:45"


def turns(second: float) -> Turns:
    """A first message that wants a wake-up call, and one of this likeness to wanting a table."""
    return Turns(Ranked(scenarios=(Hit(id="call", score=0.9),)), Ranked(scenarios=(Hit(id="table", score=second),)))


@pytest.mark.parametrize(("message", "score", "step"), [
    ("305", 0.9, "call/time"), ("it is 305", 0.9, "call/time"), ("305, and a table for dinner", 0.9, "table/when"),
    ("I don't know the number", 0.4, "call/room"), ("I don't know, a table for dinner", 0.9, "table/when")])
async def test_a_mere_answer_begins_no_other_scenario_however_like_one_it_is(message: str, score: float,
                                                                             step: str) -> None:
    async with talking(hotel(), retrieval=turns(score)) as talk:
        await talk.say("wake me up")
        await talk.say(message)
        assert talk.step == step
