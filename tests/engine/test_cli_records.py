"""`ruche runs` and `ruche erase` on a data directory, with real files and real keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.storage.model.turn import Turn
from tests.engine.test_cli_data import run


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Turn]:
    """A data directory in which ada and bob said something."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents" / "one"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Agent\n")
    with Engine.blocking("data", agents=folder) as engine:
        return {user: engine.chat(agent="one", message="hello", user=user, channel="api") for user in ("ada", "bob")}


def test_runs_are_listed_shown_and_exported(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    code, listed = run(capsys, "runs", "list")
    assert code == 0
    assert {one["id"] for one in listed} == {turn.turn_id for turn in said.values()}
    ada = said["ada"]
    assert [one["id"] for one in run(capsys, "runs", "list", "--session", ada.session_id)[1]] == [ada.turn_id]
    assert run(capsys, "runs", "show", ada.turn_id)[1][0]["said"] == ["hello"]
    assert run(capsys, "runs", "show", "unknown")[0] == 3
    assert run(capsys, "runs", "export", "--to", "out") == (0, [{"written": 2, "unchanged": 0}])
    assert {path.stem for path in Path("out").rglob("*.json")} == {turn.turn_id for turn in said.values()}
    assert run(capsys, "runs", "export", "--to", "later", "--from", "2100-01-01")[1][0]["written"] == 0


def test_people_read_a_list_and_a_run(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("list",), ("show", said["ada"].turn_id), ("export", "--to", "out")):
        with pytest.raises(SystemExit) as end:
            main(["runs", *words])
        assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"{said['bob'].turn_id} " in told
    assert '"said": [' in told
    assert "2 runs written" in told


def test_an_erased_person_is_gone_and_everything_still_verifies(said: dict[str, Turn],
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    code, (done,) = run(capsys, "erase", "ada", "--yes")
    assert code == 0
    assert done["proof"]["kind"] == "erasure"
    assert run(capsys, "runs", "show", said["ada"].turn_id)[1][0]["error"]["code"] == "RESOURCE_DELETED"
    assert run(capsys, "runs", "show", said["bob"].turn_id)[0] == 0
    assert run(capsys, "erase", "ada", "--yes")[0] == 3
    assert run(capsys, "erase", "bob", "--yes", "--tenant", "rival")[0] == 3
    code, (report,) = run(capsys, "verify")
    assert (code, report["ok"], report["entries"]) == (0, True, 3)


def test_an_erased_tenant_is_gone_with_everybody(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    code, (done,) = run(capsys, "erase", "--everybody", "--yes")
    assert code == 0
    assert [len(one["keys"]) for one in done] == [3]
    for turn in said.values():
        assert run(capsys, "runs", "show", turn.turn_id)[1][0]["error"]["code"] == "RESOURCE_DELETED"
    assert run(capsys, "erase", "--everybody", "--yes", "--tenant", "rival")[0] == 3
    code, (report,) = run(capsys, "verify")
    assert (code, report["ok"], report["entries"]) == (0, True, 3)


@pytest.mark.parametrize("words", [(), ("ada", "--everybody")])
def test_a_person_or_a_whole_tenant_is_named_never_both(said: dict[str, Turn], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["erase", "--yes", *words])
    assert end.value.code == 2


def test_without_a_yes_nothing_is_erased(said: dict[str, Turn], capsys: pytest.CaptureFixture[str],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    for typed, code in (("n\n", 130), ("", 130), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as end:
            main(["erase", "ada"])
        assert int(end.value.code or 0) == code
    assert "none may be after" in capsys.readouterr().out


def test_neither_makes_a_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("erase", "ada", "--yes"), ("runs", "list"), ("runs", "export", "--to", "out")):
        code, answer = run(capsys, *words)
        assert (code, answer[0]["error"]["code"]) == (3, "NOT_FOUND")
    assert list(tmp_path.iterdir()) == []
    told: Any = json.dumps(answer)
    assert "name it" in told
