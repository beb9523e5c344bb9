"""Day segments: one append-only file per UTC day with the canonical, sealed bytes of each run, written once.

A frame holds [tenant tag, stored values of the run's row]; its sequence is that of the journal frame it came from, so
that feeding a frame twice writes it once. The checksum and the leaf are over ciphertext: both can be checked without
any key, and stay true when a person's key is destroyed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ruche.storage import frames, platform
from ruche.storage.collection import Values
from ruche.storage.errors import IntegrityError, StorageStopped

_KIND: Final = b"D"
_EPOCH: Final = date(1970, 1, 1)
_DAY_MS: Final = 86_400_000
_OPEN_FILES: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class RunPlace(NamedTuple):
    """Where a run's frame lies: days since 1970, byte offset, length."""

    day: int
    place: int
    length: int


class StoredRun(NamedTuple):
    """A frame of a day file: its journal sequence, tenant tag, stored values, place and leaf hash."""

    sequence: int
    tag: int
    values: Values
    place: RunPlace
    leaf: bytes


class _Open:
    """A day file in use: its descriptor, its end, and the frames beyond the last checkpoint by sequence."""

    def __init__(self, descriptor: int, end: int, beyond: dict[int, RunPlace]) -> None:
        self.descriptor, self.end, self.beyond, self.unsynced = descriptor, end, beyond, True


class DayFiles:
    """The folder of day files. One writer, under the store's lock."""

    def __init__(self, directory: Path, created_column: int, *, disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._created, self._disk = directory, created_column, disk or platform.Disk()
        self._open: dict[int, _Open] = {}
        self._known: dict[int, int] = {}

    def begin(self, lengths: dict[int, int]) -> None:
        """Say how far each file was filled when the tables were last checkpointed; beyond that it is scanned."""
        self._known = dict(lengths)

    def put(self, sequence: int, tag: int, values: Values) -> RunPlace:
        """Append a run unless its frame is there already."""
        day = values[self._created] // _DAY_MS
        file = self._file(day)
        there = file.beyond.get(sequence)
        if there is not None:
            return there
        content = frames.frame(sequence, 0, _encode((tag, *values)))
        place = RunPlace(day, file.end, len(content))
        try:
            self._disk.write(file.descriptor, content)
        except OSError as error:
            self._disk.truncate(file.descriptor, file.end)
            os.lseek(file.descriptor, file.end, os.SEEK_SET)
            raise platform.disk_error(error, "writing a run") from error
        file.end, file.unsynced = place.place + place.length, True
        file.beyond[sequence] = place
        return place

    def body(self, place: RunPlace) -> bytes:
        """The sealed bytes of the run at a place. Raises IntegrityError naming file and offset."""
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

    def sync(self) -> None:
        """Wait for the disk. Raises StorageStopped; nothing is written after that."""
        made = False
        for file in self._open.values():
            if file.unsynced:
                self._sync(file.descriptor)
                file.unsynced, made = False, True
                file.beyond.clear()
        if made:
            platform.sync_directory(self._directory)
        while len(self._open) > _OPEN_FILES:
            day = min(self._open)
            self._known[day] = self._open[day].end
            os.close(self._open.pop(day).descriptor)

    def lengths(self) -> list[tuple[int, int]]:
        """Days in use and how far their files are filled."""
        return [(day, file.end) for day, file in self._open.items()]

    def everything(self, through: int) -> Iterator[StoredRun]:
        """Every sound run with a sequence up to `through`, file by file: what a lost index is rebuilt from."""
        for path in sorted(self._directory.glob("*.day")):
            day = (date.fromisoformat(path.stem) - _EPOCH).days
            content = path.read_bytes()
            with contextlib.suppress(IntegrityError):
                frames.read_header(content, _KIND, path)
            found = frames.scan(content)
            sound = found.frames if found.bad is None else found.frames + frames.frames_after(content, found.bad)
            yield from (_stored(day, frame) for frame in sound if frame.sequence <= through)

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
            file = self._open[day] = self._enter(day, self.path(day))
        return file

    def _begin(self, descriptor: int) -> None:
        try:
            self._disk.write(descriptor, frames.header(_KIND, frames.new_salt(), 0))
        except OSError as error:
            os.close(descriptor)
            raise platform.disk_error(error, "beginning a day") from error

    def _enter(self, day: int, path: Path) -> _Open:
        descriptor = platform.open_private(path, os.O_CREAT | os.O_RDWR)
        if os.fstat(descriptor).st_size < frames.HEADER.size:
            os.ftruncate(descriptor, 0)
            self._begin(descriptor)
            return _Open(descriptor, frames.HEADER.size, {})
        start = max(self._known.get(day, 0), frames.HEADER.size)
        content = _read_from(descriptor, start)
        found = frames.scan(content, 0)
        later = frames.frames_after(content, found.bad) if found.bad is not None else []
        if found.bad is not None and not later:
            os.ftruncate(descriptor, start + found.end)  # the journal still holds what is cut
        end = os.lseek(descriptor, 0, os.SEEK_END)
        return _Open(descriptor, end, {frame.sequence: RunPlace(day, start + frame.start, frame.end - frame.start)
                                       for frame in found.frames + later})


def day_of(at_ms: int) -> str:
    """The UTC day of a time, as day files are named."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def leaf(body: bytes) -> bytes:
    """RFC 9162 leaf hash of a run's frame body, which is ciphertext and clear ids."""
    return hashlib.sha256(b"\0" + body).digest()


def _stored(day: int, frame: frames.Frame) -> StoredRun:
    tag, *values = _decode(frame.body)
    place = RunPlace(day, frame.start, frame.end - frame.start)
    return StoredRun(frame.sequence, tag, tuple(values), place, leaf(frame.body))


def _read_from(descriptor: int, at: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)
    read: list[Any] = []
    while chunk := os.read(descriptor, 1 << 24):
        read.append(chunk)
    return b"".join(read)
