"""Disks that fail when they are told to."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ruche.storage.platform import Disk

if sys.platform != "win32":
    import fcntl


class FullDisk(Disk):
    """Has room for `room` bytes, then says ENOSPC after writing what still fits, as a real disk does."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room

    def write(self, descriptor: int, content: bytes) -> None:
        """What lies in the file already takes no more room."""
        if self.room is None:
            return super().write(descriptor, content)
        over = _written_over(descriptor)
        fits = content[:over + self.room]
        super().write(descriptor, fits)
        self.room -= max(0, len(fits) - over)
        if len(fits) < len(content):
            raise OSError(errno.ENOSPC, "no space left")

    def truncate(self, descriptor: int, size: int) -> None:
        if self.room is not None:
            self.room += max(0, os.fstat(descriptor).st_size - size)
        super().truncate(descriptor, size)


class SmallDisk(Disk):
    """Has room for `room` bytes in all files of a folder together, then says ENOSPC."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room = folder, room

    @property
    def left(self) -> int:
        return self.room - sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def write(self, descriptor: int, content: bytes) -> None:
        """What lies in the file already takes no more room."""
        fits = content[:max(0, _written_over(descriptor) + self.left)]
        super().write(descriptor, fits)
        if len(fits) < len(content):
            raise OSError(errno.ENOSPC, "no space left")

    def allocate(self, descriptor: int, size: int) -> None:
        if size - os.fstat(descriptor).st_size > self.left:
            raise OSError(errno.ENOSPC, "no space left")
        super().allocate(descriptor, size)


def _written_over(descriptor: int) -> int:
    """Bytes of the file that a write would not append to."""
    if sys.platform != "win32" and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
        return 0
    return max(0, os.fstat(descriptor).st_size - os.lseek(descriptor, 0, os.SEEK_CUR))


class FailingSync(Disk):
    """Syncs until `failing` is set."""

    failing = False

    def sync(self, descriptor: int) -> None:
        if self.failing:
            raise OSError(errno.EIO, "input/output error")
        super().sync(descriptor)


class Died(BaseException):
    """The process is dead from here on, as far as the disk is concerned. `left` closes what it left open."""

    left: Callable[[], object] | None = None


class Fault(NamedTuple):
    """What happens at one call: the process dies, or the call fails with `error`; before, in the middle, or after."""

    when: Literal["before", "half", "after"] = "before"
    error: int = 0
    kill: bool = False


Plan = Callable[[int, str], Fault | None]
"""(number of the call, its name) -> what happens at it."""


class FaultyDisk(Disk):
    """Names every call after the kind of file and what is done to it, and does to it what the plan says."""

    def __init__(self, plan: Plan = lambda number, name: None) -> None:
        self._plan, self._paths, self._dead = plan, dict[int, Path](), False
        self.calls: list[str] = []

    def open(self, path: Path, flags: int) -> int:
        descriptor: int = self._do(path, "open", lambda: super(FaultyDisk, self).open(path, flags))
        self._paths[descriptor] = path
        return descriptor

    def write(self, descriptor: int, content: bytes) -> None:
        path, half = self._paths.get(descriptor, Path("unknown")), len(content) // 2
        self._do(path, "write", lambda: super(FaultyDisk, self).write(descriptor, content),
                 lambda: super(FaultyDisk, self).write(descriptor, content[:half]))

    def sync(self, descriptor: int) -> None:
        self._do(self._paths.get(descriptor, Path("unknown")), "sync",
                 lambda: super(FaultyDisk, self).sync(descriptor))

    def truncate(self, descriptor: int, size: int) -> None:
        self._do(self._paths.get(descriptor, Path("unknown")), "truncate",
                 lambda: super(FaultyDisk, self).truncate(descriptor, size))

    def allocate(self, descriptor: int, size: int) -> None:
        self._do(self._paths.get(descriptor, Path("unknown")), "allocate",
                 lambda: super(FaultyDisk, self).allocate(descriptor, size))

    def replace(self, path: Path, target: Path) -> None:
        self._do(target, "replace", lambda: super(FaultyDisk, self).replace(path, target))

    def unlink(self, path: Path) -> None:
        self._do(path, "unlink", lambda: super(FaultyDisk, self).unlink(path))

    def sync_directory(self, path: Path) -> None:
        self._do(path, "sync", lambda: super(FaultyDisk, self).sync_directory(path))

    def revive(self) -> None:
        """Let what was left behind be closed."""
        self._plan, self._dead = lambda number, name: None, False

    def _do(self, path: Path, doing: str, work: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if self._dead:
            raise Died
        name = f"{kind_of(path)} {doing}"
        self.calls.append(name)
        fault = self._plan(len(self.calls), name)
        if fault is None:
            return work()
        if fault.when == "half" and half is not None:
            half()
        done = work() if fault.when == "after" else None
        self._fail(fault)
        return done

    def _fail(self, fault: Fault) -> None:
        if fault.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.error:
            raise OSError(fault.error, os.strerror(fault.error))
        self._dead = True
        raise Died


def kind_of(path: Path) -> str:
    """What kind of file a path is, in a word."""
    name = Path(path.name.removesuffix(".new"))
    ends = {".seg": "segment", ".snap": "snapshot", ".day": "day", ".tree": "tree", ".heads": "heads"}
    return ends.get(name.suffix) or (f"{path.parent.name}/mark" if name.name == "mark" else name.name)


def at(number: int, fault: Fault) -> Plan:
    """The fault at the call with this number."""
    return lambda call, name: fault if call == number else None
