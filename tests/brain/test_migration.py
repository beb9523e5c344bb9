"""Conversations that run while an agent changes: where they go on, what they are asked, and what nobody loses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.replay import load, replay
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.enforcers import built_in
from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import bundle

pytestmark = pytest.mark.anyio

FIELDS = [{"name": "city", "ask": "Which city?", "scope": "CASE", "allowed": ["Rome", "Oslo"]},
          {"name": "day", "type": "date", "ask": "Which day?", "scope": "CASE"},
          {"name": "email", "type": "email", "ask": "Your e-mail?", "scope": "CASE"},
          {"name": "vip", "type": "boolean", "ask": "Are you a member?", "scope": "CASE"}]
CITY = {"id": "city", "collects": ["city"], "say": "A trip then.", "next": [{"to": "day"}]}
DAY = {"id": "day", "collects": ["day"], "next": [{"to": "done"}]}
DONE = {"id": "done", "say": "To {{ city }} on {{ day }}."}
MAIL = {"id": "mail", "collects": ["email"], "next": [{"to": "day"}]}


def trip(*steps: dict[str, Any], **parts: Any) -> AgentBundle:
    return bundle(fields=FIELDS, **{"scenarios": [{"id": "trip", "entry": "the user wants to book a trip",
                                                   "examples": ["book a trip", "I want a trip"], "steps": list(steps)}],
                                    **parts})


def changed(step: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**step, **parts}


V1 = trip(CITY, DAY, DONE)


class Running:
    """Conversations with an engine that publishes one version after another."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.last = engine, ""

    async def publish(self, agent: AgentBundle) -> int:
        return (await self.engine._host.catalog.publish(agent)).version

    async def say(self, text: str, user: str = "ada", channel: str = "api") -> str:
        turn = await self.engine.chat(agent="desk", user=user, message=text, channel=channel)
        self.last = turn.turn_id
        return turn.reply

    async def decisions(self) -> dict[str, Any]:
        run = await self.engine.run("default", self.last)
        return run.decisions.get("orchestrate", {}).get("migrated", {})

    async def replays(self) -> bool:
        recorded = await self.engine._host.scribe.read(lambda store: load(store.tenant("default"), self.last))
        return (await replay(recorded, built_in())).difference is None


@asynccontextmanager
async def running(where: Path, agent: AgentBundle = V1) -> AsyncIterator[Running]:
    async with Engine.open(where / "data", embedder=HashingEmbedder()) as engine:
        made = Running(engine)
        await made.publish(agent)
        yield made


async def test_an_edited_sentence_moves_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.publish(trip(changed(CITY, say="A journey!", description="new"), DAY, changed(DONE, say="Bye.")))
        assert await desk.say("Rome") == "Which day?"
        assert await desk.decisions() == {}
        assert await desk.say("on 3 March 2027") == "Bye."


async def test_a_step_that_was_inserted_before_is_made_up_for_if_something_later_needs_it(tmp_path: Path) -> None:
    later = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(later)
        assert await desk.say("hm") == "Your e-mail?"
        assert await desk.decisions() == {"trip": "at day: makes up for mail, then goes on at day"}
        assert await desk.say("ada@example.org") == "Which day?"
        assert await desk.say("on 3 March 2027") == "Sent to ada@example.org, 2027-03-03."
        assert await desk.replays()


async def test_an_answer_that_comes_with_the_move_is_kept(tmp_path: Path) -> None:
    later = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(later)
        assert await desk.say("on 3 March 2027") == "Your e-mail?"
        assert await desk.say("ada@example.org") == "Sent to ada@example.org, 2027-03-03."


async def test_what_was_said_earlier_need_not_be_asked_for(tmp_path: Path) -> None:
    before = trip(CITY, DAY, DONE)
    before = before.model_copy(update={"fields": tuple(one for one in before.fields if one.name != "email")})
    later = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))
    async with running(tmp_path, before) as desk:
        await desk.say("book a trip, I am ada@example.org")
        await desk.say("Rome")
        await desk.publish(later)
        assert await desk.say("on 3 March 2027") == "Sent to ada@example.org, 2027-03-03."


async def test_what_nothing_needs_later_is_not_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, DONE))
        assert await desk.say("on 3 March 2027") == "To Rome on 2027-03-03."
        assert await desk.decisions() == {"trip": "at day: goes on at day"}


async def test_a_required_action_is_made_up_for_though_nothing_reads_it(tmp_path: Path) -> None:
    consent = changed(MAIL, required_action=True)
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(trip(changed(CITY, next=[{"to": "mail"}]), consent, DAY, DONE))
        assert await desk.say("hm") == "Your e-mail?"


async def test_a_way_that_divides_anew_is_found_again_by_what_is_known(tmp_path: Path) -> None:
    fork = changed(CITY, next=[{"to": "north", "when": "city == 'Oslo'"}, {"to": "day"}])
    north = {"id": "north", "say": "Oslo is closed.", "ask": "Another city?",
             "next": [{"to": "day", "if": "the user agrees"}]}
    known = trip(CITY, DAY, DONE, north)
    later = trip(fork, DAY, DONE, north)
    async with running(tmp_path, known) as desk:
        await desk.say("book a trip")
        await desk.say("Oslo")
        await desk.say("book a trip", user="bob")
        await desk.say("Rome", user="bob")
        await desk.publish(later)
        assert await desk.say("hm") == "Oslo is closed. Another city?"
        assert await desk.decisions() == {"trip": "at day: the way from city leads to north now"}
        assert await desk.say("on 3 March 2027", user="bob") == "To Rome on 2027-03-03."


async def test_nothing_goes_back_behind_a_checkpoint(tmp_path: Path) -> None:
    paid = {"id": "paid", "say": "Paid.", "checkpoint": "the money is taken", "next": [{"to": "day"}]}
    before = trip(changed(CITY, next=[{"to": "paid"}]), paid, DAY, DONE)
    mail = changed(MAIL, next=[{"to": "paid"}])
    later = trip(changed(CITY, next=[{"to": "mail"}]), mail, paid, DAY, changed(DONE, say="{{ email }} {{ day }}"))
    async with running(tmp_path, before) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(later)
        assert await desk.say("hm") == "Which day?"
        assert "mail would be behind a checkpoint" in (await desk.decisions())["trip"]


async def test_a_step_that_is_gone_is_left_for_the_last_one_that_is_still_there(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        when = {"id": "when", "ask": "Which week?", "next": [{"to": "done"}]}
        await desk.publish(trip(changed(CITY, next=[{"to": "when"}]), when, changed(DONE, say="Off to {{ city }}.")))
        assert await desk.say("hm") == "Which week?"
        assert await desk.decisions() == {"trip": "at day: is gone, the last step that is left is city"}


async def test_a_step_is_known_again_under_another_name_by_what_it_does(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(trip(changed(CITY, next=[{"to": "date"}]), changed(DAY, id="date"), DONE))
        assert await desk.say("on 3 March 2027") == "To Rome on 2027-03-03."
        assert await desk.decisions() == {"trip": "at day: goes on at date"}


async def test_a_conversation_that_slept_through_two_versions_moves_once(tmp_path: Path) -> None:
    second = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))
    vip = {"id": "vip", "collects": ["vip"], "next": [{"to": "day"}]}
    third = trip(changed(CITY, next=[{"to": "vip"}]), vip, DAY,
                 changed(DONE, say="{% if vip %}First{% endif %} {{ day }}"))
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.publish(second)
        await desk.publish(third)
        assert await desk.say("hm") == "Are you a member?"
        assert await desk.say("yes") == "Which day?"
        assert await desk.say("on 3 March 2027") == "First 2027-03-03"
        assert await desk.replays()


async def test_a_scenario_that_rests_goes_on_resting_and_asks_what_is_new_when_it_returns(tmp_path: Path) -> None:
    later = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.say("Rome")
        await desk.say("not now")
        await desk.publish(later)
        assert "e-mail" not in await desk.say("hm")
        assert await desk.say("let's go on") == "Your e-mail?"
        assert await desk.say("ada@example.org") == "Which day?"


async def test_a_scenario_that_is_gone_ends_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("book a trip")
        await desk.publish(trip(CITY, DAY, DONE, scenarios=[]))
        assert await desk.say("Rome")
        assert await desk.decisions() == {"trip": "at city: the scenario is gone"}
