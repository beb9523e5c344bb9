"""Plans for running conversations: reviewed, approved or rejected, deployed, and how far they have come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.publish import bundle_hash
from ruche.engine.cli.main import main
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound
from ruche.storage.model.migration import StepPolicy
from tests.brain.test_migration import CITY, DAY, DONE, MAIL, changed, running, trip

pytestmark = pytest.mark.anyio

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
