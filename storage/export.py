"""Runs as files that people and other programs read: DIRECTORY/YYYY-MM-DD/RUN.json, each with its canonical bytes.

What is exported is readable by whoever has the files, and no erasure reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ruche.storage import platform
from ruche.storage.errors import ConfigurationError
from ruche.storage.model.run import Run, canonical
from ruche.storage.tenant import TenantStore
from ruche.storage.times import day_of

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PAGE: Final = 200


class Exported(NamedTuple):
    """How many files were written, and how many were there already with the same bytes."""

    written: int
    unchanged: int


def export(view: TenantStore, directory: Path, *, since_ms: int | None = None, until_ms: int | None = None,
           disk: platform.Disk | None = None) -> Exported:
    """Every run of a tenant, or those created from `since_ms` to before `until_ms`, as a file of its own.

    A file is old or new, never half. Raises ConfigurationError for an id that is no file name, and for a folder that is
    a link or somebody else's; OSError.
    """
    disk, written, unchanged = disk or platform.Disk(), 0, 0
    platform.private_directory(directory)
    for run in _runs(view, since_ms, until_ms):
        path, content = path_of(directory, run.created_ms, run.id), view.canonical_run(run.id) or canonical(run)
        platform.private_directory(path.parent)
        if path.exists() and not path.is_symlink() and path.read_bytes() == content:
            unchanged += 1
            continue
        disk.write_atomically(path, content)
        written += 1
    return Exported(written, unchanged)


def path_of(directory: Path, created_ms: int, run_id: str) -> Path:
    """Where a run belongs. Raises ConfigurationError for an id that would lead elsewhere."""
    if not _NAME.fullmatch(run_id):
        raise ConfigurationError("a run's id is no file name; it is not exported")
    return directory / day_of(created_ms) / f"{run_id}.json"


def _runs(view: TenantStore, since_ms: int | None, until_ms: int | None) -> Iterator[Run]:
    cursor: str | None = None
    while True:
        page = view.runs(since_ms=since_ms, until_ms=until_ms, oldest_first=True, limit=_PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
