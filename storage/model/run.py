"""The record of one turn: immutable, sealed, chained to the session's run before it."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
from ruche.storage.model.conversation import Struct
from ruche.storage.model.turn import (
    Enforcement,
    MemoryHit,
    ResponseType,
    Risk,
    RuleMatch,
    ScenarioMove,
    Status,
    ToolCall,
    Turn,
    Usage,
)

_json = msgspec.json.Encoder(order="deterministic")


class TapeEntry(Struct, frozen=True, kw_only=True):
    """One thing the turn learned from outside: where, the hash of what was asked, what came back (msgpack)."""

    site: str
    request: str
    answer: bytes = b""
    error: tuple[str, str] | None = None
    """Type name and message, when the answer was an exception."""


class RunHashes(Struct, frozen=True, kw_only=True):
    """SHA-256, hexadecimal. `evaluation` is over enforcement; `configuration` names the agent's bundle."""

    configuration: str
    input: str
    state_before: str
    state_after: str
    evaluation: str
    output: str


class Run(Struct, frozen=True, kw_only=True):
    """A turn as it is kept. Its canonical bytes are stored and hashed as stored."""

    id: str
    schema: int = 1
    sequence: int
    """Position in the session's chain, from 0."""
    previous: str
    """Hash of the session's run before this one; for the first, the hash of `genesis`."""
    tenant: str
    agent: str
    agent_version: int
    session: str
    interlocutor: str
    channel: str
    request_id: str
    created_ms: int
    engine: str
    outcome: Literal["OK", "BLOCKED", "ERROR"]
    status: Status
    response_type: ResponseType
    risk: Risk
    language: str
    message_ids: tuple[str, ...]
    said: tuple[str, ...]
    reply: str
    segments: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    rules: tuple[RuleMatch, ...] = ()
    scenarios: tuple[ScenarioMove, ...] = ()
    tools: tuple[ToolCall, ...] = ()
    enforcement: Enforcement
    memory: tuple[MemoryHit, ...] = ()
    timings_ms: dict[str, float] = {}
    usage: Usage = Usage()
    decisions: dict[str, Any] = {}
    """Per phase, what was considered and why it was kept or dropped."""
    superseded_by: str | None = None
    error: str = ""
    hashes: RunHashes
    tape: tuple[TapeEntry, ...] = ()

    def turn(self) -> Turn:
        """The run as its caller sees it."""
        return Turn(session_id=self.session, turn_id=self.id, reply=self.reply, status=self.status,
                    response_type=self.response_type, language=self.language, rules=self.rules,
                    scenarios=self.scenarios, tools=self.tools, enforcement=self.enforcement, memory=self.memory,
                    timings_ms=self.timings_ms, usage=self.usage, superseded_by=self.superseded_by)


def canonical(value: Any) -> bytes:
    """The one byte form that is hashed: JSON, keys sorted, UTF-8, no spaces. Raises TypeError for what JSON lacks."""
    return _json.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def genesis(tenant: str, session: str, engine: str) -> str:
    """What the first run of a session points back to."""
    return digest(["genesis", tenant, session, engine])
