"""The suite `pii`: finds are compared with labelled spans, type by type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.suites import pii
from ruche.plugins.errors import ConfigurationError
from tests.bench.measuring import measured


def row(text: str, **spans: str) -> dict[str, object]:
    return {"full_text": text, "spans": [
        {"entity_type": kind, "entity_value": value, "start_position": text.index(value),
         "end_position": text.index(value) + len(value)} for kind, value in spans.items()]}


def test_precision_and_recall_are_told_per_type(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "rows.json").write_text(json.dumps([
        row("Write to jo@desk.example", EMAIL_ADDRESS="jo@desk.example"),
        row("Write to ann@desk.example", PERSON="ann"),
        row("badge QX-9", BADGE="QX-9")]))
    metrics = measured("pii", tmp_path)
    assert metrics["n"] == 3
    assert metrics["EMAIL_ADDRESS precision"] == 50.0
    assert metrics["EMAIL_ADDRESS recall"] == 100.0
    assert metrics["PERSON recall"] == 0.0
    assert metrics["notes"] == ["not looked for: BADGE"]


def test_half_of_the_union_must_be_common_to_be_the_same_find() -> None:
    assert pii._same(0, 10, 0, 5)
    assert not pii._same(0, 10, 0, 4)
    assert not pii._same(0, 3, 3, 6)


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(ConfigurationError, match="full_text"):
        pii.read(tmp_path)
