"""An embedder that hangs ends the start with a word on what to do, instead of holding it for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.config import read_settings
from ruche.engine.embedding import try_embedder

STUCK = """
import threading

import numpy as np


class Stuck:
    name, dimensions, rule_threshold = "stuck-1", 4, 0.5

    def __init__(self):
        if {making}:
            threading.Event().wait()

    def encode(self, texts):
        if not {making}:
            threading.Event().wait()
        return np.full((len(texts), 4), 0.5, dtype=np.float32)
"""


def start(root: Path, *, making: bool) -> subprocess.CompletedProcess[str]:
    about = root / "site" / "stuck-1.0.dist-info"
    about.mkdir(parents=True)
    (root / "site" / "stuck.py").write_text(STUCK.format(making=making))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ruche.plugins]\nembedder:stuck = stuck:Stuck\n")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RUCHE_")}
    return subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", "serve", "--port", "0"], cwd=root,
                          capture_output=True, text=True, timeout=120,
                          env={**plain, "PYTHONPATH": str(root / "site"), "RUCHE_MODELS__EMBEDDER": "stuck",
                               "RUCHE_MODELS__EMBEDDER_SECONDS": "0.2"})


@pytest.mark.parametrize(("making", "told"), [(True, "the embedder stuck was not made within 0.2 s"),
                                              (False, "the embedder stuck-1 gave no vector within 0.2 s")])
def test_a_start_whose_embedder_hangs_ends_by_itself_and_says_what_to_do(making: bool, told: str,
                                                                         tmp_path: Path) -> None:
    done = start(tmp_path, making=making)
    assert done.returncode == 4
    assert told in done.stderr
    assert "models.embedder_seconds" in done.stderr
    assert "Traceback" not in done.stderr


class Failing:
    name, dimensions, rule_threshold = "failing", 4, 0.5

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []

    def encode(self, texts: Sequence[str]) -> Any:
        self.asked.append(texts)
        raise RuntimeError("not now")


@pytest.mark.anyio
async def test_one_that_fails_at_once_is_not_what_refuses_the_start() -> None:
    async with ActorSystem():
        failing = Failing()
        await try_embedder(read_settings(environment={}).models, Retriever(failing))
        assert failing.asked == [["ready"]]
