"""A file system of its own that a test fills up, where one may be mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 megabytes where one may be mounted; else the folder itself, on whatever disk it is."""
    mount = shutil.which("mount")
    mounted = mount is not None and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(folder)], check=False,
        capture_output=True).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def is_small(folder: Path) -> bool:
    """Whether a folder is a file system of its own that fills up soon."""
    return os.path.ismount(folder)


def fill_up(path: Path, room: int) -> None:
    """Take all the space but for so many bytes."""
    free = os.statvfs(path.parent)
    path.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room)))
