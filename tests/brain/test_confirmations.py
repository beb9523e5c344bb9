"""A yes is bound to what was shown: a question of confirmation is asked in the author's words, whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brain.agents import taxi
from tests.brain.talk import Functions, talking
from tests.brain.test_enforce import Scripted

pytestmark = pytest.mark.anyio


def booked() -> Functions:
    return Functions(book=lambda place, pickup_time: {"id": "T"})


async def test_a_confirmation_that_a_hard_rule_forbids_to_show_in_full_cannot_be_confirmed() -> None:
    rules = [{"id": "never", "if": "any reply", "then": "Never say jackpot.", "hard": True,
              "enforce": {"use": "phrase", "options": {"forbidden": ["jackpot"]}}}]
    tools = booked()
    async with talking(taxi(rules=rules), tools) as talk:
        for text in ("I need a taxi", "Jackpot Street 5"):
            await talk.say(text)
        run = await talk.say("7pm")
        assert (run.status, "shall I book it" in run.reply) == ("blocked", False)
        await talk.say("yes")
        assert tools.calls == []


async def test_no_model_words_what_a_yes_will_do() -> None:
    agent: dict[str, Any] = {"models": {"generator": "openai", "url": "http://127.0.0.1:9/v1", "model": "m"}}
    model, tools = Scripted("Where to?", "When then?", "Done, thank you."), booked()
    async with talking(taxi(agent=agent), tools, generator=model) as talk:
        for text in ("I need a taxi", "Main Street 5"):
            await talk.say(text)
        run = await talk.say("7pm")
        assert (run.reply, run.status) == ("A taxi from Main Street 5 at 19:00, shall I book it?", "awaiting")
        assert (len(model.prompts), tools.calls) == (2, [])
        assert (await talk.say("yes")).reply == "Done, thank you."
        assert tools.calls == [("book", {"place": "Main Street 5", "pickup_time": "19:00"})]
