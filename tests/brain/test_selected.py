"""Scenarios and intents are cut to what stands out, and the run says what was left out."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run
from tests.brain.talk import bundle, talking
from tests.brain.test_explain import explained

pytestmark = pytest.mark.anyio

ORDER, SELL = "the visitor wants to order a ticket", "the visitor wants to sell a ticket"


def desk(*edges: dict[str, str], **parts: Any) -> AgentBundle:
    scenarios = [{"id": name, "entry": text, "steps": [{"id": "first", "ask": f"About {name}: which day?"}]}
                 for name, text in (("order", ORDER), ("sell", SELL))]
    rules = [{"id": "closed", "if": "the box office is shut", "then": "Say that it is shut."}]
    return bundle(agent={"foresight": False}, rules=rules, scenarios=scenarios, relationships=list(edges), **parts)


def begun(run: Run) -> list[str]:
    return [move.id for move in run.scenarios if move.action == "START"]


async def test_the_scenario_that_stands_out_begins_and_the_other_is_named() -> None:
    async with talking(desk()) as talk:
        run = await talk.say(ORDER)
        assert begun(run) == ["order"]
        cut = run.decisions["orchestrate"]["cut"]
        assert (cut["method"], cut["left_out"]) == ("entropy", ["sell"])
        assert cut["cutoff"] > 0.9


async def test_the_explanation_of_a_message_shows_what_was_cut() -> None:
    async with talking(desk(intents=[{"id": "order", "description": ORDER}])) as talk:
        told = await explained(talk, ORDER)
        assert (told.intent, told.rivals) == ("order", ())
        assert {one.id: "entropy left it out" in one.reason for one in told.scenarios} == {"order": False, "sell": True}


async def test_a_distant_second_does_not_begin_in_place_of_a_first_that_may_not() -> None:
    async with talking(desk({"source": "closed", "kind": "excludes", "target": "order"})) as talk:
        run = await talk.say(f"the box office is shut. {ORDER}")
        assert "closed" in [one.id for one in run.rules]
        assert run.decisions["orchestrate"]["barred"] == ["order"]
        assert begun(run) == []


async def test_two_scenarios_that_do_equally_well_are_both_looked_at() -> None:
    async with talking(desk()) as talk:
        run = await talk.say("order or sell a ticket")
        assert "cut" not in run.decisions["orchestrate"]
        assert len(begun(run)) == 1


async def test_intents_that_do_about_as_well_are_told_beside_the_best() -> None:
    intents = [{"id": "order", "description": "wants to order a ticket"},
               {"id": "sell", "description": "wants to sell a ticket"},
               {"id": "rain", "description": "speaks of the rain"}]
    async with talking(desk(intents=intents)) as talk:
        run = await talk.say("order or sell a ticket")
        told = run.decisions["retrieve"]
        assert {told["intent"], *told["rivals"]} == {"order", "sell"}
        told = (await talk.say("speaks of the rain")).decisions["retrieve"]
        assert (told["intent"], "rivals" in told) == ("rain", False)
