"""A number beside a file: how far it was acknowledged. Written without waiting for the disk, so it may lag after a
power loss but never leads: what is bad below it is damage, above it the torn end of something nobody was told of."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final

from ruche.storage import platform

_FORM: Final = struct.Struct("<QI")


class Mark:
    """Holds its file open. A missing or damaged mark reads as 0: recovery is then less strict, not wrong."""

    def __init__(self, path: Path, disk: platform.Disk) -> None:
        self._disk = disk
        self._descriptor = disk.open(path, os.O_CREAT | os.O_RDWR)

    def read(self) -> int:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return _number(os.read(self._descriptor, _FORM.size))

    def write(self, number: int) -> None:
        """Never fails: a mark that cannot be written stays behind."""
        packed = number.to_bytes(8, "little")
        with contextlib.suppress(OSError):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._disk.write(self._descriptor, packed + zlib.crc32(packed).to_bytes(4, "little"))

    def clear(self) -> None:
        """Forget the number, durably: what it stands beside is about to be replaced."""
        self._disk.truncate(self._descriptor, 0)
        self._disk.sync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_mark(path: Path) -> int:
    """The number of a mark that somebody else writes; 0 where there is none."""
    try:
        return _number(path.read_bytes()[:_FORM.size])
    except OSError:
        return 0


def _number(content: bytes) -> int:
    if len(content) < _FORM.size:
        return 0
    number, crc = _FORM.unpack(content)
    return int(number) if crc == zlib.crc32(content[:8]) else 0
