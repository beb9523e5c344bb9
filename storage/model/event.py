"""What subscribers of a session are told."""

from __future__ import annotations

from typing import Any, Literal

from ruche.storage.model.conversation import Struct

EventKind = Literal["turn.accepted", "turn.phase", "message.segment", "turn.completed", "turn.superseded",
                    "turn.failed", "session.handoff", "session.closed"]


class Event(Struct, frozen=True, kw_only=True):
    """`seq` rises by one per session for what is kept; `turn.phase` is passing news and carries the last kept seq."""

    seq: int
    kind: EventKind
    session_id: str
    turn_id: str
    at_ms: int
    data: dict[str, Any] = {}


class OutboxItem(Struct, frozen=True, kw_only=True):
    """Something to deliver outside after the commit: a webhook call, a channel message."""

    id: str
    kind: str
    target: str
    at_ms: int
    payload: dict[str, Any] = {}
    attempts: int = 0
