"""The suite `constraints`: instructions become hard rules, and replies are delivered or stopped by the whole engine."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bench.suites import constraints, replies
from ruche.plugins.errors import ConfigurationError
from tests.bench.measuring import measured


def folder(path: Path, *rows: tuple[str, dict[str, Any]]) -> Path:
    lines = [json.dumps({"key": place, "prompt": "Say it.", "instruction_id_list": [kind], "kwargs": [options]})
             for place, (kind, options) in enumerate(rows)]
    (path / "rows.jsonl").write_text("\n".join(lines))
    return path


def test_broken_replies_are_stopped_and_kept_ones_go_out_word_for_word(tmp_path: Path) -> None:
    metrics = measured("constraints", folder(
        tmp_path, ("punctuation:no_comma", {}), ("keywords:frequency", {"relation": "less than", "keyword": "moon",
                                                                        "frequency": 3}),
        ("length_constraints:number_sentences", {"relation": "at least", "num_sentences": 2}),
        ("language:response_language", {"language": "hi"}), ("an:unknown_kind", {}), ("keywords:existence", {})))
    assert metrics["n"] == 6
    assert metrics["violations_found"] == 100.0
    assert metrics["false_alarms"] == 0.0
    assert metrics["instructions_not_expressed"] == 2
    assert metrics["punctuation:no_comma violations_found"] == 100.0


def test_every_kind_that_replies_are_written_for_is_expressed_as_rules() -> None:
    assert set(replies._MAKERS) == set(constraints._RULES)


@pytest.mark.parametrize("relation", ["at least", "less than"])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_replies_are_written_on_both_sides_of_the_limit(relation: str, number: int) -> None:
    options = {"relation": relation, "num_words": number}
    kept, broken = replies.written("length_constraints:number_words", options, "", random.Random(1))
    holds = [(number > len(text.split())) == (relation == "less than") for text in kept]
    breaks = [(number > len(text.split())) == (relation == "less than") for text in broken]
    assert all(holds)
    assert not any(breaks)


def test_a_folder_without_instructions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="instruction_id_list"):
        constraints.read(tmp_path)
