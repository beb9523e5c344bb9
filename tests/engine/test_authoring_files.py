"""What a folder may hold: nothing outside it, nothing huge, nothing that runs, and no text that makes loading fail."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.authoring import document, files
from ruche.engine.authoring.document import read_document
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.problem import Problem

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and permissions of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "agent.yaml").write_text("name: Tiny\n")
    return made


def codes(folder: Path) -> list[str]:
    return [problem.code for problem in load_folder(folder).problems]


@POSIX
@pytest.mark.parametrize("name", ["rules.yaml", "tools.py", "knowledge/secret.md"])
def test_a_link_is_not_followed(folder: Path, name: str) -> None:
    """security item 22: a link in an agent folder is refused, wherever it leads."""
    (folder.parent / "outside").write_text("- {id: r, if: x, then: y}\n")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(folder.parent / "outside")
    assert codes(folder) == ["E111"]


@POSIX
def test_a_linked_subfolder_is_not_followed(folder: Path) -> None:
    """security item 22: scenarios/ must be a folder of the agent's own."""
    (folder.parent / "elsewhere").mkdir()
    (folder / "scenarios").symlink_to(folder.parent / "elsewhere", target_is_directory=True)
    assert codes(folder) == ["E111"]


@POSIX
def test_a_linked_head_is_reported_once_as_a_link(folder: Path) -> None:
    (folder / "agent.yaml").rename(folder.parent / "head.yaml")
    (folder / "agent.yaml").symlink_to(folder.parent / "head.yaml")
    assert codes(folder) == ["E111"]


@POSIX
def test_a_pipe_is_refused_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "rules.yaml")
    assert codes(folder) == ["E113"]


def test_a_folder_in_a_files_place_is_refused(folder: Path) -> None:
    (folder / "rules.yaml").mkdir()
    assert codes(folder) == ["E113"]


def test_a_file_in_a_folders_place_is_refused(folder: Path) -> None:
    (folder / "scenarios").write_text("entry: x")
    assert codes(folder) == ["E113"]


@POSIX
def test_a_file_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        monkeypatch.setattr(files, "_FLAGS", files._FLAGS | os.O_DIRECTORY)  # root may read everything
        assert codes(folder) == ["E113"]
        return
    (folder / "agent.yaml").chmod(0)
    assert codes(folder) == ["E113"]


def test_a_missing_folder_and_a_missing_head_are_told_apart(folder: Path) -> None:
    (folder / "agent.yaml").unlink()
    assert [problem.what for problem in load_folder(folder).problems] == ["agent.yaml is missing"]
    assert [problem.what for problem in load_folder(folder / "no").problems] == ["there is no such agent folder"]


@pytest.mark.parametrize("name", ["has space", "-dash", "a" * 65, "naïve"])
def test_a_folder_whose_name_is_no_id_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "agent.yaml").write_text("name: A\n")
    assert codes(tmp_path / name) == ["E115"]


def test_a_huge_file_is_refused_unread(folder: Path) -> None:
    """security item 22: sizes are bounded before anything is parsed."""
    (folder / "rules.yaml").write_bytes(b"#" * (files.MAX_FILE_BYTES + 1))
    began = time.process_time()
    assert codes(folder) == ["E106"]
    assert time.process_time() - began < 0.5


def test_a_folder_that_is_huge_as_a_whole_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FOLDER_BYTES", 100)
    (folder / "rules.yaml").write_text("#" * 200)
    assert codes(folder) == ["E106"]


def test_too_many_values_in_one_file_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 50)
    (folder / "intents.yaml").write_text("- {id: a, examples: [" + ",".join("x" * 60) + "]}\n")
    assert codes(folder) == ["E106"]


def test_too_many_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    for name in ("intents", "rules", "templates"):
        (folder / f"{name}.yaml").write_text("[]\n")
    assert codes(folder) == ["E106"]


def test_text_in_another_encoding_is_refused_with_its_line(folder: Path) -> None:
    (folder / "rules.yaml").write_bytes(b"- id: r\n  if: caf\xe9\n")
    (problem,) = load_folder(folder).problems
    assert (problem.code, problem.line) == ("E110", 2)


BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)),
    "depth": "[" * 100_000,
    "mappings": "{a: " * 50_000,
    "merge": "a: &a {x: 1}\nb: {<<: *a}\n",
    "self": "&a [*a]\n",
    "python": "!!python/object/apply:os.system ['true']\n",
    "digits": "- " + "9" * 200_000 + "\n",
    "key": "? " * 20_000 + "\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_yaml_bomb_costs_little_and_is_refused(name: str) -> None:
    """security item 22: anchors, tags, depth and sizes are refused before anything of a bomb is built."""
    tracemalloc.start()
    began = time.process_time()
    _, problems = read_document("rules.yaml", BOMBS[name])
    spent = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert problems
    assert spent < 2.0
    assert peak < 32 * 2**20


def test_a_word_that_yaml_1_1_takes_for_a_truth_value_stays_a_word() -> None:
    read, problems = read_document("x.yaml", "[no, on, yes, off, y, 2024-01-01, 1_000, 0b1, 1:30, =, Yes]")
    assert problems == []
    assert read.data == ["no", "on", "yes", "off", "y", "2024-01-01", "1_000", "0b1", "1:30", "=", "Yes"]


def test_yaml_1_2_values_are_read() -> None:
    read, _ = read_document("x.yaml", "[true, False, null, ~, 7, -3, 0o17, 0x1F, 1.5, .5, 1e3, '7', \"true\"]")
    assert read.data == [True, False, None, None, 7, -3, 15, 31, 1.5, 0.5, 1000.0, "7", "true"]


@given(st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_reading_fail(text: str) -> None:
    _, problems = read_document("x.yaml", text)
    assert all(isinstance(problem, Problem) and problem.line >= 1 for problem in problems)


PIECES = st.sampled_from([
    "id: r\n", "if: x\n", "then: y\n", "- ", "  ", "\n", "[", "]", "{", "}", ": ", "&a ", "*a", "!t ", "when: a <\n",
    "|\n", "hard: true\n", "enforce: ", "examples: ", ">-\n", "'", '"', "---\n", "#", "scope: {scenario: s}\n",
    "tools: [x]\n", "7", "no", "\t", "\r\n", "\u2028", "é", "? ", "<<: "])


@given(st.dictionaries(
    st.sampled_from(["agent.yaml", "rules.yaml", "templates.yaml", "fields.yaml", "tools.yaml", "scenarios/s.yaml",
                     "relationships.yaml", "intents.yaml", "tools.py", "knowledge/k.md"]),
    st.lists(PIECES, max_size=25).map("".join)))
@settings(max_examples=150, deadline=None)
def test_no_broken_folder_makes_loading_fail(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("broken")
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    found = load_folder(folder)
    assert (found.bundle is None) == bool(found.errors)
    assert all(str(problem) and problem.column >= 1 for problem in found.problems)
