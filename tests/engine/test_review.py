"""Where an agent asks for a review, a version that moves running conversations goes live through an approved plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.review import ReviewNeeded
from ruche.engine.cli.main import main
from ruche.engine.config import Settings, read_settings
from ruche.engine.drafts import Author
from ruche.storage.model.agent import Agent
from ruche.storage.model.field import InterlocutorField
from ruche.storage.model.scenario import Scenario

pytestmark = pytest.mark.anyio

ONE = "entry: somebody wants a trip\nsteps:\n- {id: city, collects: city, next: done}\n- {id: done, say: Good.}\n"
TWO = ONE.replace("- {id: done", "- {id: more, ask: Anything else?, next: done}\n- {id: done").replace(
    "next: done}\n- {id: more", "next: more}\n- {id: more")
ANN = Author("ann")


def write(root: Path, scenario: str, head: str = "review: true\n") -> Path:
    folder = root / "desk"
    (folder / "scenarios").mkdir(parents=True, exist_ok=True)
    (folder / "agent.yaml").write_text(f"name: Desk\n{head}")
    (folder / "fields.yaml").write_text("- {name: city, scope: CASE}\n")
    (folder / "scenarios" / "trip.yaml").write_text(scenario)
    return folder


def settings(root: Path) -> Settings:
    return read_settings(environment={}, data=root / "data", agents=root / "agents", models={"embedder": "hashing"})


async def test_a_folder_goes_live_once_its_plan_is_deployed(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE)
    async with Engine.open(settings=settings(tmp_path)) as engine:
        folder = write(tmp_path / "agents", TWO)
        with pytest.raises(ReviewNeeded, match=r"trip.*make a plan"):
            await engine.publish(folder)
        plan = await engine.migrations.plan("default", load_folder(folder).require())
        with pytest.raises(ReviewNeeded, match=f"approve plan {plan.id}"):
            await engine.publish(folder)
        await engine.migrations.approve("default", "desk", plan.id, by="ann")
        with pytest.raises(ReviewNeeded, match=f"deploy plan {plan.id}"):
            await engine.publish(folder)
        assert (await engine.migrations.deploy("default", "desk", plan.id, by="ann")).version == 2
        assert [one.version for one in await engine.publish(folder)] == [2]


async def test_a_plan_for_another_text_opens_nothing(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE)
    async with Engine.open(settings=settings(tmp_path)) as engine:
        plan = await engine.migrations.plan("default", load_folder(write(tmp_path / "agents", TWO)).require())
        await engine.migrations.approve("default", "desk", plan.id, by="ann")
        other = write(tmp_path / "agents", TWO.replace("city, next", "city, required_action: true, next"))
        with pytest.raises(ReviewNeeded, match="make a plan"):
            await engine.publish(other)


@pytest.mark.parametrize("head", ["", "review: true\npersona: Calm.\n"], ids=["the gate taken away", "words"])
async def test_a_version_that_moves_nobody_is_let_in(tmp_path: Path, head: str) -> None:
    write(tmp_path / "agents", ONE)
    async with Engine.open(settings=settings(tmp_path)) as engine:
        worded = ONE.replace("Good.", "Very good.")
        assert [one.version for one in await engine.publish(write(tmp_path / "agents", worded, head))] == [2]


async def test_the_version_that_serves_decides_so_that_no_version_lets_itself_in(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE)
    async with Engine.open(settings=settings(tmp_path)) as engine:
        with pytest.raises(ReviewNeeded):
            await engine.publish(write(tmp_path / "agents", TWO, head=""))


async def test_an_earlier_version_is_let_back_in(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE, head="")
    async with Engine.open(settings=settings(tmp_path)) as engine:
        await engine.publish(write(tmp_path / "agents", TWO))
        assert (await engine.rollback("default", "desk", 1)).version == 3


async def test_a_start_with_changes_that_nobody_approved_serves_the_version_before_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE)
    async with Engine.open(settings=settings(tmp_path)):
        pass
    write(tmp_path / "agents", TWO)
    async with Engine.open(settings=settings(tmp_path)) as engine:
        served = await engine.agent("default", "desk")
        assert (served.version, len(served.bundle.scenarios[0].steps)) == (1, 2)
        assert any("desk of tenant default serves as before" in notice for notice in engine.notices)
        assert (await engine.chat(agent="desk", user="ada", message="hello")).reply


async def test_a_draft_is_held_back_as_a_folder_is(tmp_path: Path) -> None:
    write(tmp_path / "agents", ONE)
    one = load_folder(tmp_path / "agents" / "desk").require().scenarios[0]
    two = load_folder(write(tmp_path / "later", TWO)).require().scenarios[0]

    def with_scenario(scenario: Scenario) -> dict[str, object]:
        return {"scenarios": (scenario,), "fields": (InterlocutorField(name="city", scope="CASE"),)}

    async with Engine.open(settings=settings(tmp_path)) as engine:
        await engine.drafts.create("default", "api", Agent(name="Api", review=True), ANN)
        await engine.drafts.edit("default", "api", lambda old: old.model_copy(update=with_scenario(one)), ANN)
        await engine.drafts.publish("default", "api", ANN)
        draft = await engine.drafts.edit("default", "api", lambda old: old.model_copy(update=with_scenario(two)), ANN)
        with pytest.raises(ReviewNeeded):
            await engine.drafts.publish("default", "api", ANN)
        plan = await engine.migrations.plan("default", draft.bundle)
        await engine.migrations.approve("default", "api", plan.id, by="ann")
        await engine.migrations.deploy("default", "api", plan.id, by="ann")
        assert (await engine.drafts.publish("default", "api", ANN))[0].version == 2


def test_the_command_publishes_nothing_that_nobody_approved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def publish(*words: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(["publish", folder, "--data", str(tmp_path / "data"), *words])
        return int(end.value.code or 0)

    folder = str(write(tmp_path / "agents", ONE))
    assert publish() == 0
    write(tmp_path / "agents", TWO)
    assert publish() != 0
    assert "desk asks for a review" in capsys.readouterr().err
    assert publish("--rollback", "1") == 0
