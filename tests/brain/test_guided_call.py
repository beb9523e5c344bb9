"""The call that a scenario's way is asked with: one for everything, no value given away, the same in replay."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruche.plugins.tape import ReplayTape
from tests.brain.talk import without_times
from tests.brain.test_guided import FIELDS, TRIP, changed, guided, standing, word
from tests.brain.test_judge import judged

pytestmark = pytest.mark.anyio


async def test_one_call_serves_rules_and_scenarios_and_replay_gives_the_same_bytes() -> None:
    rules = ({"id": "hours", "if": "somebody asks for hours", "then": "We are open."},)
    answer = json.dumps({"rules": {"hours": "applies"}, **json.loads(word("go", "near", "when"))})
    scenario = {"id": "trip", "entry": "somebody wants to travel", "steps": TRIP}
    async with judged(answer, rules=rules, bundle={"scenarios": [scenario], "fields": FIELDS}, models={
            "generator": "composer", "judge": None, "filter": True}) as (talk, server):
        standing(talk, "where")
        run = await talk.say("when are you open, and it is around the corner")
        again = await talk.brain.think(talk.inputs[0], ReplayTape(run.tape), talk.desk)
    assert (len(server.requests), run.usage.model_calls) == (1, 1)
    assert without_times(again.run) == without_times(run)
    assert (talk.step, run.reply) == ("trip/when", "We are open. Which day?")


async def test_an_author_may_keep_scenarios_from_the_model() -> None:
    async with guided("{}", models={"steps": False}) as (talk, server):
        standing(talk, "where")
        await talk.say("hmm")
    assert server.requests == []


async def test_the_model_sees_steps_ways_and_place_as_the_author_wrote_them_and_no_values() -> None:
    steps = changed("far", say="That takes a day in {{ size }}.")
    fields = [{"name": "size", "scope": "SESSION", "ask": "Which size?", "pii": True}]
    async with guided(word("stay"), steps=steps, fields=fields, variables=[
            {"name": "season", "default": "winter", "shown": True}, {"name": "margin", "default": "high"}]) as (
            talk, server):
        standing(talk, "where", "near", "when")
        known = {"value": "enormous", "source": "user_provided", "at_ms": 0}
        talk.session = msgspec.convert(
            {**msgspec.to_builtins(talk.session), "fields": {"size": known}}, type(talk.session))
        await talk.say("hmm, enormous")
    system, data = (message["content"] for message in server.requests[0]["messages"])
    shown = json.loads(system.split('<scenarios from="author">')[1].split("</scenarios>")[0])[0]
    assert (shown["at"], shown["path"]) == ("when", ["where", "near", "when"])
    assert {step["id"]: step["does"] for step in shown["steps"]}["far"] == "That takes a day in {{ size }}."
    assert shown["steps"][0]["next"] == [{"to": "far", "if": "it is far away"}, {"to": "near", "if": "it is nearby"}]
    assert '{"season": "winter"}' in data
    assert "high" not in system + data
    assert "enormous" not in system + data
    assert "hmm, [[size]]" in data
