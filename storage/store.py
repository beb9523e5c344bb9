"""The store: one data directory, one process. Append makes records durable, apply feeds the tables, tenants read.

Layout: lock, keys/keyring, journal/*.seg, tables.duckdb, snapshots/*.snap, runs/YYYY-MM-DD.day, log/*. Rules that must
hold: a key is on disk before what it seals, a record before anybody is told, a day file before the table that points
into it, and two snapshots before a journal segment goes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from ruche.storage import forks, platform, vault
from ruche.storage.auditor import Auditor
from ruche.storage.backup import Backup
from ruche.storage.collection import Collection, Values
from ruche.storage.computed import Computed
from ruche.storage.connection import TooLittleMemory
from ruche.storage.datafiles import DEFAULT_LIMITS, DataFiles, Limits
from ruche.storage.errors import Erased, RucheError, StorageStopped
from ruche.storage.feed import Feed
from ruche.storage.fields import Id, Stored
from ruche.storage.inbox import Inbox, is_ending
from ruche.storage.keyring import KeySource
from ruche.storage.keys import Keys
from ruche.storage.keyuse import KeyUse
from ruche.storage.ledger import Ledger
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import Accepted, AgentPublished, AnyRecord, DeadLettered, SegmentReleased
from ruche.storage.overlay import Change, Overlay
from ruche.storage.policy import Policies, Policy
from ruche.storage.query import Query
from ruche.storage.quiet import Quiet
from ruche.storage.recent import Recent
from ruche.storage.rows import DRAFT, MODELS, AgentRow, DeadRow, InboxRow, OutboxRow, SegmentRow, SessionRow
from ruche.storage.secured import Door, stored_rows
from ruche.storage.tenant import TenantStore
from ruche.storage.upkeep import Upkeep

_ALL: Final = 1_000_000_000
_PARTS: Final = 2
"""Times as much journal as makes a checkpoint due is replayed before one is made: what is not written stays in
memory."""

_accepted = msgspec.msgpack.Decoder(Accepted).decode
_published = msgspec.msgpack.Decoder(AgentPublished).decode
_state = msgspec.msgpack.Decoder(SessionState).decode
_segment = msgspec.msgpack.Decoder(SegmentReleased).decode
_dead = msgspec.msgpack.Decoder(DeadLettered).decode
_outbox = msgspec.msgpack.Decoder(tuple[str, OutboxItem]).decode
_inherited: list[Any] = []


class Store:
    """One thread appends; any thread applies and reads. Made by `open`."""

    @classmethod
    def open(cls, directory: Path, keys: KeySource, *, reserve_bytes: int = 4_000_000, limits: Limits = DEFAULT_LIMITS,
             disk: platform.Disk | None = None) -> Store:
        """Open or make a data directory, and bring back everything that was acknowledged.

        Raises DataLocked (another process has it), ConfigurationError (wrong or missing key, unfit directory),
        IntegrityError (damage; the message names file and byte), StorageFull and StorageStopped.
        """
        try:
            files = DataFiles(Path(directory).absolute(), keys, reserve_bytes, limits, disk)
            try:
                store = cls(files, limits)
            except BaseException:
                files.close()
                raise
        except OSError as error:
            raise platform.disk_error(error, "opening the data directory") from error
        forks.watch(store)
        return store

    def __init__(self, files: DataFiles, limits: Limits) -> None:
        """Over opened files; replays what the tables do not hold. Use `open`."""
        began = time.monotonic()
        self._files, self._closed, self._process = files, False, os.getpid()
        self._keyring, self._tables, self._journal = files.keyring, files.tables, files.journal
        self._collections = files.collections
        self._by_model = {collection.model: collection for collection in files.collections}
        self._lock, self._quiet = files.tables.lock, Quiet(files.tables)
        self._overlay, self._inbox = Overlay(files.collections), Inbox()
        self._ledger = Ledger(files.collections, files.keyring, self._inbox, self._person_of, self._rows)
        self._feed = Feed(files.collections, self._overlay, files.tables, files.keyring, self._ledger)
        self._policies = Policies()
        for model in MODELS:
            self._policies.register(Policy(model))
        self._door = Door(files.collections, self._overlay, files.tables, files.keyring, self._policies, self._lock,
                          self._check)
        self._tenants: Recent[str, TenantStore] = Recent(1024)
        self._auditor = Auditor(files, self._feed, self._quiet, self.append)
        self._writing = threading.Lock()
        self._use = KeyUse(files.collections, files.tables, files.journal, files.snapshots, files.keyring,
                           self._quiet, self._feed.drain)
        self._keys = Keys(files, self._quiet, self._writing, self._use, self.checkpoint)
        self._upkeep = Upkeep(files, limits, self._feed, self._ledger, self._auditor, self._quiet,
                              self._keys.recovered)
        self._backup = Backup(files, self._upkeep.settle)
        self._recovered = self._recover(_PARTS * limits.checkpoint_bytes)
        self._recovery_seconds = round(time.monotonic() - began, 3)

    # --- writing ---------------------------------------------------------------------------------------------

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Durable when it returns, all records or none. One thread at a time.

        Raises StorageFull (nothing was kept; works again once there is space) and StorageStopped (restart).
        """
        self._check()
        with self._writing:
            self._ledger.begin(records)
            made = [changes for record in records if (changes := self._ledger.changes(record))]
            self._write(made, last_resort=all(is_ending(record) for record in records))
            first = self._journal.sequence - len(made)
            for sequence, changes in enumerate(made, first + 1):
                self._overlay.add(sequence, changes)
                self._feed.add(sequence, changes)
            for record in records:
                self._inbox.note(record)

    def apply(self, *, checkpoints: bool = True) -> int:
        """Feed the tables with what was appended before the call, and checkpoint when it is due; gives the number.

        What is appended meanwhile waits for the next call: a batch costs about 8 ms however small it is. checkpoints:
        else those that are due are left to `checkpoint`, on a thread that nobody waits for, while it keeps up.
        """
        self._check()
        waiting, total = len(self._feed), 0
        while total < waiting:
            applied = self._apply_batch()
            if not applied:
                break
            total += applied
        if self._upkeep.overdue() or (checkpoints and self._upkeep.due()):
            self._upkeep.checkpoint(snapshot=checkpoints)
        return total

    def checkpoint(self) -> None:
        """Make the tables durable as they are, and let go of journal segments that nothing needs any more.

        Any thread; appending and reading go on meanwhile, also while a snapshot is taken because one is due.
        """
        self._check()
        self._upkeep.checkpoint()

    @property
    def checkpoint_due(self) -> bool:
        """Whether `checkpoint` has something to do; waits for nothing."""
        return not self._closed and self._upkeep.due()

    # --- reading ---------------------------------------------------------------------------------------------

    def tenant(self, tenant: str) -> TenantStore:
        """The door for one tenant."""
        self._check()
        known = self._tenants.get(tenant)
        return known or self._tenants.put(tenant, TenantStore(
            self._door, tenant, lambda session: self._auditor.session_heads(tenant, session)))

    @property
    def audit(self) -> Auditor:
        """The audit log, erasure, legal holds and retention."""
        self._check()
        return self._auditor

    @property
    def backup(self) -> Backup:
        """Shipping everything to a folder, while it is in use."""
        self._check()
        return self._backup

    @property
    def keys(self) -> Keys:
        """The keys that everything is sealed under, and their rotation."""
        self._check()
        return self._keys

    def unanswered(self) -> list[Accepted]:
        """Accepted messages without a committed turn, in order: what a restart must finish."""
        self._check()
        return list(self._inbox.waiting.values())

    def outbox(self, limit: int = 100) -> list[tuple[str, OutboxItem]]:
        """Tenant and item of what is still to be delivered, oldest first; an OutboxSettled record takes one out."""
        return [_outbox(opened) for opened in self._by_time(OutboxRow, "item", limit)]

    def waits(self, tenant: str, item: str) -> bool:
        """Whether something of this id is still to be delivered."""
        self._check()
        return self._row(self._by_model[OutboxRow], self._keyring.tenant(tenant).tag, Id(item)) is not None

    def dead_letters(self, limit: int = 100) -> list[DeadLettered]:
        """The newest messages of all tenants that could not be answered."""
        return [_dead(opened) for opened in self._by_time(DeadRow, "record", limit, newest=True)]

    def all_sessions(self) -> Iterator[tuple[str, str]]:
        """Tenant and id of every session, but for those of erased persons: for proving the whole."""
        self._check()
        for rows in self._use.rows(self._by_model[SessionRow]):
            for row in rows:
                opened = self._opened(SessionRow, "state", row)
                if opened is not None:
                    state = _state(opened)
                    yield state.key.tenant, state.id

    def all_agents(self) -> list[AgentPublished]:
        """The newest version of every agent of every tenant: what a start serves besides folders."""
        self._check()
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

    @property
    def computed(self) -> Computed:
        """What can be computed again: a cache that may be lost at any time."""
        self._check()
        return self._files.computed

    def derive_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same after every restart (HKDF of the root key)."""
        self._check()
        return self._keyring.derive(purpose)

    def health(self) -> dict[str, Any]:
        """Numbers for people and metrics; no text of anybody."""
        return {"stopped": self._journal.stopped, "sequence": self._journal.sequence, "applied": self._tables.applied,
                "pending": len(self._feed), "unanswered": len(self._inbox.waiting),
                "journal_segments": len(self._journal.segments()), "snapshots": len(self._files.snapshots.sequences()),
                "audit": self._auditor.problem, "policy_violations": self._policies.violations,
                "rebuilt": self._files.rebuilt, "recovered_frames": self._recovered,
                "recovery_seconds": self._recovery_seconds}

    def close(self) -> None:
        """Apply, checkpoint, and let go of the directory. Idempotent; a stopped store is closed as it is."""
        if self._closed:
            return
        if os.getpid() == self._process and not self._journal.stopped:
            with contextlib.suppress(RucheError, OSError, duckdb.Error):
                self.apply()
                self.checkpoint()
        if os.getpid() == self._process:
            self._upkeep.finish()
        self._closed = True
        forks.forget(self)
        self._files.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- inside ----------------------------------------------------------------------------------------------

    def _apply_batch(self) -> int:
        with self._tables.feeding:
            try:
                applied = self._feed.apply_batch()
            except TooLittleMemory:
                self._upkeep.checkpoint(snapshot=False)  # what is in the file can leave memory
                applied = self._feed.apply_batch()
            self._tables.tidy()
        return applied

    def _recover(self, part: int) -> int:
        """Apply what the journal holds beyond the tables, with a checkpoint after every `part` bytes; gives the number
        of frames."""
        count, applied, fresh = 0, self._tables.applied, 0
        for count, (sequence, body) in enumerate(self._journal.recover(self._tables.applied), 1):  # noqa: B007
            self._feed.add(sequence, self._ledger.read(body))
            fresh += len(body)
            if self._feed.full():
                self._feed.apply_batch()
                self._tables.tidy()
            if fresh > part:
                self._feed.drain()
                self._keys.recovered(applied)
                self._tables.checkpoint()
                fresh = 0
        self._feed.drain()
        self._files.days.caught_up()
        self._keys.recovered(applied)
        if count:
            self._tables.checkpoint()
        self._fill_inbox()
        return count

    def _fill_inbox(self) -> None:
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

    def _write(self, made: Sequence[list[Change]], *, last_resort: bool) -> None:
        try:
            self._keyring.flush()
        except StorageStopped as error:
            self._journal.stop(error.message)
            raise
        self._journal.append([self._ledger.body(changes) for changes in made], last_resort=last_resort)

    def _person_of(self, tenant: str, session: str) -> vault.DataKey | None:
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

    def _rows(self, model: type[Stored], tag: int, field: str, value: Any) -> list[Values]:
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

    def _by_time(self, model: type[Stored], column: str, limit: int, *, newest: bool = False) -> list[bytes]:
        """A sealed column of all tenants' rows, in the order of their times; without those of erased persons."""
        self._check()
        collection = self._by_model[model]
        order = (collection.columns.index("at_ms"), collection.key)
        if self._overlay.count(collection.number):
            with self._quiet:
                self._feed.drain()
        with self._lock:
            rows = self._tables.find(collection, None, Query(order=order, limit=limit, descending=newest))
        return [opened for row in rows if (opened := self._opened(model, column, row)) is not None]

    def _check(self) -> None:
        if self._closed:
            raise StorageStopped("storage is closed")
        if os.getpid() != self._process:
            raise StorageStopped("storage does not survive a fork; open it in the new process")

    def disown(self) -> None:
        """In a forked child: let go of the files without touching what the parent goes on using."""
        self._closed = True
        _inherited.append(self._tables)  # never destructed here: that would write the parent's table file
        self._files.disown()
