"""An agent's test conversations as they are read: what they may hold, and every fault with its file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from ruche.engine.authoring.conversations import read_conversations
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_folder, sample_names
from ruche.engine.cli.main import main

FILES = {
    "agent.yaml": "name: Tiny\n",
    "rules.yaml": "- {id: hours, if: Somebody asks when we open, then: At nine.}\n",
    "tools.yaml": "- {id: look, python: 'tools.py:look'}\n",
    "tools.py": "def look():\n    return {}\n",
    "scenarios/s.yaml": ("entry: Somebody wants a taxi\nsteps:\n  - {id: a, say: Where to?, next: b}\n"
                         "  - {id: b, say: Bye}\n"),
}


def write(folder: Path, tests: str, **more: str) -> Path:
    for name, text in {**FILES, "tests/t.yaml": tests, **more}.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


class Fault(NamedTuple):
    code: str
    line: int
    says: str
    tests: str


TURN = "- name: n\n  turns:\n    - say: x\n"
FAULTS = [
    Fault("E101", 2, "not YAML", "- name: n\n turns: x\n"),
    Fault("E201", 4, "did you mean lacks?", TURN + "      lack: y\n"),
    Fault("E202", 1, "turns is missing", "- name: n\n"),
    Fault("E203", 4, "takes text", TURN + "      contains: [7]\n"),
    Fault("E204", 4, "did you mean green?", TURN + "      risk: gren\n"),
    Fault("E204", 2, "timezone", "- name: n\n  at: '2026-01-05T10:00:00'\n  turns: {say: x}\n"),
    Fault("E204", 6, "before the turn before it",
          "- name: n\n  at: '2026-01-05T10:00:00Z'\n  turns:\n    - say: x\n    - say: y\n"
          "      at: '2026-01-05T09:00:00Z'\n"),
    Fault("E204", 2, "at least one", "- name: n\n  turns: []\n"),
    Fault("E205", 1, "is a list", "name: n\n"),
    Fault("E206", 4, "name n is taken", TURN + TURN),
    Fault("E302", 4, "did you mean look?", TURN + "      tools: [lok]\n"),
    Fault("E302", 4, "there is no tool find", TURN + "      not_tools: find\n"),
    Fault("E302", 2, "there is no tool find", "- name: n\n  results: {find: 1}\n  turns: {say: x}\n"),
    Fault("E302", 2, "there is no tool find", "- name: n\n  fails: find\n  turns: {say: x}\n"),
    Fault("E304", 4, "there is no scenario taxi", TURN + "      scenario: taxi\n"),
    Fault("E305", 4, "there is no step c", TURN + "      step: c\n"),
    Fault("E306", 4, "did you mean hours?", TURN + "      rules: [hour]\n"),
    Fault("E306", 4, "there is no rule greet", TURN + "      not_rules: greet\n"),
    Fault("E306", 4, "there is no rule greet", TURN + "      verdicts: {greet: pass}\n"),
    Fault("E701", 4, "without a model", TURN + "      model: Hello\n"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}-{fault.says}")
def test_a_fault_is_found_with_its_line_and_what_to_write_instead(fault: Fault, tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", fault.tests)
    _, problems = read_conversations(folder, load_folder(folder).require())
    (problem,) = [one for one in problems if one.code == fault.code]
    assert (problem.file, problem.line) == ("tests/t.yaml", fault.line)
    assert fault.says in str(problem)


def test_short_forms_are_taken_as_in_the_agents_own_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", "- name: n\n  turns: {say: x, rules: hours, risk: green, response_type: ask}\n")
    (one,), problems = read_conversations(folder, load_folder(folder).require())
    assert problems == []
    (turn,) = one.conversation.turns
    assert (turn.rules, turn.risk, turn.response_type) == (("hours",), "GREEN", "ASK")


def test_other_files_beside_the_conversations_are_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", TURN, **{"tests/test_own.py": "import nothing\n", "tests/notes.md": "x",
                                               "tests/empty.yaml": ""})
    found, problems = read_conversations(folder, None)
    assert [one.conversation.name for one in found] == ["n"]
    assert problems == []


def test_a_file_with_the_other_ending_is_not_silently_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", TURN, **{"tests/more.yml": TURN})
    (problem,) = read_conversations(folder, None)[1]
    assert str(problem) == "tests/more.yml:1:1 E207 a test's file ends in .yaml (rename it tests/more.yaml)"


def test_a_link_in_the_tests_is_not_followed(tmp_path: Path) -> None:
    """Security item 22."""
    folder = write(tmp_path / "tiny", TURN)
    (folder / "tests" / "out.yaml").symlink_to("/etc/hostname")
    assert [one.code for one in read_conversations(folder, None)[1]] == ["E111"]


def test_check_reports_the_faults_of_tests_like_all_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", TURN + "      rules: [hour]\n")
    with pytest.raises(SystemExit) as end:
        main(["check", str(folder)])
    assert end.value.code == 1
    assert f"{folder}/tests/t.yaml:4:15 E306 there is no rule hour (did you mean hours?)" in capsys.readouterr().out


def test_a_faulty_test_keeps_no_agent_from_being_published(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny", "- nonsense: [\n")
    assert load_folder(folder).require().id == "tiny"


@pytest.mark.parametrize("name", sample_names())
def test_the_samples_have_conversations_without_a_fault(name: str) -> None:
    found, problems = read_conversations(sample_folder(name), load_folder(sample_folder(name)).bundle)
    assert problems == []
    assert found


def test_init_gives_test_files_their_schema_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "mine")])
    first = (tmp_path / "mine" / "tests" / "first.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../.schema/tests.json"
    assert json.loads((tmp_path / "mine" / ".schema" / "tests.json").read_text())["type"] == "array"
