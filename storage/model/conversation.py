"""What a conversation is made of while it runs. Times are milliseconds since 1970 UTC."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Scalar = str | int | float | bool | None


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of everything the engine moves: immutable, compact on disk, outside the garbage collector."""


class SessionKey(Struct, frozen=True, kw_only=True):
    """The address of a session: one open session per key."""

    tenant: str
    agent: str
    interlocutor: str
    channel: str

    def __str__(self) -> str:
        return ":".join(part.replace("%", "%25").replace(":", "%3A")
                        for part in (self.tenant, self.agent, self.interlocutor, self.channel))

    @classmethod
    def parse(cls, text: str) -> SessionKey:
        """The inverse of `str(key)`. Raises ValueError unless `text` has four parts."""
        tenant, agent, interlocutor, channel = (part.replace("%3A", ":").replace("%25", "%")
                                                for part in text.split(":"))
        return cls(tenant=tenant, agent=agent, interlocutor=interlocutor, channel=channel)


class Message(Struct, frozen=True, kw_only=True):
    """One thing that somebody said. `idempotency_key` and `fingerprint` come from the caller's request."""

    id: str
    text: str
    at_ms: int
    request_id: str = ""
    idempotency_key: str | None = None
    fingerprint: str | None = None
    metadata: dict[str, Any] = {}


class Exchange(Struct, frozen=True, kw_only=True):
    """What was said in one turn: all of the interlocutor's messages and the reply as delivered."""

    turn_id: str
    said: tuple[str, ...]
    reply: str


class StepVisit(Struct, frozen=True, kw_only=True):
    step: str
    turn: int
    reason: str


class Back(Struct, frozen=True, kw_only=True):
    """A step that was left to make up for something, as it stood."""

    step: str
    through: tuple[str, ...] = ()
    """The steps that it makes up for first."""
    done_tools: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()


class ScenarioInstance(Struct, frozen=True, kw_only=True):
    """A scenario in progress, paused or ended within a session."""

    scenario: str
    version: int
    step: str
    status: Literal["active", "paused", "completed", "cancelled"] = "active"
    started_turn: int = 0
    last_turn: int = 0
    visits: tuple[StepVisit, ...] = ()
    """The last 50."""
    asked: tuple[str, ...] = ()
    """Fields that were asked for in the step and are still open."""
    done_tools: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Tools whose effects are undone should the scenario be given up; none after a checkpoint."""
    confirmed: tuple[str, ...] = ()
    variables: dict[str, Any] = {}
    offered: tuple[str, ...] = ()
    """Fields that are good to know, were asked for once, and are not asked for again."""
    relocated: int = 0
    """How often the scenario was set right because it had lost its place."""
    back: Back | None = None
    """Where it goes on once it has made up for what a later version asks before that."""
    within: str = ""
    """The scenario that waits for this one to end."""
    unsaid: bool = False
    """True while the step was come to and not carried out, because something that it requires is unknown."""


class FieldValue(Struct, frozen=True, kw_only=True):
    """One known value of an interlocutor field, with where it came from."""

    value: Scalar | list[Any] | dict[str, Any]
    source: Literal["user_provided", "llm_extracted", "tool_result", "human_entered", "system_inferred"]
    at_ms: int
    confidence: float = 1.0
    verified: bool = False
    expires_ms: int | None = None
    turn_id: str = ""
    history: tuple[tuple[Any, int], ...] = ()
    """Earlier values with their times, newest first, at most 10."""
    origin: str = ""
    """What it came from, besides the turn: `tool:NAME`, `human:NAME`; empty for what the person said."""
    verified_by: str = ""
    """Who said that it is right: `tool:NAME`, `human:NAME`."""
    verified_ms: int | None = None


class Profile(Struct, frozen=True, kw_only=True):
    """What is known about an interlocutor in one tenant, across agents and sessions."""

    interlocutor: str
    tenant: str
    fields: dict[str, FieldValue] = {}
    cadence_ms: tuple[int, ...] = ()
    """Gaps between messages of one burst, newest last, at most 50."""
    version: int = 0


class Pending(Struct, frozen=True, kw_only=True):
    """A question the agent asked and still awaits the answer to."""

    kind: Literal["field", "confirmation", "choice"]
    subject: str
    """The field; what is to be confirmed; or two rules, `a|b`."""
    scenario: str = ""
    step: str = ""
    turn: int = 0


class Handover(Struct, frozen=True, kw_only=True):
    """Who has the conversation instead of the agent. `by` is empty while nobody has taken it.

    From `until_ms` on (0: never) the agent speaks again by itself.
    """

    by: str = ""
    since_ms: int = 0
    until_ms: int = 0
    turn_id: str = ""
    """The run of the person's last act, and the idempotency key and fingerprint that it came with."""
    key: str = ""
    fingerprint: str = ""


class SessionState(Struct, frozen=True, kw_only=True):
    """Everything a session remembers between turns; bounded, so that turn 300 costs what turn 3 costs."""

    id: str
    key: SessionKey
    created_ms: int
    last_activity_ms: int
    turn_count: int = 0
    event_seq: int = 0
    agent_version: int = 0
    language: str = ""
    scenarios: tuple[ScenarioInstance, ...] = ()
    fields: dict[str, FieldValue] = {}
    """Fields of scope SESSION and CASE."""
    variables: dict[str, Any] = {}
    rule_fires: dict[str, int] = {}
    rule_last_turn: dict[str, int] = {}
    history: tuple[Exchange, ...] = ()
    """The last 10 turns."""
    last_intent: str = ""
    pending: Pending | None = None
    hint_ms: int = 0
    """What the last turn adds to the next accumulation window."""
    unmatched_streak: int = 0
    previous_run: str = ""
    """Hash of the session's last run; empty before the first."""
    handed_off: bool = False
    handover: Handover | None = None
    """Present where a person took over, or where the agent waits for one only so long."""
    closed_ms: int | None = None
    processing_turn: str = ""
    content_key: bytes = b""
    """What the hashes of the session's runs are keyed with: the tenant's key, given to a session that is active, never
    kept. Empty: they are plain."""


IDLE_AFTER_MS = 30 * 60 * 1000


def session_status(state: SessionState, now_ms: int) -> Literal["CLOSED", "PROCESSING", "IDLE", "ACTIVE"]:
    """The status is derived from the times, never stored; total milliseconds, so idling over a day counts."""
    if state.closed_ms is not None:
        return "CLOSED"
    if state.processing_turn:
        return "PROCESSING"
    return "IDLE" if now_ms - state.last_activity_ms > IDLE_AFTER_MS else "ACTIVE"
