"""Versions of an agent while conversations run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.engine.config import read_settings
from ruche.plugins.contracts import Generated, Prompt
from ruche.plugins.errors import NotFound

pytestmark = pytest.mark.anyio


class Slow:
    """A model that answers when it is told to."""

    name = "slow"

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def generate(self, prompt: Prompt) -> Generated:
        self.asked.set()
        await self.go.wait()
        return Generated(text=prompt.instructions.partition("\n")[0])

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield (await self.generate(prompt)).text


def write(agents: Path, persona: str) -> Path:
    folder = agents / "desk"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.yaml").write_text(
        f"name: Desk\npersona: {persona}\nmodels: {{generator: openai, url: 'http://127.0.0.1:9', model: m}}\n")
    return folder


async def test_a_turn_that_runs_keeps_the_version_that_it_began_with(tmp_path: Path) -> None:
    agents, slow = tmp_path / "agents", Slow()
    write(agents, "First.")
    settings = read_settings(environment={}, data=tmp_path / "data", agents=agents, models={"embedder": "hashing"})
    async with Engine.open(settings=settings, generator=lambda use: slow) as engine:
        asking = asyncio.create_task(engine.chat(agent="desk", message="hello", user="ada"))
        await slow.asked.wait()
        await engine.publish(write(agents, "Second."))
        await engine.rollback("default", "desk", 1)
        slow.go.set()
        turn = await asking
        later = await engine.chat(agent="desk", message="hello", user="ada")
        runs = [await engine.run("default", one.turn_id) for one in (turn, later)]
        assert [run.agent_version for run in runs] == [1, 3]
        assert runs[0].hashes.configuration == runs[1].hashes.configuration
        assert [one.version for one in await engine.versions("default", "desk")] == [3, 2, 1]
        assert [one.version for one in await engine.versions("default", "desk", below=3, limit=1)] == [2]


async def test_versions_of_another_tenants_agent_are_unknown(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    write(agents, "First.")
    settings = read_settings(environment={}, data=tmp_path / "data", agents=agents, models={"embedder": "hashing"})
    async with Engine.open(settings=settings) as engine:
        for asked in (engine.versions("rival", "desk"), engine.rollback("rival", "desk", 1),
                      engine.explain("rival", "desk", "hello"), engine.rollback("default", "desk", 7)):
            with pytest.raises(NotFound):
                await asked
