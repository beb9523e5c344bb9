"""What callers are shown: all fields spelled out, and to whom which of them.

An interlocutor is told what was said and how it ended; rules, scores, tools and reasons need agent_author, operator or
admin (item 8 of the security list).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from ruche.engine.server.auth import Identity
from ruche.storage.model.conversation import SessionState, session_status
from ruche.storage.model.event import Event
from ruche.storage.model.handoff import is_away
from ruche.storage.model.run import Run
from ruche.storage.model.turn import Turn

JSON_TYPE = {"Content-Type": "application/json"}
encode = msgspec.json.Encoder(enc_hook=str).encode


class Shown(msgspec.Struct, kw_only=True):
    """Base of answers: every field is in the JSON, also where it is empty."""


class Reply(Shown, kw_only=True):
    """A turn as its interlocutor sees it."""

    session_id: str
    turn_id: str
    reply: str
    status: str
    response_type: str
    language: str
    superseded_by: str | None = None


class RuleShown(Shown, kw_only=True):
    id: str
    name: str
    score: float
    why: str


class ScenarioShown(Shown, kw_only=True):
    id: str
    step: str
    action: str
    skipped: list[str] = []
    why: str = ""
    considered: list[dict[str, Any]] = []


class ToolShown(Shown, kw_only=True):
    name: str
    status: str
    ms: float
    key: str = ""
    arguments: dict[str, Any] = {}
    error: str = ""


class ViolationShown(Shown, kw_only=True):
    rule: str
    lane: str
    severity: str
    reason: str
    span: tuple[int, int] | None = None


class EnforcementShown(Shown, kw_only=True):
    risk: str
    violations: list[ViolationShown] = []
    regenerated: int = 0
    fallback: str | None = None
    checked: list[tuple[str, str]] = []


class MemoryShown(Shown, kw_only=True):
    chunk_id: str
    score: float


class UsageShown(Shown, kw_only=True):
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class TurnShown(Reply, kw_only=True):
    """A turn with its reasons."""

    rules: list[RuleShown] = []
    scenarios: list[ScenarioShown] = []
    tools: list[ToolShown] = []
    enforcement: EnforcementShown = msgspec.field(default_factory=lambda: EnforcementShown(risk="UNKNOWN"))
    memory: list[MemoryShown] = []
    timings_ms: dict[str, float] = {}
    usage: UsageShown = msgspec.field(default_factory=UsageShown)


class AcceptedShown(Shown, kw_only=True):
    """A message that was taken and will be answered later; read the answer from the session's events."""

    session_id: str
    turn_id: str
    status: str = "accepted"


class ScenarioAt(Shown, kw_only=True):
    id: str
    step: str
    status: str
    version: int


class HandoverShown(Shown, kw_only=True):
    """Who has the conversation instead of the agent: `by` is None while it waits for somebody, and for an interlocutor.

    From `until` on (None: never) the agent speaks again by itself.
    """

    by: str | None
    since: str
    until: str | None


class SessionShown(Shown, kw_only=True):
    """A session; `interlocutor_id`, `scenarios` and `pending` are None for an interlocutor."""

    id: str
    agent_id: str
    channel: str
    status: str
    language: str
    turn_count: int
    last_event_seq: int
    handed_off: bool
    handover: HandoverShown | None
    created_at: str
    last_activity_at: str
    closed_at: str | None = None
    interlocutor_id: str | None = None
    agent_version: int | None = None
    scenarios: list[ScenarioAt] | None = None
    pending: str | None = None


class TurnOfSession(Shown, kw_only=True):
    """One turn in a session's history; `turn` has its reasons for those who may see them."""

    sequence: int
    created_at: str
    said: list[str]
    turn: Reply


class SessionPage(Shown, kw_only=True):
    items: list[SessionShown]
    next_cursor: str | None


class TurnPage(Shown, kw_only=True):
    items: list[TurnOfSession]
    next_cursor: str | None


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 UTC as RFC 3339."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def turn_for(turn: Turn, identity: Identity) -> Reply:
    """The turn with as much as this identity may see."""
    return msgspec.convert(turn, TurnShown if identity.sees_reasons else Reply, from_attributes=True)


def session_for(state: SessionState, identity: Identity, now_ms: int) -> SessionShown:
    shown = SessionShown(
        id=state.id, agent_id=state.key.agent, channel=state.key.channel, status=session_status(state, now_ms),
        language=state.language, turn_count=state.turn_count, last_event_seq=state.event_seq,
        handed_off=is_away(state, now_ms), handover=_handover_for(state, identity, now_ms),
        created_at=rfc3339(state.created_ms), last_activity_at=rfc3339(state.last_activity_ms),
        closed_at=None if state.closed_ms is None else rfc3339(state.closed_ms))
    if identity.sees_reasons:
        shown.interlocutor_id = state.key.interlocutor
        shown.agent_version = state.agent_version
        shown.scenarios = [ScenarioAt(id=one.scenario, step=one.step, status=one.status, version=one.version)
                           for one in state.scenarios]
        shown.pending = state.pending.subject if state.pending else None
    return shown


def _handover_for(state: SessionState, identity: Identity, now_ms: int) -> HandoverShown | None:
    kept = state.handover if is_away(state, now_ms) else None
    if kept is None:
        return None
    return HandoverShown(by=kept.by or None if identity.sees_reasons else None, since=rfc3339(kept.since_ms),
                         until=rfc3339(kept.until_ms) if kept.until_ms else None)


def history_for(run: Run, identity: Identity) -> TurnOfSession:
    return TurnOfSession(sequence=run.sequence, created_at=rfc3339(run.created_ms), said=list(run.said),
                         turn=turn_for(run.turn(), identity))


_VISIBLE: dict[str, tuple[str, ...]] = {
    "turn.accepted": ("message_ids",), "turn.phase": ("phase", "ms"), "message.segment": ("text", "number"),
    "turn.superseded": ("superseded_by",), "turn.failed": ("error",), "session.handoff": ("state",),
    "session.closed": (),
}


def event_for(event: Event, identity: Identity) -> bytes:
    """An event's data as JSON: what happened, where in the session's order, and what this identity may see of it."""
    data: Any = event.data
    if event.kind == "turn.completed":
        data = _turn_data(data, identity)
    elif event.kind == "turn.failed" and "turn" in data:
        data = {"error": data.get("error"), "turn": _turn_data(data["turn"], identity)}
    elif not identity.sees_reasons:
        data = {name: data[name] for name in _VISIBLE.get(event.kind, ()) if name in data}
    return encode({**data, "seq": event.seq, "session_id": event.session_id, "turn_id": event.turn_id,
                   "at": rfc3339(event.at_ms)})


def _turn_data(turn: Any, identity: Identity) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(msgspec.convert(turn, TurnShown if identity.sees_reasons else Reply))
    return told


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, body=encode(value), headers=JSON_TYPE)
