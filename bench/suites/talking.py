"""How a suite converses with the engine: the real brain, retriever and enforcement; the session is kept in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from bench.suites.desk import Desk, Shelf
from ruche.actors.enforcer import Enforcement
from ruche.actors.retriever import Retriever
from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.turn import PhasedBrain
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import (
    Generated,
    Generator,
    Prompt,
    ToolResult,
    TurnInput,
)
from ruche.plugins.generators import Composer
from ruche.plugins.tape import LiveTape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Message, Profile, SessionKey, SessionState
from ruche.storage.model.run import Run
from ruche.storage.model.tool import Tool

START_MS = 1_795_000_000_000
"""Wednesday, 18 November 2026, 11:06:40 UTC: the same day in every run."""
Function = Callable[[dict[str, Any]], Any]


class Said:
    """A generator that says what it is told to, as a model might."""

    name = "said"

    def __init__(self, text: str = "") -> None:
        self.text = text

    async def generate(self, prompt: Prompt) -> Generated:
        return Generated(text=self.text)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield self.text


class Functions:
    """A tool gateway over functions of the suite; `calls` holds (tool, arguments) as they were made."""

    def __init__(self, functions: Mapping[str, Function] | None = None) -> None:
        self.functions = dict(functions or {})
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        self.calls.append((tool.id, arguments))
        try:
            value = self.functions[tool.id](arguments)
        except ValueError as error:
            return ToolResult(status="error", error=str(error))
        return ToolResult(status="ok", value=value)

    async def close(self) -> None:
        return None


class Room:
    """A published agent that any number of people talk with."""

    def __init__(self, agent: CompiledAgent, retriever: Retriever, times: list[float], *,
                 generator: Generator | None = None, speakers: Callable[[ModelUse], Generator] | None = None) -> None:
        """`times` gets the ms of every turn. `speakers` opens what the agent's `models` name."""
        self.speaker: Generator = generator or Composer()
        self.agent, self.tools, self.times = agent, Functions(), times
        self.brain = PhasedBrain(
            agents=Shelf(agent), retrieval=retriever, tools=self.tools, enforcement=Enforcement(),
            generators=speakers or (lambda use: self.speaker),
            channels=built_in_channels(), engine_version="bench")

    @classmethod
    async def open(cls, retriever: Retriever, bundle: AgentBundle, times: list[float], version: int = 1,
                   **parts: Any) -> Room:
        """Compile and index the bundle; raises ConfigurationError for what cannot be published."""
        agent = CompiledAgent(bundle, version)
        await retriever.prepare(bundle, version)
        return cls(agent, retriever, times, **parts)

    def talk(self) -> Talk:
        return Talk(self)


class Talk:
    """One conversation, turn after turn. `session` may be edited between turns: a suite that replays what a recorded
    agent said puts its words in place of the engine's."""

    def __init__(self, room: Room) -> None:
        self.room, self.desk = room, Desk()
        key = SessionKey(tenant="default", agent=room.agent.id, interlocutor="person", channel="api")
        self.session = SessionState(id="session", key=key, created_ms=START_MS, last_activity_ms=START_MS)
        self.profile = Profile(interlocutor="person", tenant="default")
        self.now_ms, self.number = START_MS, 0

    async def say(self, text: str) -> Run:
        self.now_ms += 1_000
        self.number += 1
        turn = TurnInput(tenant="default", agent=self.room.agent.id, turn_id=f"turn-{self.number}",
                         request_id="request", session=self.session, profile=self.profile,
                         messages=(Message(id=f"message-{self.number}", text=text, at_ms=self.now_ms),))
        begun = time.perf_counter()
        output = await self.room.brain.think(turn, LiveTape(lambda: self.now_ms), self.desk)
        self.room.times.append(1000.0 * (time.perf_counter() - begun))
        self.session, self.profile = output.session, output.profile or self.profile
        return output.run

    def known(self) -> dict[str, Any]:
        """The values of all fields, of the person and of the session."""
        return {name: one.value for name, one in (*self.profile.fields.items(), *self.session.fields.items())}
