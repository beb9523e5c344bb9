"""The record of one turn: immutable, sealed, chained to the session's run before it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final, Literal

import msgspec

from ruche.storage.model.canonical import canonical as canonical
from ruche.storage.model.conversation import Exchange, Message, SessionState, Struct
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


class TapeEntry(Struct, frozen=True, kw_only=True):
    """One thing the turn learned from outside: where, the hash of what was asked, what came back (msgpack)."""

    site: str
    request: str
    answer: bytes = b""
    error: tuple[str, str] | None = None
    """Type name and message, when the answer was an exception."""


KEYED: Final = 2


class RunHashes(Struct, frozen=True, kw_only=True):
    """Hexadecimal. `evaluation` is over enforcement; `configuration` is the SHA-256 that names the agent's bundle.

    What a person's words go into is HMAC-SHA-256 under a key of the tenant's (`version` KEYED): a short text cannot be
    guessed from its hash. In runs of version 1 it is SHA-256.
    """

    configuration: str
    input: str
    state_before: str
    state_after: str
    evaluation: str
    output: str
    version: Literal[1, 2] = 1


def refuse_placeholders(hashes: RunHashes) -> None:
    """Raises ValueError for a hash that is one sign over and over: it stands for nothing."""
    for value in (hashes.configuration, hashes.input, hashes.state_before, hashes.state_after, hashes.evaluation,
                  hashes.output):
        if len(value) > 1 and value == value[0] * len(value):
            raise ValueError("a hash of the run is a placeholder; leave it empty, or say what it is over")


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
    turn_group_id: str = ""
    """The first of the turns that replaced each other, where that is another than this one."""
    error: str = ""
    hashes: RunHashes
    tape: tuple[TapeEntry, ...] = ()

    def turn(self) -> Turn:
        """The run as its caller sees it."""
        return Turn(session_id=self.session, turn_id=self.id, reply=self.reply, status=self.status,
                    response_type=self.response_type, language=self.language, rules=self.rules,
                    scenarios=self.scenarios, tools=self.tools, enforcement=self.enforcement, memory=self.memory,
                    timings_ms=self.timings_ms, usage=self.usage, superseded_by=self.superseded_by)


def digest(value: Any, key: bytes = b"") -> str:
    """SHA-256 of the canonical form, with a key HMAC-SHA-256; hexadecimal."""
    if key:
        return hmac.digest(key, canonical(value), "sha256").hex()
    return hashlib.sha256(canonical(value)).hexdigest()


def hashed(before: SessionState, after: SessionState, *, asked: Any, enforcement: Enforcement, reply: str,
           configuration: str = "") -> RunHashes:
    """The hashes of a run between two states of its session, keyed where the session has a key."""
    key = before.content_key
    return RunHashes(configuration=configuration, input=digest(asked, key), state_before=state_hash(before),
                     state_after=state_hash(after), evaluation=digest(enforcement, key), output=digest(reply, key),
                     version=KEYED if key else 1)


def genesis(tenant: str, session: str, engine: str) -> str:
    """What the first run of a session points back to."""
    return digest(["genesis", tenant, session, engine])


IMPORTED = "import"
"""How `engine` of a run begins that another program made: what it was decided by is kept there, not here."""

HISTORY = 10
"""Turns that a session remembers word for word."""


def state_hash(state: SessionState) -> str:
    """Digest of what a turn decides about a session; left out are the chain's link and what the session numbers."""
    return digest(msgspec.structs.replace(state, previous_run="", event_seq=0, processing_turn="", content_key=b""),
                  state.content_key)


def chain_link(state: SessionState, engine: str) -> str:
    """`previous` of the next run of this session."""
    return state.previous_run or genesis(state.key.tenant, state.id, engine)


DEAD_LETTERED = "DEAD_LETTERED"
"""`error` of the run of a turn that was given up because the engine failed each time that it was thought about."""


def closed_early(state: SessionState, messages: tuple[Message, ...], *, turn_id: str, engine: str, at_ms: int,
                 status: Literal["failed", "interrupted"], error: str, reply: str, segments: tuple[str, ...] = (),
                 timings_ms: dict[str, float] | None = None, tape: tuple[TapeEntry, ...] = (), group: str = ""
                 ) -> tuple[SessionState, Run]:
    """The run of a turn that ended without a decision, and the session after it. `error` is a stable code.

    The session does not remember what was said in one that was DEAD_LETTERED, so that nothing fails on it again.
    """
    said = tuple(message.text for message in messages)
    risk: Risk = "ERROR" if status == "failed" else "UNKNOWN"
    enforcement = Enforcement(risk=risk, fallback=None if segments or not reply else "refusal")
    after = counted(state) if error == DEAD_LETTERED else msgspec.structs.replace(
        state, turn_count=state.turn_count + 1, last_activity_ms=at_ms, hint_ms=0,
        history=(*state.history, Exchange(turn_id=turn_id, said=said, reply=reply))[-HISTORY:])
    key = state.key
    run = Run(
        id=turn_id, sequence=state.turn_count, previous=chain_link(state, engine), tenant=key.tenant, agent=key.agent,
        agent_version=state.agent_version, session=state.id, interlocutor=key.interlocutor, channel=key.channel,
        request_id=messages[-1].request_id, created_ms=at_ms, engine=engine, outcome="ERROR", status=status,
        response_type="REFUSE", risk=risk, language=state.language, message_ids=tuple(m.id for m in messages),
        said=said, reply=reply, segments=segments, enforcement=enforcement, timings_ms=timings_ms or {}, error=error,
        turn_group_id=group_of(turn_id, group), tape=tape,
        hashes=hashed(state, after, asked=messages, enforcement=enforcement, reply=reply))
    return msgspec.structs.replace(after, previous_run=digest(run)), run


def superseded(after: SessionState, by: Run, messages: tuple[Message, ...], *, turn_id: str, group: str = "",
               timings_ms: dict[str, float] | None = None, tape: tuple[TapeEntry, ...] = ()
               ) -> tuple[SessionState, Run]:
    """The run of a turn that was given up for `by`, which follows that in the chain; `after` is the session after `by`.

    Nothing was said, so no rule was broken: its risk is GREEN.
    """
    said, enforcement, then = tuple(message.text for message in messages), Enforcement(risk="GREEN"), counted(after)
    run = Run(
        id=turn_id, sequence=after.turn_count, previous=chain_link(after, by.engine), tenant=by.tenant, agent=by.agent,
        agent_version=by.agent_version, session=by.session, interlocutor=by.interlocutor, channel=by.channel,
        request_id=messages[-1].request_id, created_ms=by.created_ms, engine=by.engine, outcome="OK",
        status="superseded", response_type=by.response_type, risk="GREEN", language=by.language,
        message_ids=tuple(message.id for message in messages), said=said, reply="", enforcement=enforcement,
        timings_ms=timings_ms or {}, superseded_by=by.id, turn_group_id=group_of(turn_id, group), tape=tape,
        hashes=hashed(after, then, asked=messages, enforcement=enforcement, reply=""))
    return msgspec.structs.replace(then, previous_run=digest(run)), run


def counted(state: SessionState) -> SessionState:
    """The session after the record of a turn that changes nothing else: superseded, or given up."""
    return msgspec.structs.replace(state, turn_count=state.turn_count + 1)


def group_of(turn_id: str, group: str) -> str:
    """`turn_group_id` of a run."""
    return "" if group == turn_id else group
