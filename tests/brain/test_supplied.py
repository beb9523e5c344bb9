"""Tools fill fields and prove values: what they say is checked like any other, and what a person said stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.contracts import ToolResult
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.tape import ReplayTape
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import canonical
from tests.brain.talk import Desk, Functions, bundle, talking, without_times
from tests.brain.test_replay import replaying

pytestmark = pytest.mark.anyio


PLAIN = [{"id": "who", "collects": ["customer"], "tools": [{"tool": "lookup"}], "next": [{"to": "where"}]},
         {"id": "where", "collects": ["street"], "can_skip": True, "next": [{"to": "send"}]},
         {"id": "send", "say": "It goes to {{ street }}."}]


def order(*, fields: list[dict[str, Any]] | None = None, tools: list[dict[str, Any]] | None = None,
          steps: list[dict[str, Any]] | None = None) -> AgentBundle:
    """Asks for a customer number, looks the customer up, and says where it sends something."""
    return bundle(
        fields=fields or [{"name": "customer", "pattern": "[0-9]{4}", "scope": "CASE", "ask": "Your number?"},
                          {"name": "street", "scope": "CASE", "ask": "Which street?"}],
        tools=tools or [{"id": "lookup", "python": "tools.py:lookup", "outputs": {"street": "street"},
                         "parameters": {"type": "object", "properties": {"customer": {}}, "required": ["customer"]}}],
        scenarios=[{"id": "order", "entry": "the user wants to order", "examples": ["I want to order"],
                    "steps": steps or PLAIN}])


async def test_a_value_that_a_tool_gives_for_a_field_is_known_and_not_asked_for() -> None:
    tools = Functions(lookup=lambda customer: {"street": "Main Street 5"})
    async with talking(order(), tools) as talk:
        await talk.say("I want to order")
        run = await talk.say("1234")
        value = talk.session.fields["street"]
    assert run.reply == "It goes to Main Street 5."
    assert (value.source, value.origin, value.value, value.turn_id) == (
        "tool_result", "tool:lookup", "Main Street 5", run.id)
    assert "street" not in talk.session.variables


async def test_what_a_person_said_stands_against_what_a_tool_gives() -> None:
    steps = [{"id": "where", "collects": ["street"], "next": [{"to": "who"}]},
             {"id": "who", "collects": ["customer"], "tools": [{"tool": "lookup"}], "next": [{"to": "send"}]},
             {"id": "send", "say": "It goes to {{ street }}."}]
    tools = Functions(lookup=lambda customer: {"street": "Main Street 5"})
    async with talking(order(steps=steps), tools) as talk:
        await talk.say("I want to order")
        await talk.say("Elm Road 7")
        run = await talk.say("1234")
    assert run.reply == "It goes to Elm Road 7."


WRONG = {"another type": ("number", {}, "many"), "out of bounds": ("number", {"maximum": 9}, 10),
         "not allowed": ("string", {"allowed": ["north", "south"]}, "west"), "no date": ("date", {}, "soonish"),
         "a truth value": ("number", {}, True), "a list": ("string", {}, ["x"]), "no address": ("email", {}, "ada at"),
         "not the pattern": ("string", {"pattern": "[a-z]+"}, "X1"), "too long": ("string", {}, "x" * 600)}


@pytest.mark.parametrize(("kind", "limits", "given"), WRONG.values(), ids=WRONG)
async def test_a_value_that_its_field_does_not_take_is_refused_and_asked_for(kind: str, limits: dict[str, Any],
                                                                             given: Any) -> None:
    fields = [{"name": "customer", "pattern": "[0-9]{4}", "scope": "CASE", "ask": "Your number?"},
              {"name": "street", "type": kind, "scope": "CASE", "ask": "Which street?", **limits}]
    async with talking(order(fields=fields), Functions(lookup=lambda customer: {"street": given})) as talk:
        await talk.say("I want to order")
        run = await talk.say("1234")
    assert talk.known("street") is None
    assert "street" in run.decisions["learn"]["rejected"]
    assert "Which street?" in run.reply


MONEY = {"amount": 5, "currency": "EUR"}
RIGHT = {"a number": ("number", 7, 7), "a number in a text": ("number", "7", 7), "money": ("money", MONEY, MONEY),
         "a truth value": ("boolean", False, False), "a date": ("date", "2026-12-24", "2026-12-24"),
         "json": ("json", {"a": [1]}, {"a": [1]}), "digits": ("string", 4711, "4711")}


@pytest.mark.parametrize(("kind", "given", "kept"), RIGHT.values(), ids=RIGHT)
async def test_a_value_is_kept_as_if_a_person_had_said_it(kind: str, given: Any, kept: Any) -> None:
    fields = [{"name": "customer", "pattern": "[0-9]{4}", "scope": "CASE", "ask": "Your number?"},
              {"name": "street", "type": kind, "scope": "CASE", "ask": "Which street?"}]
    async with talking(order(fields=fields), Functions(lookup=lambda customer: {"street": given})) as talk:
        await talk.say("I want to order")
        await talk.say("1234")
    assert talk.known("street") == kept


def checked(**field: Any) -> AgentBundle:
    """A customer number that a tool verifies before anything follows from it."""
    return order(
        fields=[{"name": "customer", "pattern": "[0-9]{4}", "scope": "CASE", "ask": "Your number?", "verify": "check",
                 **field}],
        tools=[{"id": "check", "python": "tools.py:check",
                "parameters": {"type": "object", "properties": {"customer": {}}, "required": ["customer"]}}],
        steps=[{"id": "who", "collects": ["customer"], "next": [{"to": "in", "when": "customer_verified"},
                                                                {"to": "out", "priority": -1}]},
               {"id": "in", "say": "Welcome, {{ customer }}."}, {"id": "out", "say": "I cannot tell who you are."}])


async def test_a_value_that_the_tool_proves_is_verified_with_who_and_when() -> None:
    async with talking(checked(), Functions(check=lambda customer: {"valid": True})) as talk:
        await talk.say("I want to order")
        run = await talk.say("1234")
        value = talk.session.fields["customer"]
    assert run.reply == "Welcome, 1234."
    assert (value.verified, value.verified_by, value.verified_ms) == (True, "tool:check", talk.now_ms)
    assert [(call.name, call.status, call.arguments) for call in run.tools] == [("check", "ok", {"customer": "1234"})]


async def test_a_value_that_the_tool_refuses_is_asked_for_again() -> None:
    async with talking(checked(), Functions(check=lambda customer: customer == "1111")) as talk:
        await talk.say("I want to order")
        refused = await talk.say("1234")
        unknown = talk.known("customer")
        right = await talk.say("1111")
    assert unknown is None
    assert refused.decisions["learn"]["rejected"]["customer"] == "was refused by the tool that verifies it"
    assert "Your number?" in refused.reply
    assert right.reply == "Welcome, 1111."


async def test_a_refused_correction_leaves_the_value_that_was_right() -> None:
    async with talking(checked(scope="IDENTITY"), Functions(check=lambda customer: customer == "1111")) as talk:
        await talk.say("I want to order")
        await talk.say("1111")
        await talk.say("actually my customer number is 2222")
        value = talk.profile.fields["customer"]
    assert (value.value, value.verified) == ("1111", True)


@pytest.mark.parametrize("answer", [ToolResult(status="error", error="down"), ToolResult(status="timeout"), None,
                                    {"valid": "yes"}, "true", {}], ids=str)
async def test_where_the_tool_does_not_say_the_value_stays_unproven(answer: Any) -> None:
    async with talking(checked(), Functions(check=lambda customer: answer)) as talk:
        await talk.say("I want to order")
        run = await talk.say("1234")
    assert run.reply == "I cannot tell who you are."
    assert not talk.session.fields["customer"].verified


async def test_what_is_proven_is_not_proven_again_until_it_changes() -> None:
    tools = Functions(check=lambda customer: True)
    async with talking(checked(scope="IDENTITY"), tools) as talk:
        await talk.say("I want to order")
        await talk.say("1111")
        await talk.say("hello")
        await talk.say("my customer number is 1111")
    assert tools.calls == [("check", {"customer": "1111"})]


async def test_a_tool_of_a_step_proves_another_field() -> None:
    """A code that was sent to a telephone proves the telephone's number."""
    agent = order(
        fields=[{"name": "phone", "type": "phone", "scope": "CASE", "ask": "Your number?"},
                {"name": "code", "pattern": "[0-9]{6}", "scope": "CASE", "ask": "Which code did you get?"}],
        tools=[{"id": "match", "python": "tools.py:match", "verifies": ["phone"], "outputs": {"matched": "valid"},
                "parameters": {"type": "object", "properties": {"phone": {}, "code": {}},
                               "required": ["phone", "code"]}}],
        steps=[{"id": "ask", "collects": ["phone", "code"], "tools": [{"tool": "match"}],
                "next": [{"to": "in", "when": "phone_verified"}, {"to": "out", "priority": -1}]},
               {"id": "in", "say": "Thank you."}, {"id": "out", "say": "That is another code."}])
    for code, said in (("123456", "Thank you."), ("654321", "That is another code.")):
        async with talking(agent, Functions(match=lambda phone, code: {"valid": code == "123456"})) as talk:
            await talk.say("I want to order")
            await talk.say("+44 20 7946 0958")
            assert (await talk.say(code)).reply == said


async def test_a_turn_with_verified_values_replays_from_its_tape() -> None:
    async with talking(checked(), Functions(check=lambda customer: {"valid": True})) as talk:
        runs = [await talk.say("I want to order"), await talk.say("1234")]
        agent = talk.brain._agents.current("default", "desk")
        for turn, run in zip(talk.inputs, runs, strict=True):
            again = (await replaying(agent).think(turn, ReplayTape(run.tape), Desk())).run
            assert canonical(without_times(again)) == canonical(without_times(run))


def test_a_field_is_verified_by_a_tool_without_consequences() -> None:
    from ruche.engine.brain.compiled import CompiledAgent

    tool = {"id": "check", "python": "tools.py:check", "policy": "IRREVERSIBLE"}
    with pytest.raises(ConfigurationError, match="take a tool that is PURE or IDEMPOTENT"):
        CompiledAgent(bundle(fields=[{"name": "pin", "verify": "check"}], tools=[tool]), 1)
    with pytest.raises(ConfigurationError, match="no tool called chekc"):
        CompiledAgent(bundle(fields=[{"name": "pin", "verify": "chekc"}], tools=[tool]), 1)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
                        st.sampled_from(["street", "amount", "currency", "valid"]), inner, max_size=3)),
       st.sampled_from(["string", "email", "phone", "date", "time", "number", "money", "boolean", "iban", "json"]))
@settings(deadline=None, max_examples=50)
async def test_whatever_a_tool_gives_the_turn_ends_with_a_reply(given: Any, kind: str) -> None:
    fields = [{"name": "customer", "pattern": "[0-9]{4}", "scope": "CASE", "ask": "Your number?"},
              {"name": "street", "type": kind, "scope": "CASE", "ask": "Which street?"}]
    async with talking(order(fields=fields), Functions(lookup=lambda customer: {"street": given})) as talk:
        await talk.say("I want to order")
        assert (await talk.say("1234")).reply
