"""An agent written as the files of a folder says what it said before, and findings stand in its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.engine.authoring.check import check
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_folder
from ruche.engine.authoring.writing import Written, files_of
from ruche.storage.model.bundle import AgentBundle, canonical_bundle


def written(bundle: AgentBundle, folder: Path) -> AgentBundle:
    for name, text in files_of(bundle).items():
        path = folder / bundle.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_folder(folder / bundle.id).require()


@pytest.mark.parametrize("name", ["kiosk", "frontdesk"])
def test_what_is_written_loads_as_the_same_agent(name: str, tmp_path: Path) -> None:
    bundle = load_folder(sample_folder(name)).require()
    for file, text in bundle.sources.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / file).write_text(text, encoding="utf-8")
    assert canonical_bundle(written(bundle, tmp_path)) == canonical_bundle(bundle)


def test_a_finding_stands_in_the_line_of_the_file_that_would_hold_it() -> None:
    bundle = AgentBundle.model_validate({
        "id": "desk", "agent": {"name": "Desk"},
        "rules": [{"id": "a", "if": "somebody asks", "then": "Yes."},
                  {"id": "b", "if": "somebody asks more", "then": "No.", "when": "1 + nowhere > 1"}],
        "scenarios": [{"id": "trip", "entry": "somebody travels", "steps": [
            {"id": "one", "say": "Where to?", "next": [{"to": "nowhere"}]}]}]})
    found = {one.path: one for one in check(bundle, Written(bundle)) if one.is_error}
    files = {name: text.splitlines() for name, text in files_of(bundle).items()}
    when = found["rules/1/when"]
    assert files["rules.yaml"][when.line - 1] == when.source == "  when: 1 + nowhere > 1"
    assert when.source[when.column - 1:].startswith("nowhere")
    step = next(one for path, one in found.items() if path.startswith("scenarios/0/steps/0/next"))
    assert (step.file, "nowhere" in files["scenarios/trip.yaml"][step.line - 1]) == ("scenarios/trip.yaml", True)
    assert str(step).startswith(f"scenarios/trip.yaml:{step.line}:{step.column} ")


def test_an_agent_without_a_fault_is_not_written() -> None:
    bundle = AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk"}, "rules": [
        {"id": "a", "if": "somebody asks", "then": "Yes."}]})
    places = Written(bundle)
    check(bundle, places)
    assert places.documents == {}
