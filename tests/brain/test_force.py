"""Which hard rules are in force, and what is said when the model does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ruche.plugins.contracts import Generated, Prompt
from ruche.plugins.errors import ProviderFailed
from ruche.storage.model.bundle import AgentBundle
from tests.brain.agents import RULES
from tests.brain.talk import bundle, talking


def guarded(when: str, **head: Any) -> AgentBundle:
    """No opening hours while `when` is not false."""
    return bundle(agent=head, fields=[{"name": "tier"}], rules=[*RULES, {
        "id": "secret", "if": "x", "then": "Never tell the hours", "hard": True, "when": when,
        "enforce": {"use": "pattern", "options": {"forbidden": ["[0-9]"]}}}])


@pytest.mark.anyio
@pytest.mark.parametrize(("when", "outcome"), [
    ("now.hour < 9", "not_applicable"), ("now.hour >= 9", "fail"), ("tier == 'gold'", "fail"), ("1 / 0 > 1", "fail"),
])
async def test_a_hard_rule_holds_unless_its_when_is_false(when: str, outcome: str) -> None:
    """A `when` that cannot be told must not switch a hard rule off."""
    async with talking(guarded(when)) as talk:
        run = await talk.say("when do you open")
        assert run.enforcement.checked == (("secret", outcome),)
        assert (run.reply == "We are open from 9 to 17.") == (outcome == "not_applicable")


@pytest.mark.anyio
async def test_a_model_is_not_told_a_rule_whose_when_is_false() -> None:
    prompts: list[Prompt] = []

    class Listens:
        name = "listens"

        async def generate(self, prompt: Prompt) -> Generated:
            prompts.append(prompt)
            return Generated(text="Hm.")

        async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
            yield (await self.generate(prompt)).text

    for when, told in (("now.hour < 9", False), ("now.hour >= 9", True)):
        agent = bundle(agent={"models": {"generator": "listens"}}, rules=[{
            "id": "secret", "if": "x", "then": "Never tell the hours", "hard": True, "when": when,
            "enforce": {"use": "phrase", "options": {"forbidden": ["nine"]}}}])
        async with talking(agent, generator=Listens()) as talk:
            await talk.say("well")
        assert ("Never tell the hours" in prompts[-1].instructions) is told
        assert (prompts[-1].plan["must_avoid"] == ["nine"]) is told


# --- a model that is down -------------------------------------------------------------------------------------------


class Down:
    """A model endpoint that cannot be reached."""

    name = "down"

    async def generate(self, prompt: Prompt) -> Generated:
        raise ProviderFailed("the model endpoint cannot be reached")

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        raise ProviderFailed("the model endpoint cannot be reached")
        yield ""


MODEL = {"models": {"generator": "down"}}
LOUD = {"id": "calm", "if": "x", "then": "Never name a figure", "hard": True,
        "enforce": {"use": "length", "options": {"max_words": 90}}}
WHOLE = {"id": "sums", "if": "x", "then": "Say enough", "hard": True,
         "enforce": {"use": "length", "options": {"min_words": 2}}}


@pytest.mark.anyio
@pytest.mark.parametrize("judged", [[], [LOUD], [WHOLE]], ids=["unjudged", "by segments", "as a whole"])
async def test_a_plain_sentence_is_said_as_it_stands_when_the_model_is_down(judged: list[Any]) -> None:
    async with talking(bundle(agent={**MODEL, "greeting": "Hello."}, rules=[*RULES, *judged]),
                       generator=Down()) as talk:
        run = await talk.say("when do you open")
        assert run.reply == "Hello. We are open from 9 to 17."
        assert "unmatched" not in run.reply


@pytest.mark.anyio
async def test_an_instruction_is_not_said_when_the_model_is_down() -> None:
    agent = bundle(agent=MODEL, rules=[{**RULES[0], "then": "Tell the hours and be friendly"}])
    async with talking(agent, generator=Down()) as talk:
        assert await talk.reply("when do you open") == "I am sorry, I cannot help with that."


@pytest.mark.anyio
async def test_what_is_said_for_a_model_that_is_down_is_judged_like_everything_else() -> None:
    agent = guarded("now.hour >= 9", **MODEL)
    async with talking(agent, generator=Down()) as talk:
        run = await talk.say("when do you open")
        assert run.enforcement.checked == (("secret", "fail"),)
        assert run.reply == "I am sorry, I cannot say that."
