"""Values that are said in other words: places by the words before them, listed values by their meaning."""

from __future__ import annotations

import pytest

from ruche.engine.brain.places import place_name
from tests.brain.talk import bundle, talking

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("text", "way", "place"), [
    ("find me something near London please", "", "London"), ("in and around the city of Troy", "", "Troy"),
    ("Lausanne to Basel", "to", "Basel"), ("from St. Gallen to Basel", "from", "St. Gallen"),
    ("a show in New York on Monday", "", "New York"), ("Anything, Phoenix, AZ please", "", "Phoenix, AZ"),
    ("by Monday", "", None), ("in May", "", None), ("we are in a hurry", "", None), ("from London", "to", None)])
def test_a_place_is_told_by_the_words_in_front_of_it(text: str, way: str, place: str | None) -> None:
    found = place_name(text, way, (), certain=False)
    assert (None if found is None else found[2]) == place
    assert found is None or text[found[0]:found[1]] == place


def trips() -> object:
    return bundle(
        fields=[{"name": "origin_city", "scope": "CASE", "ask": "From where?"},
                {"name": "destination_city", "scope": "CASE", "ask": "To where?"},
                {"name": "seats", "type": "number", "scope": "CASE", "ask": "How many seats?"}],
        tools=[{"id": "book", "python": "t.py:book", "policy": "IRREVERSIBLE", "parameters": {
            "type": "object", "properties": {"origin_city": {}, "destination_city": {}, "seats": {}}}}],
        scenarios=[{"id": "trip", "entry": "the user wants to book a trip", "examples": ["book a trip"], "steps": [
            {"id": "ways", "collects": ["origin_city", "destination_city", "seats"], "next": [{"to": "done"}]},
            {"id": "done", "tools": [{"tool": "book"}], "confirm": "Shall I?", "say": "Booked."}]}])


async def test_both_ends_of_a_way_are_understood_in_one_message() -> None:
    async with talking(trips()) as talk:  # type: ignore[arg-type]
        await talk.say("book a trip from Lausanne to Basel")
        assert (talk.known("origin_city"), talk.known("destination_city")) == ("Lausanne", "Basel")


async def test_a_no_to_the_confirmation_may_bring_the_right_number() -> None:
    async with talking(trips()) as talk:  # type: ignore[arg-type]
        await talk.say("book a trip from Lausanne to Basel")
        await talk.say("3")
        run = await talk.say("No, it would be better if you took four seats for us")
        assert talk.known("seats") == 4
        assert run.tools == ()
        assert run.response_type == "CONFIRM"


async def test_a_one_that_points_to_something_is_no_number() -> None:
    async with talking(trips()) as talk:  # type: ignore[arg-type]
        await talk.say("book a trip from Lausanne to Basel")
        await talk.say("I like that one")
        assert talk.known("seats") is None
        await talk.say("one")
        assert talk.known("seats") == 1


async def test_a_reason_that_merely_resembles_a_listed_one_is_not_taken_for_it() -> None:
    agent = bundle(
        fields=[{"name": "reason", "scope": "CASE", "allowed": ["no longer needed", "ordered by mistake"],
                 "ask": "Why?"}],
        scenarios=[{"id": "cancel", "entry": "the user wants to cancel an order", "examples": ["cancel my order"],
                    "steps": [{"id": "why", "collects": ["reason"], "next": [{"to": "end"}]},
                              {"id": "end", "say": "Because it was {{ reason }}."}]}])
    async with talking(agent) as talk:
        assert await talk.reply("please cancel my order") == "Why?"
        assert await talk.reply("it was needed cheaper elsewhere") == "Why?"
        assert await talk.reply("I ordered it by mistake") == "Because it was ordered by mistake."
