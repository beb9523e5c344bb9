"""The commit log: append-only segments of sealed frames. What `append` returned from is on disk.

A segment is named after its first sequence number and has its own key, derived from a journal key and its salt.
Each frame carries when it was written. `mark` holds the last sequence that was acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import frames, platform
from ruche.storage.errors import IntegrityError, StorageFull, StorageStopped
from ruche.storage.mark import Mark
from ruche.storage.reserve import Reserve
from ruche.storage.segment import (
    KIND,
    NotTakenBack,
    Segment,
    acknowledged,
    open_frame,
    sealed_batch,
    segment_cipher,
)
from ruche.storage.vault import FileKeys, keyed_hash

SEGMENT_BYTES: Final = 16 * 1024 * 1024


class Journal:
    """One writer. `recover` comes first; it cuts a torn end, after which `append` continues."""

    def __init__(self, directory: Path, keys: FileKeys, *, reserve_bytes: int = 4_000_000,
                 segment_bytes: int = SEGMENT_BYTES, disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._keys, self._segment_bytes = directory, keys, segment_bytes
        self._disk = disk or platform.Disk()
        self._reserve = Reserve(directory / "reserve", reserve_bytes, self._disk)
        self._segment: Segment | None = None
        self._key_id = b""
        self._cipher = AESGCM(keys.newest_file_key()[1])
        self._mark = Mark(directory / "mark", self._disk)
        self._stopped = ""
        self._lock = threading.Lock()
        self.sequence = 0
        """The last acknowledged frame."""
        self.written = 0
        """Bytes appended since the journal was opened."""

    # --- reading ---------------------------------------------------------------------------------------------

    def segments(self) -> list[tuple[int, Path]]:
        """First sequence and path of every segment, in order."""
        return sorted((int(path.stem), path) for path in self._directory.glob("*.seg"))

    def acknowledged(self) -> tuple[int, list[tuple[Path, int]]]:
        """The last acknowledged frame, and how far each segment holds what was acknowledged."""
        with self._lock:
            found = self.segments()
            lengths = [(path, path.stat().st_size) for _, path in found]
            if self._segment is not None:
                lengths[-1] = (self._segment.path, self._segment.size)
            return self.sequence, lengths

    def between(self, after: int, through: int) -> Iterator[tuple[int, bytes]]:
        """Sequence and opened body of acknowledged frames above `after` up to `through`. Raises IntegrityError."""
        found = self.segments()
        for place, (_, path) in enumerate(found):
            if place + 1 < len(found) and found[place + 1][0] <= after + 1:
                continue
            content = path.read_bytes()
            cipher = segment_cipher(content, path, self._keys)
            for frame in frames.scan(content).frames:
                if after < frame.sequence <= through:
                    yield frame.sequence, self._opened(path, cipher, frame)

    def recover(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Sequence and opened body of every frame above `after`; cuts a torn end and makes ready for appending.

        Raises IntegrityError with file and offset at a damaged or missing frame, after the good ones before it.
        """
        self.sequence = after
        known = self._mark.read()
        found = self.segments()
        for place, (first, path) in enumerate(found):
            following = found[place + 1][0] if place + 1 < len(found) else None
            if following is not None and following <= after + 1:
                continue
            if first > self.sequence + 1:
                raise IntegrityError(f"{path.name}: frames {self.sequence + 1} to {first - 1} are missing before it",
                                     file=str(path), offset=0)
            yield from self._recover_segment(path, first, following, known, after)
        if known > self.sequence:
            raise IntegrityError(f"the journal ends at {self.sequence}, but {known} was acknowledged",
                                 file=str(found[-1][1] if found else self._directory), offset=0)

    def _recover_segment(self, path: Path, first: int, following: int | None, known: int,
                         after: int) -> Iterator[tuple[int, bytes]]:
        content = path.read_bytes()
        try:
            cipher = segment_cipher(content, path, self._keys)
        except IntegrityError:
            if following is not None or known >= first:
                raise
            self._disk.unlink(path)  # made just before a crash, nothing in it was acknowledged
            return
        found = frames.scan(content)
        whole = frames.whole_batches(found)
        if whole.bad is not None and not acknowledged(content, whole, first, following, known):
            found = whole
        for frame in found.frames:
            yield from self._recover_frame(path, frame, cipher, after)
        if found.bad is not None:
            self._cut(path, found.bad, acknowledged(content, found, first, following, known))

    def _recover_frame(self, path: Path, frame: frames.Frame, cipher: AESGCM,
                       after: int) -> Iterator[tuple[int, bytes]]:
        if frame.sequence <= after:
            return
        if frame.sequence != self.sequence + 1:
            raise IntegrityError(f"{path.name}: frame {self.sequence + 1} is missing at byte {frame.start}",
                                 file=str(path), offset=frame.start)
        body = self._opened(path, cipher, frame)
        self.sequence = frame.sequence
        yield frame.sequence, body

    @staticmethod
    def _opened(path: Path, cipher: AESGCM, frame: frames.Frame) -> bytes:
        try:
            return open_frame(cipher, frame)
        except (InvalidTag, ValueError):
            raise IntegrityError(f"{path.name}: the frame at byte {frame.start} was changed",
                                 file=str(path), offset=frame.start) from None

    def _cut(self, path: Path, bad: int, acknowledged: bool) -> None:
        """Cut the torn end of an unacknowledged batch; refuse anything else."""
        if acknowledged:
            raise IntegrityError(f"{path.name}: damaged at byte {bad}; frames before it are sound",
                                 file=str(path), offset=bad)
        descriptor = self._disk.open(path, os.O_WRONLY)
        try:
            self._disk.truncate(descriptor, bad)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)

    # --- writing ---------------------------------------------------------------------------------------------

    def append(self, bodies: Sequence[bytes], *, last_resort: bool = False) -> int:
        """Write one frame per body, all or none, and wait for the disk; gives the sequence of the last one.

        `last_resort` may spend the reserve on a full disk. Raises StorageFull (nothing was written, later calls may
        succeed) or StorageStopped (a sync failed: what is on disk is unknown until a restart reads it).
        """
        if self._stopped:
            raise StorageStopped(self._stopped)
        with self._lock:
            try:
                size = self._put(bodies)
            except StorageFull:
                if not last_resort or not self._reserve.release():
                    raise
                size = self._put_at_last(bodies)
            self._sync()
            self.sequence += len(bodies)
            self.written += size
            self._mark.write(self.sequence)
            return self.sequence

    def _put_at_last(self, bodies: Sequence[bytes]) -> int:
        """Into the space of the reserve, of which what is left is held again: only last words may use it."""
        try:
            return self._put(bodies)
        finally:
            self._reserve.restore()

    def stop(self, why: str) -> None:
        """Take no more writes until a restart."""
        said = why if why.startswith("storage ") else f"storage stopped: {why}; restart the process"
        self._stopped = self._stopped or said

    @property
    def stopped(self) -> str:
        """Why writes are refused, empty while they are not."""
        return self._stopped

    def restore_reserve(self) -> None:
        """Take the reserve back once there is room again; never while last words are put into its space."""
        with self._lock:
            self._reserve.restore()

    def forget(self, through: int) -> int:
        """Remove segments whose every frame is at or below `through`; gives how many."""
        found = self.segments()
        gone = 0
        with contextlib.suppress(OSError):  # what stays is removed the next time; from the oldest on, without a gap
            for (_, path), (following, _) in itertools.pairwise(found):
                if following <= through + 1:
                    self._disk.unlink(path)
                    gone += 1
            if gone:
                self._disk.sync_directory(self._directory)
        return gone

    def close(self) -> None:
        """End the last segment where its content does; a journal that stopped leaves that to recovery."""
        if self._segment is not None and not self._stopped:
            with contextlib.suppress(OSError):
                self._segment.finish()
        self.disown()

    def disown(self) -> None:
        """Let go of the files as they are: another process may be writing them."""
        if self._segment is not None:
            self._segment.let_go()
            self._segment = None
        self._mark.close()
        self._stopped = self._stopped or "storage is closed"

    def _put(self, bodies: Sequence[bytes]) -> int:
        """Gives the number of bytes. Raises StorageFull with nothing written, StorageStopped."""
        segment = self._segment
        if (segment is None or segment.size >= self._segment_bytes
                or self._key_id != self._keys.newest_file_key()[0]):
            segment = self._roll()
        content = sealed_batch(self._cipher, self.sequence, bodies, time.time_ns() // 1_000_000)
        try:
            segment.put(content)
        except NotTakenBack as error:
            self.stop("a failed write could not be taken back")
            raise StorageStopped(self._stopped) from error
        except OSError as error:
            raise self._failed(error, "a write") from error
        return len(content)

    def _sync(self) -> None:
        """A failed sync is not tried again: the page cache may have dropped what it could not write."""
        try:
            if self._segment is not None:
                self._segment.sync()
        except OSError as error:
            self.stop(f"a sync failed ({errno.errorcode.get(error.errno or 0, 'unknown')})")
            raise StorageStopped(self._stopped) from error

    def _failed(self, error: OSError, doing: str) -> StorageFull | StorageStopped:
        """The error to raise; anything but a full disk ends writing."""
        found = platform.disk_error(error, doing)
        if isinstance(found, StorageStopped):
            self._stopped = self._stopped or found.message
        return found

    def _roll(self) -> Segment:
        """Begin a new segment after `sequence`; the one before ends first."""
        salt, path = frames.new_salt(), self._directory / f"{self.sequence + 1:020d}.seg"
        self._key_id, key = self._keys.newest_file_key()
        before, self._segment = self._segment, None
        try:
            if before is not None:
                before.finish()
            segment = Segment(path, self._segment_bytes // 4, self._disk)
        except OSError as error:
            raise self._failed(error, "making a new segment") from error
        try:
            segment.put(frames.header(KIND, salt, self.sequence + 1, self._key_id))
            segment.sync()
            self._disk.sync_directory(self._directory)
        except OSError as error:
            segment.let_go()
            with contextlib.suppress(OSError):
                self._disk.unlink(path)
            raise self._failed(error, "making a new segment") from error
        self._segment, self._cipher = segment, AESGCM(keyed_hash(key, salt))
        return segment
