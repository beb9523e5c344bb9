"""The stored models: one per table, each field with its protection. What is sealed is msgpack of a model's struct."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ruche.storage.fields import Clear, Hash, Id, Sealed, SealedSearch, Stored, Token, bucket
from ruche.storage.model.turn import Risk, Status
from ruche.storage.model.webhook import DeliveryState


class SessionRow(Stored, frozen=True, kw_only=True):
    """The last state of a session."""

    table: ClassVar[str] = "sessions"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("address", "person")
    aged: ClassVar[str] = "created_ms"
    remains: ClassVar[bool] = True

    id: Clear[Id]
    address: Token[str]
    person: Hash[str]
    agent: Token[str]
    created_ms: Clear[int]
    open: Clear[bool]
    state: Sealed[bytes]


class PersonRow(Stored, frozen=True, kw_only=True):
    """What is known about an interlocutor."""

    table: ClassVar[str] = "people"
    key: ClassVar[str] = "person"

    person: Hash[str]
    profile: Sealed[bytes]


class RunRow(Stored, frozen=True, kw_only=True):
    """A turn; `body` is the canonical bytes of the Run, kept in the day segment of `created_ms`."""

    table: ClassVar[str] = "runs"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("session",)
    once: ClassVar[bool] = True
    logged: ClassVar[str] = "created_ms"
    remains: ClassVar[bool] = True

    id: Clear[Id]
    session: Clear[Id]
    sequence: Clear[int]
    created_ms: Clear[int]
    agent: Token[str]
    risk: Clear[Risk]
    status: Clear[Status]
    body: Sealed[bytes]


class EventsRow(Stored, frozen=True, kw_only=True):
    """Events of a session that were committed together, `first` to `last` by seq."""

    table: ClassVar[str] = "events"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("session",)
    once: ClassVar[bool] = True

    id: Clear[Id]
    session: Clear[Id]
    first: Clear[int]
    last: Clear[int]
    events: Sealed[bytes]


class InboxRow(Stored, frozen=True, kw_only=True):
    """An accepted message that is not answered yet; `number` is its place in the order of acceptance."""

    table: ClassVar[str] = "inbox"
    key: ClassVar[str] = "id"

    id: Clear[Id]
    session: Clear[Id]
    number: Clear[int]
    accepted: Sealed[bytes]


class IdempotencyRow(Stored, frozen=True, kw_only=True):
    """A request that carried an idempotency key, and what became of it; `turn` is empty until it is answered."""

    table: ClassVar[str] = "idempotency"
    key: ClassVar[str] = "request"
    aged: ClassVar[str] = "at_ms"

    request: Token[str]
    message: Clear[Id]
    session: Clear[Id]
    turn: Clear[Id]
    at_ms: Clear[int]
    fingerprint: Sealed[bytes]


class SegmentRow(Stored, frozen=True, kw_only=True):
    """Part of a reply that was released before its turn was committed."""

    table: ClassVar[str] = "segments"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("turn",)

    id: Clear[Id]
    turn: Clear[Id]
    number: Clear[int]
    segment: Sealed[bytes]


class EffectRow(Stored, frozen=True, kw_only=True):
    """The last that is known of a tool call."""

    table: ClassVar[str] = "effects"
    key: ClassVar[str] = "effect"
    aged: ClassVar[str] = "at_ms"

    effect: Token[str]
    turn: Clear[Id]
    at_ms: Clear[int]
    record: Sealed[bytes]


DRAFT = 0
"""The version under which an agent's draft is kept."""


PLAN = -1
"""The version under which plans for running conversations are kept."""


class AgentRow(Stored, frozen=True, kw_only=True):
    """A published version of an agent, its draft, or a plan for its running conversations."""

    table: ClassVar[str] = "agents"
    key: ClassVar[str] = "published"
    lookup: ClassVar[tuple[str, ...]] = ("agent",)

    published: Token[str]
    agent: Token[str]
    version: Clear[int]
    record: Sealed[bytes]


class DeadRow(Stored, frozen=True, kw_only=True):
    """A message that could not be answered."""

    table: ClassVar[str] = "dead_letters"
    key: ClassVar[str] = "id"
    aged: ClassVar[str] = "at_ms"

    id: Clear[Id]
    at_ms: Clear[int]
    record: Sealed[bytes]


class AdvisoryRow(Stored, frozen=True, kw_only=True):
    """A note on a run. `previous` is the leaf hash (hexadecimal) of the run's advisory before it, or of the run itself;
    `content` stands for kind and body, so that the same note is not kept twice."""

    table: ClassVar[str] = "advisories"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("run",)
    once: ClassVar[bool] = True
    logged: ClassVar[str] = "at_ms"
    remains: ClassVar[bool] = True

    id: Clear[Id]
    run: Clear[Id]
    number: Clear[int]
    previous: Clear[Id]
    content: Token[str]
    at_ms: Clear[int]
    record: Sealed[bytes]


class OutboxRow(Stored, frozen=True, kw_only=True):
    """Something still to be delivered outside."""

    table: ClassVar[str] = "outbox"
    key: ClassVar[str] = "id"

    id: Clear[Id]
    at_ms: Clear[int]
    item: Sealed[bytes]


class ErasureRow(Stored, frozen=True, kw_only=True):
    """That a person's data keys were destroyed: `keys` has their ids (hexadecimal), `id` the last one. `record` is
    sealed for the tenant."""

    table: ClassVar[str] = "erasures"
    key: ClassVar[str] = "id"
    once: ClassVar[bool] = True
    logged: ClassVar[str] = "at_ms"
    remains: ClassVar[bool] = True

    id: Clear[Id]
    keys: Clear[Id]
    at_ms: Clear[int]
    record: Sealed[bytes]


class HoldRow(Stored, frozen=True, kw_only=True):
    """A legal hold: while it stands, nothing of the person is erased or dropped for its age."""

    table: ClassVar[str] = "holds"
    key: ClassVar[str] = "person"

    person: Hash[str]
    at_ms: Clear[int]
    record: Sealed[bytes]


class EpisodeRow(Stored, frozen=True, kw_only=True):
    """Something remembered that came from elsewhere; `number` is random, and orders what is of the same day."""

    table: ClassVar[str] = "episodes"
    key: ClassVar[str] = "episode"
    lookup: ClassVar[tuple[str, ...]] = ("person",)
    aged: ClassVar[str] = "day"

    episode: Token[str]
    kind: Clear[Literal["episode", "cluster", "wisdom", "companion"]]
    person: Hash[str]
    day: Annotated[int, bucket(86_400_000)]
    number: Clear[int]
    record: SealedSearch[bytes]


class UtteranceRow(Stored, frozen=True, kw_only=True):
    """Something that was said in a conversation, with the vectors that it is found by; of an agent that remembers."""

    table: ClassVar[str] = "utterances"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("person",)
    aged: ClassVar[str] = "at_ms"

    id: Clear[Id]
    person: Hash[str]
    at_ms: Clear[int]
    record: SealedSearch[bytes]


class IdentityRow(Stored, frozen=True, kw_only=True):
    """Another name of a person, or one that was theirs; sealed for the person."""

    table: ClassVar[str] = "identities"
    key: ClassVar[str] = "identity"

    identity: Token[str]
    record: Sealed[bytes]


class WebhookRow(Stored, frozen=True, kw_only=True):
    """An address that hears of the tenant's conversations, with its secret; sealed for the tenant."""

    table: ClassVar[str] = "webhooks"
    key: ClassVar[str] = "id"

    id: Clear[Id]
    record: Sealed[bytes]


class DeliveryRow(Stored, frozen=True, kw_only=True):
    """What became of telling a webhook of something at `at_ms`; sealed for the person whom it is about."""

    table: ClassVar[str] = "deliveries"
    key: ClassVar[str] = "id"
    lookup: ClassVar[tuple[str, ...]] = ("webhook",)
    aged: ClassVar[str] = "at_ms"

    id: Clear[Id]
    webhook: Token[str]
    at_ms: Clear[int]
    state: Clear[DeliveryState]
    record: Sealed[bytes]


MODELS: tuple[type[Stored], ...] = (SessionRow, PersonRow, RunRow, EventsRow, InboxRow, IdempotencyRow, SegmentRow,
                                    EffectRow, AgentRow, DeadRow, AdvisoryRow, OutboxRow, ErasureRow, HoldRow,
                                    EpisodeRow, UtteranceRow, IdentityRow, WebhookRow, DeliveryRow)
"""In the order of their numbers in journal frames: only ever append."""
