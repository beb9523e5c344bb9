"""Turns records into protected rows: what a journal frame holds, and what the overlay and the tables are fed with.

Everything of a person is sealed under the person's data key here, once; the tables get the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from ruche.storage.auditing import AuditRows, FindRows
from ruche.storage.belongings import Belongings
from ruche.storage.collection import Collection
from ruche.storage.errors import RucheError
from ruche.storage.fields import Id
from ruche.storage.inbox import Inbox
from ruche.storage.keyring import Keyring, Tenant
from ruche.storage.model.conversation import SessionKey, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.record import (
    GIVEN_UP,
    Accepted,
    AnyRecord,
    DeadLettered,
    EffectReserved,
    EffectSettled,
    Record,
    SegmentReleased,
    SessionSaved,
    TriedAgain,
    TurnCommitted,
)
from ruche.storage.model.run import Run, canonical, refuse_placeholders
from ruche.storage.overlay import Change
from ruche.storage.payload import RUN_BYTES, check_size
from ruche.storage.protecting import Protecting
from ruche.storage.recent import Recent
from ruche.storage.rows import (
    DeadRow,
    EffectRow,
    EventsRow,
    IdempotencyRow,
    InboxRow,
    RunRow,
    SegmentRow,
    SessionRow,
)
from ruche.storage.vault import DataKey

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_SESSIONS: Final = 4096
"""Sessions whose person's key is kept at hand; an opened key takes 2.5 KB."""

FindPerson = Callable[[str, str], DataKey | None]
"""(tenant, session id) -> the data key of the session's person, from what is stored."""


class Ledger:
    """Used by the appending thread alone."""

    def __init__(self, collections: Sequence[Collection], keyring: Keyring, inbox: Inbox, person_of: FindPerson,
                 find: FindRows) -> None:
        self._collections = {collection.model: collection for collection in collections}
        self._keyring, self._inbox, self._person_of = keyring, inbox, person_of
        self._persons: Recent[tuple[str, str], DataKey] = Recent(_SESSIONS)
        self._staged = Inbox()
        self._at_once: dict[tuple[str, str], tuple[Event, ...]] = {}
        """Messages that the batch takes and answers, with the events that their turn's come after."""
        self._find = find
        self._audit, protecting = AuditRows(collections, keyring, find), Protecting(collections)
        self._put, self._remove = protecting.put, protecting.remove
        self._belongings = Belongings(protecting, keyring, self._audit)

    def begin(self, records: Sequence[AnyRecord]) -> None:
        """A new batch of these records: what an earlier, failed one staged is forgotten.

        A batch is on disk wholly or not at all. So a message whose turn follows it there at once never waits in the
        inbox, and its events are kept in one row with those of the turn.
        """
        self._staged.waiting.clear()
        self._staged.segments.clear()
        self._at_once = {(one.tenant, one.message.id): one.events for one, following in pairwise(records)
                         if isinstance(one, Accepted) and _answers(following, one)}
        self._audit.begin()

    def forget_persons(self) -> None:
        """Look data keys up again: some were destroyed. Any thread may call."""
        self._persons.clear()

    def changes(self, record: AnyRecord) -> list[Change]:
        """The rows that a record puts and removes."""
        tenant = self._keyring.tenant(record.tenant)
        match record:
            case TurnCommitted():
                return self._turn(record, tenant)
            case Accepted():
                return self._accepted(record, tenant)
            case SegmentReleased():
                return self._segment(record, tenant)
            case EffectReserved() | EffectSettled():
                key = self._of_session(record.tenant, record.session_id)
                return [self._put(EffectRow(effect=record.key, turn=Id(record.turn_id), at_ms=record.at_ms,
                                            record=_encode(record)), tenant, key)]
            case TriedAgain():
                return [self._tried(accepted, tenant) for accepted in self._inbox.again(record)]
            case SessionSaved():
                key = self._person(record.tenant, record.session.key, record.session.id)
                return [self._session(record.session, tenant, key),
                        *self._events(record.session.id, record.events, tenant, key),
                        *(self._belongings.outbox(item, tenant, key) for item in record.outbox)]
            case DeadLettered():
                return self._dead(record, tenant)
            case _:
                made = self._belongings.changes(record, tenant)
                return self._audited(record, tenant) if made is None else list(made)

    def _audited(self, record: AnyRecord, tenant: Tenant) -> list[Change]:
        made = self._audit.changes(record, tenant)
        if made is None:
            raise RucheError(f"storage has no place for {type(record).__name__}")
        for change in made:
            self._audit.stage(change)
        return made

    def body(self, changes: Sequence[Change]) -> bytes:
        """A journal frame's content: [table, tenant tag, values...] to put, [-1 - table, tenant tag, key] to remove."""
        return _encode([(one.collection, one.tag, *one.values) if one.values is not None
                        else (-1 - one.collection, one.tag, one.key) for one in changes])

    def read(self, body: bytes) -> list[Change]:
        """What `body` wrote."""
        keys = {collection.number: collection.key for collection in self._collections.values()}
        return [Change(number, tag, values[keys[number]], tuple(values)) if number >= 0
                else Change(-1 - number, tag, values[0], None) for number, tag, *values in _decode(body)]

    # --- one kind of record each -----------------------------------------------------------------------------

    def _turn(self, record: TurnCommitted, tenant: Tenant) -> list[Change]:
        key = self._person(record.tenant, record.session.key, record.session.id)
        run, body = record.run, canonical(record.run)
        check_size(len(body), RUN_BYTES, "a run")
        refuse_placeholders(run.hashes)
        kept = self._put(RunRow(id=Id(run.id), session=Id(run.session), sequence=run.sequence,
                                created_ms=run.created_ms, agent=run.agent, risk=run.risk, status=run.status,
                                body=body), tenant, key)
        self._audit.stage(kept)
        made = [self._session(record.session, tenant, key), kept]
        made += self._events(record.session.id, (*self._earlier(record), *record.events), tenant, key)
        made += [self._superseded(one, tenant, key) for one in record.superseded]
        for message in record.answered:
            made += self._answered(message, run.id, record, tenant, key)
        if record.profile is not None:
            made.append(self._belongings.profile(record.profile, tenant))
        made += [self._belongings.outbox(item, tenant, key) for item in record.outbox]
        made += [self._remove(SegmentRow, f"{run.id}:{number}", tenant)
                 for inbox in (self._inbox, self._staged)
                 for number in inbox.segments.get((record.tenant, run.id), ())]
        return made

    def _earlier(self, record: TurnCommitted) -> tuple[Event, ...]:
        """Events of the message that came with the turn."""
        found = [self._at_once[record.tenant, message] for message in record.answered
                 if (record.tenant, message) in self._at_once]
        return found[0] if found else ()

    def _person(self, tenant: str, key: SessionKey, session: str) -> DataKey:
        return self._persons.put((tenant, session), self._keyring.person(tenant, key.interlocutor))

    def _of_session(self, tenant: str, session: str) -> DataKey:
        known = self._persons.get((tenant, session)) or self._person_of(tenant, session)
        return self._keyring.newest(known) if known else self._keyring.person(tenant, "")

    def _superseded(self, run: Run, tenant: Tenant, key: DataKey) -> Change:
        kept = self._put(RunRow(id=Id(run.id), session=Id(run.session), sequence=run.sequence,
                                created_ms=run.created_ms, agent=run.agent, risk=run.risk, status=run.status,
                                body=canonical(run)), tenant, key)
        self._audit.stage(kept)
        return kept

    def _answered(self, message: str, turn: str, record: TurnCommitted, tenant: Tenant,
                  key: DataKey) -> list[Change]:
        name = (record.tenant, message)
        accepted = self._inbox.waiting.get(name) or self._staged.waiting.get(name)
        made = [] if name in self._at_once else [self._remove(InboxRow, message, tenant)]
        if accepted is not None and accepted.message.idempotency_key is not None:
            made.append(self._request(accepted, turn, tenant, key))
        return made

    def _accepted(self, record: Accepted, tenant: Tenant) -> list[Change]:
        key = self._person(record.tenant, record.key, record.session_id)
        self._inbox.count += 1
        self._staged.waiting[record.tenant, record.message.id] = record
        told = [self._belongings.outbox(item, tenant, key) for item in record.outbox]
        if (record.tenant, record.message.id) in self._at_once:
            return told
        made = [self._put(InboxRow(id=Id(record.message.id), session=Id(record.session_id), number=self._inbox.count,
                                   accepted=_encode(record)), tenant, key)]
        if record.message.idempotency_key is not None:
            made.append(self._request(record, "", tenant, key))
        return made + told + self._events(record.session_id, record.events, tenant, key)

    def _tried(self, accepted: Accepted, tenant: Tenant) -> Change:
        """The message's row in its place, with the tries."""
        message, key = accepted.message.id, self._person(accepted.tenant, accepted.key, accepted.session_id)
        [row] = self._find(InboxRow, tenant.tag, "id", message)
        number = row[self._collections[InboxRow].columns.index("number")]
        return self._put(InboxRow(id=Id(message), session=Id(accepted.session_id), number=number,
                                  accepted=_encode(accepted)), tenant, key)

    def _request(self, accepted: Accepted, turn: str, tenant: Tenant, key: DataKey) -> Change:
        message = accepted.message
        return self._put(IdempotencyRow(
            request=request_name(accepted.key.interlocutor, message.idempotency_key or ""), message=Id(message.id),
            session=Id(accepted.session_id), turn=Id(turn), at_ms=accepted.at_ms,
            fingerprint=(message.fingerprint or "").encode()), tenant, key)

    def _segment(self, record: SegmentReleased, tenant: Tenant) -> list[Change]:
        key = self._person(record.tenant, record.key, record.session_id)
        self._staged.segments.setdefault((record.tenant, record.turn_id), []).append(record.number)
        return [self._put(SegmentRow(id=Id(f"{record.turn_id}:{record.number}"), turn=Id(record.turn_id),
                                     number=record.number, segment=_encode(record)), tenant, key),
                *self._events(record.session_id, (record.event,), tenant, key)]

    def _dead(self, record: DeadLettered, tenant: Tenant) -> list[Change]:
        key = self._keyring.person(record.tenant, record.key.interlocutor)
        made = [self._put(DeadRow(id=Id(record.message.id), at_ms=record.at_ms,
                                  record=_encode(msgspec.structs.replace(record, events=()))), tenant, key),
                self._remove(InboxRow, record.message.id, tenant)]
        if record.message.idempotency_key is not None:  # what it had done already must not be done by a repetition
            made.append(self._put(IdempotencyRow(
                request=request_name(record.key.interlocutor, record.message.idempotency_key),
                message=Id(record.message.id), session=Id(record.session_id), turn=Id(GIVEN_UP), at_ms=record.at_ms,
                fingerprint=(record.message.fingerprint or "").encode()), tenant, key))
        return made + self._events(record.session_id, record.events, tenant, key)

    def _session(self, state: SessionState, tenant: Tenant, key: DataKey) -> Change:
        return self._put(SessionRow(id=Id(state.id), address=str(state.key), person=state.key.interlocutor,
                                    agent=state.key.agent, created_ms=state.created_ms, open=state.closed_ms is None,
                                    state=_encode(msgspec.structs.replace(state, content_key=b""))), tenant, key)

    def _events(self, session: str, events: Sequence[Event], tenant: Tenant, key: DataKey) -> list[Change]:
        if not events:
            return []
        first, last = events[0].seq, events[-1].seq
        return [self._put(EventsRow(id=Id(f"{session}:{first}"), session=Id(session), first=first, last=last,
                                    events=_encode(events)), tenant, key)]

def request_name(interlocutor: str, idempotency_key: str) -> str:
    """One request of one person, as one string that no other pair gives."""
    return f"{len(interlocutor)}:{interlocutor}:{idempotency_key}"


def _answers(record: Record, accepted: Accepted) -> bool:
    """Whether a record is the turn of one message, with events that follow upon that message's."""
    return (isinstance(record, TurnCommitted) and record.answered == (accepted.message.id,)
            and record.tenant == accepted.tenant and record.session.id == accepted.session_id
            and bool(accepted.events and record.events)
            and accepted.events[-1].seq + 1 == record.events[0].seq)
