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
from typing import Any

import duckdb

from ruche.storage import forks, platform
from ruche.storage.auditor import Auditor
from ruche.storage.backup import Backup
from ruche.storage.computed import Computed
from ruche.storage.connection import TooLittleMemory
from ruche.storage.datafiles import DEFAULT_LIMITS, DataFiles, Limits
from ruche.storage.errors import RucheError, StorageStopped
from ruche.storage.everyone import Everyone
from ruche.storage.feed import Feed
from ruche.storage.inbox import Inbox, is_ending
from ruche.storage.keyring import KeySource
from ruche.storage.keys import Keys
from ruche.storage.keyuse import KeyUse
from ruche.storage.ledger import Ledger
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import Accepted, AgentPublished, AnyRecord, DeadLettered, IdentityLinked, WebhookSaved
from ruche.storage.overlay import Change, Overlay
from ruche.storage.policy import Policies, Policy
from ruche.storage.quiet import Quiet
from ruche.storage.recent import Recent
from ruche.storage.replaying import replay
from ruche.storage.rows import MODELS
from ruche.storage.secured import Door
from ruche.storage.tenant import TenantStore
from ruche.storage.upkeep import Upkeep

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
        self._quiet = Quiet(files.tables)
        self._overlay, self._inbox = Overlay(files.collections), Inbox()
        self._use = KeyUse(files.collections, files.tables, files.journal, files.snapshots, files.keyring,
                           self._quiet, self._drain)
        self._everyone = Everyone(files, self._overlay, self._inbox, self._use, self._drain)
        self._ledger = Ledger(files.collections, files.keyring, self._inbox, self._everyone.person_of,
                              self._everyone.rows)
        self._feed = Feed(files.collections, self._overlay, files.tables, files.keyring, self._ledger)
        self._policies = Policies()
        for model in MODELS:
            self._policies.register(Policy(model))
        self._door = Door(files.collections, self._overlay, files.tables, files.keyring, self._policies,
                          files.tables.lock, self._check)
        self._tenants: Recent[str, TenantStore] = Recent(1024)
        self._auditor = Auditor(files, self._feed, self._quiet, self.append)
        self._writing = threading.Lock()
        self._keys = Keys(files, self._quiet, self._writing, self._use, self.checkpoint)
        self._upkeep = Upkeep(files, limits, self._feed, self._ledger, self._auditor, self._quiet,
                              self._keys.recovered)
        self._backup = Backup(files, self._upkeep.settle)
        self._recovered = replay(files, limits, self._feed, self._ledger, self._keys.recovered)
        self._everyone.fill_inbox()
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
        self._check()
        return self._everyone.outbox(limit)

    def waits(self, tenant: str, item: str) -> bool:
        """Whether something of this id is still to be delivered."""
        self._check()
        return self._everyone.waits(tenant, item)

    def dead_letters(self, limit: int = 100) -> list[DeadLettered]:
        """The newest messages of all tenants that could not be answered."""
        self._check()
        return self._everyone.dead_letters(limit)

    def all_sessions(self) -> Iterator[tuple[str, str]]:
        """Tenant and id of every session, but for those of erased persons: for proving the whole."""
        self._check()
        return self._everyone.all_sessions()

    def all_agents(self) -> list[AgentPublished]:
        """The newest version of every agent of every tenant: what a start serves besides folders."""
        self._check()
        return self._everyone.all_agents()

    def all_identities(self) -> list[IdentityLinked]:
        """Every other name of every tenant's persons, and those that were theirs: what a start knows people by."""
        self._check()
        return self._everyone.all_identities()

    def all_webhooks(self) -> list[WebhookSaved]:
        """Every webhook of every tenant that was made over the API."""
        self._check()
        return self._everyone.all_webhooks()

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

    def _drain(self) -> None:
        with self._quiet:
            self._feed.drain()

    def _write(self, made: Sequence[list[Change]], *, last_resort: bool) -> None:
        try:
            self._keyring.flush()
        except StorageStopped as error:
            self._journal.stop(error.message)
            raise
        self._journal.append([self._ledger.body(changes) for changes in made], last_resort=last_resort)

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
