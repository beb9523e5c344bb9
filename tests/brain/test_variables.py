"""A variable's tool is called when its policy says so, and what it gave is kept as long as its author says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brain.agents import taxi
from tests.brain.talk import Functions, Talk, talking

pytestmark = pytest.mark.anyio


def weather(when: str, *, cache: int = 0, default: Any = None, **parts: Any) -> Any:
    variable = {"name": "degrees", "tool": "look", "policy": when, "cache_seconds": cache,
                **({} if default is None else {"default": default})}
    rules = [{"id": "cold", "if": "the user asks how cold it is", "then": "It has {{ degrees }} degrees.",
              "examples": ["how cold is it"]}]
    agent = taxi(rules=rules, variables=[variable])
    look = {"id": "look", "python": "tools.py:look", **parts}
    return agent.model_copy(update={"tools": (*agent.tools, type(agent.tools[0]).model_validate(look))})


def counting(*values: Any) -> Functions:
    left = list(values)
    return Functions(look=lambda: {"degrees": left.pop(0) if len(left) > 1 else left[0]})


async def looks(talk: Talk, *texts: str) -> list[int]:
    """How often the tool was called in each of these turns."""
    found = []
    for text in texts:
        before = len(talk.tools.calls)
        await talk.say(text)
        found.append(len(talk.tools.calls) - before)
    return found


@pytest.mark.parametrize(("policy", "calls"), [
    ("ON_EACH_TURN", [1, 1, 1, 1]), ("ON_SESSION_START", [1, 0, 0, 0]), ("ON_SCENARIO_ENTRY", [0, 1, 0, 0]),
    ("ON_DEMAND", [0, 0, 1, 0])])
async def test_the_policy_says_when_the_tool_is_called(policy: str, calls: list[int]) -> None:
    async with talking(weather(policy), counting(4)) as talk:
        assert await looks(talk, "qwertz", "I need a taxi", "how cold is it?", "how cold is it?") == calls


@pytest.mark.parametrize("policy", ["ON_EACH_TURN", "ON_DEMAND"])
async def test_a_value_is_good_for_as_long_as_it_may_be_kept(policy: str) -> None:
    async with talking(weather(policy, cache=60), counting(4, 5)) as talk:
        assert await talk.reply("how cold is it?") == "It has 4 degrees."
        talk.now_ms += 50_000
        assert await talk.reply("how cold is it?") == "It has 4 degrees."
        talk.now_ms += 20_000
        assert await talk.reply("how cold is it?") == "It has 5 degrees."


async def test_a_value_that_cannot_be_had_is_unknown_or_what_the_author_begins_with() -> None:
    def broken() -> Any:
        raise RuntimeError("no connection")

    async with talking(weather("ON_DEMAND"), Functions(look=broken)) as talk:
        assert await talk.reply("how cold is it?") == "I am sorry, I cannot help with that."
    async with talking(weather("ON_DEMAND", default=7), Functions(look=broken)) as talk:
        assert await talk.reply("how cold is it?") == "It has 7 degrees."


async def test_a_tool_with_consequences_resolves_no_variable() -> None:
    async with talking(weather("ON_EACH_TURN", policy="IRREVERSIBLE"), counting(4)) as talk:
        assert await looks(talk, "how cold is it?") == [0]
