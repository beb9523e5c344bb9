"""Disks that fail when they are told to."""

from __future__ import annotations

import errno
import os

from ruche.storage.platform import Disk


class FullDisk(Disk):
    """Has room for `room` bytes, then says ENOSPC after writing what still fits, as a real disk does."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room

    def write(self, descriptor: int, content: bytes) -> None:
        if self.room is None:
            return super().write(descriptor, content)
        fits = content[:self.room]
        super().write(descriptor, fits)
        self.room -= len(fits)
        if len(fits) < len(content):
            raise OSError(errno.ENOSPC, "no space left")

    def truncate(self, descriptor: int, size: int) -> None:
        if self.room is not None:
            self.room += max(0, os.fstat(descriptor).st_size - size)
        super().truncate(descriptor, size)


class FailingSync(Disk):
    """Syncs until `failing` is set."""

    failing = False

    def sync(self, descriptor: int) -> None:
        if self.failing:
            raise OSError(errno.EIO, "input/output error")
        super().sync(descriptor)
