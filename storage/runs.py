"""Day segments: one append-only file per UTC day with what the audit log is over (runs, advisories, erasures), sealed.

A frame holds [tenant tag, table number, schema, stored values of the row]; its sequence is that of the journal frame it
came from, its batch one more than how many entries of that frame came before it, so that feeding a frame twice writes
it once. The checksum and the leaf are over ciphertext and what its
associated data is made of: both can be checked without any key, and stay true when a person's key is destroyed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from ruche.storage import frames, merkle, platform
from ruche.storage.collection import Collection, Values
from ruche.storage.entries import Entry, Order, Place, day_of, entries_of_heads, entry, entry_of
from ruche.storage.errors import IntegrityError, StorageStopped
from ruche.storage.heads import Heads, SessionHead, read_heads, write_heads

KIND: Final = b"D"
_EPOCH: Final = date(1970, 1, 1)
_DAY_MS: Final = 86_400_000
_OPEN_FILES: Final = 4

_decode = msgspec.msgpack.Decoder().decode


class _Open:
    """A day file in use: its descriptor, its end, and the frames beyond the last checkpoint by their order."""

    def __init__(self, descriptor: int, end: int, beyond: dict[Order, Place]) -> None:
        self.descriptor, self.end, self.beyond, self.unsynced = descriptor, end, beyond, True
        self.waiting: dict[Order, bytes] = {}

    def forget_waiting(self) -> None:
        """What was not written is as if it had never been put."""
        for order, content in self.waiting.items():
            self.end -= len(content)
            del self.beyond[order]
        self.waiting.clear()


class DayFiles:
    """The folder of day files. One writer, under the store's lock."""

    def __init__(self, directory: Path, collections: Sequence[Collection], *,
                 disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._disk = directory, disk or platform.Disk()
        self._times = {one.number: one.columns.index(one.model.logged) for one in collections if one.model.logged}
        self._open: dict[int, _Open] = {}
        self._known: dict[int, int] = {}
        self._replaying = True
        self.dropped = {day_of(path) for path in directory.glob("*.heads")}
        """Days whose entries are gone, their heads left."""
        self._read_heads: dict[int, dict[tuple[int, str], SessionHead]] = {}
        for day in self.dropped:
            if self.path(day).exists():
                self._disk.unlink(self.path(day))

    def begin(self, lengths: dict[int, int]) -> None:
        """Say how far each file was filled when the tables were last checkpointed; beyond that it is scanned."""
        self._known, self._replaying = dict(lengths), True

    def caught_up(self) -> None:
        """Everything that was journalled before has been put again: from now on files end where they are filled to.
        Until then a sync forgets nothing of what lies beyond."""
        self._replaying = False

    def put(self, order: Order, tag: int, collection: Collection, values: Values) -> tuple[Place | None, bytes]:
        """Append an entry with the next `write` unless its frame is there already: its place (None in a day that was
        dropped) and leaf."""
        day, body = values[self._times[collection.number]] // _DAY_MS, entry(tag, collection, values)
        if day in self.dropped:
            return None, merkle.leaf_hash(body)
        file = self._file(day)
        place = file.beyond.get(order)
        if place is None:
            content = file.waiting[order] = frames.frame(order[0], 0, body, batch=order[1] + 1)
            place = file.beyond[order] = Place(day, file.end, len(content))
            file.end += len(content)
        return place, merkle.leaf_hash(body)

    def write(self) -> None:
        """Write what was put. Raises StorageFull, StorageStopped; then nothing of that is there."""
        for file in self._open.values():
            if file.waiting:
                self._write(file)

    def undo(self) -> None:
        """Take back what was put since the last `write`."""
        for file in self._open.values():
            file.forget_waiting()

    def _write(self, file: _Open) -> None:
        file.unsynced = True
        try:
            self._disk.write(file.descriptor, b"".join(file.waiting.values()))
        except OSError as error:
            self.undo()
            self._disk.truncate(file.descriptor, file.end)
            os.lseek(file.descriptor, file.end, os.SEEK_SET)
            raise platform.disk_error(error, "writing a run") from error
        file.waiting.clear()

    def drop(self, day: int, heads: Heads) -> None:
        """Let a whole day go, but for its heads. Raises OSError; after a crash the next opening finishes it."""
        file = self._open.pop(day, None)
        if file is not None:
            os.close(file.descriptor)
        write_heads(self._heads(day), heads, self._disk)
        self.dropped.add(day)
        self._read_heads.clear()
        self._disk.unlink(self.path(day))
        self._disk.sync_directory(self._directory)

    def heads(self, tag: int, session: str) -> list[SessionHead]:
        """The last run of a session in each day that was dropped."""
        for day in self.dropped - self._read_heads.keys():
            self._read_heads[day] = {(one.tag, one.session): one for one in read_heads(self._heads(day)).sessions}
        return [heads[tag, session] for heads in self._read_heads.values() if (tag, session) in heads]

    def days(self) -> list[int]:
        """Days that have a file, oldest first."""
        return sorted(day_of(path) for path in self._directory.glob("*.day"))

    def body(self, place: Place) -> bytes:
        """The sealed bytes of the entry at a place. Raises IntegrityError naming file and offset."""
        path = self.path(place.day)
        try:
            with path.open("rb") as file:
                file.seek(place.place)
                read = frames.read_frame(file.read(place.length), 0)
        except FileNotFoundError:
            read = None
        if read is None:
            raise IntegrityError(f"{path.name}: the run at byte {place.place} is damaged or missing",
                                 file=str(path), offset=place.place)
        body: bytes = _decode(read.body)[-1]
        return body

    def holds(self, place: Place) -> bool:
        """Whether the entry at a place is sound."""
        try:
            self.body(place)
        except IntegrityError:
            return False
        return True

    def sync(self) -> None:
        """Wait for the disk. Raises StorageStopped; nothing is written after that."""
        made = False
        for file in self._open.values():
            if file.unsynced:
                self._sync(file.descriptor)
                file.unsynced, made = False, True
                if not self._replaying:
                    file.beyond.clear()
        if made:
            self._disk.sync_directory(self._directory)
        while len(self._open) > _OPEN_FILES:
            day = min(self._open)
            if not self._replaying:
                self._known[day] = self._open[day].end
            os.close(self._open.pop(day).descriptor)

    def lengths(self) -> list[tuple[int, int]]:
        """Days in use and how far their files are filled; while frames are put again, how far they surely were."""
        return [(day, self._known.get(day, frames.HEADER.size) if self._replaying else file.end)
                for day, file in self._open.items()]

    def everything(self, through: int) -> Iterator[Entry]:
        """Every sound entry with a sequence up to `through`, day by day: what a lost index is rebuilt from."""
        for day in sorted(self.dropped):
            yield from (one for one in entries_of_heads(self._heads(day)) if one.sequence <= through)
        for day in self.days():
            yield from (one for one in self.of_day(day) if one.sequence <= through)

    def of_day(self, day: int) -> Iterator[Entry]:
        """Every sound entry of a day, in the order of the file."""
        content = self.path(day).read_bytes()
        with contextlib.suppress(IntegrityError):
            frames.read_header(content, KIND, self.path(day))
        found = frames.scan(content)
        sound = found.frames if found.bad is None else found.frames + frames.frames_after(content, found.bad)
        return (entry_of(day, frame) for frame in sound)

    def damage(self) -> list[tuple[str, int]]:
        """File name and offset of every first bad byte in the folder."""
        found = []
        for path in sorted(self._directory.glob("*.day")):
            bad = frames.scan(path.read_bytes()).bad
            if bad is not None:
                found.append((path.name, bad))
        return found

    def path(self, day: int) -> Path:
        return self._directory / f"{_EPOCH + timedelta(days=day)}.day"

    def _heads(self, day: int) -> Path:
        return self.path(day).with_suffix(".heads")

    def reset(self, lengths: dict[int, int]) -> None:
        """Begin again as `begin` says: the tables went back to their last checkpoint."""
        self.close()
        self.begin(lengths)

    def close(self) -> None:
        for file in self._open.values():
            os.close(file.descriptor)
        self._open.clear()

    def _sync(self, descriptor: int) -> None:
        try:
            self._disk.sync(descriptor)
        except OSError as error:
            raise StorageStopped("storage stopped: a sync of a day's runs failed; restart the process") from error

    def _file(self, day: int) -> _Open:
        file = self._open.get(day)
        if file is None:
            try:
                file = self._open[day] = self._enter(day, self.path(day))
            except OSError as error:
                raise platform.disk_error(error, "opening a day's file") from error
        return file

    def _begin(self, descriptor: int) -> None:
        try:
            self._disk.write(descriptor, frames.header(KIND, frames.new_salt(), 0))
        except OSError as error:
            os.close(descriptor)
            raise platform.disk_error(error, "beginning a day") from error

    def _enter(self, day: int, path: Path) -> _Open:
        descriptor = self._disk.open(path, os.O_CREAT | os.O_RDWR)
        if os.fstat(descriptor).st_size < frames.HEADER.size:
            self._disk.truncate(descriptor, 0)
            self._begin(descriptor)
            return _Open(descriptor, frames.HEADER.size, {})
        start = max(self._known.get(day, 0), frames.HEADER.size)
        content = _read_from(descriptor, start)
        found = frames.scan(content, 0)
        later = frames.frames_after(content, found.bad) if found.bad is not None else []
        if found.bad is not None and not later:
            self._disk.truncate(descriptor, start + found.end)  # the journal still holds what is cut
        end = os.lseek(descriptor, 0, os.SEEK_END)
        return _Open(descriptor, end, {
            (frame.sequence, frame.batch - 1): Place(day, start + frame.start, frame.end - frame.start)
            for frame in found.frames + later})


def _read_from(descriptor: int, at: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)
    read: list[Any] = []
    while chunk := os.read(descriptor, 1 << 24):
        read.append(chunk)
    return b"".join(read)
