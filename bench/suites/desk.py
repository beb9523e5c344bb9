"""What stands in for a session and a catalog where a conversation is held in memory, by a suite or a test."""

from __future__ import annotations

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import Effect, EffectOutcome


class Desk:
    """The session's side of a turn: what was released and which effects are known."""

    def __init__(self) -> None:
        self.released: list[str] = []
        self.phases: list[str] = []
        self.effects: dict[str, EffectOutcome] = {}
        self.newer = False

    async def release(self, text: str) -> None:
        self.released.append(text)

    def progress(self, phase: str, ms: float) -> None:
        self.phases.append(phase)

    def pending(self) -> bool:
        return self.newer

    async def reserve(self, effect: Effect) -> EffectOutcome:
        known = self.effects.get(effect.key)
        if known is None:
            self.effects[effect.key] = EffectOutcome(status="unknown")
            return EffectOutcome(status="new")
        return known

    async def settle(self, effect: Effect, outcome: EffectOutcome) -> None:
        self.effects[effect.key] = outcome


class Shelf:
    """The one agent of a conversation (implements the brain's `Agents`)."""

    def __init__(self, agent: CompiledAgent) -> None:
        self.agent = agent

    def current(self, tenant: str, agent_id: str) -> CompiledAgent:
        return self.agent
