"""A step's tools are called before, during or after it, each after those that it depends on."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import ToolResult
from tests.brain.talk import Functions, bundle, talking

pytestmark = pytest.mark.anyio


def ordering(*bindings: dict[str, Any], **first: Any) -> Any:
    """`who` is required before the step `one` does anything, `what` is collected in it."""
    fields = [{"name": "who", "scope": "CASE", "ask": "Who?"}, {"name": "what", "scope": "CASE", "ask": "What?"}]
    tools = [{"id": name, "python": f"tools.py:{name}", "outputs": {f"{name}_out": "out"}} for name in "abc"]
    steps = [{"id": "one", "requires": ["who"], "collects": ["what"], "tools": list(bindings), "say": "One.",
              "next": [{"to": "two"}], **first}, {"id": "two", "ask": "Anything else?", "next": [{"to": "three"}]},
             {"id": "three", "say": "Over."}]
    scenario = {"id": "s", "entry": "the user wants to order", "examples": ["order something"], "steps": steps}
    return bundle(fields=fields, tools=tools, scenarios=[scenario])


def working(**others: Any) -> Functions:
    return Functions(**{**{name: lambda name=name: {"out": name} for name in "abc"}, **others})


def names(tools: Functions) -> list[str]:
    return [name for name, _ in tools.calls]


async def test_a_tool_runs_once_the_step_may_begin_once_all_is_known_or_when_it_is_left() -> None:
    tools = working()
    bindings = ({"tool": "a", "when": "AFTER"}, {"tool": "b"}, {"tool": "c", "when": "BEFORE"})
    async with talking(ordering(*bindings), tools) as talk:
        await talk.say("order something")
        assert names(tools) == []
        await talk.say("Ada")
        assert names(tools) == ["c"]
        await talk.say("bread")
        assert names(tools) == ["c", "b", "a"]
        await talk.say("nothing more")
        assert names(tools) == ["c", "b", "a"]


async def test_a_tool_is_called_after_those_it_depends_on_whatever_the_order() -> None:
    tools = working()
    bindings = ({"tool": "a", "depends_on": ["b"]}, {"tool": "b", "depends_on": ["c"]}, {"tool": "c"})
    async with talking(ordering(*bindings), tools) as talk:
        for text in ("order something", "Ada", "bread"):
            await talk.say(text)
        assert names(tools) == ["c", "b", "a"]


async def test_what_depends_on_a_tool_that_failed_is_not_called_and_the_step_says_nothing() -> None:
    tools = working(c=lambda: ToolResult(status="error", error="gone"))
    bindings = ({"tool": "a", "depends_on": ["c"]}, {"tool": "b"}, {"tool": "c"})
    async with talking(ordering(*bindings), tools) as talk:
        for text in ("order something", "Ada"):
            await talk.say(text)
        run = await talk.say("bread")
        assert {call.name: call.status for call in run.tools} == {"b": "ok", "c": "error", "a": "skipped"}
        assert "One." not in run.reply
        assert "I could not do that just now." in run.reply


async def test_a_binding_waits_for_the_names_that_it_requires() -> None:
    tools = working()
    bindings = ({"tool": "a", "requires": ["b_out"], "depends_on": ["b"]}, {"tool": "b"})
    async with talking(ordering(*bindings), tools) as talk:
        for text in ("order something", "Ada", "bread"):
            await talk.say(text)
        assert names(tools) == ["b", "a"]
