"""Where no condition decides, the next step is foreseen, taken when that is sure, and left alone when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import Functions, Talk, bundle, talking

pytestmark = pytest.mark.anyio


def booking(**head: Any) -> AgentBundle:
    """Looks for a room, says whether it is free, and books it when the person agrees."""
    return bundle(
        agent=head,
        tools=[{"id": "look", "python": "tools.py:look", "outputs": {"message": "message"}}],
        scenarios=[{"id": "room", "entry": "the user wants to book a room", "examples": ["I need a room"],
                    "steps": [
                        {"id": "query_check", "tools": [{"tool": "look"}], "next": [
                            {"to": "room_available", "if": "available"},
                            {"to": "room_unavailable", "if": "unavailable"}]},
                        {"id": "room_available", "say": "Great, the room is available.", "next": []},
                        {"id": "room_unavailable", "say": "Sorry, the room is unavailable.", "next": []}]}])


def moved(talk: Talk) -> str:
    assert talk.output is not None
    return " ".join(move.why for move in talk.output.run.scenarios)


@pytest.mark.parametrize(("message", "reply"), [
    ("Available", "Great, the room is available."), ("Unavailable", "Sorry, the room is unavailable.")])
async def test_a_worded_way_is_taken_by_what_the_tool_gave(message: str, reply: str) -> None:
    async with talking(booking(), Functions(look=lambda: {"message": message})) as talk:
        assert await talk.reply("I need a room") == reply
        assert "foreseen, right" in moved(talk)


async def test_what_is_foreseen_is_told_with_its_reasons_and_every_way() -> None:
    async with talking(booking(), Functions(look=lambda: {"message": "Available"})) as talk:
        run = await talk.say("I need a room")
        assert "its condition fits the result (1)" in moved(talk)
        foreseen = {edge["to"]: edge["holds"] for move in run.scenarios for edge in move.considered
                    if edge["why"] == "foreseen"}
        assert foreseen == {"room_available": True, "room_unavailable": False}


async def test_without_foresight_the_scenario_waits_for_a_condition() -> None:
    async with talking(booking(foresight=False), Functions(look=lambda: {"message": "Available"})) as talk:
        await talk.say("I need a room")
        assert talk.step == "room/query_check"


async def test_the_same_conversation_is_foreseen_the_same_way() -> None:
    replies = []
    for _ in range(2):
        async with talking(booking(), Functions(look=lambda: {"message": "Available"})) as talk:
            run = await talk.say("I need a room")
            replies.append((run.reply, run.scenarios))
    assert replies[0] == replies[1]


def asking(**parts: Any) -> AgentBundle:
    """A question with two answers that mean nothing to anybody else."""
    return bundle(scenarios=[{
        "id": "game", "entry": "the user wants to play", "examples": ["let us play", "I want to play"], "steps": [
            {"id": "choose", "ask": "Which one?", "next": [
                {"to": "left", "if": "the user prefers azure"}, {"to": "right", "if": "the user prefers crimson"}]},
            {"id": "left", "say": "To the left.", "next": []},
            {"id": "right", "say": "To the right.", "next": []}]}], **parts)


async def test_unsure_it_stays_asks_again_and_says_how_sure_it_was() -> None:
    async with talking(asking()) as talk:
        await talk.say("let us play")
        assert await talk.reply("hm, difficult") == "Which one?"
        assert talk.step == "game/choose"
        assert "likeliest, right" in moved(talk)


async def test_a_condition_that_holds_is_never_overruled() -> None:
    async with talking(asking()) as talk:
        await talk.say("let us play")
        assert await talk.reply("I prefer crimson") == "To the right."
        assert "foreseen, right" not in moved(talk)


async def test_logged_conversations_make_sure_what_was_not() -> None:
    habits = [{"scenario": "game", "moment": "choose|", "step": "left", "times": 40, "expected": 0.4},
              {"scenario": "game", "moment": "choose|", "step": "choose", "times": 0, "expected": 40}]
    async with talking(asking(habits=habits)) as talk:
        await talk.say("let us play")
        assert await talk.reply("hm, difficult") == "To the left."


async def test_a_plain_no_never_leads_where_a_yes_is_asked_for() -> None:
    agent = bundle(scenarios=[{
        "id": "offer", "entry": "the user wants an offer", "examples": ["make me an offer"], "steps": [
            {"id": "ask_offer", "ask": "Shall I book it?", "next": [{"to": "done", "if": "the user says yes"}]},
            {"id": "done", "say": "Great, it is booked.", "next": []}]}])
    async with talking(agent) as talk:
        await talk.say("make me an offer")
        await talk.say("no")
        assert talk.step == "offer/ask_offer"
