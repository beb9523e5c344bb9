"""What differs between Linux, macOS and Windows: durable sync, locks, permissions. Nothing else asks for the host."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ruche.storage.errors import ConfigurationError, DataLocked, StorageFull, StorageStopped

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_BINARY = getattr(os, "O_BINARY", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def sync_data(descriptor: int) -> None:
    """Return once the file's bytes are on the disk itself. Raises OSError; then nothing is known about them."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform == "win32":
        os.fsync(descriptor)  # FlushFileBuffers
    else:
        os.fdatasync(descriptor)


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in a directory durable; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | _CLOSE_ON_EXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(path: Path, flags: int) -> int:
    """Open a file for the owner alone (0600), never through a symlink, not inherited by children."""
    return os.open(path, flags | _BINARY | _CLOSE_ON_EXEC | _NO_FOLLOW, 0o600)


def private_directory(path: Path) -> None:
    """Make the directory 0700, or refuse it: a symlink, another owner, or not a directory is ConfigurationError."""
    if not path.is_symlink() and not path.exists():
        path.mkdir(mode=0o700, parents=True)
    check_private(path)
    if sys.platform != "win32":
        path.chmod(0o700)


def check_private(path: Path) -> None:
    """Refuse a symlink and, where owners exist, anything that belongs to somebody else."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise ConfigurationError(f"{path} is a symbolic link; the data directory must hold real files and folders")
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise ConfigurationError(f"{path} belongs to user {found.st_uid}; make it belong to the user that runs ruche")


def check_tree(root: Path) -> None:
    """check_private for everything under `root`; files that others could read are set to 0600."""
    for folder, folders, files in os.walk(root):
        for name in folders:
            check_private(Path(folder, name))
        for name in files:
            path = Path(folder, name)
            check_private(path)
            if sys.platform != "win32" and stat.S_IMODE(path.lstat().st_mode) & 0o077:
                path.chmod(0o600)


def memory_mb() -> int:
    """Physical memory in MB; 4,096 where the system does not tell, and at least that."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
    except (AttributeError, ValueError, OSError):
        found = 0
    return max(found, 4096)


_seeking = threading.Lock()


def read_at(file: IO[bytes], at: int, size: int) -> bytes:
    """Bytes of an unbuffered file from a place on; any thread, where others read it too."""
    if hasattr(os, "pread") and isinstance(file, io.FileIO):
        return os.pread(file.fileno(), size, at)
    with _seeking:
        file.seek(at)
        return file.read(size)


def write_all(descriptor: int, content: bytes) -> None:
    """os.write until everything is written."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view):]


def disk_error(error: OSError, doing: str) -> StorageFull | StorageStopped:
    """What to raise: a full disk or file table is waited out, anything else needs a restart."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("the disk is full; free some space", retry_after=5.0)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StorageFull("too many files are open; raise the limit of open files", retry_after=5.0)
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return StorageStopped(f"storage stopped: {doing} failed ({name}); restart the process")


class Disk:
    """Every call that changes files; handed in, so that a test can make any of them fail, or be the last one.

    All raise OSError. What is written to is named by the path that it was opened with.
    """

    def open(self, path: Path, flags: int) -> int:
        return open_private(path, flags)

    def write(self, descriptor: int, content: bytes) -> None:
        write_all(descriptor, content)

    def sync(self, descriptor: int) -> None:
        sync_data(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        """Make the file this large, with its space taken."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            self.write(descriptor, bytes(size))

    def replace(self, path: Path, target: Path) -> None:
        path.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        sync_directory(path)

    def write_atomically(self, path: Path, content: bytes | Iterable[bytes]) -> None:
        """Old content or new, never a mixture, also after a power loss; on OSError the old file is left. What comes in
        pieces is written piece by piece."""
        temporary = path.with_name(path.name + ".new")
        if temporary.exists():
            self.unlink(temporary)
        descriptor = self.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            for piece in [content] if isinstance(content, bytes) else content:
                self.write(descriptor, piece)
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        self.replace(temporary, path)
        self.sync_directory(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Old content or new, never a mixture, also after a power loss. Raises OSError and leaves the old file."""
    Disk().write_atomically(path, content)


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """Files made by libraries meanwhile are for the owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


class DirectoryLock:
    """One process at a time per data directory; the kernel frees it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = open_private(path, os.O_CREAT | os.O_RDWR)
        try:
            _lock(self._descriptor)
        except OSError:
            holder = os.pread(self._descriptor, 32, 1).decode("ascii", "replace").strip() \
                if hasattr(os, "pread") else ""
            os.close(self._descriptor)
            raise DataLocked(f"{path.parent} is in use by process {holder or 'unknown'}; stop it, or choose another "
                             "data directory", pid=int(holder) if holder.isdigit() else None) from None
        os.ftruncate(self._descriptor, 1)
        os.lseek(self._descriptor, 1, os.SEEK_SET)  # byte 0 is the locked one; Windows denies reading it
        write_all(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
