"""What the journal takes: each record is one frame, and is either wholly kept or not at all."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ruche.storage.model.conversation import FieldValue, Message, Profile, SessionKey, SessionState
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.memory import Remembered
from ruche.storage.model.migration import MigrationPlan
from ruche.storage.model.run import Run
from ruche.storage.model.webhook import Delivery, Webhook


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, gc=False):
    """Base of all records."""

    tenant: str
    at_ms: int


class Accepted(Record, frozen=True, kw_only=True, tag="accepted"):
    """A message was taken; from here on it is answered or dead-lettered, whatever happens."""

    key: SessionKey
    session_id: str
    message: Message
    events: tuple[Event, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()
    tries: int = 0
    """Processes that began to answer it after another had died, as the last `TriedAgain` says."""


class TriedAgain(Record, frozen=True, kw_only=True, tag="again"):
    """A process that found these messages unanswered when it started begins to answer them now.

    So that a message that kills every process is known for it.
    """

    session_id: str
    messages: tuple[str, ...]
    tries: int


class TurnCommitted(Record, frozen=True, kw_only=True, tag="turn"):
    """The one atomic commit of a turn."""

    session: SessionState
    run: Run
    answered: tuple[str, ...]
    """Ids of the accepted messages that this turn answers."""
    profile: Profile | None = None
    events: tuple[Event, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()
    superseded: tuple[Run, ...] = ()
    """The runs of the turns that this one replaced; they follow it in the session's chain."""


class SegmentReleased(Record, frozen=True, kw_only=True, tag="segment"):
    """Part of a reply, journalled before anybody sees it."""

    key: SessionKey
    session_id: str
    turn_id: str
    number: int
    text: str
    event: Event


class EffectReserved(Record, frozen=True, kw_only=True, tag="reserved"):
    """A tool call is about to happen; without a matching EffectSettled its outcome is unknown."""

    session_id: str
    turn_id: str
    tool: str
    key: str
    policy: str
    arguments: dict[str, Any] = {}


class EffectSettled(Record, frozen=True, kw_only=True, tag="settled"):
    session_id: str
    turn_id: str
    tool: str
    key: str
    status: Literal["ok", "error", "timeout", "unknown"]
    result: Any = None
    policy: str = ""
    arguments: dict[str, Any] = {}


class SessionSaved(Record, frozen=True, kw_only=True, tag="session"):
    """A session changed outside a turn: it was closed."""

    session: SessionState
    events: tuple[Event, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()


class ProfileSaved(Record, frozen=True, kw_only=True, tag="profile"):
    profile: Profile


class AgentPublished(Record, frozen=True, kw_only=True, tag="agent"):
    """A version of an agent; `bundle` is the canonical JSON of an AgentBundle and `hash` its SHA-256.

    A `retired` version holds what the one before held, and serves nobody.
    """

    agent: str
    version: int
    hash: str
    bundle: bytes
    source: Literal["folder", "api"] = "folder"
    by: str = ""
    """Who published it over the API."""
    note: str = ""
    ends_draft: bool = False
    """The agent's draft goes with this frame: it is what was published, or not wanted any more."""
    retired: bool = False
    taught: bytes = b""
    """What the examples taught when it was published; see `storage.index.kept`. Empty where nothing was."""


class DraftSaved(Record, frozen=True, kw_only=True, tag="draft"):
    """What an author is working on over the API; `bundle` as in AgentPublished, None when it was thrown away."""

    agent: str
    revision: int
    bundle: bytes | None
    by: str = ""


class MigrationSaved(Record, frozen=True, kw_only=True, tag="migration"):
    """A plan for conversations that run while an agent changes, as it stands now."""

    plan: MigrationPlan


GIVEN_UP = "given-up"
"""Stands where the id of the turn would be, for a request whose message is a dead letter."""


class DeadLettered(Record, frozen=True, kw_only=True, tag="dead"):
    """A message that could not be answered, kept with the reason."""

    key: SessionKey
    message: Message
    reason: str
    attempts: int = 1
    session_id: str = ""
    """Empty for a message that no session had accepted."""
    turn_id: str = ""
    """The run of the turn that was to answer it; empty likewise, and in letters of older versions."""
    events: tuple[Event, ...] = ()


class ReminderSet(Record, frozen=True, kw_only=True, tag="reminder"):
    """Something is to be done at a time, whoever runs then; it waits in the outbox. The same id again replaces it."""

    item: OutboxItem
    interlocutor: str = ""
    """Whom it is about."""


class AdvisoryAdded(Record, frozen=True, kw_only=True, tag="advisory"):
    """An append-only note on a run (explanation, review, override, erasure)."""

    id: str
    run_id: str
    kind: str
    author: str
    body: dict[str, Any] = {}


class PersonErased(Record, frozen=True, kw_only=True, tag="erased"):
    """A person's data key is to be destroyed; it is, when this record is applied. What they had is unreadable then."""

    interlocutor: str
    reason: str
    by: str


class TenantErased(Record, frozen=True, kw_only=True, tag="tenant-erased"):
    """Every data key of a tenant is to be destroyed, its persons' and its own; so they are when this is applied."""

    reason: str
    by: str


class HoldSet(Record, frozen=True, kw_only=True, tag="hold"):
    """A legal hold on everything of a person is placed (`held`) or lifted."""

    interlocutor: str
    held: bool
    reason: str
    by: str


class IdentityLinked(Record, frozen=True, kw_only=True, tag="identity"):
    """Whoever comes by the name `identity` is the person `interlocutor` from now on, or (`linked` False) is no more.

    `profile` is the person's with what was known of the identity (`brought`), or without it again.
    """

    interlocutor: str
    identity: str
    linked: bool
    by: str
    brought: dict[str, FieldValue] = {}
    profile: Profile | None = None


class FieldsExpired(Record, frozen=True, kw_only=True, tag="expired"):
    """Fields of a profile are older than they may be kept: what is as old as the time given (ms) goes."""

    interlocutor: str
    fields: dict[str, int]


class EpisodeKept(Record, frozen=True, kw_only=True, tag="episode"):
    """Something remembered that was brought in from elsewhere; `body` is its canonical JSON, `interlocutor` empty when
    it is about nobody. `at_ms` is when it happened."""

    kind: Literal["episode", "cluster", "wisdom", "companion"]
    id: str
    interlocutor: str
    body: bytes


class OutboxSettled(Record, frozen=True, kw_only=True, tag="delivered"):
    """A delivery ended: done or given up (`retry` None), or to be tried again as `retry` says."""

    item: str
    interlocutor: str = ""
    """Whom the item is about, so that a retry is sealed for the same person."""
    delivered: bool = True
    retry: OutboxItem | None = None
    reason: str = ""


class WebhookSaved(Record, frozen=True, kw_only=True, tag="webhook"):
    """A webhook as it stands now, or (`gone`) as it stood last."""

    webhook: Webhook
    gone: bool = False


class DeliveryNoted(Record, frozen=True, kw_only=True, tag="delivery"):
    """What became of a delivery so far."""

    delivery: Delivery


class UtterancesKept(Record, frozen=True, kw_only=True, tag="said"):
    """What was said in a turn of an agent that remembers, ready to be found."""

    interlocutor: str
    memories: tuple[Remembered, ...]


class UtterancesDropped(Record, frozen=True, kw_only=True, tag="unsaid"):
    """Memories of a person that are not theirs any more, by id."""

    interlocutor: str
    ids: tuple[str, ...]


AnyRecord = (Accepted | TriedAgain | TurnCommitted | SegmentReleased | EffectReserved | EffectSettled | SessionSaved
             | ProfileSaved | AgentPublished | DraftSaved | DeadLettered | AdvisoryAdded | OutboxSettled
             | PersonErased | HoldSet | FieldsExpired | EpisodeKept | MigrationSaved | ReminderSet | UtterancesKept
             | TenantErased | IdentityLinked | WebhookSaved | DeliveryNoted
             | UtterancesDropped)
