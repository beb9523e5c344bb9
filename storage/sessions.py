"""Sessions of a tenant: their state, events, segments, requests, effects and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ruche.storage.ledger import request_name
from ruche.storage.model.conversation import SessionKey, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.record import Accepted, DeadLettered, EffectReserved, EffectSettled, SegmentReleased
from ruche.storage.rows import DeadRow, EffectRow, EventsRow, IdempotencyRow, InboxRow, SegmentRow, SessionRow
from ruche.storage.secured import Door, Filter, Page, make_cursor, read_cursor

_state = msgspec.msgpack.Decoder(SessionState).decode
_events = msgspec.msgpack.Decoder(tuple[Event, ...]).decode
_segment = msgspec.msgpack.Decoder(SegmentReleased).decode
_effect = msgspec.msgpack.Decoder(EffectReserved | EffectSettled).decode
_accepted = msgspec.msgpack.Decoder(Accepted).decode
_dead = msgspec.msgpack.Decoder(DeadLettered).decode


class Idempotent(NamedTuple):
    """A request that was made before under the same key; `turn_id` is None until it is answered."""

    fingerprint: str | None
    message_id: str
    session_id: str
    turn_id: str | None


class Sessions:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._sessions, self._events = door.handle(tenant, SessionRow), door.handle(tenant, EventsRow)
        self._segments, self._requests = door.handle(tenant, SegmentRow), door.handle(tenant, IdempotencyRow)
        self._effects, self._dead = door.handle(tenant, EffectRow), door.handle(tenant, DeadRow)
        self._inbox = door.handle(tenant, InboxRow)

    def by_key(self, key: SessionKey) -> SessionState | None:
        """The open session of a key, else its last one."""
        rows = self._sessions.find(Filter("address", "=", str(key)))
        if not rows:
            return None
        last = max(rows, key=lambda row: (row["open"], row["created_ms"], row["id"]))
        return _state(last["state"])

    def never(self, key: SessionKey) -> bool:
        """True when there surely never was a session under this key; never waits for the disk."""
        return self._sessions.lacks("address", str(key))

    def by_id(self, session_id: str) -> SessionState | None:
        """A session exists from its first accepted message on, before its first turn is committed."""
        found = self._kept(session_id) or self._beginning(session_id)
        # Its first turn may have been committed between the two looks: then it is only where it was not before.
        return found or self._kept(session_id)

    def _kept(self, session_id: str) -> SessionState | None:
        row = self._sessions.get(session_id)
        return None if row is None else _state(row["state"])

    def _beginning(self, session_id: str) -> SessionState | None:
        rows = self._inbox.find(Filter("session", "=", session_id), order=("number",), limit=1)
        if not rows:
            return None
        first = _accepted(rows[0]["accepted"])
        return SessionState(id=session_id, key=first.key, created_ms=first.at_ms, last_activity_ms=first.at_ms)

    def page(self, *, interlocutor: str | None, agent: str | None, limit: int,
             cursor: str | None) -> Page[SessionState]:
        """Newest first."""
        filters = [Filter(name, "=", value) for name, value in (("person", interlocutor), ("agent", agent))
                   if value is not None]
        rows, following = self._sessions.page(*filters, order=("created_ms", "id"), cursor=cursor, limit=limit)
        return Page(tuple([_state(row["state"]) for row in rows]), following)

    def page_of(self, names: Sequence[str], *, agent: str | None, limit: int, cursor: str | None) -> Page[SessionState]:
        """Those of several interlocutors as one list, newest first."""
        pages = [self.page(interlocutor=name, agent=agent, limit=limit, cursor=cursor) for name in names]
        reached = max((read_cursor(page.next_cursor, 2) for page in pages if page.next_cursor), default=None)
        found = sorted((one for page in pages for one in page.items if reached is None or _newest(one) >= reached),
                       key=_newest, reverse=True)
        if len(found) > limit:
            return Page(tuple(found[:limit]), make_cursor(_newest(found[limit - 1])))
        return Page(tuple(found), make_cursor(reached) if reached else None)

    def events(self, session_id: str, after: int, limit: int) -> list[Event]:
        """At most `limit` events with a seq above `after`, in order."""
        rows = self._events.find(Filter("session", "=", session_id), Filter("last", ">", after), order=("first",),
                                 limit=limit)
        found = [event for row in rows for event in _events(row["events"]) if event.seq > after]
        return found[:limit]

    def segments(self, turn_id: str) -> list[SegmentReleased]:
        """What was released of a turn that is not committed, in order."""
        rows = self._segments.find(Filter("turn", "=", turn_id), order=("number",))
        return [_segment(row["segment"]) for row in rows]

    def request(self, interlocutor: str, idempotency_key: str) -> Idempotent | None:
        row = self._requests.get(request_name(interlocutor, idempotency_key))
        if row is None:
            return None
        return Idempotent(row["fingerprint"].decode() or None, row["message"], row["session"], row["turn"] or None)

    def effect(self, key: str) -> EffectReserved | EffectSettled | None:
        """The last that is known of a tool call."""
        row = self._effects.get(key)
        return None if row is None else _effect(row["record"])

    def effects_of(self, turn_id: str) -> list[EffectReserved | EffectSettled]:
        """The last that is known of each tool call of a turn."""
        return [_effect(row["record"]) for row in self._effects.find(Filter("turn", "=", turn_id), order=("at_ms",))]

    def dead_letters(self, limit: int) -> list[DeadLettered]:
        """Newest first."""
        rows = self._dead.find(order=("at_ms", "id"), descending=True, limit=limit)
        return [_dead(row["record"]) for row in rows]


def _newest(state: SessionState) -> tuple[int, str]:
    return state.created_ms, state.id
