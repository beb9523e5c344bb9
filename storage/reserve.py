"""Space held back on the disk for the last words of turns that were already accepted."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ruche.storage import platform


class Reserve:
    """One file of so many bytes; 0 holds nothing back."""

    def __init__(self, path: Path, size: int, disk: platform.Disk) -> None:
        self._path, self._size, self._disk = path, size, disk
        self.restore()

    def restore(self) -> None:
        """Hold the space again; without room for it there is none, which is what `release` then says."""
        if self._size <= 0 or self._path.exists():
            return
        try:
            descriptor = self._disk.open(self._path, os.O_CREAT | os.O_WRONLY)
        except OSError:
            return
        try:
            self._disk.allocate(descriptor, self._size)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.unlink(self._path)
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the space to the file system; False when there was none left."""
        try:
            self._disk.unlink(self._path)
        except OSError:
            return False
        return True
