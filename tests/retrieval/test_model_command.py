"""`ruche model`: weights are copied only when every byte is right, and a broken copy is never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ruche.engine.cli.model import model
from ruche.plugins.embedders import weights
from ruche.plugins.embedders.install import install_weights, places, verify_weights
from ruche.plugins.errors import ConfigurationError, IntegrityError, NotFound


@pytest.mark.usefixtures("no_weights")
def test_installed_weights_are_found_listed_and_verified(minilm_folder: Path) -> None:
    run = CliRunner()
    installed = run.invoke(model, ["install", "--from", str(minilm_folder), "--json"], catch_exceptions=False)
    folder = Path(json.loads(installed.output)["folder"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(weights.PINNED)
    assert weights.find_weights() == folder
    listed = json.loads(run.invoke(model, ["list", "--json"]).output)
    assert listed == [{"folder": str(folder), "origin": "installed", "complete": True, "used": True}]
    verified = json.loads(run.invoke(model, ["verify", "--json"]).output)
    assert (verified["folder"], verified["dimensions"]) == (str(folder), 384)


@pytest.mark.usefixtures("no_weights")
def test_without_a_package_or_a_folder_install_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="--from"):
        install_weights()
    assert [place.used for place in places()] == [False]
    with pytest.raises(NotFound, match="ruche model install"):
        verify_weights()
    assert "ruche model install" in CliRunner().invoke(model, ["list"]).stderr


def test_a_source_with_other_bytes_installs_nothing(tmp_path: Path) -> None:
    for name in weights.PINNED:
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        install_weights(tmp_path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_source_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
        install_weights(tmp_path, tmp_path / "target")


def test_damaged_installed_weights_fail_verification_as_an_integrity_error(tmp_path: Path) -> None:
    for name in weights.PINNED:
        (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="SHA-256"):
        verify_weights(tmp_path)


@pytest.mark.usefixtures("no_weights")
def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(minilm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        install_weights(minilm_folder, tmp_path / "file")
