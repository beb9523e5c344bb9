"""What stands where a turn that is run again would reach outside: nothing answers there but the turn's own tape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import Effect, EffectOutcome, Prompt
from ruche.plugins.errors import IntegrityError
from ruche.storage.model.agent import ModelUse


def nothing() -> NoReturn:
    """Raises IntegrityError."""
    raise IntegrityError("a replay asked outside its tape")


class Shelf:
    """The one agent of a replayed turn."""

    def __init__(self, agent: CompiledAgent) -> None:
        self._agent = agent

    def current(self, tenant: str, agent_id: str) -> CompiledAgent:
        return self._agent


class Nothing:
    """Stands where retrieval, tools, enforcement, memory and reranking are live: the tape answers for them."""

    async def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        nothing()

    prepare = retrieve = call = check = close = recall = rerank = _refuse


RANKED = {"rerank": "documents", "rerank rules": "rules"}
"""What was reordered, by the place where it was asked for."""


class Ranked(Nothing):
    """Serves what was reordered in the turn."""

    def __init__(self, asked: set[str]) -> None:
        self._kinds = {kind for site, kind in RANKED.items() if site in asked}

    def serves(self, kind: str) -> bool:
        return kind in self._kinds


class Silent:
    """A generator that is known by its name only."""

    def __init__(self, use: ModelUse) -> None:
        self.name = use.generator

    async def generate(self, prompt: Prompt) -> NoReturn:
        nothing()

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield nothing()


class Deaf:
    """A stage that nobody listens to; what has consequences comes from the tape."""

    async def release(self, text: str) -> None:
        return None

    def progress(self, phase: str, ms: float) -> None:
        return None

    def pending(self) -> bool:
        return False

    async def reserve(self, effect: Effect) -> EffectOutcome:
        nothing()

    async def settle(self, effect: Effect, outcome: EffectOutcome) -> None:
        nothing()
