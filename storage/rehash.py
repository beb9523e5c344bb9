"""Moves everything that is found by a person's hash to a new user-hash key, while both are asked.

Rows and keyring lines are moved in short steps under the store's lock; what is written meanwhile uses the new key. The
old one goes when a whole pass found nothing more to move and nothing is named by it. Rows are moved in the tables
alone: should the journal bring older ones back, `catch_up` moves them again, for which the old key is not needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from ruche.storage.collection import Collection, Values
from ruche.storage.errors import Erased
from ruche.storage.fields import Protection, Stored
from ruche.storage.keyline import WrappedKey
from ruche.storage.keynames import Tenant, user_hash
from ruche.storage.keyring import Keyring
from ruche.storage.keyuse import KeyUse
from ruche.storage.model.conversation import Profile, SessionState
from ruche.storage.model.record import Accepted, DeadLettered, EpisodeKept
from ruche.storage.model.run import Run
from ruche.storage.overlay import Change
from ruche.storage.quiet import Quiet
from ruche.storage.rotation import Progress
from ruche.storage.rows import (
    DeadRow,
    EpisodeRow,
    HoldRow,
    InboxRow,
    PersonRow,
    RunRow,
    SessionRow,
    UtteranceRow,
)
from ruche.storage.tables import Tables

Name = tuple[str, str]
"""Tenant and interlocutor."""
_ROWS: Final = 200

_state = msgspec.msgpack.Decoder(SessionState).decode
_profile = msgspec.msgpack.Decoder(Profile).decode
_accepted = msgspec.msgpack.Decoder(Accepted).decode
_dead = msgspec.msgpack.Decoder(DeadLettered).decode
_hold = msgspec.msgpack.Decoder(tuple[str, str, str, str]).decode
_episode = msgspec.msgpack.Decoder(EpisodeKept).decode
_said = msgspec.msgpack.Decoder(tuple[str, str, msgspec.Raw]).decode
_run = msgspec.json.Decoder(Run).decode


def _name_of(found: SessionState | Accepted | DeadLettered) -> Name:
    return found.key.tenant, found.key.interlocutor


def _person(found: Profile | Run | EpisodeKept) -> Name:
    return found.tenant, found.interlocutor


NAMES: Final[dict[type[Stored], tuple[str, Callable[[bytes], Name]]]] = {
    HoldRow: ("record", lambda body: _hold(body)[:2]),
    PersonRow: ("profile", lambda body: _person(_profile(body))),
    SessionRow: ("state", lambda body: _name_of(_state(body))),
    InboxRow: ("accepted", lambda body: _name_of(_accepted(body))),
    UtteranceRow: ("record", lambda body: _said(body)[:2]),
    EpisodeRow: ("record", lambda body: _person(_episode(body))),
    DeadRow: ("record", lambda body: _name_of(_dead(body))),
    RunRow: ("body", lambda body: _person(_run(body))),
}
"""In which sealed column of a model a person's name is, and how to read it there."""


class Rehash:
    """One user-hash rotation at a time. Any thread; steps are short."""

    def __init__(self, keyring: Keyring, collections: Sequence[Collection], tables: Tables, use: KeyUse,
                 quiet: Quiet, writing: threading.Lock, checkpoint: Callable[[], int]) -> None:
        """`checkpoint` makes the tables durable and gives the last journal frame that they hold. Nothing is appended
        while `writing` is held."""
        self._ring, self._lines, self._tables, self._use, self._quiet = keyring, keyring.lines, tables, use, quiet
        self._writing, self._checkpoint = writing, checkpoint
        self._collections = [collection for model in NAMES for collection in collections if collection.model is model]
        self._moved, self.stuck = 0, False
        self._pass: Iterator[tuple[Collection, list[Values]]] | None = None

    @property
    def under_way(self) -> bool:
        return len(self._lines.of_kind("users")) > 1

    @property
    def since(self) -> int:
        """The journal frame up to which rows may be found under an older key."""
        return self._lines.of_kind("users")[-1].number

    def begin(self) -> None:
        """A new user-hash key; goes on with the one that is under way, if one is."""
        with self._writing, self._ring.lock:
            if self.under_way:
                return
            self._lines.make("users")
            self._lines.flush()
            self._ring.reload()
        self.hold()

    def hold(self) -> None:
        """Move legal holds at once: what may not be erased is asked for by the new key alone. The pass that is under
        way is not the last one."""
        self._moved += 1
        for rows in self._use.rows(self._collections[0]):
            self._move(self._collections[0], rows)

    def step(self, limit: int = _ROWS) -> Progress:
        """Move at most so many rows."""
        if not self.under_way:
            return self._progress()
        if self._pass is None:
            self._pass, self._moved = self._parts(limit), 0
        part = next(self._pass, None)
        if part is not None:
            self._move(*part)
            self._ring.flush()
        else:
            self._pass = None
            if not self._moved:
                self._finish()
        return self._progress()

    def catch_up(self) -> None:
        """Move rows that a replay of old frames brought back."""
        for collection, rows in self._parts(_ROWS):
            self._move(collection, rows)
        self._ring.flush()

    def _parts(self, limit: int) -> Iterator[tuple[Collection, list[Values]]]:
        for collection in self._collections:
            if collection.model is not RunRow or self._unmoved():
                for rows in self._use.rows(collection, limit):
                    yield collection, rows

    def _move(self, collection: Collection, rows: list[Values]) -> None:
        with self._quiet:
            changes = [change for row in rows for change in self._changes(collection, row)]
            self._moved += len(changes)
            if changes:
                self._tables.apply([(self._tables.applied, change) for change in changes], self._tables.applied)

    def _changes(self, collection: Collection, before: Values) -> list[Change]:
        column, read = NAMES[collection.model]
        try:
            tenant, person = read(collection.open(column, before, self._ring.opener))
        except Erased:
            return []
        owner = self._ring.tenant(tenant)
        self._moved += self._rename(owner, person)
        hashed = [at for at, field in enumerate(collection.fields) if field.protection is Protection.HASH]
        stored = {at: collection.stored(collection.fields[at], person, owner) for at in hashed}
        if all(before[at] == value for at, value in stored.items()):
            return []
        if collection.key in hashed:
            return self._rekeyed(collection, before, person, owner, stored[collection.key])
        after = tuple([stored.get(at, value) for at, value in enumerate(before)])
        return [Change(collection.number, owner.tag, after[collection.key], after)]

    def _rekeyed(self, collection: Collection, before: Values, person: str, owner: Tenant, key: Any) -> list[Change]:
        """The row under its new key, sealed for its new place; what was written there since has the last word."""
        gone = Change(collection.number, owner.tag, before[collection.key], None)
        if self._tables.get(collection, owner.tag, key) is not None:
            return [gone]
        sealer = self._ring.newest(self._ring.opener(before[-1][1:9]))
        shown = collection.reveal(before, owner, self._ring.opener)
        row = collection.model(**shown, **{collection.columns[collection.key]: person})
        return [gone, Change(collection.number, owner.tag, key, collection.protect(row, owner, sealer))]

    def _rename(self, owner: Tenant, person: str) -> int:
        with self._ring.lock:
            line, newest = self._ring.find(owner.name, person), self._ring.users_key
            if line is None or not person or line.named_by == newest:
                return 0
            for one in self._lines.generations("person", line.owner):
                self._lines.rewrap(one, name=(user_hash(owner, person), newest))
            return 1

    def _unmoved(self) -> list[WrappedKey]:
        newest = self._ring.users_key
        return [line for line in self._lines.of_kind("person") if line.name and line.named_by != newest]

    def _finish(self) -> None:
        """Nothing was left to move: let the old key go, with the keys of persons of whom nothing is kept."""
        left = self._unmoved()
        if left:
            used = self._use.counts()
            self.stuck = any(used[line.id] for line in left)
            if self.stuck:
                return
        sequence = self._checkpoint()
        with self._ring.lock, self._lines.rewriting():
            *older, newest = self._lines.of_kind("users")
            for line in (*older, *left):
                self._lines.drop(line)
            self._lines.note(msgspec.structs.replace(newest, number=sequence))
        self._ring.reload()

    def _progress(self) -> Progress:
        total = sum(1 for line in self._lines.of_kind("person") if line.name)
        done = total - len(self._unmoved())
        return Progress("users", min(done, total - 1) if self.under_way else total, total)
