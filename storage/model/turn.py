"""What a caller gets for a turn."""

from __future__ import annotations

from typing import Any, Literal

from ruche.storage.model.conversation import Struct

Status = Literal["complete", "awaiting", "blocked", "superseded", "handed_off", "interrupted", "failed"]
ResponseType = Literal["ASK", "ANSWER", "MIXED", "CONFIRM", "REFUSE", "ESCALATE", "HANDOFF"]
Risk = Literal["GREEN", "YELLOW", "RED", "UNKNOWN", "ERROR"]


class RuleMatch(Struct, frozen=True, kw_only=True):
    """A rule that was applied, with the score that chose it and the reason in words."""

    id: str
    name: str
    score: float
    why: str


class ScenarioMove(Struct, frozen=True, kw_only=True):
    """What a turn did to a scenario."""

    id: str
    step: str
    action: Literal["START", "CONTINUE", "PAUSE", "RESUME", "COMPLETE", "CANCEL"]
    skipped: tuple[str, ...] = ()
    why: str = ""
    considered: tuple[dict[str, Any], ...] = ()
    """Transitions looked at: {to, holds, score, why}."""
    path: tuple[str, ...] = ()
    """Steps that were carried out in this turn, in order."""


class ToolCall(Struct, frozen=True, kw_only=True):
    name: str
    status: Literal["ok", "error", "timeout", "skipped", "cached", "unknown"]
    ms: float
    key: str = ""
    arguments: dict[str, Any] = {}
    error: str = ""


class Violation(Struct, frozen=True, kw_only=True):
    """A rule that a draft broke. `span` is a pair of character offsets in the checked reply."""

    rule: str
    lane: Literal["deterministic", "judge"]
    severity: Literal["hard", "soft"]
    reason: str
    span: tuple[int, int] | None = None


class Enforcement(Struct, frozen=True, kw_only=True):
    risk: Risk
    violations: tuple[Violation, ...] = ()
    regenerated: int = 0
    fallback: str | None = None
    """Id of the fallback template that was sent, `refusal` for the engine's own text, None if the draft was sent."""
    checked: tuple[tuple[str, str], ...] = ()
    """Every rule that was judged, with its verdict: pass, fail, not_applicable, error."""


class MemoryHit(Struct, frozen=True, kw_only=True):
    chunk_id: str
    score: float


class Usage(Struct, frozen=True, kw_only=True):
    """Model calls that were answered, and what they cost."""

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """By the prices that held when the calls were made, in the operator's currency; None where nobody counted it."""

    def __add__(self, other: Usage) -> Usage:
        costs = [one for one in (self.cost, other.cost) if one is not None]
        return Usage(model_calls=self.model_calls + other.model_calls,
                     input_tokens=self.input_tokens + other.input_tokens,
                     output_tokens=self.output_tokens + other.output_tokens,
                     cost=round(sum(costs), 9) if costs else None)


class Turn(Struct, frozen=True, kw_only=True):
    """The answer to a message. `turn_id` is the id of the turn's run."""

    session_id: str
    turn_id: str
    reply: str
    status: Status
    response_type: ResponseType
    language: str
    rules: tuple[RuleMatch, ...] = ()
    scenarios: tuple[ScenarioMove, ...] = ()
    tools: tuple[ToolCall, ...] = ()
    enforcement: Enforcement = Enforcement(risk="UNKNOWN")
    memory: tuple[MemoryHit, ...] = ()
    timings_ms: dict[str, float] = {}
    usage: Usage = Usage()
    superseded_by: str | None = None
