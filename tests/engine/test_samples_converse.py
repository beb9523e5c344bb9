"""The replay of recorded dialogues: what it reads, what it compares, and one real run against a started server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.converse import Utterance, action_of, main, read_actions, read_dialogues


def user(text: str) -> dict[str, Any]:
    return {"who": "user", "text": text}


def agent(action: str | None) -> dict[str, Any]:
    return {"who": "agent", "action": action, "text": "..."}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    dialogues = [
        {"id": 1, "happy": True, "tasks": ["ride_status"], "events": [
            {"who": "user_guide", "text": "be brief"}, user("where is my taxi"), agent("ask_name"), user("Angela"),
            agent("ride_ask_booking_number"), user("wait"), user("it is 77"), {"who": "agent", "query": "ride_status"},
            agent("ride_provide_booking_status"), user(" "), user("thank you"), agent(None)]},
        {"id": 2, "happy": False, "tasks": ["ride_status", "weather"], "events": [user("rain?"), agent("hello")]},
        {"id": 3, "happy": False, "tasks": ["bank_balance"], "events": [user("what is my balance"), agent("custom")]},
    ]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(one) + "\n" for one in dialogues))
    (tmp_path / "graphs" / "a").mkdir(parents=True)
    (tmp_path / "graphs" / "a" / "ride.json").write_text(json.dumps({
        "task": "ride_status", "replies": {"ride_provide_booking_status": "..."},
        "graph": {"hello": "ask_name", "ask_name": "ride_ask_booking_number"}}))
    (tmp_path / "graphs" / "a" / "other.json").write_text("[1, 2]")
    return tmp_path


def test_dialogues_inside_the_tasks_are_read_with_the_operators_next_deed(recorded: Path) -> None:
    (one,) = read_dialogues(recorded, frozenset({"ride_status"}))
    assert one.happy
    assert one.utterances == (
        Utterance("where is my taxi", "ask_name"), Utterance("Angela", "ride_ask_booking_number"),
        Utterance("wait", ""), Utterance("it is 77", "ride_provide_booking_status"), Utterance("thank you", ""))


def test_only_deeds_that_a_graph_names_are_compared(recorded: Path) -> None:
    assert read_actions(recorded) == {"hello", "ask_name", "ride_ask_booking_number", "ride_provide_booking_status"}


@pytest.mark.parametrize(("scenarios", "rules", "action"), [
    ([{"id": "s", "step": "a", "action": "START"}], [{"id": "r"}], "a"),
    ([{"id": "s", "step": "a", "action": "PAUSE"}, {"id": "t", "step": "b", "action": "START"}], [], "b"),
    ([{"id": "s", "step": "a", "action": "CANCEL"}], [{"id": "r"}], "r"), ([], [], "out_of_scope"),
])
def test_a_turn_does_one_thing(scenarios: list[Any], rules: list[Any], action: str) -> None:
    assert action_of({"scenarios": scenarios, "rules": rules}) == action


def test_a_replay_against_a_started_server_gives_every_figure(recorded: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    main(["--data", str(recorded), "--agent", "frontdesk", "--dialogues", "9", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["dialogues"], shown["turns"], shown["empty"], shown["failed"]) == (2, 6, 0, 0)
    assert shown["compared"] == 3
    assert shown["next_action_agreement"] == 1.0
    assert sum(shown["risk"].values()) == 6
    assert 0 < shown["p50_ms"] <= shown["p95_ms"]
    assert "ride_status/ride_provide_booking_status" in shown["steps"]


def test_an_agent_that_is_not_there_ends_the_program(recorded: Path) -> None:
    with pytest.raises(SystemExit, match="there is no agent nobody"):
        main(["--data", str(recorded), "--agent", "nobody"])


def test_data_without_a_fitting_dialogue_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no dialogue lies inside"):
        main(["--data", str(tmp_path), "--agent", "frontdesk"])
