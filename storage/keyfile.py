"""The keyring's file: lines of wrapped keys, appended, or rewritten in one step. The last line of an id counts.

A line is on disk when `flush` returned. What `rewrite` and `cut` leave out is really gone. A hash of all that was
written is kept along, so that nothing is taken over from a file that changed by itself.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from ruche.storage import frames, platform
from ruche.storage.errors import IntegrityError, StorageStopped
from ruche.storage.keyline import LineReader, Place, WrappedKey, read_line, written_line
from ruche.storage.mark import Mark

KIND: Final = b"K"
_PIECE: Final = 1 << 22
Extent = tuple[Place, Place]
"""Where a line begins and ends."""
Placed = tuple[Place, WrappedKey]


class Extents(NamedTuple):
    """A file as it was written: how many bytes and lines it has, the last line's number, SHA-256 of all of it."""

    end: Place
    lines: int
    sequence: int
    digest: bytes


class KeyFile:
    """One writer; the keyring holds its lock around every call."""

    def __init__(self, path: Path, disk: platform.Disk) -> None:
        self.path, self._disk = path, disk
        self._mark = Mark(path.with_name("mark"), disk)
        self._queued: list[tuple[WrappedKey, bytes]] = []
        self._sequence = self._count = 0
        self._end, self._hash = 0, hashlib.sha256()

    @property
    def has_unwritten(self) -> bool:
        return bool(self._queued)

    @property
    def count(self) -> int:
        """Lines in the file."""
        return self._count

    @property
    def extent(self) -> Extents:
        """What the file is known to be."""
        return Extents(self._end, self._count, self._sequence, self._hash.digest())

    # --- reading ---------------------------------------------------------------------------------------------

    def resume(self, known: Extents) -> bool:
        """Take the file's beginning for what it was; False when it is not that any more."""
        if self.path.stat().st_size < known.end:
            return False
        found = _hashed(self.path, 0, known.end, hashlib.sha256())
        if found.digest() != known.digest:
            return False
        self._end, self._count, self._sequence, self._hash = known.end, known.lines, known.sequence, found
        return True

    def read(self) -> Iterator[Placed]:
        """Every line, in order, from where `resume` left off; then cuts an append that a crash cut short. Raises
        IntegrityError for any other damage."""
        begin, end = self._end, max(self._end, frames.HEADER.size)
        for frame in self._scanned(end):
            self._count, self._sequence, end = self._count + 1, frame.sequence, frame.end
            yield frame.start, read_line(frame)
        if end < max(self.path.stat().st_size, self._mark.read()):
            self._cut_torn(end)
        self._end, self._hash = end, _hashed(self.path, begin, end, self._hash)

    def lines(self) -> Iterator[Placed]:
        """Every line that was written, in order. Raises IntegrityError for one that is damaged now."""
        end = 0
        for frame in self._scanned(frames.HEADER.size):
            if frame.start < self._end:
                end = frame.end
                yield frame.start, read_line(frame)
        if end < self._end:
            raise self._damaged(end)

    def opened(self) -> tuple[IO[bytes], Extents]:
        """The file, and what it is known to be: to be read without the keyring's lock, with `checked`."""
        return self.path.open("rb"), self.extent

    def reader(self) -> LineReader:
        """Reads lines of the file as it is now, also after it was rewritten."""
        return LineReader(self.path)

    def _scanned(self, at: Place) -> Iterator[frames.Frame]:
        """Each sound line from a place on, up to the first bad byte; none of a file that is still to be made."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            frames.read_header(file.read(frames.HEADER.size), KIND, self.path)
            found = frames.read_along(file, self.path, at)
            while (frame := _sound(found)) is not None:
                yield frame

    # --- writing ---------------------------------------------------------------------------------------------

    def queue(self, line: WrappedKey) -> None:
        self._sequence += 1
        self._queued.append((line, written_line(line, self._sequence)))

    def flush(self) -> list[Placed]:
        """Put queued lines on disk; gives where each begins. Raises StorageFull (they wait for the next call) or
        StorageStopped."""
        if not self._queued:
            return []
        try:
            descriptor = self._disk.open(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise platform.disk_error(error, "opening the keyring") from error
        try:
            return self._append(descriptor)
        finally:
            os.close(descriptor)

    def rewrite(self, lines: Iterable[WrappedKey]) -> None:
        """These lines and no others, in one step. Raises StorageFull (the old file is left) or StorageStopped."""
        counted = itertools.count(1)
        pieces = (written_line(line, next(counted)) for line in lines)
        self._replace(_together(itertools.chain([frames.header(KIND, frames.new_salt(), 1)], pieces)))
        self._count = self._sequence = next(counted) - 1
        self._queued.clear()

    def cut(self, gone: Sequence[Extent], ids: Collection[bytes], lines: Iterable[WrappedKey]) -> list[Placed]:
        """Leave out lines where they lie, in order, and queued ones of these ids; then come the queued ones, and these
        lines: in one step. Gives where what was not in the file begins. Raises as `rewrite`, and IntegrityError when
        the file is not what was written."""
        before = self._queued, self._sequence
        self._queued = [(line, written) for line, written in self._queued if line.id not in ids]
        for line in lines:
            self.queue(line)
        start = self._end - sum(end - begin for begin, end in gone)
        try:
            self._replace(itertools.chain(self._without(gone), [b"".join(written for _, written in self._queued)]))
        except BaseException:
            self._queued, self._sequence = before
            raise
        self._count += len(self._queued) - len(gone)
        return self._placed(start)

    def close(self) -> None:
        self._mark.close()

    # --- inside ----------------------------------------------------------------------------------------------

    def _without(self, gone: Sequence[Extent]) -> Iterator[bytes]:
        """The content but for some extents, under another header. Raises IntegrityError before anything else."""
        if _hashed(self.path, 0, self._end, hashlib.sha256()).digest() != self._hash.digest():
            raise self._damaged(_first_bad(self.path))
        yield frames.header(KIND, frames.new_salt(), 1)
        at = frames.HEADER.size
        for begin, end in (*gone, (self._end, self._end)):
            yield from _pieces(self.path, at, begin)
            at = end

    def _replace(self, pieces: Iterable[bytes]) -> None:
        written, size = hashlib.sha256(), 0

        def told() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                written.update(piece)
                size += len(piece)
                yield piece

        try:
            self._mark.clear()
            self._disk.write_atomically(self.path, told())
        except IntegrityError:
            self._mark.write(self._end)
            raise
        except OSError as error:
            raise platform.disk_error(error, "writing the keyring") from error
        self._end, self._hash = size, written
        self._mark.write(size)

    def _append(self, descriptor: int) -> list[Placed]:
        start, content = os.fstat(descriptor).st_size, b"".join(written for _, written in self._queued)
        try:
            self._disk.write(descriptor, content)
        except OSError as error:
            self._take_back(descriptor, start)
            raise platform.disk_error(error, "writing a key") from error
        try:
            self._disk.sync(descriptor)
        except OSError as error:
            raise StorageStopped("storage stopped: a sync of the keyring failed; restart the process") from error
        self._end += len(content)
        self._hash.update(content)
        self._count += len(self._queued)
        self._mark.write(start + len(content))
        return self._placed(start)

    def _placed(self, start: Place) -> list[Placed]:
        """Where each queued line begins; then none is queued."""
        places = itertools.accumulate([len(written) for _, written in self._queued], initial=start)
        found = [(place, line) for place, (line, _) in zip(places, self._queued, strict=False)]
        self._queued = []
        return found

    def _take_back(self, descriptor: int, size: int) -> None:
        try:
            self._disk.truncate(descriptor, size)
        except OSError as error:
            raise StorageStopped("storage stopped: a failed write to the keyring could not be taken back; restart "
                                 "the process") from error

    def _cut_torn(self, bad: int) -> None:
        """An append that was cut short by a crash was never used; anything else is damage."""
        if bad < self._mark.read():
            raise self._damaged(bad)
        descriptor = self._disk.open(self.path, os.O_WRONLY)
        try:
            self._disk.truncate(descriptor, bad)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)

    def _damaged(self, at: Place) -> IntegrityError:
        return IntegrityError(f"{self.path.name}: damaged at byte {at}; bring back a backup of the keyring",
                              file=str(self.path), offset=at)


def read_lines(content: bytes, path: Path) -> tuple[Sequence[WrappedKey], int]:
    """The lines of a keyring file and where its good part ends."""
    frames.read_header(content, KIND, path)
    found = frames.scan(content)
    return [read_line(frame) for frame in found.frames], found.end


def checked(content: bytes, known: Extents, path: Path) -> bytes:
    """The content of a keyring file, if it is what was written. Raises IntegrityError."""
    if hashlib.sha256(content).digest() != known.digest:
        at = frames.scan(content).end
        raise IntegrityError(f"{path.name}: damaged at byte {at}; bring back a backup of the keyring", file=str(path),
                             offset=at)
    return content


def _hashed(path: Path, start: int, end: int, found: hashlib._Hash) -> hashlib._Hash:
    """A hash with part of a file added; of what is there, if it is less."""
    for piece in _pieces(path, start, end):
        found.update(piece)
    return found


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(_PIECE, end - start))):
            yield piece
            start += len(piece)


def _first_bad(path: Path) -> Place:
    """Where the first line that is not sound begins; 0 where all are."""
    content = path.read_bytes()
    return frames.scan(content).bad or 0


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
