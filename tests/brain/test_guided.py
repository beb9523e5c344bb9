"""Where a scenario goes by a model's word: several steps on, back, to rest, to its end; only along ways that hold."""

from __future__ import annotations

import json
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model_server import Answer
from ruche.storage.model.conversation import Exchange, ScenarioInstance, StepVisit
from tests.brain.talk import Talk
from tests.brain.test_judge import judged

pytestmark = pytest.mark.anyio

FIELDS = [{"name": "size", "scope": "CASE", "ask": "Which size?"}]
TRIP: list[dict[str, Any]] = [
    {"id": "where", "ask": "Where to?", "can_skip": True, "next": [
        {"to": "far", "if": "it is far away"}, {"to": "near", "if": "it is nearby"}]},
    {"id": "far", "say": "That takes a day.", "next": [{"to": "when"}]},
    {"id": "near", "description": "fork", "can_skip": True, "next": [{"to": "when"}]},
    {"id": "when", "ask": "Which day?", "can_skip": True, "next": [{"to": "seats"}]},
    {"id": "seats", "ask": "How many seats?", "can_skip": True, "next": [{"to": "sum"}]},
    {"id": "sum", "ask": "Shall I note that?", "next": [{"to": "end"}]},
    {"id": "end", "say": "Have a good trip."}]


def changed(name: str, **parts: Any) -> list[dict[str, Any]]:
    """The trip with another step of this name."""
    return [{**step, **parts} if step["id"] == name else step for step in TRIP]


def word(move: str, *path: str, scenario: str = "trip") -> str:
    return json.dumps({"scenarios": {scenario: {"move": move, "path": list(path)}}})


def guided(*script: Answer | str, steps: list[dict[str, Any]] = TRIP, models: dict[str, Any] | None = None,
           **parts: Any) -> Any:
    """A conversation about a trip, with the template composer and a model that says where it goes."""
    scenario = {"id": "trip", "entry": "somebody wants to travel", "steps": steps}
    return judged(*script, rules=(), bundle={"scenarios": [scenario], "fields": FIELDS, **parts},
                  models={"generator": "composer", "judge": None, "filter": True, **(models or {})})


def standing(talk: Talk, *path: str, **parts: Any) -> None:
    """The trip stands at the last of these, having come through the others."""
    visits = tuple(StepVisit(step=step, turn=place, reason="") for place, step in enumerate(path))
    instance = ScenarioInstance(scenario="trip", version=1, step=path[-1], visits=visits, last_turn=len(path), **parts)
    history = (Exchange(turn_id="before", said=("hello",), reply="Where to?"),)
    talk.session = msgspec.structs.replace(talk.session, scenarios=(instance,), history=history, turn_count=len(path))


async def said(answer: str, *path: str, text: str = "well then", **parts: Any) -> tuple[Any, Talk]:
    async with guided(answer, **parts) as (talk, _):
        standing(talk, *path)
        return await talk.say(text), talk


def refused(run: Any) -> str:
    return str(run.decisions["orchestrate"].get("refused", {}).get("trip", ""))


async def test_a_word_leads_over_several_steps_and_what_is_only_said_is_said_in_passing() -> None:
    run, talk = await said(word("go", "far", "when", "seats"), "where")
    assert (talk.step, run.reply) == ("trip/seats", "That takes a day. How many seats?")
    assert run.scenarios[0].skipped == ("when",)
    assert "the model says so" in run.scenarios[0].why


async def test_a_fork_is_taken_the_way_that_the_word_names() -> None:
    run, talk = await said(word("go", "near", "when"), "where")
    assert (talk.step, run.reply) == ("trip/when", "Which day?")


async def test_a_word_leads_to_the_last_step_and_the_scenario_is_complete() -> None:
    run, talk = await said(word("go", "seats", "sum"), "where", "near", "when")
    assert talk.step == "trip/sum"
    run, talk = await said(word("go", "end"), "where", "sum")
    assert (run.reply, run.scenarios[-1].action, talk.step) == ("Have a good trip.", "COMPLETE", "")


async def test_a_word_leads_back_to_a_step_that_was_gone_through_and_on_from_there() -> None:
    run, talk = await said(word("go", "when"), "where", "near", "when", "seats")
    assert (talk.step, run.reply) == ("trip/when", "Which day?")
    run, talk = await said(word("go", "when", "seats", "sum"), "where", "near", "when", "seats", "sum")
    assert (talk.step, run.reply) == ("trip/sum", "Shall I note that?")


async def test_to_stay_is_to_ask_again_whatever_the_message_is_like() -> None:
    run, talk = await said(word("stay"), "where", text="it is far away")
    assert (talk.step, run.reply) == ("trip/where", "Where to?")
    run, talk = await said(word("go", "where"), "where", text="it is far away")
    assert (talk.step, run.reply) == ("trip/where", "Where to?")


@pytest.mark.parametrize(("move", "action", "status"), [("leave", "CANCEL", ""), ("rest", "PAUSE", "paused")])
async def test_a_scenario_is_left_or_rests_by_a_word(move: str, action: str, status: str) -> None:
    run, talk = await said(word(move), "where", "far", "when")
    assert [(one.action, "the model says" in one.why) for one in run.scenarios] == [(action, True)]
    assert [one.status for one in talk.session.scenarios] == ([status] if status else [])


async def test_what_was_done_is_not_undone_by_a_word() -> None:
    tools = [{"id": "note", "python": "t.py:note", "policy": "COMPENSATABLE", "compensation": "strike"},
             {"id": "strike", "python": "t.py:strike"}]
    async with guided(word("leave"), tools=tools) as (talk, _):
        standing(talk, "where", "far", "when", held=("note",))
        run = await talk.say("hmm")
    assert ([one.action for one in run.scenarios], talk.tools.calls) == (["PAUSE"], [])
    assert "what was done stays done" in run.scenarios[0].why


async def test_a_scenario_begins_by_a_word_and_goes_on_as_far_as_it_says() -> None:
    async with guided(word("go", "where", "near", "when")) as (talk, _):
        run = await talk.say("hmm")
    assert (talk.step, run.reply) == ("trip/when", "Which day?")
    assert [move.action for move in run.scenarios] == ["START"]


async def test_a_scenario_that_rests_is_taken_up_by_a_word() -> None:
    async with guided(word("go", "when")) as (talk, _):
        standing(talk, "where", "near", status="paused")
        run = await talk.say("hmm")
    assert (talk.step, run.reply) == ("trip/when", "Which day?")


async def test_a_word_that_cannot_be_followed_leaves_it_to_likeness_whether_a_scenario_begins() -> None:
    async with guided(word("go", "where", "sum")) as (talk, _):
        run = await talk.say("somebody wants to travel")
    assert talk.step == "trip/where"
    assert "no transition leads from where to sum" in refused(run)


async def test_a_scenario_that_a_model_does_not_want_does_not_begin() -> None:
    async with guided(word("stay")) as (talk, _):
        run = await talk.say("somebody wants to travel")
    assert (talk.step, run.scenarios) == ("", ())
    assert run.decisions["orchestrate"]["not_begun"] == ["trip"]


# --- what a word cannot do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "path", "ends", "why"), [
    (changed("when", checkpoint=True), ("near", "when", "seats"), "when", "never skipped"),
    (changed("when", required_action=True), ("near", "when", "seats"), "when", "never skipped"),
    (changed("when", can_skip=False), ("near", "when", "seats"), "when", "to be asked"),
    (changed("when", collects=["size"], ask=None), ("near", "when", "seats"), "when", "lacks an answer"),
    (changed("when", confirm="Sure?", ask=None), ("near", "when", "seats"), "when", "work to do"),
], ids=["a checkpoint", "a required action", "a question that may not be left out", "a field that is unknown",
        "a confirmation"])
async def test_a_word_leads_no_further_than_a_step_that_may_not_be_passed(
        steps: list[dict[str, Any]], path: tuple[str, ...], ends: str, why: str) -> None:
    run, talk = await said(word("go", *path), "where", steps=steps)
    assert talk.step == f"trip/{ends}"
    assert why in run.scenarios[0].why


@pytest.mark.parametrize(("steps", "path", "why"), [
    (TRIP, ("seats",), "no transition leads from where to seats"),
    (TRIP, ("near", "seats"), "no transition leads from near to seats"),
    (changed("where", next=[{"to": "near", "when": "size == 'big'"}]), ("near",), "size == 'big' is not true"),
    (changed("near", next=[{"to": "when", "when": "size == 'big'"}]), ("near", "when"), "size == 'big' is not true"),
    (changed("seats", next=[{"to": "when"}, {"to": "sum"}]), ("near", "when", "seats", "when"), "in passing"),
], ids=["no way", "no way further on", "an expression", "an expression further on", "in a circle"])
async def test_a_word_that_no_way_follows_changes_nothing_and_the_reason_is_told(
        steps: list[dict[str, Any]], path: tuple[str, ...], why: str) -> None:
    run, talk = await said(word("go", *path), "where", steps=steps, text="hmm")
    silent, other = await said("nonsense", "where", steps=steps, text="hmm")
    assert why in refused(run)
    assert (talk.step, run.reply) == (other.step, silent.reply)


async def test_nobody_is_led_behind_a_checkpoint() -> None:
    steps = changed("when", checkpoint=True)
    run, talk = await said(word("go", "where"), "where", "near", "when", "seats", steps=steps, text="hmm")
    assert "no transition" in refused(run)
    assert talk.step != "trip/where"


async def test_what_a_tool_did_is_not_done_again_by_a_word() -> None:
    steps = changed("near", tools=[{"tool": "note"}], description="notes it")
    run, talk = await said(word("go", "near"), "where", "near", "when", steps=steps, text="hmm",
                           tools=[{"id": "note", "python": "t.py:note"}])
    assert "what near does is done" in refused(run)
    assert (talk.step, talk.tools.calls) == ("trip/seats", [])  # as without a model


@pytest.mark.parametrize(("when", "step"), [("true", "trip/sum"), ("false", "trip/where")])
async def test_a_step_that_is_open_from_anywhere_is_come_to_where_its_condition_holds(when: str, step: str) -> None:
    steps = changed("seats", next=[{"to": "sum", "if": "it is clear", "when": when}])
    steps = [{**one, "reachable_from_anywhere": one["id"] == "sum"} for one in steps]
    _, talk = await said(word("go", "sum"), "where", steps=steps, text="hmm")
    assert talk.step == step


async def test_a_plain_no_is_not_overruled() -> None:
    steps = changed("where", next=[{"to": "near", "if": "the person says yes"}, {"to": "far", "if": "it is far away"}])
    run, talk = await said(word("go", "near"), "where", steps=steps, text="no")
    assert "the answer was no" in refused(run)
    assert talk.step == "trip/where"


async def test_what_the_person_plainly_says_goes_before_a_word_and_the_run_tells() -> None:
    run, _ = await said(word("go", "near", "when"), "where", text="cancel that")
    assert [one.action for one in run.scenarios] == ["CANCEL"]
    assert refused(run) == "the person's own words decide"


async def test_a_word_does_not_confirm() -> None:
    steps = changed("sum", ask=None, confirm="Shall I?", next=[{"to": "end"}])
    run, talk = await said(word("go", "end"), "where", "sum", steps=steps, text="hmm")
    assert "waits for an answer" in refused(run)
    assert talk.step == "trip/sum"


async def test_going_back_opens_the_field_of_that_step_anew() -> None:
    steps = changed("when", collects=["size"], ask=None)
    async with guided(word("go", "when"), steps=steps) as (talk, _):
        await talk.say("hello")
        talk.session = msgspec.structs.replace(talk.session, fields={})
        standing(talk, "where", "near", "when", "seats")
        run = await talk.say("once more please")
    assert (talk.step, run.reply) == ("trip/when", "Which size?")


async def test_a_word_about_a_scenario_that_was_not_asked_about_is_no_answer() -> None:
    run, talk = await said(word("leave", scenario="other"), "where", text="hmm")
    assert run.decisions["match"]["sift_fault"] == "the model's answer cannot be read"
    assert talk.step == "trip/where"


@given(st.lists(st.sampled_from([step["id"] for step in TRIP]), min_size=1, max_size=5),
       st.sampled_from(["where", "when", "sum"]), st.sets(st.sampled_from(["near", "when", "seats"])))
@settings(max_examples=40)
def test_whatever_is_said_every_step_follows_another_and_none_that_must_be_carried_out_is_passed(
        path: list[str], at: str, kept: set[str]) -> None:
    steps = [{**step, "required_action": step["id"] in kept} for step in TRIP]
    been = {"where": ["where"], "when": ["where", "near", "when"], "sum": ["where", "near", "when", "seats", "sum"]}[at]
    run, talk = anyio.run(lambda: said(word("go", *path), *been, steps=steps, text="hmm"))
    ways = {step["id"]: {edge["to"] for edge in step.get("next", ())} for step in steps}
    moves = [move for move in run.scenarios if move.path]
    assert not {step for move in run.scenarios for step in move.skipped} & kept
    for move in moves:
        gone = [*move.skipped, *move.path]
        come = {other for step in (at, *gone) for other in ways[step]}
        assert all(step in come or step in been for step in gone)
    assert (talk.step.removeprefix("trip/") or "end") in {*ways}


@pytest.mark.parametrize("value", [
    {"move": "teleport", "path": []}, {"move": "go", "path": []}, {"move": "go", "path": ["nowhere"]},
    {"move": "go", "path": "near"}, {"move": ["go"], "path": []}, {"move": "go", "path": [["near"]]}, "go", None,
    {"move": "go", "path": ["near"], "why": "because"}, {"move": "go", "path": ["near"] * 13}])
async def test_a_word_that_cannot_be_read_is_refused_with_the_reason(value: Any) -> None:
    run, talk = await said(json.dumps({"scenarios": {"trip": value}}), "where", text="hmm")
    assert run.decisions["match"]["refused"]["trip"]
    assert talk.step == "trip/where"
