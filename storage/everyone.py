"""What is stored of all tenants: for the store itself, which opens whatever its keys open, and for those who run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ruche.storage import vault
from ruche.storage.collection import Collection, Values
from ruche.storage.datafiles import DataFiles
from ruche.storage.errors import Erased
from ruche.storage.fields import Id, Stored
from ruche.storage.inbox import Inbox
from ruche.storage.keyuse import KeyUse
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import (
    Accepted,
    AgentPublished,
    DeadLettered,
    IdentityLinked,
    SegmentReleased,
    WebhookSaved,
)
from ruche.storage.overlay import Overlay
from ruche.storage.query import Query
from ruche.storage.rows import (
    DRAFT,
    AgentRow,
    DeadRow,
    IdentityRow,
    InboxRow,
    OutboxRow,
    SegmentRow,
    SessionRow,
    WebhookRow,
)
from ruche.storage.secured import stored_rows

_ALL: Final = 1_000_000_000

_accepted = msgspec.msgpack.Decoder(Accepted).decode
_published = msgspec.msgpack.Decoder(AgentPublished).decode
_state = msgspec.msgpack.Decoder(SessionState).decode
_segment = msgspec.msgpack.Decoder(SegmentReleased).decode
_dead = msgspec.msgpack.Decoder(DeadLettered).decode
_identity = msgspec.msgpack.Decoder(IdentityLinked).decode
_webhook = msgspec.msgpack.Decoder(WebhookSaved).decode
_outbox = msgspec.msgpack.Decoder(tuple[str, OutboxItem]).decode


class Everyone:
    """Of an open store; any thread. `drain` feeds the tables with everything that was appended."""

    def __init__(self, files: DataFiles, overlay: Overlay, inbox: Inbox, use: KeyUse,
                 drain: Callable[[], object]) -> None:
        self._keyring, self._tables, self._lock = files.keyring, files.tables, files.tables.lock
        self._by_model = {collection.model: collection for collection in files.collections}
        self._overlay, self._inbox, self._use, self._drain = overlay, inbox, use, drain

    def outbox(self, limit: int = 100) -> list[tuple[str, OutboxItem]]:
        """Tenant and item of what is still to be delivered, oldest first; an OutboxSettled record takes one out."""
        return [_outbox(opened) for opened in self._sorted(OutboxRow, "item", limit)]

    def waits(self, tenant: str, item: str) -> bool:
        """Whether something of this id is still to be delivered."""
        return self._row(self._by_model[OutboxRow], self._keyring.tenant(tenant).tag, Id(item)) is not None

    def dead_letters(self, limit: int = 100) -> list[DeadLettered]:
        """The newest messages of all tenants that could not be answered."""
        return [_dead(opened) for opened in self._sorted(DeadRow, "record", limit, newest=True)]

    def all_sessions(self) -> Iterator[tuple[str, str]]:
        """Tenant and id of every session, but for those of erased persons: for proving the whole."""
        for rows in self._use.rows(self._by_model[SessionRow]):
            for row in rows:
                opened = self._opened(SessionRow, "state", row)
                if opened is not None:
                    state = _state(opened)
                    yield state.key.tenant, state.id

    def all_agents(self) -> list[AgentPublished]:
        """The newest version of every agent of every tenant: what a start serves besides folders."""
        found: dict[tuple[str, str], AgentPublished] = {}
        version = self._by_model[AgentRow].columns.index("version")
        for rows in self._use.rows(self._by_model[AgentRow]):
            for row in rows:
                opened = self._opened(AgentRow, "record", row) if row[version] > DRAFT else None
                if opened is not None:
                    one = _published(opened)
                    known = found.get((one.tenant, one.agent))
                    found[one.tenant, one.agent] = one if known is None or known.version < one.version else known
        return [found[key] for key in sorted(found)]

    def all_identities(self) -> list[IdentityLinked]:
        """Every other name of every tenant's persons, and those that were theirs."""
        return [_identity(opened) for rows in self._use.rows(self._by_model[IdentityRow]) for row in rows
                if (opened := self._opened(IdentityRow, "record", row)) is not None]

    def all_webhooks(self) -> list[WebhookSaved]:
        """Every webhook of every tenant that was made over the API."""
        return [_webhook(opened) for rows in self._use.rows(self._by_model[WebhookRow]) for row in rows
                if (opened := self._opened(WebhookRow, "record", row)) is not None]

    def fill_inbox(self) -> None:
        """What is waiting for an answer, and what was released of it, as the tables have it."""
        collection = self._by_model[InboxRow]
        number = collection.columns.index("number")
        for row in self._tables.find(collection, None, Query(order=(number,), limit=_ALL)):
            self._inbox.count = row[number]
            opened = self._opened(InboxRow, "accepted", row)
            if opened is not None:
                accepted = _accepted(opened)
                self._inbox.waiting[accepted.tenant, accepted.message.id] = accepted
        for row in self._tables.find(self._by_model[SegmentRow], None, Query(limit=_ALL)):
            opened = self._opened(SegmentRow, "segment", row)
            if opened is not None:
                segment = _segment(opened)
                self._inbox.segments.setdefault((segment.tenant, segment.turn_id), []).append(segment.number)

    def person_of(self, tenant: str, session: str) -> vault.DataKey | None:
        """The data key of a session's person, from the stored session. Raises Erased."""
        tag, sessions = self._keyring.tenant(tenant).tag, self._by_model[SessionRow]
        row = self._row(sessions, tag, session)
        if row is None:
            return next((self._keyring.person(tenant, accepted.key.interlocutor)
                         for accepted in list(self._inbox.waiting.values())
                         if accepted.tenant == tenant and accepted.session_id == session), None)
        return self._keyring.opener(vault.key_id(row[sessions.columns.index("state")]))

    def _row(self, collection: Collection, tag: int, key: Any) -> Values | None:
        with self._lock:
            kept = self._overlay.get(collection.number, (tag, key))
            return kept.values if kept is not None else self._tables.get(collection, tag, key)

    def rows(self, model: type[Stored], tag: int, field: str, value: Any) -> list[Values]:
        """Rows of a tenant, as they are stored, whose field has this stored value."""
        collection = self._by_model[model]
        with self._lock:
            return stored_rows(collection, tag, field, value, self._overlay, self._tables)

    def _opened(self, model: type[Stored], column: str, row: Values) -> bytes | None:
        """A sealed column of a row, whoever's it is; None when they were erased."""
        collection = self._by_model[model]
        try:
            return collection.open(column, row, self._keyring.opener)
        except Erased:
            return None

    def _sorted(self, model: type[Stored], column: str, limit: int, *, newest: bool = False) -> list[bytes]:
        """A sealed column of all tenants' rows, in the order of their times; without those of erased persons."""
        collection = self._by_model[model]
        order = (collection.columns.index("at_ms"), collection.key)
        if self._overlay.count(collection.number):
            self._drain()
        with self._lock:
            rows = self._tables.find(collection, None, Query(order=order, limit=limit, descending=newest))
        return [opened for row in rows if (opened := self._opened(model, column, row)) is not None]
