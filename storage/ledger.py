"""Turns records into protected rows: what a journal frame holds, and what the overlay and the tables are fed with.

Everything of a person is sealed under the person's data key here, once; the tables get the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from ruche.storage.auditing import AuditRows, FindRows
from ruche.storage.collection import Collection
from ruche.storage.errors import RucheError
from ruche.storage.expiry import without
from ruche.storage.fields import Id, Stored
from ruche.storage.keyring import Keyring, Tenant
from ruche.storage.model.conversation import Profile, SessionKey, SessionState
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.memory import Remembered
from ruche.storage.model.record import (
    GIVEN_UP,
    Accepted,
    AgentPublished,
    AnyRecord,
    DeadLettered,
    DraftSaved,
    EffectReserved,
    EffectSettled,
    EpisodeKept,
    FieldsExpired,
    MigrationSaved,
    OutboxSettled,
    PersonErased,
    ProfileSaved,
    Record,
    ReminderSet,
    SegmentReleased,
    SessionSaved,
    TenantErased,
    TriedAgain,
    TurnCommitted,
    UtterancesKept,
)
from ruche.storage.model.run import Run, canonical, refuse_placeholders
from ruche.storage.overlay import Change
from ruche.storage.payload import EPISODE_BYTES, RUN_BYTES, check_size
from ruche.storage.recent import Recent
from ruche.storage.rows import (
    DRAFT,
    PLAN,
    AgentRow,
    DeadRow,
    EffectRow,
    EpisodeRow,
    EventsRow,
    IdempotencyRow,
    InboxRow,
    OutboxRow,
    PersonRow,
    RunRow,
    SegmentRow,
    SessionRow,
    UtteranceRow,
)
from ruche.storage.vault import DataKey

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_SESSIONS: Final = 4096
"""Sessions whose person's key is kept at hand; an opened key takes 2.5 KB."""

FindPerson = Callable[[str, str], DataKey | None]
"""(tenant, session id) -> the data key of the session's person, from what is stored."""


class Inbox:
    """Accepted messages without an answer, in order, and the turns that have released segments but no commit."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], Accepted] = {}
        self.segments: dict[tuple[str, str], list[int]] = {}
        self.count = 0


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
        self._audit = AuditRows(collections, keyring, find)

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
                return [self._tried(accepted, tenant) for accepted in self._again(record)]
            case SessionSaved():
                key = self._person(record.tenant, record.session.key, record.session.id)
                return [self._session(record.session, tenant, key),
                        *self._events(record.session.id, record.events, tenant, key),
                        *(self._outbox(item, tenant, key) for item in record.outbox)]
            case ProfileSaved():
                return [self._profile(record.profile, tenant)]
            case AgentPublished():
                version = self._agent(record, record.version, tenant)
                return [version, self._no_draft(record.agent, tenant)] if record.ends_draft else [version]
            case DraftSaved():
                if record.bundle is None:
                    return [self._no_draft(record.agent, tenant)]
                return [self._agent(record, DRAFT, tenant)]
            case MigrationSaved():
                return [self._put(AgentRow(published=f"{record.plan.agent}:{PLAN}:{record.plan.id}",
                                           agent=record.plan.agent, version=PLAN, record=_encode(record)),
                                  tenant, self._keyring.person(record.tenant, ""))]
            case DeadLettered():
                return self._dead(record, tenant)
            case ReminderSet():
                return [self._outbox(record.item, tenant, self._keyring.person(record.tenant, record.interlocutor))]
            case OutboxSettled():
                return self._settled(record, tenant)
            case UtterancesKept():
                return [self._utterance(record, one, tenant) for one in record.memories]
            case FieldsExpired():
                return self._expired(record, tenant)
            case EpisodeKept():
                return [self._episode(record, tenant)]
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

    def note(self, record: AnyRecord) -> None:
        """Keep the inbox in step; called once the record is on disk."""
        match record:
            case Accepted():
                self._inbox.waiting[record.tenant, record.message.id] = record
            case TriedAgain():
                for accepted in self._again(record):
                    self._inbox.waiting[record.tenant, accepted.message.id] = accepted
            case TurnCommitted():
                for message in record.answered:
                    self._inbox.waiting.pop((record.tenant, message), None)
                self._inbox.segments.pop((record.tenant, record.run.id), None)
            case DeadLettered():
                self._inbox.waiting.pop((record.tenant, record.message.id), None)
            case SegmentReleased():
                self._inbox.segments.setdefault((record.tenant, record.turn_id), []).append(record.number)
            case PersonErased():
                self._forget_waiting(record.tenant, record.interlocutor)
            case TenantErased():
                self._forget_waiting(record.tenant)
            case _:
                pass

    def _forget_waiting(self, tenant: str, interlocutor: str | None = None) -> None:
        """Who was erased, a person or everybody of a tenant, gets no answers any more."""
        gone = [name for name, accepted in self._inbox.waiting.items()
                if name[0] == tenant and interlocutor in (None, accepted.key.interlocutor)]
        for name in gone:
            del self._inbox.waiting[name]

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
            made.append(self._profile(record.profile, tenant))
        made += [self._outbox(item, tenant, key) for item in record.outbox]
        made += [self._remove(SegmentRow, f"{run.id}:{number}", tenant)
                 for inbox in (self._inbox, self._staged)
                 for number in inbox.segments.get((record.tenant, run.id), ())]
        return made

    def _earlier(self, record: TurnCommitted) -> tuple[Event, ...]:
        """Events of the message that came with the turn."""
        found = [self._at_once[record.tenant, message] for message in record.answered
                 if (record.tenant, message) in self._at_once]
        return found[0] if found else ()

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
        told = [self._outbox(item, tenant, key) for item in record.outbox]
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

    def _again(self, record: TriedAgain) -> list[Accepted]:
        """Those of the messages that still wait, with the tries."""
        waiting = [self._inbox.waiting.get((record.tenant, message)) for message in record.messages]
        return [msgspec.structs.replace(one, tries=record.tries) for one in waiting if one is not None]

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

    def _settled(self, record: OutboxSettled, tenant: Tenant) -> list[Change]:
        if record.retry is None:
            return [self._remove(OutboxRow, record.item, tenant)]
        return [self._outbox(record.retry, tenant, self._keyring.person(record.tenant, record.interlocutor))]

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

    def _profile(self, profile: Profile, tenant: Tenant) -> Change:
        put = self._put(PersonRow(person=profile.interlocutor, profile=_encode(profile)), tenant,
                        self._keyring.person(tenant.name, profile.interlocutor))
        self._audit.stage(put)
        return put

    def _expired(self, record: FieldsExpired, tenant: Tenant) -> list[Change]:
        """From the profile as it is now: nothing that was learned meanwhile is lost."""
        known = self._audit.profile(tenant, record.interlocutor)
        left = None if known is None else without(known, record.fields)
        return [] if left is None or left is known else [self._profile(left, tenant)]

    def _agent(self, record: AgentPublished | DraftSaved, version: int, tenant: Tenant) -> Change:
        return self._put(AgentRow(published=f"{record.agent}:{version}", agent=record.agent, version=version,
                                  record=_encode(record)), tenant, self._keyring.person(record.tenant, ""))

    def _no_draft(self, agent: str, tenant: Tenant) -> Change:
        return self._remove(AgentRow, f"{agent}:{DRAFT}", tenant)

    def _utterance(self, record: UtterancesKept, one: Remembered, tenant: Tenant) -> Change:
        body = _encode((tenant.name, record.interlocutor, one))
        check_size(len(body), EPISODE_BYTES, "a memory")
        return self._put(UtteranceRow(id=Id(one.utterance.id), person=record.interlocutor, at_ms=one.utterance.at_ms,
                                      record=body), tenant, self._keyring.person(tenant.name, record.interlocutor))

    def _episode(self, record: EpisodeKept, tenant: Tenant) -> Change:
        check_size(len(record.body), EPISODE_BYTES, "an episode")
        return self._put(EpisodeRow(episode=episode_name(record.kind, record.id), kind=record.kind,
                                   person=record.interlocutor, day=record.at_ms,
                                   number=int.from_bytes(os.urandom(8), "big") >> 1, record=_encode(record)), tenant,
                         self._keyring.person(tenant.name, record.interlocutor))

    def _outbox(self, item: OutboxItem, tenant: Tenant, key: DataKey) -> Change:
        return self._put(OutboxRow(id=Id(item.id), at_ms=item.at_ms, item=_encode((tenant.name, item))), tenant, key)

    # --- rows ------------------------------------------------------------------------------------------------

    def _put(self, row: Stored, tenant: Tenant, key: DataKey) -> Change:
        collection = self._collections[type(row)]
        values = collection.protect(row, tenant, key)
        return Change(collection.number, tenant.tag, values[collection.key], values)

    def _remove(self, model: type[Stored], key: Any, tenant: Tenant) -> Change:
        collection = self._collections[model]
        return Change(collection.number, tenant.tag,
                      collection.stored(collection.fields[collection.key], key, tenant), None)

    def _person(self, tenant: str, key: SessionKey, session: str) -> DataKey:
        return self._persons.put((tenant, session), self._keyring.person(tenant, key.interlocutor))

    def _of_session(self, tenant: str, session: str) -> DataKey:
        known = self._persons.get((tenant, session)) or self._person_of(tenant, session)
        return self._keyring.newest(known) if known else self._keyring.person(tenant, "")


ENDINGS: Final = (TurnCommitted, EffectSettled, DeadLettered, SegmentReleased, OutboxSettled)
"""Records that finish what was accepted before: on a full disk they may spend the reserve."""


def request_name(interlocutor: str, idempotency_key: str) -> str:
    """One request of one person, as one string that no other pair gives."""
    return f"{len(interlocutor)}:{interlocutor}:{idempotency_key}"


def episode_name(kind: str, id: str) -> str:
    """One episode as one string that no other pair gives."""
    return f"{kind}:{id}"


def _answers(record: Record, accepted: Accepted) -> bool:
    """Whether a record is the turn of one message, with events that follow upon that message's."""
    return (isinstance(record, TurnCommitted) and record.answered == (accepted.message.id,)
            and record.tenant == accepted.tenant and record.session.id == accepted.session_id
            and bool(accepted.events and record.events)
            and accepted.events[-1].seq + 1 == record.events[0].seq)


def is_ending(record: Record) -> bool:
    return isinstance(record, ENDINGS)
