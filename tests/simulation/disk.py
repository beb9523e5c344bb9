"""A disk that survives processes, and a store on it that answers as the real one does (test_disk.py compares them).

A batch is durable when `append` returns; a process that dies during an append leaves the whole batch or none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ruche.plugins.errors import StorageFull, StorageStopped
from ruche.storage.model.conversation import Profile, SessionKey, SessionState
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.record import (
    GIVEN_UP,
    Accepted,
    AnyRecord,
    DeadLettered,
    EffectReserved,
    EffectSettled,
    OutboxSettled,
    ProfileSaved,
    SegmentReleased,
    SessionSaved,
    TriedAgain,
    TurnCommitted,
)
from ruche.storage.model.run import Run
from ruche.storage.model.told import told
from tests.simulation.schedule import SimulatedThreads
from tests.simulation.world import World

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyRecord).decode
ENDINGS = (TurnCommitted, EffectSettled, DeadLettered, SegmentReleased, OutboxSettled)


class Known(NamedTuple):
    """A request that was made before, as `ruche.storage.sessions.Idempotent` has it."""

    fingerprint: str | None
    message_id: str
    session_id: str
    turn_id: str | None


class Disk:
    """`full` refuses batches (those that only end what was begun may spend the `reserve`), `broken` fails a sync."""

    def __init__(self, world: World) -> None:
        self.batches: list[list[bytes]] = []
        self.full = False
        self.reserve = 0
        self.broken = False
        self.stall_s = 0.0
        self.stalled = False
        """True from the first stall of a process on."""
        self.writes = 0
        self.full_at_write = 0
        self.full_until = 0.0
        self.kill: tuple[int, str] | None = None
        """At which write the process dies, and whether before it, during it, or after it and before its answer."""
        self.uncertain: list[bytes] | None = None
        self.runs: dict[str, Run] = {}
        self.accepted: dict[str, Accepted] = {}
        self.last_event: dict[str, int] = {}
        self.durable_at: dict[tuple[str, int], float] = {}
        self._world = world
        self._full_s = 0.0

    def records(self) -> list[AnyRecord]:
        return [_decode(frame) for batch in self.batches for frame in batch]

    def write(self, batch: list[bytes], records: Sequence[AnyRecord]) -> None:
        self.batches.append(batch)
        for record in records:
            match record:
                case TurnCommitted():
                    self.runs[record.run.id] = record.run
                case Accepted():
                    self.accepted[record.message.id] = record
            for event in events_of(record):
                self.durable_at[event.session_id, event.seq] = self._world.now
                self.last_event[event.session_id] = max(event.seq, self.last_event.get(event.session_id, 0))

    def restart(self) -> None:
        """What was being written when the process died is there or not."""
        uncertain, self.uncertain = self.uncertain, None
        if uncertain is not None and self._world.fate.random() < 0.5:
            self._world.note("kept", "the batch in flight")
            self.write(uncertain, [_decode(frame) for frame in uncertain])
        self.full = self.broken = False
        self.stall_s = self.full_until = 0.0
        self.full_at_write = self.reserve = 0
        self.stalled = False

    def is_full(self) -> bool:
        return self.full or self._world.now < self.full_until

    def fills_up(self, at_write: int, seconds: float, reserve: int) -> None:
        """Be full from some write of the next process on, for a while."""
        self.full_at_write, self._full_s, self.reserve = self.writes + at_write, seconds, reserve

    def begin_write(self) -> None:
        self.writes += 1
        if self.writes + 1 == self.full_at_write:
            self.full_until = self._world.now + self._full_s

    def dies(self, moment: str) -> bool:
        return self.kill == (self.writes, moment)


class SimulatedStore:
    """What sessions, scribe and recovery use of `Store`."""

    def __init__(self, world: World, disk: Disk, threads: SimulatedThreads) -> None:
        self._world = world
        self._disk = disk
        self._threads = threads
        self._stopped = False
        self._latency = world.fate.choice((1e-4, 2e-3, 2e-2))
        self._tenants: dict[str, SimulatedTenant] = {}
        self._waiting: dict[tuple[str, str], Accepted] = {}
        self._outbox: dict[str, tuple[str, OutboxItem]] = {}
        self.read_fails = False
        for record in disk.records():
            self._put(record)

    # --- writing ---------------------------------------------------------------------------------------------

    def append(self, records: Sequence[AnyRecord]) -> None:
        if self._stopped:
            raise StorageStopped("the disk failed; restart")
        batch = [_encode(record) for record in records]
        self._refuse_when_full(records)
        self._disk.begin_write()
        self._moment("before")
        self._disk.uncertain = batch
        self._moment("during")
        self._threads.pause(self._latency * self._world.fate.random() + self._disk.stall_s)
        if self._disk.broken:
            self._stopped = self._world.stopped = True
            self._world.note("sync failed")
            raise StorageStopped("the disk failed; restart")
        self._disk.uncertain = None
        self._disk.write(batch, records)
        self._world.note("durable", *map(said_of, records))
        for record in records:
            self._put(record)
            self._threads.pause(0.0)
        self._moment("after")

    def apply(self) -> int:
        return 0

    def _refuse_when_full(self, records: Sequence[AnyRecord]) -> None:
        if not self._disk.is_full():
            return
        if self._disk.reserve and all(isinstance(record, ENDINGS) for record in records):
            self._disk.reserve -= 1
            return
        self._threads.pause(self._latency * self._world.fate.random())
        self._world.note("disk full", *map(said_of, records))
        raise StorageFull("the disk is full", retry_after=5.0)

    def _moment(self, moment: str) -> None:
        if self._disk.dies(moment):
            self._world.note("DIES", f"{moment} write {self._disk.writes}")
            self._world.dying = True
        self._threads.pause(0.0)

    # --- reading ---------------------------------------------------------------------------------------------

    def tenant(self, tenant: str) -> SimulatedTenant:
        """A read takes its time before it looks."""
        self._threads.pause(self._latency * self._world.fate.random())
        if self.read_fails and self._world.fate.random() < 0.3:
            raise OSError("a read failed")
        return self._tenant(tenant)

    def see(self) -> None:
        self.read_fails = False

    def unanswered(self) -> list[Accepted]:
        return list(self._waiting.values())

    def outbox(self, limit: int = 100) -> list[tuple[str, OutboxItem]]:
        return sorted(self._outbox.values(), key=lambda one: one[1].at_ms)[:limit]

    def _tenant(self, tenant: str) -> SimulatedTenant:
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = SimulatedTenant()
        return known

    def _put(self, record: AnyRecord) -> None:
        self._tenant(record.tenant).put(record)
        match record:
            case Accepted():
                self._waiting[record.tenant, record.message.id] = record
            case TriedAgain():
                for name in ((record.tenant, message) for message in record.messages):
                    if name in self._waiting:
                        self._waiting[name] = msgspec.structs.replace(self._waiting[name], tries=record.tries)
            case TurnCommitted():
                for message in record.answered:
                    self._waiting.pop((record.tenant, message), None)
                self._outbox.update((item.id, (record.tenant, item)) for item in record.outbox)
            case OutboxSettled():
                self._outbox.pop(record.item, None)
                if record.retry is not None:
                    self._outbox[record.item] = record.tenant, record.retry
            case DeadLettered():
                self._waiting.pop((record.tenant, record.message.id), None)


class SimulatedTenant:
    """Rows of one tenant, with the reads of `TenantStore`."""

    content_key = b""
    """Runs of simulated sessions have plain hashes."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionState] = {}
        self.profiles: dict[str, Profile] = {}
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Event]] = {}
        self._segments: dict[str, dict[int, SegmentReleased]] = {}
        self._requests: dict[tuple[str, str], Known] = {}
        self._messages: dict[str, Accepted] = {}
        self._effects: dict[str, EffectReserved | EffectSettled] = {}

    def session(self, key: SessionKey) -> SessionState | None:
        found = [state for state in self.sessions.values() if state.key == key]
        return max(found, key=lambda state: (state.closed_ms is None, state.created_ms, state.id), default=None)

    def stranger(self, key: SessionKey) -> bool:
        return self.session(key) is None and key.interlocutor not in self.profiles

    def session_by_id(self, session_id: str) -> SessionState | None:
        first = next((each for each in self._messages.values() if each.session_id == session_id), None)
        if session_id in self.sessions or first is None:
            return self.sessions.get(session_id)
        return SessionState(id=session_id, key=first.key, created_ms=first.at_ms, last_activity_ms=first.at_ms)

    def profile(self, interlocutor: str) -> Profile | None:
        return self.profiles.get(interlocutor)

    def run(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def events(self, session_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
        found = [event for event in self._events.get(session_id, ()) if event.seq > after][:limit]
        return list(told(found, self._runs))

    def segments(self, turn_id: str) -> list[SegmentReleased]:
        found = self._segments.get(turn_id, {})
        return [found[number] for number in sorted(found)]

    def idempotent(self, interlocutor: str, idempotency_key: str) -> Known | None:
        return self._requests.get((interlocutor, idempotency_key))

    def effect(self, key: str) -> EffectReserved | EffectSettled | None:
        return self._effects.get(key)

    def effects_of(self, turn_id: str) -> list[EffectReserved | EffectSettled]:
        return [effect for effect in self._effects.values() if effect.turn_id == turn_id]

    def put(self, record: AnyRecord) -> None:
        for event in events_of(record):
            self._events.setdefault(event.session_id, []).append(event)
        match record:
            case Accepted():
                self._messages[record.message.id] = record
                self._request(record, None)
            case TurnCommitted():
                self.sessions[record.session.id] = record.session
                self._runs.update({run.id: run for run in (record.run, *record.superseded)})
                self._segments.pop(record.run.id, None)
                for message in record.answered:
                    if message in self._messages:
                        self._request(self._messages.pop(message), record.run.id)
                if record.profile is not None:
                    self.profiles[record.profile.interlocutor] = record.profile
            case SegmentReleased():
                self._segments.setdefault(record.turn_id, {})[record.number] = record
            case EffectReserved() | EffectSettled():
                self._effects[record.key] = record
            case SessionSaved():
                self.sessions[record.session.id] = record.session
            case ProfileSaved():
                self.profiles[record.profile.interlocutor] = record.profile
            case DeadLettered():
                self._messages.pop(record.message.id, None)
                if record.message.idempotency_key is not None:
                    self._requests[record.key.interlocutor, record.message.idempotency_key] = Known(
                        record.message.fingerprint or None, record.message.id, record.session_id, GIVEN_UP)

    def _request(self, accepted: Accepted, turn: str | None) -> None:
        message = accepted.message
        if message.idempotency_key is not None:
            self._requests[accepted.key.interlocutor, message.idempotency_key] = Known(
                message.fingerprint or None, message.id, accepted.session_id, turn)


def events_of(record: Any) -> tuple[Event, ...]:
    return (record.event,) if isinstance(record, SegmentReleased) else getattr(record, "events", ())


def said_of(record: Any) -> str:
    """A record in a few words, for the log."""
    match record:
        case Accepted():
            return f"accepted({short(record.session_id)} {record.message.text})"
        case TurnCommitted():
            return f"turn({short(record.run.id)} {record.run.status}{record.run.error and ' ' + record.run.error} " \
                   f"{'|'.join(record.run.said)})"
        case SegmentReleased():
            return f"segment({short(record.turn_id)} {record.number})"
        case EffectReserved() | EffectSettled():
            return f"{type(record).__name__}({record.key})"
        case SessionSaved():
            return f"session({short(record.session.id)} {'open' if record.session.closed_ms is None else 'closed'})"
    return type(record).__name__


def short(identifier: str) -> str:
    return identifier[-5:]
