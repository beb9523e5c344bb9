"""The wrapped keys by id, owner and name: opens them, makes them, changes what wraps them, and keeps the file in step.

Root keys open a master key; it wraps the keys of the first level and the tenants' keys, which wrap their persons'.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from ruche.storage import platform
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.keyfile import KeyFile, Placed
from ruche.storage.keykept import KeptLines
from ruche.storage.keyline import Kind, WrappedKey, now_ms
from ruche.storage.keypersons import MANY, PersonLines
from ruche.storage.keyplaces import KeyPlaces, Places
from ruche.storage.vault import KEY_BYTES, check_key, derive

_SLACK: Final = 4096
"""Replaced lines that the file may hold beyond as many as there are live ones, before opening rewrites it."""
_UNKEPT: Final = 4096
"""Lines that were read one by one, beyond which their places are kept at once."""
_OPENINGS: Final = b"openings"
_FIRST: Final[tuple[Kind, ...]] = ("hash", "users", "journal")
_UPPER: Final = (*_FIRST, "tenant")


class KeyLines:
    """Not safe by itself: the keyring holds its lock around every call that changes something."""

    def __init__(self, path: Path, root_key: bytes, disk: platform.Disk) -> None:
        """Reads or makes the file. Raises ConfigurationError for a wrong root key, IntegrityError for damage."""
        self._root, self._master = check_key(root_key, "key source"), b""
        self._kept = KeptLines()
        self._noted, self.openings = False, 1
        self.file = KeyFile(path, disk)
        self._persons = PersonLines(self.file)
        self._places = KeyPlaces(path.with_name("places"), disk)
        try:
            if path.exists():
                self._read()
            else:
                self._create()
        except BaseException:
            self._persons.close()
            self.file.close()
            raise

    # --- looking ---------------------------------------------------------------------------------------------

    @property
    def root(self) -> bytes:
        """The root key that opens the file now."""
        return self._root

    def get(self, id: bytes) -> WrappedKey | None:
        return self._kept.get(id) or self._persons.get(id)

    def of_kind(self, kind: Kind) -> list[WrappedKey]:
        """Oldest first. Asking for persons reads the whole file, for anything else only what is in memory."""
        lines = (self._persons if kind in MANY else self._kept).every()
        return [line for line in lines if line.kind == kind]

    def generations(self, kind: Kind, owner: bytes) -> list[WrappedKey]:
        """Keys of one tenant or person, oldest first, without those that were destroyed."""
        found = self._persons if kind in MANY else self._kept
        return [line for line in found.generations(owner) if line.kind == kind]

    def named(self, tenant: bytes, name: bytes) -> WrappedKey | None:
        """The newest key of the person of a tenant who goes by this name."""
        return self._persons.named(tenant, name)

    def renewal(self, tenant: bytes) -> int:
        """The round of renewals that a tenant's persons' keys must belong to."""
        line = self._kept.get(b"renew" + tenant)
        return line.number if line else 0

    def unwrap(self, line: WrappedKey) -> bytes:
        """The key in a line. Raises IntegrityError when the line was changed."""
        try:
            return line.opened(self._wrapping(line.parent))
        except InvalidTag:
            raise IntegrityError(f"{self.file.path.name}: a wrapped key was changed",
                                 file=str(self.file.path)) from None

    # --- changing --------------------------------------------------------------------------------------------

    def make(self, kind: Kind, parent: bytes = b"", owner: bytes = b"", name: bytes = b"", named_by: bytes = b"",
             number: int = 0) -> WrappedKey:
        """A new random key, queued for the disk."""
        line = WrappedKey(kind, os.urandom(8), parent, owner, now_ms(), b"", name, 0, self.openings, named_by, number)
        return self.put(self._wrap(line, os.urandom(KEY_BYTES)))

    def put(self, line: WrappedKey) -> WrappedKey:
        """Add a line or replace the one with its id, queued for the disk."""
        self._index(line)
        self.file.queue(line)
        return line

    def renew(self, tenant: bytes) -> int:
        """Begin a round: every person of the tenant gets a new key when they are next written about. Queued."""
        number = self.renewal(tenant) + 1
        self.put(WrappedKey("renew", b"renew" + tenant, b"", tenant, now_ms(), b"", number=number))
        return number

    def note(self, line: WrappedKey) -> None:
        """Replace a line in memory alone: it differs from the disk's in its counts only. Where many persons' are kept
        they are forgotten, as if the file had been opened once more."""
        if line.kind not in MANY:
            self._kept.put(line)
        elif self._persons.note(line):
            self._persons.forget_noted()
            self.openings, self._noted = self.openings + 1, False

    def rewrap(self, line: WrappedKey, *, parent: bytes | None = None,
               name: tuple[bytes, bytes] | None = None) -> WrappedKey:
        """The same key under another parent, or another name with the users key it was made under; queued."""
        found, named_by = (line.name, line.named_by) if name is None else name
        changed = msgspec.structs.replace(line, parent=line.parent if parent is None else parent, name=found,
                                          named_by=named_by)
        return self.put(self._wrap(changed, self.unwrap(line)))

    def destroy(self, doomed: Sequence[WrappedKey]) -> None:
        """Leave a tombstone of each person's key: they are gone from the disk when this returns. Costs little more than
        copying the file. Raises IntegrityError, with nothing changed, when the file is damaged."""
        stones = [WrappedKey("gone", line.id, b"", line.owner, now_ms(), b"") for line in doomed]
        ids = {line.id for line in doomed}
        gone = self._persons.extents(ids)
        written = self.file.cut(gone, ids, stones)
        self._kept.cut(gone)
        self._kept.written(written)
        self._persons.cut(gone, ids, [(place, line) for place, line in written if line.kind in MANY])

    def drop(self, line: WrappedKey) -> None:
        """Leave nothing. Inside `rewriting`, after which the key is gone from the disk."""
        if line.kind in MANY:
            self._persons.drop(line.id)
        else:
            self._kept.drop(line)

    def add_root(self, root_key: bytes) -> None:
        """A new master key over everything it wraps, opened by the present root key and by this one, in one step."""
        check_key(root_key, "the new root key")
        upper = [(line, self.unwrap(line)) for line in self._kept.every() if line.kind in _UPPER]
        with self.rewriting():
            for line in self.of_kind("root"):
                self.drop(line)
            self._master = os.urandom(KEY_BYTES)
            for line, key in upper:
                self._index(self._wrap(line, key))
            for one in (self._root, root_key):
                self._add_slot(one)

    def keep_root(self, root_key: bytes) -> int:
        """Only this root key opens the file from now on; gives how many others were shut out."""
        mine = self._slot(root_key)
        if mine is None:
            raise ConfigurationError("this root key does not open the keyring; nothing was changed")
        others = [line for line in self.of_kind("root") if line.id != mine.id]
        if others:
            with self.rewriting():
                for line in others:
                    self.drop(line)
        self._root = root_key
        return len(others)

    def flush(self) -> None:
        """Put queued lines on disk, the first time with a note that the file was opened once more."""
        if not self._noted:
            self.put(WrappedKey("openings", _OPENINGS, b"", b"", now_ms(), b"", b"", self.openings))
            self._noted = True
        written = self.file.flush()
        self._kept.written(written)
        self._persons.written([(place, line) for place, line in written if line.kind in MANY])

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[None]:
        """Write the file anew with what is changed inside, in one step; on an error memory is as before as well."""
        kept, persons, master = self._kept.saved(), self._persons.saved(), self._master
        try:
            yield
            self.rewrite()
        except BaseException:
            self._kept.restore(kept)
            self._persons.restore(persons)
            self._master = master
            raise

    def rewrite(self) -> None:
        """The file as the lines are now, in one step."""
        self.file.rewrite(itertools.chain(self._kept.every(), self._persons.every()))
        self._kept.nowhere()
        self._persons.fill(self._indexed(self.file.lines()))

    def keep_places(self) -> None:
        """So that the next opening need not read every line."""
        known = self.file.extent
        if known != self._places.kept:
            with contextlib.suppress(OSError):
                self._places.keep(Places(known, self._persons.entries(), self._kept.places), self._root)

    def close(self) -> None:
        """Forget every key."""
        self._persons.close()
        self.file.close()
        self._root = self._master = b""

    # --- inside ----------------------------------------------------------------------------------------------

    def _wrapping(self, parent: bytes) -> bytes:
        if parent == b"":
            return self._master
        line = self._kept.get(parent)
        if line is None or line.kind != "tenant":
            raise IntegrityError(f"{self.file.path.name}: the key that wraps another is missing",
                                 file=str(self.file.path))
        return self.unwrap(line)

    def _wrap(self, line: WrappedKey, key: bytes) -> WrappedKey:
        return line.sealed(key, self._wrapping(line.parent))

    def opens(self, root_key: bytes) -> bool:
        """Whether a root key opens the file."""
        return self._slot(root_key) is not None

    def _slot(self, root_key: bytes) -> WrappedKey | None:
        """The root line that a root key opens; takes the master key, which all of them hold, out of it."""
        wrapping = derive(root_key, "wrap")
        for line in self.of_kind("root"):
            try:
                self._master = line.opened(wrapping)
            except InvalidTag:
                continue
            return line
        return None

    def _add_slot(self, root_key: bytes) -> None:
        line = WrappedKey("root", os.urandom(8), b"", b"", now_ms(), b"")
        self._index(line.sealed(self._master, derive(root_key, "wrap")))

    def _index(self, line: WrappedKey) -> None:
        if line.kind in MANY:
            self._persons.put(line)
        else:
            self._kept.put(line)

    def _create(self) -> None:
        self._master = os.urandom(KEY_BYTES)
        self._add_slot(self._root)
        for kind in _FIRST:
            line = WrappedKey(kind, os.urandom(8), b"", b"", now_ms(), b"")
            self._index(self._wrap(line, os.urandom(KEY_BYTES)))
        self.rewrite()

    def _read(self) -> None:
        places = self._places.load(self._root)
        if places is None or not self.file.resume(places.known):
            places = None
        live = self._resume(places) + len(self._kept)
        noted = self._kept.get(_OPENINGS)
        self.openings = 1 + (noted.spent if noted else 1)
        if self._slot(self._root) is None:
            raise ConfigurationError("the root key is not the one that this data directory was made with; "
                                     "bring back the right key, or choose another data directory")
        missing = next((kind for kind in _FIRST if not self.of_kind(kind)), None)
        if missing is not None:
            raise IntegrityError(f"{self.file.path.name}: the {missing} key is missing from the keyring",
                                 file=str(self.file.path))
        if self.file.count > 2 * live + _SLACK:
            self.rewrite()
        if self.file.count > (places.known.lines if places else 0) + _UNKEPT:
            self.keep_places()

    def _resume(self, places: Places | None) -> int:
        """Take in what is kept of the file, and the lines after that; gives how many ids of persons there are."""
        if places is None:
            return self._persons.fill(self._indexed(self.file.read()))
        read = self.file.reader()
        for place in places.others.tolist():
            self._index(read(place))
            self._kept.lies(place)
        return self._persons.fill(self._indexed(self.file.read()), places.registers)

    def _indexed(self, lines: Iterable[Placed]) -> Iterator[Placed]:
        """Those of persons; the others are taken in."""
        for place, line in lines:
            if line.kind in MANY:
                yield place, line
            else:
                self._index(line)
                self._kept.lies(place)
