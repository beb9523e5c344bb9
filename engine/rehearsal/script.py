"""What a test conversation decides about the world: the time, chance, what a model says and what tools give back."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ruche.engine.authoring.conversations import Conversation, ScriptedTurn
from ruche.plugins.contracts import Generated, Generator, Prompt, ToolGateway, ToolResult
from ruche.plugins.errors import ProviderFailed
from ruche.plugins.generators import Composer
from ruche.plugins.tools import Tools
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool

BEGINNING = datetime(2026, 1, 5, 10, tzinfo=UTC)
"""A Monday morning: the time of conversations that do not say theirs."""
TURN_MS = 10_000
"""By how much the clock goes on from turn to turn."""


class Script:
    """The world of one conversation after another; a host is made of its parts (`plugins`)."""

    def __init__(self) -> None:
        self.now_ms = milliseconds(BEGINNING)
        self.model = ScriptedModel()
        self.tools = ScriptedTools()
        self._drawn = 0

    def plugins(self) -> dict[str, Any]:
        """For `Engine.open`."""
        return {"clock_ms": lambda: self.now_ms, "entropy": self._entropy, "generator": self._generator,
                "tools": self.tools}

    def begin(self, conversation: Conversation) -> None:
        self.now_ms = milliseconds(conversation.at or BEGINNING) - TURN_MS
        self.tools.begin(conversation.results, conversation.fails)

    def turn(self, turn: ScriptedTurn) -> None:
        """Go on to the next turn, the first one included."""
        self.now_ms = self.now_ms + TURN_MS if turn.at is None else milliseconds(turn.at)
        self.model.begin(turn.model)
        self.tools.unanswered = []

    def _entropy(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

    def _generator(self, use: ModelUse) -> Generator:
        return Composer() if use.generator == "composer" else self.model


class ScriptedModel:
    """A generator that says what the test says, asked to speak, to read or to judge (implements `contracts.Generator`
    and `contracts.Reader`)."""

    name = "scripted"

    def __init__(self) -> None:
        self._answers: deque[str] = deque()
        self.asked = 0
        """How often it was asked in this turn."""

    def begin(self, answers: tuple[str, ...]) -> None:
        self._answers, self.asked = deque(answers), 0

    async def generate(self, prompt: Prompt) -> Generated:
        """Raises ProviderFailed when the test says no more."""
        return Generated(text=self._next(), model=self.name)

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        """Raises ProviderFailed like `generate`."""
        return Generated(text=self._next(), model=self.name)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield self._next()

    def _next(self) -> str:
        self.asked += 1
        if not self._answers:
            raise ProviderFailed("the test does not say what the model answers")
        return self._answers.popleft()


class ScriptedTools:
    """Gives back what the test says, runs the agent's own Python tools, and calls nothing over the network."""

    def __init__(self) -> None:
        self._real: ToolGateway = Tools()
        self._results: Mapping[str, Any] = {}
        self._fails: frozenset[str] = frozenset()
        self.unanswered: list[str] = []
        """HTTP tools that were called without a result in the test."""

    def begin(self, results: Mapping[str, Any], fails: tuple[str, ...]) -> None:
        self._results, self._fails, self.unanswered = results, frozenset(fails), []

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        if tool.id in self._fails:
            return ToolResult(status="error", error="the test lets it fail")
        if tool.id in self._results:
            return ToolResult(status="ok", value=self._results[tool.id])
        if tool.http is not None:
            self.unanswered.append(tool.id)
            return ToolResult(status="error", error="no network in tests")
        return await self._real.call(bundle, tool, arguments, context)

    async def close(self) -> None:
        await self._real.close()


def milliseconds(moment: datetime) -> int:
    """Since 1970 UTC."""
    return int(moment.timestamp() * 1000)
