"""Signs the checkpoints of a data directory's audit logs, and keeps the public keys and the checkpoints beside them.

`log/keys` has a line for each key that ever signed: the public key, since when, and the signature of the key before it.
`log/checkpoints` has the signed notes, one frame each; both can be read without any key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ruche.storage import frames, platform
from ruche.storage.checkpoints import Checkpoint, PublicKey, Signer, read_checkpoint, read_note
from ruche.storage.errors import IntegrityError

_KIND: Final = b"C"
_LARGEST: Final = 4 * 1024 * 1024
_DAY_MS: Final = 86_400_000


class KeyLine(NamedTuple):
    """A line of the key history: `endorsement` is a note over the line by the key before it, empty for the first."""

    key: PublicKey
    since_ms: int
    endorsement: str

    def text(self) -> str:
        return f"{self.key.text()}\nsince {self.since_ms}\n"


class Notary:
    """One writer, under the store's lock. `seed(generation)` gives private keys, from 1."""

    def __init__(self, directory: Path, seed: Callable[[int], bytes], clock_ms: Callable[[], int],
                 *, disk: platform.Disk | None = None) -> None:
        """Raises IntegrityError for a damaged history."""
        self._keys_path, self._path = directory / "keys", directory / "checkpoints"
        self._seed, self._clock_ms, self._disk = seed, clock_ms, disk or platform.Disk()
        self._last: dict[str, tuple[Checkpoint, str]] = {}
        self.history = list(read_history(self._keys_path))
        if not self.history:
            self.renew()
        self._signer = Signer(seed(len(self.history)))
        if self._signer.public != self.history[-1].key:
            raise IntegrityError(f"{self._keys_path.name}: the last key is not the one that this directory signs with",
                                 file=str(self._keys_path))
        for note in read_notes(self._path):
            self._remember(note)
        self._unsynced = False

    def renew(self) -> PublicKey:
        """Begin to sign with a new key, which the present one vouches for. Raises OSError."""
        signer = Signer(self._seed(len(self.history) + 1))
        line = KeyLine(signer.public, self._clock_ms(), "")
        if self.history:
            line = line._replace(endorsement=self._signer.note(line.text()))
        self._disk.write_atomically(self._keys_path, "\x1e".join(
            f"{one.text()}\n{one.endorsement}" for one in [*self.history, line]).encode())
        self.history.append(line)
        self._signer = signer
        return signer.public

    def last(self, origin: str) -> tuple[Checkpoint, str] | None:
        """The newest checkpoint of a log, and its note."""
        return self._last.get(origin)

    def sign(self, origin: str, size: int, root: bytes) -> str:
        """The note of a log as it is now; the last one when nothing was added. Times never go back.

        Raises StorageFull, StorageStopped.
        """
        before = self._last.get(origin)
        if before is not None and (before[0].size, before[0].root) == (size, root):
            return before[1]
        now = max(self._clock_ms(), before[0].at_ms if before else 0)
        note = self._signer.note(Checkpoint(origin, size, root, now).text())
        try:
            self._append(note)
        except OSError as error:
            raise platform.disk_error(error, "writing a checkpoint of the audit log") from error
        self._remember(note)
        return note

    def sync(self) -> None:
        """Wait for the disk. Raises StorageFull, StorageStopped."""
        if not self._unsynced:
            return
        try:
            descriptor = self._disk.open(self._path, os.O_RDWR)
            try:
                self._disk.sync(descriptor)
            finally:
                os.close(descriptor)
            if self._path.stat().st_size > _LARGEST:
                self._thin()
        except OSError as error:
            raise platform.disk_error(error, "a sync of the audit log's checkpoints") from error
        self._unsynced = False

    def _append(self, note: str) -> None:
        descriptor = self._disk.open(self._path, os.O_CREAT | os.O_RDWR)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            content = b"" if size else frames.header(_KIND, frames.new_salt(), 1)
            try:
                self._disk.write(descriptor, content + frames.frame(1, 0, note.encode()))
            except OSError:
                self._disk.truncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        self._unsynced = True

    def _thin(self) -> None:
        """Of each log keep the last checkpoint of every day."""
        kept: dict[tuple[str, int], str] = {}
        for note in read_notes(self._path):
            checkpoint = read_checkpoint(read_note(note).text)
            kept[checkpoint.origin, checkpoint.at_ms // _DAY_MS] = note
        body = b"".join(frames.frame(1, 0, note.encode()) for note in kept.values())
        self._disk.write_atomically(self._path, frames.header(_KIND, frames.new_salt(), 1) + body)

    def _remember(self, note: str) -> None:
        checkpoint = read_checkpoint(read_note(note).text)
        self._last[checkpoint.origin] = (checkpoint, note)


def read_notes(path: Path) -> list[str]:
    """The sound checkpoints of a file; a torn end is passed over."""
    if not path.exists():
        return []
    content = path.read_bytes()
    if len(content) < frames.HEADER.size:
        return []
    frames.read_header(content, _KIND, path)
    found = frames.scan(content)
    sound = found.frames if found.bad is None else found.frames + frames.frames_after(content, found.bad)
    return [frame.body.decode() for frame in sound]


def read_history(path: Path) -> Sequence[KeyLine]:
    """The keys that signed, oldest first, each vouched for by the one before it. Raises IntegrityError."""
    if not path.exists():
        return []
    found: list[KeyLine] = []
    for number, part in enumerate(path.read_text(encoding="utf-8").split("\x1e")):
        text, _, endorsement = part.partition("\n\n")
        key, _, since = text.partition("\nsince ")
        if not since.isdigit():
            raise IntegrityError(f"{path.name}: line {number + 1} of the key history is damaged", file=str(path))
        line = KeyLine(PublicKey.parse(key), int(since), endorsement)
        if found and not _vouched(line, found[-1].key):
            raise IntegrityError(f"{path.name}: key {number + 1} is not vouched for by the one before it",
                                 file=str(path))
        found.append(line)
    return found


def _vouched(line: KeyLine, before: PublicKey) -> bool:
    note = read_note(line.endorsement)
    return note.text == line.text() and note.signed_by(before)
