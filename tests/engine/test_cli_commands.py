"""The `ruche` command as users meet it: exit codes, what goes where, examples first, nothing loaded for help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_names
from ruche.engine.cli import main as program
from ruche.engine.cli.main import COMMANDS, cli, main
from ruche.plugins.errors import (
    ConfigurationError,
    DataLocked,
    IntegrityError,
    InvalidRequest,
    NotFound,
    StorageFull,
)

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RUCHE_")}


def ruche(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", *words], cwd=cwd, text=True, timeout=60,
                          capture_output=True, env={**CLEAN, **variables})


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_help_starts_with_an_example_and_lists_every_command() -> None:
    shown = ruche("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Example:\n  ruche init agents/support\n")
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)


def test_help_loads_nothing_that_takes_time() -> None:
    code = ("import sys\nfrom ruche.engine.cli.main import main\n"
            "try: main(['--help'])\nexcept SystemExit: pass\n"
            "print([m for m in ('pydantic', 'numpy', 'duckdb', 'aiohttp', 'yaml', 'msgspec') if m in sys.modules])")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_starts_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"], prog_name="ruche")
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Example:\n  ruche {name}")
    assert f"Usage: ruche {name}" in shown.output


def test_a_mistyped_command_is_met_with_the_right_one() -> None:
    shown = ruche("chek")
    assert shown.returncode == 2
    assert "did you mean check?" in shown.stderr
    assert shown.stdout == ""


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("check", "--stirct") == 2
    assert "--strict" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [
    (ConfigurationError("x"), 2), (InvalidRequest("x"), 2), (NotFound("x"), 3), (DataLocked("x"), 4),
    (StorageFull("x"), 4), (IntegrityError("x"), 5), (ZeroDivisionError("x"), 70), (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
])
def test_an_error_ends_with_its_exit_code(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    @click.command("version")
    def failing() -> None:
        raise error

    monkeypatch.setattr(program.LazyGroup, "get_command", lambda self, ctx, name: failing)
    assert code_of("version") == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_an_error_is_a_document_when_json_was_asked_for(tmp_path: Path) -> None:
    shown = ruche("check", str(tmp_path / "nowhere"), "--json")
    assert shown.returncode == 3
    assert json.loads(shown.stdout)["error"]["code"] == "NOT_FOUND"


def test_debug_shows_where_an_internal_error_came_from(monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    @click.command("version")
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(program.LazyGroup, "get_command", lambda self, ctx, name: failing)
    assert code_of("--debug", "version") == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_version_tells_what_runs_here() -> None:
    shown = json.loads(ruche("version", "--json").stdout)
    assert shown["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(shown) == {"ruche", "python", "platform"}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "agents" / "bad").mkdir(parents=True)
    (tmp_path / "agents" / "bad" / "agent.yaml").write_text("name: Bad\nlangages: [en]\n")
    return tmp_path


def test_check_names_file_line_and_column_and_shows_the_line(broken: Path) -> None:
    shown = ruche("check", cwd=broken)
    assert shown.returncode == 1
    assert shown.stdout == ("agents/bad/agent.yaml:2:1 E201 langages is not known here (did you mean languages?)\n"
                            "    langages: [en]\n    ^\n")
    assert shown.stderr == "1 agent: 1 errors, 0 warnings\n"


def test_check_gives_one_document(broken: Path) -> None:
    shown = json.loads(ruche("check", "agents", "--json", cwd=broken).stdout)
    (agent,) = shown["agents"]
    assert agent["problems"] == [{"file": "agent.yaml", "line": 2, "column": 1, "code": "E201",
                                  "message": "langages is not known here", "hint": "did you mean languages?"}]
    assert agent["hash"] is None


def test_a_warning_is_a_finding_only_when_strict(tmp_path: Path) -> None:
    folder = tmp_path / "warned"
    folder.mkdir()
    (folder / "agent.yaml").write_text("name: Warned\n")
    (folder / "rules.yaml").write_text("- {id: r, if: x, then: y, when: 1 > 2}\n")
    assert code_of("check", str(folder)) == 0
    assert code_of("check", str(folder), "--strict") == 1


def test_no_colour_where_none_is_wanted(broken: Path) -> None:
    assert "\x1b[" not in ruche("check", cwd=broken, NO_COLOR="1").stdout


@pytest.mark.parametrize("sample", sample_names())
def test_init_makes_an_agent_that_checks(sample: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "agents" / "mine"
    assert code_of("init", str(folder), "--from", sample) == 0
    found = load_folder(folder)
    assert [str(problem) for problem in found.problems] == []
    assert found.require().id == "mine"
    assert "ruche check" in capsys.readouterr().err


def test_init_gives_every_file_its_schema_line(tmp_path: Path) -> None:
    assert code_of("init", str(tmp_path / "mine"), "--json") == 0
    for file in [*(tmp_path / "mine").glob("*.yaml"), *(tmp_path / "mine").glob("scenarios/*.yaml")]:
        first = file.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (file.parent / first.partition("$schema=")[2]).is_file()


def test_init_overwrites_nothing(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("init", str(broken / "agents" / "bad")) == 2
    assert "is not empty" in capsys.readouterr().err
    assert (broken / "agents" / "bad" / "agent.yaml").read_text() == "name: Bad\nlangages: [en]\n"


def test_init_brings_schemas_into_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("name: Mine\n")
    code_of("init", str(tmp_path), "--schemas-only")
    assert (tmp_path / ".schema" / "rules.json").is_file()
    assert (tmp_path / "agent.yaml").read_text() == "name: Mine\n"


def test_init_knows_its_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("init", str(tmp_path / "x"), "--from", "nothing") == 2
    assert "frontdesk, kiosk, starter" in capsys.readouterr().err
