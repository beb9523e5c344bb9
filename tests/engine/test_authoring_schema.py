"""The schemas that editors get: valid draft-07, they admit what the loader admits, and refuse what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from ruche.engine.authoring.document import read_document
from ruche.engine.authoring.samples import sample_folder, sample_names
from ruche.engine.authoring.schema import editor_line, schemas

SCHEMAS = schemas()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_draft_07(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "http://json-schema.org/draft-07/schema#"


def faults(name: str, text: str) -> list[str]:
    data: Any = read_document("x.yaml", text)[0].data
    return [error.message for error in Draft7Validator(SCHEMAS[name]).iter_errors(data)]


@pytest.mark.parametrize("sample", sample_names())
def test_the_samples_fit_their_schemas(sample: str) -> None:
    folder = sample_folder(sample)
    for file in [*folder.glob("*.yaml"), *folder.glob("scenarios/*.yaml"), *folder.glob("tests/*.yaml")]:
        name = {"scenarios": "scenario.json", "tests": "tests.json"}.get(file.parent.name, f"{file.stem}.json")
        assert faults(name, file.read_text(encoding="utf-8")) == [], file


@pytest.mark.parametrize(("name", "text"), [
    ("rules.json", "- {id: r, if: x, then: y, scope: {scenario: s}, tools: look_up, templates: t, examples: e}"),
    ("rules.json", "- {id: r, if: x, then: y, enforce: {use: phrase, options: {a: 1}}, effect: refuse}"),
    ("scenario.json", "{entry: x, steps: [{id: a, next: b, checkpoint: true}, {id: b, next: [c, {to: d}], say: x}]}"),
    ("templates.json", "- {id: t, text: x, mode: exclusive}"),
    ("tests.json", "- {name: n, turns: {say: x, rules: r, risk: green, at: '2026-01-05T10:00:00Z'}}"),
])
def test_short_forms_are_admitted(name: str, text: str) -> None:
    assert faults(name, text) == []


@pytest.mark.parametrize(("name", "text"), [
    ("rules.json", "- {id: r, if: x}"), ("rules.json", "- {id: r, if: x, then: y, hard: no}"),
    ("rules.json", "- {id: r, if: x, then: y, sope: GLOBAL}"), ("templates.json", "- {id: t, text: x, mode: never}"),
    ("tests.json", "- {name: n, turns: [{say: x, lack: y}]}"), ("tests.json", "- {name: n}"),
    ("agent.json", "{name: A, publik: true}"), ("scenario.json", "{entry: x, steps: [{id: a, next: [{too: b}]}]}"),
])
def test_mistakes_are_marked(name: str, text: str) -> None:
    assert faults(name, text)


def test_every_file_of_an_agent_points_to_its_schema(tmp_path: Path) -> None:
    for name in SCHEMAS:
        folder = {"scenario.json": "scenarios/", "tests.json": "tests/"}.get(name, "")
        file = folder + name.replace(".json", ".yaml")
        line = editor_line(file)
        path = line.rstrip().partition("$schema=")[2]
        assert line.startswith("# yaml-language-server: $schema=")
        assert ((tmp_path / file).parent / path).resolve() == (tmp_path / ".schema" / name).resolve()
