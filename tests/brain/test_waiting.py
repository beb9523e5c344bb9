"""While a person is waited for nothing goes on: no step, no question, no tool; afterwards it goes on where it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.brain.agents import RULES, taxi
from tests.brain.talk import Functions, talking

pytestmark = pytest.mark.anyio

PERSON = {"id": "person", "if": "the user wants to talk to a human being", "then": "Hand over", "effect": "HANDOFF",
          "examples": ["let me talk to a human being"]}
PASSING = "I am passing you on to a person."


def desk(**parts: Any) -> Any:
    looked = {"id": "look", "python": "tools.py:look"}
    asked = {**RULES[0], "tools": [{"tool": "look"}]}
    agent = taxi(rules=[PERSON, asked], agent={"handoff": {"enabled": True}, "greeting": "Hello! How can I help?"})
    return agent.model_copy(update={"tools": (*agent.tools, type(agent.tools[0]).model_validate(looked))})


async def test_who_is_passed_on_is_asked_nothing_more() -> None:
    async with talking(desk()) as talk:
        assert await talk.reply("let me talk to a human being") == f"Hello! {PASSING}"


async def test_nothing_goes_on_while_a_person_is_waited_for_and_everything_afterwards() -> None:
    tools = Functions(look=lambda: {}, book=lambda place, pickup_time: {"id": "T"})
    async with talking(desk(), tools) as talk:
        for text in ("I need a taxi", "Main Street 5", "let me talk to a human being"):
            await talk.say(text)
        for text in ("when do you open", "7pm", "yes", "never mind"):
            run = await talk.say(text)
            assert (run.reply, run.status, run.scenarios, run.tools) == (PASSING, "handed_off", (), ())
        assert (talk.step, tools.calls) == ("taxi/when", [])
        talk.session = msgspec.structs.replace(talk.session, handed_off=False)
        assert await talk.reply("go on please") == "A taxi from Main Street 5 at 19:00, shall I book it?"
