"""Transitions that ask again for what is known: the day was full, so which other day?"""

from __future__ import annotations

from typing import Any

import pytest

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import Functions, bundle, talking

FULL = "2026-11-20"
DAY: dict[str, Any] = {"name": "day", "type": "date", "scope": "CASE", "ask": "Which day?"}


def visits(*next_: dict[str, Any], full: dict[str, Any] | None = None, field: dict[str, Any] | None = None,
           **day: Any) -> AgentBundle:
    """Takes a visit down when there is room on the day. `next_` leads out of the step for full days."""
    return bundle(
        fields=[field or DAY],
        tools=[{"id": "room", "python": "t.py:f", "outputs": {"free": "free"},
                "parameters": {"type": "object", "properties": {"day": {}}, "required": ["day"]}}],
        scenarios=[{"id": "visit", "entry": "the user wants a visit", "examples": ["a visit please"], "steps": [
            {"id": "when", "collects": ["day"], "can_skip": True, "next": [{"to": "look"}], **day},
            {"id": "look", "tools": [{"tool": "room"}], "required_action": True,
             "next": [{"to": "full", "when": "free == 0"}, {"to": "done"}]},
            {"id": "full", "next": list(next_),
             **(full or {"ask": "{{ day }} is full. Another day?"})},
            {"id": "done", "say": "See you on {{ day }}."},
            {"id": "none", "say": "Then not."}]}])


def room() -> Functions:
    return Functions(room=lambda day: {"free": 0 if day == FULL else 3})


YES: dict[str, Any] = {"to": "when", "if": "the user says yes", "reopen": ["day"]}
NO: dict[str, Any] = {"to": "none", "if": "the user says no"}


@pytest.mark.anyio
async def test_a_known_field_is_asked_for_again() -> None:
    async with talking(visits(YES, NO), room()) as talk:
        assert await talk.reply("a visit please") == "Which day?"
        assert await talk.reply("on 20 November") == f"{FULL} is full. Another day?"
        assert await talk.reply("yes") == "Which day?"
        assert talk.known("day") is None
        assert await talk.reply("on 20 November") == f"{FULL} is full. Another day?"
        assert await talk.reply("yes please") == "Which day?"
        assert await talk.reply("on 23 November") == "See you on 2026-11-23."
        assert [arguments["day"] for _, arguments in talk.tools.calls] == [FULL, FULL, "2026-11-23"]


@pytest.mark.anyio
async def test_a_message_that_leads_there_may_hold_the_new_value() -> None:
    async with talking(visits(YES, NO), room()) as talk:
        await talk.say("a visit please")
        await talk.say("on 20 November")
        assert await talk.reply("yes, on 23 November") == "See you on 2026-11-23."


@pytest.mark.anyio
async def test_without_reopen_the_old_value_would_lead_back_to_where_it_was() -> None:
    async with talking(visits({key: value for key, value in YES.items() if key != "reopen"}, NO), room()) as talk:
        await talk.say("a visit please")
        await talk.say("on 20 November")
        assert "Which day?" not in await talk.reply("yes")


@pytest.mark.anyio
async def test_a_result_can_reopen_a_field_in_the_turn_that_gave_it() -> None:
    """What is said before the way leads back still has the value."""
    agent = visits({"to": "when", "reopen": ["day"]}, full={"say": "{{ day }} is full."})
    async with talking(agent, room()) as talk:
        await talk.say("a visit please")
        assert await talk.reply("on 20 November") == f"{FULL} is full. Which day?"
        assert talk.known("day") is None
        assert await talk.reply("on 23 November") == "See you on 2026-11-23."


@pytest.mark.anyio
async def test_what_belongs_to_the_person_is_asked_for_again_and_kept_until_another_is_given() -> None:
    field = {**DAY, "scope": "IDENTITY"}
    async with talking(visits(YES, NO, field=field), room()) as talk:
        await talk.say("a visit please")
        await talk.say("on 20 November")
        assert await talk.reply("yes") == "Which day?"
        assert talk.known("day") == FULL
        assert await talk.reply("on 23 November") == "See you on 2026-11-23."
        assert talk.known("day") == "2026-11-23"


@pytest.mark.anyio
async def test_a_no_to_a_confirmation_can_reopen_a_field() -> None:
    agent = bundle(
        fields=[DAY], tools=[{"id": "book", "python": "t.py:f", "policy": "IRREVERSIBLE",
                              "parameters": {"type": "object", "properties": {"day": {}}, "required": ["day"]}}],
        scenarios=[{"id": "visit", "entry": "the user wants a visit", "examples": ["a visit please"], "steps": [
            {"id": "when", "collects": ["day"], "can_skip": True, "next": [{"to": "sure"}]},
            {"id": "sure", "tools": [{"tool": "book"}], "confirm": "On {{ day }}?",
             "next": [{"to": "when", "if": "the user says no", "reopen": ["day"]}, {"to": "done"}]},
            {"id": "done", "say": "Booked."}]}])
    async with talking(agent, Functions(book=lambda day: {"day": day})) as talk:
        await talk.say("a visit please")
        assert await talk.reply("on 20 November") == "On 2026-11-20?"
        assert await talk.reply("no") == "Which day?"
        assert await talk.reply("on 23 November") == "On 2026-11-23?"
        assert await talk.reply("yes") == "Booked."
        assert talk.tools.calls == [("book", {"day": "2026-11-23"})]


def test_only_fields_can_be_reopened() -> None:
    with pytest.raises(ConfigurationError, match="step full: no field called free; known: day"):
        CompiledAgent(visits({**YES, "reopen": ["free"]}), 1)
