"""`ruche plugins`, `schema` and `completion`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from ruche.engine.authoring.samples import sample_folder
from tests.engine.test_cli_data import run


def completed(words: str, at: int, shell: str = "bash") -> list[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RUCHE_")}
    made = subprocess.run([sys.executable, "-c", "from ruche.engine.cli.main import main; main()"],
                          capture_output=True, text=True, timeout=60, env={
                              **variables, "COMP_WORDS": words, "COMP_CWORD": str(at),
                              "_RUCHE_COMPLETE": f"{shell}_complete"})
    assert made.stderr == ""
    return [line.split(",", 1)[1] for line in made.stdout.splitlines()]


def test_everything_built_in_is_listed_and_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "plugins")
    assert code == 0
    assert {("enforcer", "phrase"), ("generator", "composer"), ("selector", "elbow"), ("channel", "web")} <= {
        (one["kind"], one["name"]) for one in found if one["origin"] == "built in"}
    assert all(one["usable"] for one in found if one["origin"] == "built in")


def test_a_plugin_that_cannot_be_loaded_is_named_with_why(tmp_path: Path) -> None:
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ruche.plugins]\nenforcer:odd = nowhere_at_all:Odd\n")
    path = os.pathsep.join(part for part in (str(tmp_path), os.environ.get("PYTHONPATH", "")) if part)
    made = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", "plugins", "--json"], capture_output=True,
                          text=True, timeout=60, env={**os.environ, "PYTHONPATH": path})
    odd = next(one for one in map(json.loads, made.stdout.splitlines()) if one["name"] == "odd")
    assert (made.returncode, odd["usable"], "nowhere_at_all" in odd["fault"]) == (1, False, True)


def test_schemas_are_shown_listed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, (kinds,) = run(capsys, "schema")
    assert (code, {"agent", "rules", "scenario", "tests"} <= set(kinds)) == (0, True)
    schema = run(capsys, "schema", "rules")[1][0]
    rules = yaml.safe_load((sample_folder("kiosk") / "rules.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(rules, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"id": 7}], schema)
    assert run(capsys, "schema", "ruels")[0] == 3
    assert run(capsys, "schema", "--to", str(tmp_path / "out"))[0] == 0
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(kinds)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ruche.engine.cli.main import main

    with pytest.raises(SystemExit) as end:
        main(["completion", shell])
    assert not end.value.code
    assert f"_RUCHE_COMPLETE={shell}_complete" in capsys.readouterr().out.replace('"', "")


def test_subcommands_options_and_their_choices_are_completed() -> None:
    assert completed("ruche pe", 1) == ["people"]
    assert {"people", "serve", "whatif"} <= set(completed("ruche ", 1))
    assert completed("ruche people ex", 2) == ["export"]
    assert completed("ruche people show --te", 3) == ["--tenant"]
    assert completed("ruche memory episodes --kind w", 4) == ["wisdom"]


def test_a_real_shell_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        return
    program = tmp_path / "ruche"
    program.write_text(f"#!{sys.executable}\nfrom ruche.engine.cli.main import main\nmain()\n")
    program.chmod(0o755)
    script = ('eval "$(ruche completion bash)"\nCOMP_WORDS=(ruche peo) COMP_CWORD=1 COMP_TYPE=9\n'
              "_ruche_completion ruche peo ruche\n"
              'printf "%s\\n" "${COMPREPLY[@]}"\n')
    made = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    assert made.stdout.splitlines() == ["people"]
