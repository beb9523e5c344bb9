"""Edges between rules, scenarios and steps: what brings what, and what keeps what away."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import bundle, talking

pytestmark = pytest.mark.anyio

RULES: list[dict[str, Any]] = [
    {"id": "lost", "if": "the wallet is gone", "then": "I am sorry to hear that.",
     "examples": ["my wallet is gone"]},
    {"id": "offer", "if": "the user asks for offers", "then": "Our offer is a gold card.",
     "examples": ["what offers do you have"]},
    {"id": "calm", "if": "the user is upset", "then": "Please stay on the line.", "examples": ["this is terrible"]},
]
SCENARIOS: list[dict[str, Any]] = [
    {"id": "block", "entry": "the user wants to block a card", "examples": ["block my card"],
     "steps": [{"id": "which", "ask": "Which card?", "next": [{"to": "sure", "if": "the user names a card"}]},
               {"id": "sure", "ask": "Are you sure?", "next": [{"to": "done", "if": "yes"}]},
               {"id": "done", "say": "It is blocked."}]},
    {"id": "order", "entry": "the user wants to buy a ticket", "examples": ["buy a ticket"],
     "steps": [{"id": "kind", "ask": "Which kind?", "next": [{"to": "end", "if": "the user names a kind"}]},
               {"id": "end", "say": "It is ordered."}]},
]


def related(*edges: str) -> AgentBundle:
    """`lost implies block`, ..."""
    return bundle(agent={"foresight": False}, rules=RULES, scenarios=SCENARIOS, relationships=[
        dict(zip(("source", "kind", "target"), edge.split(), strict=True)) for edge in edges])


async def test_a_rule_brings_a_scenario_with_it() -> None:
    async with talking(related("lost implies block")) as talk:
        run = await talk.say("my wallet is gone")
        assert run.reply == "I am sorry to hear that. Which card?"
        assert (talk.step, run.scenarios[0].why.startswith("a rule brought it")) == ("block/which", True)


async def test_a_scenario_that_a_rule_brings_is_not_begun_twice_and_a_disabled_one_not_at_all() -> None:
    async with talking(related("lost implies block")) as talk:
        await talk.say("my wallet is gone")
        run = await talk.say("my wallet is gone")
        assert [move.action for move in run.scenarios] == ["CONTINUE"]
    off = related("lost implies block")
    closed = off.model_copy(update={"scenarios": (off.scenarios[0].model_copy(update={"enabled": False}),)})
    async with talking(closed) as talk:
        assert (await talk.say("my wallet is gone")).scenarios == ()


async def test_a_rule_keeps_a_scenario_from_beginning_and_leaves_one_in_progress_alone() -> None:
    async with talking(related("lost excludes order")) as talk:
        run = await talk.say("my wallet is gone. buy a ticket")
        assert (talk.step, run.decisions["orchestrate"].get("barred")) == ("", ["order"])
        await talk.say("buy a ticket")
        await talk.say("my wallet is gone")
        assert talk.step == "order/kind"


async def test_a_scenario_keeps_rules_and_other_scenarios_away_while_it_lasts() -> None:
    async with talking(related("block excludes offer", "block excludes order")) as talk:
        assert "gold" in await talk.reply("what offers do you have")
        await talk.say("block my card")
        run = await talk.say("what offers do you have")
        assert "gold" not in run.reply
        assert run.decisions["match"]["related"]["removed"] == dict.fromkeys(("offer", "order"), "excludes by block")
        await talk.say("buy a ticket")
        assert talk.step == "block/which"
        await talk.say("cancel")
        await talk.say("buy a ticket")
        assert talk.step == "order/kind"


async def test_a_scenario_that_begins_shuts_out_a_rule_in_the_same_turn() -> None:
    async with talking(related("block excludes lost")) as talk:
        assert await talk.reply("my wallet is gone, block my card") == "Which card?"


async def test_a_step_brings_a_rule_with_it_while_the_conversation_is_there() -> None:
    async with talking(related("block/sure implies calm")) as talk:
        assert "stay on the line" not in await talk.reply("block my card")
        run = await talk.say("the user names a card")
        assert talk.step == "block/sure"
        assert [one.id for one in run.rules if one.why == "implies of block/sure"] == ["calm"]
        assert "stay on the line" in run.reply


async def test_an_explanation_shows_what_edges_did() -> None:
    async with talking(related("lost implies block")) as talk:
        run = await talk.say("my wallet is gone")
        assert run.decisions["match"]["related"]["begins"] == ["block"]


@pytest.mark.parametrize("edge", ["lost implies nothing", "nothing implies lost", "lost excludes block/sure"])
def test_an_end_that_could_not_be_there_is_refused(edge: str) -> None:
    with pytest.raises(ConfigurationError, match="is no rule, scenario or step"):
        CompiledAgent(related(edge), 1)
