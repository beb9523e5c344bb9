"""Bookings, which can be undone: what was really booked and undone outside, whatever became of the process.

What undoes them is the engine's own route of the courier, with a tool that fails, or answers late, as the seed says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from ruche.actors.scribe import Scribe
from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.compensating import Compensation
from ruche.plugins.contracts import Effect, EffectOutcome, Stage, ToolResult, TurnInput
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool
from tests.simulation.world import World

BOOK = "book"
"""A word in a message that makes the brain book something, in some of its attempts."""
_MOST_FAILURES = 2
_AGENT = CompiledAgent(AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk"}, "tools": [
    {"id": BOOK, "http": "https://example.org/book", "policy": "COMPENSATABLE", "compensation": "unbook"},
    {"id": "unbook", "http": "https://example.org/unbook", "policy": "IDEMPOTENT",
     "parameters": {"type": "object", "properties": {"booking": {"type": "string"}}, "required": ["booking"]}}]}), 1)


class Hotel:
    """Lives as long as the world. `wanted` holds, by turn, what the last attempt asked for that may have been kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.stream("hotel")
        self._failures: Counter[str] = Counter()
        self.booked: Counter[str] = Counter()
        self.undone: dict[str, set[str]] = {}
        """By booking, the idempotency keys under which it was undone: a tool does nothing twice under the same one."""
        self.wanted: dict[str, set[str]] = {}

    def route(self, scribe: Scribe) -> Compensation:
        """The engine's own, of one process."""
        return Compensation(scribe, _Shelf(), self)  # type: ignore[arg-type]

    def begin(self, turn_id: str) -> None:
        """Another attempt at a turn."""
        if not self._world.stopped:
            self.wanted[turn_id] = set()

    async def visit(self, turn: TurnInput, stage: Stage) -> None:
        """One attempt of a turn books, or not, what its messages ask for."""
        for message in turn.messages:
            if BOOK in message.text and self._chance.random() < 0.5:
                effect = Effect(tool=BOOK, key=f"{turn.turn_group}:{BOOK}:{message.id}", policy="COMPENSATABLE")
                if not self._world.stopped:
                    self.wanted[turn.turn_id].add(effect.key)
                if (await stage.reserve(effect)).status == "new":
                    await self._book(effect, stage)

    async def _book(self, effect: Effect, stage: Stage) -> None:
        if self._world.dead:
            return
        self._world.note("BOOKED", effect.key)
        self.booked[effect.key] += 1
        if self.booked[effect.key] > 1:
            self._world.violated(f"{effect.key} was booked {self.booked[effect.key]} times")
        await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.3)) * self._chance.random())
        await stage.settle(effect, EffectOutcome(status="ok", result={"booking": effect.key}))

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        """Undo a booking (implements `contracts.ToolGateway`)."""
        booking = arguments["booking"]
        await asyncio.sleep(self._chance.choice((0.0, 0.01)) * self._chance.random())
        if not self._world.dead:
            self._world.note("UNDONE", booking)
            self.undone.setdefault(booking, set()).add(context["idempotency_key"])
        await asyncio.sleep(self._chance.choice((0.0, 0.01)) * self._chance.random())
        if self._chance.random() < 0.3 and self._failures[booking] < _MOST_FAILURES:
            self._failures[booking] += 1
            return ToolResult(status="error", error="it did, and said that it did not")
        return ToolResult(status="ok")

    async def close(self) -> None:
        return None


class _Shelf:
    def current(self, tenant: str, agent_id: str) -> CompiledAgent:
        return _AGENT
