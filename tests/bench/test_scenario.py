"""The suite `scenario`: an operator's deeds against the policy's ranking, happy and unhappy apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruche.plugins.errors import ConfigurationError
from tests.bench.measuring import measured
from tests.engine.test_import_star import source


def dialogue(name: str, happy: bool, *actions: str) -> str:
    events = [event for action in actions for event in
              ({"who": "user", "text": "so be it"}, {"who": "agent", "action": action, "text": ""})]
    return json.dumps({"id": name, "happy": happy, "tasks": ["boat_rent"], "events": events})


def test_deeds_are_compared_and_those_outside_of_the_graph_count_as_misses(tmp_path: Path) -> None:
    folder = source(tmp_path)
    (folder / "talks.jsonl").write_text("\n".join([
        dialogue("a", True, "hello", "ask_name", "boat_ask_lake"), dialogue("b", False, "hello", "dance")]))
    metrics = measured("scenario", folder)
    assert metrics["n"] == 5
    assert metrics["in_the_graph"] == 80.0
    assert metrics["unhappy_top3"] <= 50.0
    assert metrics["happy_top1"] <= metrics["happy_top3"]
    assert 0.0 <= metrics["unsure_share"] <= 100.0


def test_a_folder_without_dialogues_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="dialogue"):
        measured("scenario", source(tmp_path))
