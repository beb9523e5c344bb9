"""A power cut: which states a disk may be in when what was not synced is lost, torn, zero or out of order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from tests.storage.disks import FaultyDisk, Plan

State = Literal["all kept", "unsynced lost", "torn at 512", "zero tail", "later page first", "renamed before data"]
STATES: tuple[State, ...] = get_args(State)
_SECTOR = 512


class PowerDisk(FaultyDisk):
    """Remembers of every file what was synced, and of every folder which names were."""

    def __init__(self, root: Path, plan: Plan) -> None:
        super().__init__(plan)
        self._root = root
        self._synced: dict[Path, bytes] = {path: path.read_bytes() for path in _files(root)}
        self._listed: dict[Path, bytes] = dict(self._synced)
        """Names that a power cut leaves, with what the file behind each held when it was last synced."""

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        path = self._paths[descriptor]
        self._synced[path] = path.read_bytes()
        if path in self._listed:
            self._listed[path] = self._synced[path]

    def replace(self, path: Path, target: Path) -> None:
        super().replace(path, target)
        self._synced[target] = self._synced.pop(path, b"")
        for descriptor, known in list(self._paths.items()):
            if known == path:
                self._paths[descriptor] = target

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._synced.pop(path, None)

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        for known in [one for one in self._listed if one.parent == path]:
            del self._listed[known]
        self._listed |= {one: self._synced.get(one, b"") for one in _files(path, deep=False)}

    def build(self, state: State, target: Path) -> None:
        """The folder as a power cut at this moment may leave it."""
        if state == "unsynced lost":
            found = dict(self._listed)
            found |= {path: path.read_bytes() for path in _files(self._root) if _unwatched(path)}
        else:
            found = {path: self._content(state, path) for path in _files(self._root)}
        for path, content in found.items():
            if path.is_relative_to(self._root):
                copy = target / path.relative_to(self._root)
                copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                copy.write_bytes(content)
        for folder, _, _ in os.walk(self._root):
            (target / Path(folder).relative_to(self._root)).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _content(self, state: State, path: Path) -> bytes:
        """What was written over or after what was synced is kept, lost in part, or there in another order."""
        now, synced = path.read_bytes(), self._synced.get(path, b"")
        if _unwatched(path) or state == "all kept":
            return now
        if len(now) < len(synced):
            return synced
        same = _alike(now, synced)
        end = len(now) if len(now) > len(synced) else len(now) - _alike(now[same:][::-1], synced[same:][::-1])
        torn = _TORN[state](now[same:end])
        return synced[:same] + torn + synced[same + len(torn):]


def _alike(one: bytes, other: bytes) -> int:
    """How many first bytes are the same."""
    return next((place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
                min(len(one), len(other)))


def _half(fresh: bytes) -> int:
    return len(fresh) // 2 // _SECTOR * _SECTOR


_TORN: dict[State, Callable[[bytes], bytes]] = {
    "torn at 512": lambda fresh: fresh[:_half(fresh)],
    "zero tail": lambda fresh: bytes(len(fresh)),
    "later page first": lambda fresh: bytes(_half(fresh)) + fresh[_half(fresh):],
    "renamed before data": lambda fresh: b"",
}


def _unwatched(path: Path) -> bool:
    """DuckDB writes its file itself, and syncs it at a checkpoint; between two it is left alone."""
    return path.name.startswith(("tables.duckdb", "lock"))


def _files(folder: Path, *, deep: bool = True) -> list[Path]:
    return [path for path in (folder.rglob("*") if deep else folder.glob("*")) if path.is_file()]
