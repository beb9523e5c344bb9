"""The commit log: append-only segments of sealed frames. What `append` returned from is on disk.

A segment is named after its first sequence number and has its own key, derived from a journal key and its salt.
Each frame carries when it was written. `mark` holds the last sequence that was acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import struct
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
from ruche.storage.vault import FileKeys, keyed_hash, nonce

SEGMENT_BYTES: Final = 16 * 1024 * 1024
_KIND: Final = b"J"
_PLACE: Final = struct.Struct("<QQQ")


class Journal:
    """One writer. `recover` comes first; it cuts a torn end, after which `append` continues."""

    def __init__(self, directory: Path, keys: FileKeys, *, reserve_bytes: int = 4_000_000,
                 segment_bytes: int = SEGMENT_BYTES, disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._keys, self._segment_bytes = directory, keys, segment_bytes
        self._disk = disk or platform.Disk()
        self._reserve = Reserve(directory / "reserve", reserve_bytes, self._disk)
        self._descriptor, self._size, self._key_id = -1, 0, b""
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
            if lengths and self._descriptor >= 0:
                lengths[-1] = (lengths[-1][0], self._size)
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
            content = self._frames(bodies)
            try:
                self._write(content)
            except StorageFull:
                if not last_resort or not self._reserve.release():
                    raise
                self._write(content)
            self._sync()
            self.sequence += len(bodies)
            self.written += len(content)
            self._mark.write(self.sequence)
            return self.sequence

    def stop(self, why: str) -> None:
        """Take no more writes until a restart."""
        said = why if why.startswith("storage ") else f"storage stopped: {why}; restart the process"
        self._stopped = self._stopped or said

    @property
    def stopped(self) -> str:
        """Why writes are refused, empty while they are not."""
        return self._stopped

    def restore_reserve(self) -> None:
        """Take the reserve back once there is room again."""
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
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._mark.close()
        self._stopped = self._stopped or "storage is closed"

    def _frames(self, bodies: Sequence[bytes]) -> bytes:
        if (self._descriptor < 0 or self._size >= self._segment_bytes
                or self._key_id != self._keys.newest_file_key()[0]):
            self._roll()
        durable, at_ms, made = self.sequence, time.time_ns() // 1_000_000, []
        for sequence, body in enumerate(bodies, durable + 1):
            drawn = nonce()
            sealed = drawn + self._cipher.encrypt(drawn, body, _PLACE.pack(sequence, durable, at_ms))
            made.append(frames.frame(sequence, durable, sealed, len(bodies), at_ms))
        return b"".join(made)

    def _write(self, content: bytes) -> None:
        try:
            self._disk.write(self._descriptor, content)
        except OSError as error:
            try:
                self._disk.truncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            except OSError:
                self.stop("a failed write could not be taken back")
                raise StorageStopped(self._stopped) from error
            raise self._failed(error, "a write") from error
        self._size += len(content)

    def _sync(self) -> None:
        """A failed sync is not tried again: the page cache may have dropped what it could not write."""
        try:
            self._disk.sync(self._descriptor)
        except OSError as error:
            self.stop(f"a sync failed ({errno.errorcode.get(error.errno or 0, 'unknown')})")
            raise StorageStopped(self._stopped) from error

    def _failed(self, error: OSError, doing: str) -> StorageFull | StorageStopped:
        """The error to raise; anything but a full disk ends writing."""
        found = platform.disk_error(error, doing)
        if isinstance(found, StorageStopped):
            self._stopped = self._stopped or found.message
        return found

    def _roll(self) -> None:
        """Begin a new segment after `sequence`."""
        salt, path = frames.new_salt(), self._directory / f"{self.sequence + 1:020d}.seg"
        self._key_id, key = self._keys.newest_file_key()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        try:
            self._descriptor = self._disk.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            self._size = 0
            self._write(frames.header(_KIND, salt, self.sequence + 1, self._key_id))
            self._sync()
            self._disk.sync_directory(self._directory)
        except OSError as error:
            self._abandon(path)
            raise self._failed(error, "making a new segment") from error
        except StorageFull:
            self._abandon(path)
            raise
        self._cipher = AESGCM(keyed_hash(key, salt))

    def _abandon(self, path: Path) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with contextlib.suppress(OSError):
            self._disk.unlink(path)


def segment_cipher(content: bytes, path: Path, keys: FileKeys) -> AESGCM:
    """What seals a segment's frames, from its header. Raises IntegrityError, ConfigurationError."""
    header = frames.read_header(content, _KIND, path)
    return AESGCM(keyed_hash(keys.file_key(header.key), header.salt))


def open_frame(cipher: AESGCM, frame: frames.Frame) -> bytes:
    """The body of a segment's frame. Raises InvalidTag, ValueError."""
    return cipher.decrypt(frame.body[:12], frame.body[12:], _PLACE.pack(frame.sequence, frame.durable, frame.at_ms))


def segment_header(first: int, keys: FileKeys) -> bytes:
    """The start of a new segment whose first frame has this number, sealed under the newest journal key."""
    return frames.header(_KIND, frames.new_salt(), first, keys.newest_file_key()[0])


def sealed_frame(cipher: AESGCM, sequence: int, body: bytes) -> bytes:
    """A frame by itself, as a batch of one."""
    drawn, at_ms = nonce(), time.time_ns() // 1_000_000
    sealed = drawn + cipher.encrypt(drawn, body, _PLACE.pack(sequence, sequence - 1, at_ms))
    return frames.frame(sequence, sequence - 1, sealed, 1, at_ms)


def acknowledged(content: bytes, found: frames.Scan, first: int, following: int | None, known: int) -> bool:
    """Whether the frame that should stand at the first bad byte had been acknowledged."""
    expected = found.frames[-1].sequence + 1 if found.frames else first
    if following is not None or known >= expected:
        return True
    return found.bad is not None and any(frame.durable >= expected
                                         for frame in frames.frames_after(content, found.bad))
