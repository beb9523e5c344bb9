"""The audit log of every tenant: a plain RFC 9162 Merkle tree over its runs, advisories and erasures.

Leaves are appended when journalled records are applied, in the order of the journal, never on a turn's path. The trees
are derived: a lost one is rebuilt from the day segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ruche.storage import platform
from ruche.storage.entries import Order
from ruche.storage.errors import StorageStopped
from ruche.storage.treefile import HASH, TreeFile, hashes

_OPEN_TREES: Final = 64


class AuditLog:
    """One writer, under the store's lock. Leaves are staged, then written together, or taken back."""

    def __init__(self, directory: Path, *, disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._disk = directory, disk or platform.Disk()
        self._sizes: dict[int, int] = {}
        self._trees: dict[int, TreeFile] = {}
        self._staged: dict[int, list[bytes]] = {}
        self._before: dict[int, int] = {}

    def begin(self, sizes: dict[int, int]) -> bool:
        """Say how many leaves each tree has; False when a file holds fewer, and `rebuild` is needed."""
        self._close_trees()
        self._sizes = dict(sizes)
        return all(self._path(tag).exists() and self._path(tag).stat().st_size >= hashes(size) * HASH
                   for tag, size in sizes.items() if size)

    def rebuild(self, leaves: Iterable[tuple[Order, int, bytes]]) -> dict[Order, int]:
        """Make every tree anew from (order, tenant tag, leaf), however they come; gives each leaf's index by its order.
        Raises OSError."""
        self.begin({})
        indexes: dict[Order, int] = {}
        by_tenant: dict[int, list[tuple[Order, bytes]]] = {}
        for order, tag, leaf in leaves:
            by_tenant.setdefault(tag, []).append((order, leaf))
        for tag, found in by_tenant.items():
            tree = self.tree(tag)
            tree.append(leaf for _, leaf in sorted(found))
            self._sizes[tag] = tree.size
            indexes.update((order, index) for index, (order, _) in enumerate(sorted(found)))
        self.sync()
        return indexes

    # --- growing ---------------------------------------------------------------------------------------------

    def stage(self, tag: int, leaf: bytes) -> int:
        """The index that the leaf will have."""
        staged = self._staged.setdefault(tag, [])
        staged.append(leaf)
        return self._sizes.get(tag, 0) + len(staged) - 1

    def write(self) -> list[tuple[int, int]]:
        """Append what is staged; gives tag and new size of every tree that grew. Raises StorageFull, StorageStopped."""
        try:
            for tag, leaves in self._staged.items():
                tree = self.tree(tag)
                self._before[tag] = tree.size
                tree.append(leaves)
                self._sizes[tag] = tree.size
        except OSError as error:
            raise platform.disk_error(error, "writing the audit log") from error
        return [(tag, self._sizes[tag]) for tag in self._staged]

    def kept(self) -> None:
        """What was written stays."""
        self._staged.clear()
        self._before.clear()

    def undo(self) -> None:
        """Take back what was staged or written since `kept`."""
        for tag in self._staged:
            tree = self._trees.get(tag)
            before = self._before.get(tag)
            if tree is not None and before is not None:
                tree.cut(before)
                self._sizes[tag] = before
        self._staged.clear()
        self._before.clear()

    # --- reading ---------------------------------------------------------------------------------------------

    def size(self, tag: int) -> int:
        return self._sizes.get(tag, 0)

    def sizes(self) -> dict[int, int]:
        """Leaves by tenant tag."""
        return dict(self._sizes)

    def tree(self, tag: int) -> TreeFile:
        """Raises IntegrityError when its file is cut short."""
        tree = self._trees.get(tag)
        if tree is None:
            tree = self._trees[tag] = TreeFile(self._path(tag), self._sizes.get(tag, 0), self._disk)
        return tree

    # --- the disk --------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Wait for the disk. Raises StorageStopped; nothing is written after that."""
        fresh = [tree for tree in self._trees.values() if tree.unsynced]
        try:
            for tree in fresh:
                tree.sync()
        except OSError as error:
            raise StorageStopped("storage stopped: a sync of the audit log failed; restart the process") from error
        if fresh:
            self._disk.sync_directory(self._directory)
        while len(self._trees) > _OPEN_TREES:
            self._trees.pop(next(iter(self._trees))).close()

    def close(self) -> None:
        self._close_trees()

    def _close_trees(self) -> None:
        for tree in self._trees.values():
            tree.close()
        self._trees.clear()
        self._staged.clear()
        self._before.clear()

    def _path(self, tag: int) -> Path:
        return self._directory / f"{tenant_name(tag)}.tree"


def tenant_name(tag: int) -> str:
    """A tenant's tag as files and checkpoints name it: 16 hexadecimal digits."""
    return f"{tag % (1 << 64):016x}"


def tenant_tag(name: str) -> int:
    """The inverse. Raises ValueError."""
    number = int(name, 16)
    return number - (1 << 64) if number >> 63 else number
