"""The keyring's file: lines of wrapped keys, appended, or rewritten in one step. The last line of an id counts.

A line is on disk when `flush` returned. What a rewrite leaves out is really gone.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from ruche.storage import frames, platform
from ruche.storage.errors import IntegrityError, StorageStopped
from ruche.storage.mark import Mark
from ruche.storage.vault import part

_KIND: Final = b"K"
_LINE_BYTES: Final = 512
_LONGEST_LINE: Final = 1 << 16
Place = int
"""Where a line begins in the file, in bytes."""

Kind = Literal["root", "hash", "users", "journal", "tenant", "person", "gone", "renew", "openings"]


class WrappedKey(msgspec.Struct, frozen=True, array_like=True):
    """A line of the keyring.

    `owner` is the tenant's hash, for a person followed by a random id; `name` is the hash by which the person is
    found, made under the users key `named_by`. `spent` counts nonces granted up to opening number `opening` of the
    file. `number` is of a person's key and of `renew` the round of renewals that it belongs to, of a users key the
    journal frame up to which rows were found by another one.
    """

    kind: Kind
    id: bytes
    parent: bytes
    owner: bytes
    made_ms: int
    wrapped: bytes
    name: bytes = b""
    spent: int = 0
    opening: int = 0
    named_by: bytes = b""
    number: int = 0

    def place(self) -> bytes:
        return b"ruche:wrap:" + b"".join(map(part, (self.kind.encode(), self.id, self.parent, self.owner, self.name,
                                                self.named_by)))


class LineReader:
    """One line at a time; the file stays the one that it was when this was made. Any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0) if path.exists() else None

    def __call__(self, place: Place) -> WrappedKey:
        """The line that begins there. Raises IntegrityError."""
        found = None
        if self._file is not None:
            content = platform.read_at(self._file, place, _LINE_BYTES)
            found = frames.read_frame(content, 0)
            if found is None and len(content) == _LINE_BYTES:
                found = frames.read_frame(platform.read_at(self._file, place, _LONGEST_LINE), 0)
        if found is None:
            raise IntegrityError(f"{self._path.name}: damaged at byte {place}; bring back a backup of the keyring",
                                 file=str(self._path), offset=place)
        return _decoder.decode(found.body)

    def close(self) -> None:
        """For good; who only lets go of it need not call."""
        if self._file is not None:
            self._file.close()

    __del__ = close


class KeyFile:
    """One writer; the keyring holds its lock around every call."""

    def __init__(self, path: Path, disk: platform.Disk) -> None:
        self.path, self._disk = path, disk
        self._mark = Mark(path.with_name("mark"), disk)
        self._unwritten: list[bytes] = []
        self._queued: list[WrappedKey] = []
        self._sequence = 0
        self.count = 0
        """Lines that were read."""

    @property
    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    def read(self) -> Iterator[tuple[Place, WrappedKey]]:
        """Every line in order; then cuts an append that a crash cut short. Raises IntegrityError for any other
        damage."""
        count, end = 0, frames.HEADER.size
        for count, (place, line, end) in enumerate(self._scanned(), 1):  # noqa: B007 - the last ones are asked for
            yield place, line
        if end < max(self.path.stat().st_size, self._mark.read()):
            self._cut(end)
        self._sequence = self.count = count

    def lines(self) -> Iterator[tuple[Place, WrappedKey]]:
        """Every line that is in the file, in order."""
        return ((place, line) for place, line, _ in self._scanned())

    def reader(self) -> LineReader:
        """Reads lines of the file as it is now, also after it was rewritten."""
        return LineReader(self.path)

    def _scanned(self) -> Iterator[tuple[Place, WrappedKey, Place]]:
        """Place, line and end of each, up to the first bad byte; none of a file that is still to be made."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            frames.read_header(file.read(frames.HEADER.size), _KIND, self.path)
            found = frames.read_along(file, self.path)
            while (frame := _sound(found)) is not None:
                yield frame.start, _decoder.decode(frame.body), frame.end

    def queue(self, line: WrappedKey) -> None:
        self._sequence += 1
        self._unwritten += _framed([line], self._sequence)
        self._queued.append(line)

    def flush(self) -> list[tuple[Place, WrappedKey]]:
        """Put queued lines on disk; gives where each begins. Raises StorageFull (they wait for the next call) or
        StorageStopped."""
        if not self._unwritten:
            return []
        try:
            descriptor = self._disk.open(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise platform.disk_error(error, "opening the keyring") from error
        try:
            place = self._append(descriptor)
        finally:
            os.close(descriptor)
        places = itertools.accumulate(map(len, self._unwritten), initial=place)
        written = list(zip(places, self._queued, strict=False))
        self._unwritten.clear()
        self._queued.clear()
        return written

    def rewrite(self, lines: Iterable[WrappedKey]) -> None:
        """These lines and no others, in one step. Raises StorageFull (the old file is left) or StorageStopped."""
        counted = itertools.count(1)
        pieces = (_framed_one(line, next(counted)) for line in lines)
        try:
            self._mark.clear()
            self._disk.write_atomically(self.path, _together(itertools.chain(
                [frames.header(_KIND, frames.new_salt(), 1)], pieces)))
        except OSError as error:
            raise platform.disk_error(error, "writing the keyring") from error
        self._mark.write(self.path.stat().st_size)
        self._sequence = next(counted) - 1
        self._unwritten.clear()
        self._queued.clear()

    def close(self) -> None:
        self._mark.close()

    def _append(self, descriptor: int) -> Place:
        """Gives where the first line begins."""
        size = os.fstat(descriptor).st_size
        try:
            self._disk.write(descriptor, b"".join(self._unwritten))
        except OSError as error:
            self._take_back(descriptor, size)
            raise platform.disk_error(error, "writing a key") from error
        try:
            self._disk.sync(descriptor)
        except OSError as error:
            raise StorageStopped("storage stopped: a sync of the keyring failed; restart the process") from error
        self._mark.write(os.fstat(descriptor).st_size)
        return size

    def _take_back(self, descriptor: int, size: int) -> None:
        try:
            self._disk.truncate(descriptor, size)
        except OSError as error:
            raise StorageStopped("storage stopped: a failed write to the keyring could not be taken back; restart "
                                 "the process") from error

    def _cut(self, bad: int) -> None:
        """An append that was cut short by a crash was never used; anything else is damage."""
        if bad < self._mark.read():
            raise IntegrityError(f"{self.path.name}: damaged at byte {bad}; bring back a backup of the keyring",
                                 file=str(self.path), offset=bad)
        descriptor = self._disk.open(self.path, os.O_WRONLY)
        try:
            self._disk.truncate(descriptor, bad)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)


_decoder = msgspec.msgpack.Decoder(WrappedKey)


def read_lines(content: bytes, path: Path) -> tuple[Sequence[WrappedKey], int]:
    """The lines of a keyring file and where its good part ends."""
    frames.read_header(content, _KIND, path)
    found = frames.scan(content)
    return [_decoder.decode(line.body) for line in found.frames], found.end


def salvaged_lines(path: Path) -> int:
    """Write a damaged keyring anew with the lines that are sound; how many damaged places there were. Keys that stood
    there are gone. Raises IntegrityError when the file's beginning is damaged."""
    content = path.read_bytes()
    frames.read_header(content, _KIND, path)
    found, mark = frames.scan(content), Mark(path.with_name("mark"), platform.Disk())
    known = mark.read()
    mark.close()
    later = frames.frames_after(content, found.bad) if found.bad is not None else []
    if found.end >= known and not later:
        return 0  # whole, or torn where nobody was told of it
    sound = found.frames + later
    lines = [_decoder.decode(line.body) for line in sound]
    missing = set(range(1, max((line.sequence for line in sound), default=0))) - {line.sequence for line in sound}
    platform.write_atomically(path, b"".join([content[:frames.HEADER.size], *_framed(lines, 1)]))
    path.with_name("mark").unlink(missing_ok=True)
    return max(1, len(missing))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _framed(lines: Iterable[WrappedKey], first: int) -> list[bytes]:
    return [_framed_one(line, number) for number, line in enumerate(lines, first)]


def _framed_one(line: WrappedKey, number: int) -> bytes:
    return frames.frame(number, number - 1, msgspec.msgpack.encode(line))


def _together(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces, some thousand of them at once."""
    while part := b"".join(itertools.islice(pieces, 4096)):
        yield part


def _sound(found: Iterator[frames.Frame]) -> frames.Frame | None:
    """The next frame; None at the end and at the first bad byte."""
    try:
        return next(found, None)
    except IntegrityError:
        return None
