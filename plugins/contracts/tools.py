"""Running the author's tools."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Struct
from ruche.storage.model.tool import Tool


class ToolResult(Struct, frozen=True, kw_only=True):
    """`value` is plain data; it never adds a rule, chooses a scenario or calls a tool."""

    status: Literal["ok", "error", "timeout"]
    value: Any = None
    error: str = ""
    ms: float = 0.0


class ToolGateway(Protocol):
    """Runs the author's tools with a deadline; never raises for what a tool does."""

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        """`context` carries tenant, interlocutor, session, turn and the idempotency key."""

    async def close(self) -> None: ...
