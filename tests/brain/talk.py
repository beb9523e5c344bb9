"""A conversation with an agent written in a test: the real brain, retriever and enforcement, a session in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bench.suites.desk import Desk, Shelf
from ruche.actors.enforcer import Enforcement
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.turn import PhasedBrain
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import Enforcer, Generator, ToolResult, TurnInput, TurnOutput
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.enforcers import built_in
from ruche.plugins.generators import Composer
from ruche.plugins.tape import LiveTape, Tape
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Message, Profile, SessionKey, SessionState
from ruche.storage.model.run import Run
from ruche.storage.model.tool import Tool

START_MS = 1_795_000_000_000
"""Wednesday, 18 November 2026, 11:06:40 UTC."""
ENGINE = "ruche-engine test"


def bundle(**parts: Any) -> AgentBundle:
    """An agent by its parts, as an author would write them."""
    head = parts.pop("agent", {})
    return AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk", **head}, **parts})


class Functions:
    """A tool gateway over the test's own functions; it remembers what was called."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.functions = functions
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.contexts: list[dict[str, str]] = []

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        self.calls.append((tool.id, arguments))
        self.contexts.append(context)
        value = self.functions[tool.id](**arguments)
        return value if isinstance(value, ToolResult) else ToolResult(status="ok", value=value)

    async def close(self) -> None:
        return None


class Talk:
    """Turn after turn with one agent. `output` is the last turn's."""

    def __init__(self, brain: PhasedBrain, desk: Desk, tools: Functions, *, channel: str = "api") -> None:
        self.brain, self.desk, self.tools = brain, desk, tools
        key = SessionKey(tenant="default", agent="desk", interlocutor="ada", channel=channel)
        self.session = SessionState(id="session", key=key, created_ms=START_MS, last_activity_ms=START_MS)
        self.profile = Profile(interlocutor="ada", tenant="default")
        self.now_ms = START_MS
        self.inputs: list[TurnInput] = []
        self.output: TurnOutput | None = None

    async def say(self, *texts: str, tape: Tape | None = None) -> Run:
        """One turn; the session and the profile go on from what it decided."""
        self.now_ms += 1_000
        number = len(self.inputs)
        turn = TurnInput(
            tenant="default", agent="desk", turn_id=f"turn-{number}", request_id=f"request-{number}",
            session=self.session, profile=self.profile,
            messages=tuple(Message(id=f"message-{number}-{place}", text=text, at_ms=self.now_ms)
                           for place, text in enumerate(texts)))
        self.inputs.append(turn)
        output = await self.brain.think(turn, tape or LiveTape(lambda: self.now_ms), self.desk)
        self.session, self.output = output.session, output
        self.profile = output.profile or self.profile
        return output.run

    async def reply(self, *texts: str) -> str:
        return (await self.say(*texts)).reply

    def known(self, name: str) -> Any:
        """The value of a field, of the person or of the session."""
        value = self.profile.fields.get(name) or self.session.fields.get(name)
        return None if value is None else value.value

    @property
    def step(self) -> str:
        """`scenario/step` of the first scenario in progress, empty when there is none."""
        active = [one for one in self.session.scenarios if one.status == "active"]
        return f"{active[0].scenario}/{active[0].step}" if active else ""


@asynccontextmanager
async def talking(agent: AgentBundle, gateway: Functions | None = None, *, generator: Generator | None = None,
                  enforcers: dict[str, Enforcer] | None = None, channel: str = "api",
                  **parts: Any) -> AsyncIterator[Talk]:
    """A conversation. `parts` replace what the brain is made of."""
    async with ActorSystem():
        compiled = CompiledAgent(agent, 1, {**built_in(), **(enforcers or {})})
        retriever = Retriever(HashingEmbedder())
        await retriever.prepare(agent, 1)
        tools = gateway or Functions()
        made: dict[str, Any] = {
            "agents": Shelf(compiled), "retrieval": retriever, "tools": tools, "enforcement": Enforcement(),
            "generators": lambda use: generator or Composer(), "channels": built_in_channels(),
            "engine_version": ENGINE, **parts}
        yield Talk(PhasedBrain(**made), Desk(), tools, channel=channel)


def without_times(run: Run) -> Run:
    """A run with everything that replay must give again."""
    return msgspec.structs.replace(run, timings_ms={})
