"""A whole engine whose brain does what a test tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ruche.engine import Engine
from ruche.engine.config import Settings
from ruche.engine.host import Host
from ruche.plugins.contracts import Brain
from ruche.plugins.embedders import HashingEmbedder


@asynccontextmanager
async def hosted(path: Path, brain: Brain | None, *, files: dict[str, str] | None = None,
                 plugins: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[tuple[Engine, Host]]:
    """An engine in `path` with one agent, `desk` of tenant `default`, and the host behind it."""
    folder = path / "agents" / "desk"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"agent.yaml": "name: Desk\n", **(files or {})}.items():
        (folder / name).write_text(text)
    chosen = Settings(data=path / "data", agents=path / "agents", **settings)
    async with Engine.open(settings=chosen, brain=brain, embedder=HashingEmbedder(), **(plugins or {})) as engine:
        yield engine, engine._host
