"""One tool call: reserved first when it has consequences, through the tape, settled afterwards."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Literal

import msgspec

from ruche.engine.brain.calls import asked
from ruche.engine.brain.identify import Identified
from ruche.engine.plain import json_bytes, unkeepable
from ruche.plugins.contracts import Effect, EffectOutcome, Stage, ToolGateway, ToolResult
from ruche.plugins.tape import Tape
from ruche.storage.model.run import digest
from ruche.storage.model.tool import Tool

GRACE = 2.0
"""Seconds that a gateway may take beyond a tool's own deadline."""

MAX_BYTES = 1_048_576
"""Of what a tool gives back, as JSON: it is kept with the turn."""
DEPTH = 64
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(ToolResult).decode

Status = Literal["ok", "error", "timeout", "skipped", "cached", "unknown"]


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended. `saying` names the engine's own sentence that is due."""

    status: Status
    value: Any = None
    error: str = ""
    ms: float = 0.0
    key: str = ""
    saying: str = ""


class Invoker:
    """Calls tools for one turn."""

    def __init__(self, who: Identified, gateway: ToolGateway, tape: Tape, stage: Stage) -> None:
        self._who, self._gateway, self._tape, self._stage = who, gateway, tape, stage
        self.results: list[Any] = []
        """What tools gave back in this turn."""
        self.acts = False
        """True once a tool with consequences was asked for."""

    def subject(self, tool: Any, arguments: dict[str, Any]) -> str:
        """What a confirmation of this call is bound to."""
        return f"{tool.tool.id}:{digest(arguments)[:16]}"

    async def invoke(self, tool: Tool, arguments: dict[str, Any], *, urgent: bool = False) -> Ran:
        """Never raises for what a tool does. What is `urgent` does not wait for newer messages to be read."""
        ran = await self._invoke(tool, arguments, urgent=urgent)
        if ran.value is not None:
            self.results.append(ran.value)
        return ran

    async def undone(self, tool: Tool, key: str) -> None:
        """The effect of this key was undone: should it be wanted again in this turn's group, it is called again."""
        if key:
            effect = Effect(tool=tool.id, key=key, policy=tool.policy)
            outcome = EffectOutcome(status="error")
            await asked(self._tape, "settle", [key, outcome], lambda: self._settle(effect, outcome), bool, 30.0)

    async def _invoke(self, tool: Tool, arguments: dict[str, Any], *, urgent: bool) -> Ran:
        if tool.policy == "PURE":
            return _ended(await self._call(tool, arguments, ""), "")
        turn = self._who.turn
        scope = turn.turn_group or turn.messages[0].id
        key = f"{turn.session.id}:{scope}:{tool.id}:{digest(arguments)[:16]}"
        self.acts = True
        waits = tool.policy == "IRREVERSIBLE" and not urgent
        if waits and self._tape.ask_now("pending", None, self._stage.pending, bool):
            return Ran(status="skipped", error="a newer message waits", key=key, saying="later")
        return await self._reserved(tool, Effect(tool=tool.id, key=key, policy=tool.policy, arguments=arguments))

    async def _reserved(self, tool: Tool, effect: Effect) -> Ran:
        known, fault = await asked(self._tape, "reserve", effect, lambda: self._stage.reserve(effect), EffectOutcome,
                                   30.0)
        if known is None:
            return Ran(status="error", error=fault, key=effect.key, saying="failed")
        if known.status == "ok":
            return Ran(status="cached", value=known.result, key=effect.key)
        if known.status != "new" and (known.status == "unknown" or tool.policy == "IRREVERSIBLE"):
            return Ran(status="unknown", error="it was started before", key=effect.key, saying="unknown")
        result = await self._call(tool, effect.arguments, effect.key)
        outcome = EffectOutcome(status=result.status, result=result.value)
        await asked(self._tape, "settle", [effect.key, outcome], lambda: self._settle(effect, outcome), bool, 30.0)
        return _ended(result, effect.key, unsure=tool.policy == "IRREVERSIBLE" and result.status == "timeout")

    async def _settle(self, effect: Effect, outcome: EffectOutcome) -> bool:
        await self._stage.settle(effect, outcome)
        return True

    async def _call(self, tool: Tool, arguments: dict[str, Any], key: str) -> ToolResult:
        turn, agent = self._who.turn, self._who.agent
        session = turn.session
        context = {"tenant": turn.tenant, "interlocutor": session.key.interlocutor, "session": session.id,
                   "turn": turn.turn_id, "idempotency_key": key}
        result, fault = await asked(
            self._tape, f"tool:{tool.id}", arguments,
            lambda: _kept(self._gateway.call(agent.bundle, tool, arguments, context)), ToolResult,
            tool.timeout_ms / 1000 + GRACE)
        if result is not None:
            return result
        return ToolResult(status="timeout" if fault.startswith("TIMEOUT") else "error", error=fault)


async def _kept(called: Awaitable[ToolResult]) -> ToolResult:
    """The result, as far as it can be kept: a tool that gives no plain data costs its own result only."""
    result = await called
    if not isinstance(result, ToolResult):
        return ToolResult(status="error", error="it gave no result")
    try:
        fault = f"larger than {MAX_BYTES:,} bytes" if json_bytes(result.value) > MAX_BYTES else ""
        fault = fault or unkeepable(result.value, DEPTH)
        return ToolResult(status="error", error=f"its result is {fault}") if fault else _decode(_encode(result))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return ToolResult(status="error", error="its result is no plain data")


def _ended(result: ToolResult, key: str, *, unsure: bool = False) -> Ran:
    """A call that cannot be undone and gave no answer in time may have happened: its outcome is unknown."""
    if unsure:
        return Ran(status="unknown", error=result.error, ms=result.ms, key=key, saying="unknown")
    return Ran(status=result.status, value=result.value, error=result.error, ms=result.ms, key=key,
               saying="" if result.status == "ok" else "failed")
