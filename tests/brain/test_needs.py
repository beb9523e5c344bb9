"""What a scenario and a step require: hard or soft, asked for, skipped, blocked, or taken out of earlier words."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.brain.talk import Functions, bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked, scored

pytestmark = pytest.mark.anyio

FIELDS = [{"name": "city", "ask": "Which city?", "scope": "CASE", "allowed": ["Rome", "Oslo"]},
          {"name": "email", "type": "email", "ask": "Your e-mail?", "scope": "SESSION"},
          {"name": "guests", "type": "number", "ask": "How many?", "scope": "CASE", "examples": ["4 people"]}]
BEGIN = Ranked(scenarios=scored(trip=0.9).hits.rules)
NOTHING = scored()


def trip(*needs: dict[str, Any], first: dict[str, Any] | None = None, entry: Any = (), **parts: Any) -> Any:
    """A trip whose second step has these needs."""
    steps = [{"id": "where", "collects": ["city"], "next": [{"to": "book"}]},
             {"id": "book", "say": "Booked.", "needs": list(needs), "next": [{"to": "done"}]},
             {"id": "done", "say": "Goodbye."}]
    scenario = {"id": "trip", "entry": "a trip", "needs": list(entry), "steps": [first, *steps] if first else steps}
    return bundle(**{"fields": FIELDS, "scenarios": [scenario], **parts})


def talk_of(agent: Any, *rankings: Ranked, gateway: Functions | None = None) -> Any:
    return talking(agent, gateway, retrieval=Turns(*(rankings or (BEGIN, NOTHING))))


async def test_a_hard_need_is_asked_for_before_the_step_is_carried_out() -> None:
    async with talk_of(trip({"field": "email"})) as talk:
        assert await talk.reply("a trip") == "Which city?"
        assert await talk.reply("Rome") == "Your e-mail?"
        assert await talk.reply("well, let me see") == "Your e-mail?"
        assert await talk.reply("ada@example.org") == "Booked. Goodbye."


async def test_a_soft_need_is_asked_for_once() -> None:
    async with talk_of(trip({"field": "email", "level": "SOFT"})) as talk:
        await talk.say("a trip")
        assert await talk.reply("Rome") == "Your e-mail?"
        assert await talk.reply("I would rather not say that") == "Booked. Goodbye."


@pytest.mark.parametrize(("when", "reply"), [("guests > 4", "Your e-mail?"), ("guests > 9", "Booked. Goodbye."),
                                             ("unheard_of == 1", "Booked. Goodbye.")])
async def test_a_need_counts_only_while_its_condition_holds(when: str, reply: str) -> None:
    agent = trip({"field": "email", "when": when}, variables=[{"name": "unheard_of"}])
    async with talk_of(agent) as talk:
        await talk.say("a trip for 6 people")
        assert await talk.reply("Rome") == reply


async def test_a_need_waits_for_what_it_depends_on_and_the_order_is_the_authors() -> None:
    needs = [{"field": "email", "depends_on": ["guests"], "order": 1}, {"field": "guests", "order": 2}]
    async with talk_of(trip(*needs)) as talk:
        await talk.say("a trip")
        assert await talk.reply("Rome") == "How many?"
        assert await talk.reply("4") == "Your e-mail?"


async def test_a_step_is_left_out_while_a_field_is_unknown_that_it_is_to_be_skipped_without() -> None:
    async with talk_of(trip({"field": "email", "fallback": "SKIP"})) as talk:
        await talk.say("a trip")
        assert await talk.reply("Rome") == "Goodbye."
    async with talk_of(trip({"field": "email", "fallback": "SKIP"})) as talk:
        await talk.say("a trip, and I am ada@example.org")
        assert await talk.reply("Rome") == "Booked. Goodbye."


async def test_a_step_that_is_blocked_says_and_does_nothing_until_the_field_is_known() -> None:
    async with talk_of(trip({"field": "email", "fallback": "BLOCK"})) as talk:
        await talk.say("a trip")
        assert "Booked" not in await talk.reply("Rome")
        assert talk.step == "trip/book"
        assert await talk.reply("ada@example.org") == "Booked. Goodbye."


async def test_a_scenario_does_not_begin_without_what_blocks_it_and_says_what_that_is() -> None:
    agent = trip(entry=[{"field": "email", "fallback": "BLOCK"}])
    async with talk_of(agent, BEGIN, NOTHING, BEGIN, NOTHING) as talk:
        run = await talk.say("a trip")
        assert (run.reply, talk.step) == ("I cannot do that without your email.", "")
        assert run.decisions["orchestrate"]["blocked"] == "trip did not begin: email is not known"
        await talk.say("I am ada@example.org")
        assert await talk.reply("a trip") == "Which city?"


async def test_a_need_of_the_scenario_is_a_need_of_its_first_step() -> None:
    async with talk_of(trip(entry=[{"field": "email"}])) as talk:
        assert await talk.reply("a trip") == "Your e-mail?"
        assert await talk.reply("ada@example.org") == "Which city?"


async def test_a_need_is_taken_out_of_what_was_said_before_the_scenario_began() -> None:
    agent = trip({"field": "guests", "fallback": "EXTRACT"})
    async with talk_of(agent, NOTHING, BEGIN, NOTHING) as talk:
        await talk.say("we are 4 people, by the way")
        talk.session = replace(talk.session, fields={})
        await talk.say("a trip")
        assert talk.known("guests") == 4
        assert await talk.reply("Rome") == "Booked. Goodbye."


async def test_what_cannot_be_taken_out_is_asked_for() -> None:
    async with talk_of(trip({"field": "guests", "fallback": "EXTRACT"})) as talk:
        await talk.say("a trip")
        assert await talk.reply("Rome") == "How many?"


async def test_a_tool_of_a_step_waits_for_its_needs() -> None:
    tools = [{"id": "book", "python": "tools.py:book", "outputs": {"ticket": "id"}}]
    steps = [{"id": "book", "needs": [{"field": "email"}], "tools": [{"tool": "book"}], "say": "It is {{ ticket }}."}]
    agent = bundle(fields=FIELDS, tools=tools, scenarios=[{"id": "trip", "entry": "a trip", "steps": steps}])
    async with talk_of(agent, gateway=Functions(book=lambda: {"id": "T1"})) as talk:
        assert await talk.reply("a trip") == "Your e-mail?"
        assert talk.tools.calls == []
        assert await talk.reply("ada@example.org") == "It is T1."
