"""Space held back on the disk for the last words of turns that were already accepted."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ruche.storage import platform

_LEAST: Final = 4096


class Reserve:
    """One file of so many bytes; 0 holds nothing back."""

    def __init__(self, path: Path, size: int, disk: platform.Disk) -> None:
        self._path, self._size, self._disk = path, size, disk
        self.restore()

    def restore(self) -> None:
        """Hold the space again; what there is of it, where there is not room for all."""
        held, size = self._held(), self._size
        while size > held and size >= min(_LEAST, self._size):
            if self._hold(size):
                return
            size //= 2

    def release(self) -> bool:
        """Give the space to the file system; False when there was none left."""
        try:
            self._disk.unlink(self._path)
        except OSError:
            return False
        return True

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _hold(self, size: int) -> bool:
        """Make the file this large; where that fails it is as before, or gone if there was none."""
        held = self._held()
        try:
            descriptor = self._disk.open(self._path, os.O_CREAT | os.O_WRONLY)
        except OSError:
            return False
        try:
            self._disk.allocate(descriptor, size)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.truncate(descriptor, held)
                if not held:
                    self._disk.unlink(self._path)
            return False
        finally:
            os.close(descriptor)
        return True
