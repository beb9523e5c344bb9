"""`ruche publish --learn-from runs`: recorded conversations teach which step follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruche.engine import Engine
from ruche.engine.authoring.habits import FILE, write_habits
from ruche.engine.authoring.load import load_folder
from ruche.engine.cli.main import main
from ruche.engine.policy.logged import followed, habits_from
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.run import Run, RunHashes
from ruche.storage.model.scenario import Habit
from ruche.storage.model.turn import Enforcement, ScenarioMove

SCENARIO = """
id: game
entry: the user wants to play
examples: [let us play]
steps:
  - id: choose
    ask: Which one?
    next:
      - {to: left, if: the user prefers azure}
      - {to: right, if: the user prefers crimson}
  - {id: left, say: To the left.}
  - {id: right, say: To the right.}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents" / "desk"
    (folder / "scenarios").mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")
    (folder / "scenarios" / "game.yaml").write_text(SCENARIO)
    return folder


def publish(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        main(["publish", "agents/desk", "--json", *words])
    assert end.value.code == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)["agents"][0]
    return answer


def run(session: str, sequence: int, said: str, *moves: ScenarioMove) -> Run:
    return Run(id=f"{session}-{sequence}", sequence=sequence, previous="", tenant="default", agent="desk",
               agent_version=1, session=session, interlocutor="ada", channel="api", request_id="", created_ms=sequence,
               engine="", outcome="OK", status="complete", response_type="ANSWER", risk="GREEN", language="en",
               message_ids=(), said=(said,), reply="", scenarios=moves, enforcement=Enforcement(risk="GREEN"),
               hashes=RunHashes(configuration="", input="", state_before="", state_after="", evaluation="", output=""))


def move(action: Any, *path: str) -> ScenarioMove:
    return ScenarioMove(id="game", step=path[-1] if path else "", action=action, path=path)


WHOLE = [run("s", 0, "let us play", move("START", "choose")), run("s", 1, "hm", move("CONTINUE", "left"),
                                                                   move("COMPLETE"))]


def test_what_conversations_did_is_counted_published_and_kept(
        folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(capsys)
    with Engine.blocking(tmp_path / "data", agents=tmp_path / "agents") as engine:
        for user in ("ada", "bob"):
            engine.chat(agent="desk", user=user, message="let us play")
            engine.chat(agent="desk", user=user, message="I prefer crimson")
    learned = publish(capsys, "--learn-from", "runs")
    assert (learned["version"], learned["new"]) == (2, True)
    habits = load_folder(folder).require().habits
    assert [(one.moment, one.times) for one in habits if one.step == "right"] == [("choose|", 2.0)]
    again = publish(capsys)
    assert (again["version"], again["new"]) == (2, False)


def test_what_was_learnt_decides_where_words_do_not_and_says_why(
        folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, an answer that prefers nothing leaves the step as it is; after, what others did there is foreseen."""
    publish(capsys)

    async def last(message: str, *users: str) -> Run:
        async with Engine.open(tmp_path / "data", agents=tmp_path / "agents") as engine:
            for user in users:
                await engine.chat(agent="desk", user=user, message="let us play")
                turn = await engine.chat(agent="desk", user=user, message=message)
            return await engine.run("default", turn.turn_id)

    before = anyio.run(last, "you tell me", "eve").scenarios[0]
    assert before.step == "choose"
    assert "foreseen" not in before.why
    anyio.run(last, "I prefer crimson", *(f"user-{number}" for number in range(20)))
    publish(capsys, "--learn-from", "runs")
    written = (folder / FILE).read_bytes()
    assert publish(capsys, "--learn-from", "runs")["new"] is False
    assert (folder / FILE).read_bytes() == written
    after = anyio.run(last, "you tell me", "zoe").scenarios[0]
    assert after.path == ("right",)
    assert "foreseen" in after.why
    assert "20 logged conversations went there" in after.why


def test_the_same_runs_teach_the_same_in_any_order(folder: Path) -> None:
    bundle = load_folder(folder).require()
    other = [run("t", 0, "let us play", move("START", "choose")), run("t", 1, "well", move("CONTINUE", "right"),
                                                                       move("COMPLETE"))]
    habits = habits_from(bundle, [*WHOLE, *other])
    assert habits == habits_from(bundle, [*reversed(other), *reversed(WHOLE)])
    assert {one.step: one.times for one in habits if one.times} == {"left": 1.0, "right": 1.0}
    assert sum(one.expected for one in habits) == pytest.approx(2.0, abs=0.05)


def test_conversations_that_were_broken_off_teach_nothing(folder: Path) -> None:
    begun, ended = WHOLE
    stopped = run("s", 1, "never mind", move("CONTINUE", "left"), move("CANCEL"))
    assert list(followed([begun])) == []
    assert list(followed([begun, stopped])) == []
    assert len(list(followed([begun, ended]))) == 1


def test_without_anything_to_learn_there_is_no_file(folder: Path) -> None:
    write_habits(folder, [Habit(scenario="game", moment="choose|", step="left", times=1, expected=0.5)])
    assert (folder / FILE).is_file()
    write_habits(folder, [])
    assert not (folder / FILE).exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="without --learn-from"):
        write_habits(tmp_path / "nowhere", [Habit(scenario="g", moment="a|", step="b", times=1, expected=0)])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.builds(Habit, scenario=st.text(min_size=1, max_size=8), moment=st.text(max_size=8),
                          step=st.text(min_size=1, max_size=8), times=st.floats(0, 1e6), expected=st.floats(0, 1e6)),
                min_size=1, max_size=5))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, habits: list[Habit]) -> None:
    import yaml

    folder = tmp_path_factory.mktemp("desk")
    write_habits(folder, habits)
    assert [Habit.model_validate(row) for row in yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))] == habits
