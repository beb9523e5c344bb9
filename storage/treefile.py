"""A tenant's Merkle tree on disk: every full subtree's hash, written once, in the order in which it gets full.

After n leaves the file holds 2n - popcount(n) hashes of 32 bytes, and the place of each follows from its level and
index, so that a proof reads log2(n) places and opening reads none. The file is derived: the day segments have it all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ruche.storage import merkle, platform
from ruche.storage.errors import IntegrityError

HASH: Final = 32


def place(level: int, index: int) -> int:
    """Which hash of the file is the subtree `index` of `level`."""
    last_leaf = ((index + 1) << level) - 1
    return 2 * last_leaf - last_leaf.bit_count() + level


def hashes(size: int) -> int:
    """How many a tree of `size` leaves has."""
    return 2 * size - size.bit_count()


class TreeFile:
    """Grows by leaves; one thread at a time. `size` is the number of leaves."""

    def __init__(self, path: Path, size: int, disk: platform.Disk) -> None:
        """The first `size` leaves of what is there; what is beyond is cut. Raises IntegrityError when there is less."""
        self._disk, self._path = disk, path
        self._descriptor = disk.open(path, os.O_CREAT | os.O_RDWR)
        self._end = hashes(size) * HASH
        if os.fstat(self._descriptor).st_size < self._end:
            os.close(self._descriptor)
            raise IntegrityError(f"{path.name}: holds less than the {size} leaves that were written", file=str(path))
        self._disk.truncate(self._descriptor, self._end)
        self.size, self.unsynced = size, True
        self._peaks = [self.node(level, (size >> level) - 1) for level in range(size.bit_length()) if size >> level & 1]

    def append(self, leaves: Iterable[bytes]) -> None:
        """Raises OSError with nothing appended."""
        made, peaks, size = list[bytes](), self._peaks.copy(), self.size
        for leaf in leaves:
            made.append(leaf)
            for _ in range((~size & size + 1).bit_length() - 1):
                leaf = merkle.node_hash(peaks.pop(0), leaf)
                made.append(leaf)
            peaks.insert(0, leaf)
            size += 1
        os.lseek(self._descriptor, self._end, os.SEEK_SET)
        try:
            self._disk.write(self._descriptor, b"".join(made))
        except OSError:
            self._disk.truncate(self._descriptor, self._end)
            raise
        self._end += HASH * len(made)
        self.size, self._peaks, self.unsynced = size, peaks, True

    def cut(self, size: int) -> None:
        """Back to the first `size` leaves."""
        self._end, self.size, self.unsynced = hashes(size) * HASH, size, True
        self._disk.truncate(self._descriptor, self._end)
        self._peaks = [self.node(level, (size >> level) - 1) for level in range(size.bit_length()) if size >> level & 1]

    def node(self, level: int, index: int) -> bytes:
        """Raises IntegrityError when the file is cut short."""
        os.lseek(self._descriptor, place(level, index) * HASH, os.SEEK_SET)
        found = os.read(self._descriptor, HASH)
        if len(found) < HASH:
            raise IntegrityError(f"{self._path.name}: is cut short", file=str(self._path))
        return found

    def root(self) -> bytes:
        """Of all leaves, from memory."""
        found = merkle.EMPTY
        for number, peak in enumerate(self._peaks):
            found = merkle.node_hash(peak, found) if number else peak
        return found

    def sync(self) -> None:
        """Wait for the disk. Raises OSError."""
        if self.unsynced:
            self._disk.sync(self._descriptor)
            self.unsynced = False

    def close(self) -> None:
        os.close(self._descriptor)


def leaves_of(content: bytes) -> list[bytes]:
    """The leaf hashes of a tree file, in order."""
    count = len(content) // HASH
    found, index = [], 0
    while (at := place(0, index)) < count:
        found.append(content[at * HASH:(at + 1) * HASH])
        index += 1
    return found
