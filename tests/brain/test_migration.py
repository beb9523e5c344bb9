"""Conversations that run while an agent changes: where they go on, what they are asked, and what nobody loses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine import Engine
from ruche.engine.authoring.migration import changes_between, content_hash, scenario_change
from ruche.engine.authoring.publish import bundle_hash
from ruche.engine.cli.main import main
from ruche.engine.replay import load, replay
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.enforcers import built_in
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.migration import StepPolicy
from ruche.storage.model.scenario import Scenario
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


# --- plans ------------------------------------------------------------------------------------------------------------

LATER = trip(changed(CITY, next=[{"to": "mail"}]), MAIL, DAY, changed(DONE, say="Sent to {{ email }}, {{ day }}."))


async def test_a_plan_is_reviewed_approved_and_deployed_and_tells_how_far_it_has_come(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        plans = desk.engine.migrations
        await desk.say("book a trip")
        await desk.say("Rome")
        plan = await plans.plan("default", LATER, by="ann")
        shown = await plans.summary("default", "desk", plan.id)
        (change,) = shown["scenarios"]
        assert shown["conversations"] == 1
        assert {step["step"]: (step["kind"], step["conversations"]) for step in change["steps"]} == {
            "city": ("graft", 0), "day": ("gap_fill", 1), "done": ("gap_fill", 0)}
        with pytest.raises(Conflict, match="is pending, so it cannot be deployed"):
            await plans.deploy("default", "desk", plan.id, by="ann")
        await plans.approve("default", "desk", plan.id, by="ann", note="looks right")
        assert (await plans.deploy("default", "desk", plan.id, by="ann")).hash == bundle_hash(LATER)
        assert (await plans.status("default", "desk", plan.id))["waiting"] == 1
        assert await desk.say("hm") == "Your e-mail?"
        status = await plans.status("default", "desk", plan.id)
        assert (status["state"], status["waiting"], status["moved"]) == ("deployed", 0, 1)


async def test_a_plan_that_was_rejected_is_not_deployed_and_one_that_was_overtaken_neither(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        plans = desk.engine.migrations
        first, second = await plans.plan("default", LATER), await plans.plan("default", trip(DAY, DONE))
        await plans.reject("default", "desk", first.id, by="bo")
        with pytest.raises(Conflict, match="is rejected"):
            await plans.approve("default", "desk", first.id, by="ann")
        await plans.approve("default", "desk", second.id, by="ann")
        await desk.publish(trip(CITY, DAY, changed(DONE, say="Bye.")))
        with pytest.raises(Conflict, match="2 serves: make another"):
            await plans.deploy("default", "desk", second.id, by="ann")
        with pytest.raises(NotFound, match="no plan 9"):
            await plans.summary("default", "desk", "9")
        with pytest.raises(Conflict, match="holds this already"):
            await plans.plan("default", trip(CITY, DAY, changed(DONE, say="Bye.")))
        assert await plans.plans("other") == []


@pytest.mark.parametrize(("policy", "reply"), [
    ({"step": "day", "action": "stay"}, "Which day?"),
    ({"step": "*", "action": "restart"}, "A trip then. Your e-mail?"),
    ({"step": "day", "action": "stay", "channels": ("web",)}, "Your e-mail?"),
    ({"step": "day", "action": "stay", "older_than_s": 3_600}, "Your e-mail?")])
async def test_an_operator_decides_otherwise_for_some(tmp_path: Path, policy: dict[str, Any], reply: str) -> None:
    async with running(tmp_path) as desk:
        plans = desk.engine.migrations
        await desk.say("book a trip")
        await desk.say("Rome")
        plan = await plans.plan("default", LATER)
        await plans.approve("default", "desk", plan.id, by="ann")
        await plans.policy("default", "desk", plan.id, "trip", StepPolicy(**policy))
        with pytest.raises(Conflict):
            await plans.deploy("default", "desk", plan.id, by="ann")
        await plans.approve("default", "desk", plan.id, by="ann")
        await plans.deploy("default", "desk", plan.id, by="ann")
        assert await desk.say("hm") == reply


async def test_an_operator_ends_what_stands_at_a_step(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        plans = desk.engine.migrations
        await desk.say("book a trip")
        plan = await plans.plan("default", LATER)
        with pytest.raises(InvalidRequest, match="no step nowhere"):
            await plans.policy("default", "desk", plan.id, "trip", StepPolicy(step="nowhere", action="exit"))
        await plans.policy("default", "desk", plan.id, "trip", StepPolicy(step="city", action="exit"))
        await plans.approve("default", "desk", plan.id, by="ann")
        await plans.deploy("default", "desk", plan.id, by="ann")
        await desk.say("hm")
        session = (await desk.engine.sessions("default", agent="desk")).items[0]
        assert session.scenarios == ()


async def test_plans_outlive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        plan = await desk.engine.migrations.plan("default", LATER)
    async with Engine.open(tmp_path / "data", embedder=HashingEmbedder()) as engine:
        assert [one.id for one in await engine.migrations.plans("default", "desk")] == [plan.id]


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as end:
        main(["migration", *words, "--json"])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)


def test_the_command_takes_a_plan_from_the_folder_to_the_new_version(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, data = tmp_path / "desk", ["--data", str(tmp_path / "data")]
    (folder / "scenarios").mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n", encoding="utf-8")
    (folder / "fields.yaml").write_text("- name: city\n", encoding="utf-8")
    scenario = folder / "scenarios" / "trip.yaml"
    scenario.write_text("entry: a trip\nsteps:\n- {id: a, collects: city, next: b}\n- {id: b, say: Bye}\n")
    with pytest.raises(SystemExit):
        main(["publish", str(folder), *data])
    capsys.readouterr()
    scenario.write_text("entry: a trip\nsteps:\n- {id: a, collects: city, next: x}\n"
                        "- {id: x, ask: Sure?, next: b}\n- {id: b, say: Bye}\n")
    code, plan = command(capsys, "plan", str(folder), *data)
    assert (code, plan["state"], plan["from_version"]) == (0, "pending", 1)
    assert command(capsys, "policy", "desk", plan["id"], "trip", "b", "stay", *data)[1]["state"] == "pending"
    assert command(capsys, "deploy", "desk", plan["id"], *data)[0] != 0
    assert command(capsys, "approve", "desk", plan["id"], *data)[1]["state"] == "approved"
    assert command(capsys, "deploy", "desk", plan["id"], *data)[1]["deployed_version"] == 2
    assert command(capsys, "list", *data)[1]["plans"][0]["state"] == "deployed"
    assert command(capsys, "status", "desk", plan["id"], *data)[1]["waiting"] == 0
    assert command(capsys, "show", "desk", "9-9", *data)[0] == 3


# --- the comparison ---------------------------------------------------------------------------------------------------

WORDING = st.sampled_from(["say", "ask", "description"])


@given(st.lists(st.tuples(st.integers(0, 2), WORDING, st.text(min_size=1, max_size=9)), max_size=4))
@settings(deadline=None)
def test_no_wording_makes_a_change(edits: list[tuple[int, str, str]]) -> None:
    old = V1.scenarios[0]
    steps = list(old.steps)
    for place, key, text in edits:
        if key != "ask" or steps[place].collects:
            steps[place] = steps[place].model_copy(update={key: text})
    assert scenario_change(old, old.model_copy(update={"steps": tuple(steps)})) is None


@given(st.permutations(range(3)))
def test_the_order_of_steps_in_the_file_is_no_change_while_the_first_is_the_same(order: list[int]) -> None:
    old = V1.scenarios[0]
    moved = old.model_copy(update={"steps": tuple(old.steps[place] for place in order), "start": "city"})
    assert scenario_change(old, moved) is None


@given(st.sampled_from(["collects", "requires", "can_skip", "required_action", "checkpoint", "when", "effect"]))
def test_what_a_step_does_is_in_its_hash(key: str) -> None:
    values = {"collects": ("city", "day"), "requires": ("city",), "can_skip": True, "required_action": True,
              "checkpoint": True, "when": "city == 'Rome'", "effect": "REFUSE"}
    step = V1.scenarios[0].steps[0]
    assert content_hash(step.model_copy(update={key: values[key]})) != content_hash(step)


@st.composite
def graphs(draw: st.DrawFn) -> Scenario:
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
    steps = [{"id": name, "collects": draw(st.sampled_from([[], ["city"], ["day"]])),
              "next": [{"to": to} for to in draw(st.lists(st.sampled_from(names), max_size=2, unique=True))]}
             for name in names]
    return Scenario.model_validate({"id": "g", "entry": "begin", "steps": steps})


@given(graphs(), graphs())
@settings(deadline=None)
def test_every_step_has_one_move_that_ends_in_a_step_of_the_later_version_or_says_that_none_is_left(
        old: Scenario, new: Scenario) -> None:
    change = scenario_change(old, new)
    assert scenario_change(old, old) is None
    if change is None:
        return
    assert set(change.steps) == {step.id for step in old.steps}
    targets = [move.to for move in change.steps.values() if move.to]
    assert len(set(targets)) == len(targets)
    assert set(targets) <= {step.id for step in new.steps}
    assert all(bool(move.to) == (move.kind not in ("relocate", "exit")) for move in change.steps.values())


def test_scenarios_that_are_new_move_nobody() -> None:
    more = trip(CITY, DAY, DONE, scenarios=[*V1.model_dump(by_alias=True)["scenarios"], {
        "id": "other", "entry": "something else", "steps": [{"id": "a", "say": "A."}]}])
    assert changes_between(V1, more).scenarios == ()
