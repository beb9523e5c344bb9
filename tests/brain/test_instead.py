"""A no to a question of confirmation may bring what is right instead, in free words too; then the agent asks again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brain.talk import Functions, bundle, talking

pytestmark = pytest.mark.anyio


def sending(field: dict[str, Any]) -> Any:
    tool = {"id": "send", "python": "tools.py:send", "policy": "IRREVERSIBLE",
            "parameters": {"type": "object", "properties": {field["name"]: {}}, "required": [field["name"]]}}
    steps = [{"id": "ask", "collects": [field["name"]], "next": [{"to": "send"}]},
             {"id": "send", "tools": [{"tool": "send"}], "confirm": f"Send it to {{{{ {field['name']} }}}}?",
              "say": "Sent.", "next": []}]
    scenario = {"id": "s", "entry": "the user wants a parcel sent", "examples": ["send a parcel"], "steps": steps}
    return bundle(fields=[field], tools=[tool], scenarios=[scenario])


ADDRESS = {"name": "address", "scope": "CASE", "ask": "Where to?"}
NAME = {"name": "full_name", "scope": "CASE", "ask": "To whom?"}


@pytest.mark.parametrize(("field", "first", "said", "then"), [
    (ADDRESS, "12 Main Street", "no wait, 14 Main Street", "14 Main Street"),
    (ADDRESS, "12 Main Street", "No. Oak Lane 3", "Oak Lane 3"), (NAME, "John Smith", "no, Jon Smyth", "Jon Smyth"),
    (NAME, "John Smith", "and my name is Jon Smyth", "Jon Smyth")])
async def test_what_follows_the_no_is_asked_about_anew(field: dict[str, Any], first: str, said: str, then: str) -> None:
    tools = Functions(send=lambda **given: {})
    async with talking(sending(field), tools) as talk:
        await talk.say("send a parcel")
        assert await talk.reply(first) == f"Send it to {first}?"
        assert await talk.reply(said) == f"I have changed that. Send it to {then}?"
        assert tools.calls == []
        await talk.say("yes")
        assert tools.calls == [("send", {field["name"]: then})]


@pytest.mark.parametrize("said", ["no", "no, that's wrong", "no, forget it", "no, I Changed my mind", "no, not sure",
                                  "no, what about Oak Lane 3?"])
async def test_a_no_that_brings_no_value_ends_it(said: str) -> None:
    async with talking(sending(ADDRESS)) as talk:
        for text in ("send a parcel", "12 Main Street"):
            await talk.say(text)
        assert "Send it to 12 Main Street?" not in await talk.reply(said)
        assert talk.known("address") == "12 Main Street"


async def test_a_no_with_the_value_that_stands_already_asks_again() -> None:
    field = {"name": "moment", "type": "time", "scope": "CASE", "ask": "When?"}
    async with talking(sending(field)) as talk:
        for text in ("send a parcel", "7:30"):
            await talk.say(text)
        assert await talk.reply("no, at half past seven") == "Send it to 07:30?"


async def test_a_no_to_another_question_may_set_a_day_right() -> None:
    fields = [{"name": "day", "type": "date", "scope": "CASE", "ask": "When?"}, {**NAME, "ask": "To whom?"}]
    steps = [{"id": "day", "collects": ["day"], "next": [{"to": "who"}]},
             {"id": "who", "collects": ["full_name"], "next": [{"to": "end"}]}, {"id": "end", "say": "On {{ day }}."}]
    scenario = {"id": "s", "entry": "the user wants a parcel sent", "examples": ["send a parcel"], "steps": steps}
    async with talking(bundle(fields=fields, scenarios=[scenario])) as talk:
        for text in ("send a parcel", "2027-01-05"):
            await talk.say(text)
        assert await talk.reply("no, on 2027-01-06") == "I have changed that. To whom?"
        assert await talk.reply("y") == "To whom?"
        assert await talk.reply("Ada") == "On 2027-01-06."
