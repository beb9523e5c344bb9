"""What authors wrote is embedded once, not at every start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ruche.engine import Engine
from ruche.plugins.embedders.hashing import HashingEmbedder

RULE = "the customer asks where the parcel is"
NEW = "somebody wants to know the opening hours"


class Counting(HashingEmbedder):
    """Remembers what it was given; slow enough, it says, to be worth remembering."""

    immediate = False

    def __init__(self, name: str = "counting-1") -> None:
        self.given: list[str] = []
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.given += texts
        return super().encode(texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    agent = tmp_path / "agents" / "desk"
    agent.mkdir(parents=True)
    (agent / "agent.yaml").write_text("name: Desk\nunmatched: I do not know that.\n")
    (agent / "rules.yaml").write_text(f"- id: where\n  if: {RULE}\n  then: Say that it comes today.\n")
    return tmp_path


async def start(folder: Path, embedder: Counting) -> list[str]:
    """The author's sentences that a start embeds, once it has answered as it must."""
    async with Engine.open(folder / "data", agents=folder / "agents", embedder=embedder) as engine:
        given = [text for text in embedder.given if text in (RULE, NEW)]
        turn = await engine.chat(agent="desk", user="ada", message=RULE)
        assert [rule.id for rule in turn.rules] == ["where"]
    return given


@pytest.mark.anyio
async def test_a_second_start_embeds_nothing_again(folder: Path) -> None:
    assert await start(folder, Counting()) == [RULE]
    assert await start(folder, Counting()) == []
    assert await start(folder, Counting()) == []


@pytest.mark.anyio
async def test_another_model_embeds_everything_again(folder: Path) -> None:
    await start(folder, Counting())
    assert await start(folder, Counting("counting-2")) == [RULE]


@pytest.mark.anyio
async def test_only_what_is_new_is_embedded(folder: Path) -> None:
    await start(folder, Counting())
    rules = folder / "agents" / "desk" / "rules.yaml"
    rules.write_text(f"{rules.read_text()}- id: open\n  if: {NEW}\n  then: At 9.\n")
    assert await start(folder, Counting()) == [NEW]


@pytest.mark.anyio
async def test_a_damaged_or_strange_file_costs_time_only(folder: Path) -> None:
    await start(folder, Counting())
    kept = folder / "data" / "computed" / "vectors.sealed"
    content = kept.read_bytes()
    assert RULE.encode() not in content
    for damaged in (content[:-1], content[:20] + bytes([content[20] ^ 1]) + content[21:], b""):
        kept.write_bytes(damaged)
        assert await start(folder, Counting()) == [RULE]
        assert await start(folder, Counting()) == []
