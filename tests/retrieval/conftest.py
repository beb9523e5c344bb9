"""Fixtures of the retrieval room: the real weights, and model folders made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.tinybert import SMALL, write_folder
from ruche.plugins.embedders import weights
from ruche.plugins.embedders.minilm import MiniLmEmbedder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    found = weights.packaged()
    if found is None or weights.missing(found):
        pytest.fail("the MiniLM weights are missing: run `scripts/setup --tests`, which installs them")
    return found


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> MiniLmEmbedder:
    return MiniLmEmbedder(minilm_folder)


@pytest.fixture(scope="session")
def cross_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("models") / "cross", SMALL)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which neither the package nor an installed model is there."""
    monkeypatch.setattr(weights, "PACKAGE", "a_package_that_is_not_there")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
