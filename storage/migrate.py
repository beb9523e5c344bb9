"""Brings in what other programs kept as plain JSON files, and proves that it is there afterwards.

Nothing is written on a dry run; what is there already is skipped, so that it may be run again after a kill; what is
there with other content is told and left alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from ruche.storage.errors import ConfigurationError, RucheError
from ruche.storage.model.record import AnyRecord
from ruche.storage.model.run import canonical
from ruche.storage.payload import SOURCE_BYTES
from ruche.storage.store import Store
from ruche.storage.tenant import TenantStore

State = Literal["new", "same", "other"]
"""Of something in a source: not here yet, here as it is there, here with other content."""


class Problem(NamedTuple):
    """A file that could not be brought in, or not wholly, and why. `lost` is False for a remark."""

    file: str
    why: str
    lost: bool = True


class Report(NamedTuple):
    """What a migration found and did. `verified` of what is here was read back and compared by its content's hash;
    `missing` is not here, or not as it is in the source."""

    dry_run: bool
    found: dict[str, int]
    imported: dict[str, int]
    skipped: int
    conflicts: tuple[str, ...]
    problems: tuple[Problem, ...]
    verified: int
    missing: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Everything that the source has is here, or on a dry run would be."""
        return not (self.conflicts or self.missing or any(one.lost for one in self.problems))


class Item(NamedTuple):
    """One thing in a source: where it stands, what kind it is, and what it is called."""

    file: Path
    kind: str
    name: str
    document: dict[str, Any]
    remarks: tuple[str, ...] = ()


class Source(Protocol):
    """A folder that can be read in order, and whose items become records."""

    def items(self) -> Iterator[Item | Problem]: ...

    def state(self, view: TenantStore, item: Item) -> State:
        """Compares contents by their hashes."""

    def records(self, view: TenantStore | None, item: Item) -> Sequence[AnyRecord]:
        """What is to be appended for a new item; called in the order of `items`."""


def migrate(source: Source, store: Store | None, tenant: str, *, dry_run: bool = False,
            told: Callable[[int], None] = lambda done: None) -> Report:
    """Bring in what is new, then read everything back. Without a store (dry run only) everything counts as new.

    Raises StorageFull and StorageStopped; what was brought in by then stays, and the next run goes on.
    """
    if store is None and not dry_run:
        raise ConfigurationError("there is no data directory to bring this into; name it with --data")
    view = store.tenant(tenant) if store is not None else None
    found: dict[str, int] = {}
    imported: dict[str, int] = {}
    problems, conflicts, skipped = list[Problem](), list[str](), 0
    for one in source.items():
        if isinstance(one, Problem):
            problems.append(one)
            continue
        found[one.kind] = found.get(one.kind, 0) + 1
        problems += [Problem(one.file.name, why, lost=False) for why in one.remarks]
        state = source.state(view, one) if view is not None else "new"
        if state == "same":
            skipped += 1
        elif state == "other":
            conflicts.append(one.name)
        elif dry_run or store is None or _appended(store, source, view, one, problems):
            imported[one.kind] = imported.get(one.kind, 0) + 1
        told(sum(found.values()))
    verified, missing = (0, []) if dry_run or view is None else _verify(source, view)
    return Report(dry_run, found, imported, skipped, tuple(conflicts), tuple(problems), verified, tuple(missing))


def verify(source: Source, store: Store, tenant: str) -> Report:
    """Only look whether everything that the source has is here."""
    view = store.tenant(tenant)
    problems = [one for one in source.items() if isinstance(one, Problem)]
    verified, missing = _verify(source, view)
    return Report(True, {}, {}, 0, (), tuple(problems), verified, tuple(missing))


def _appended(store: Store, source: Source, view: TenantStore | None, item: Item, problems: list[Problem]) -> bool:
    """Whether it was taken; what is refused for what it is, is told."""
    try:
        store.append(source.records(view, item))
    except RucheError as error:
        if error.retryable or error.status >= 500:
            raise
        problems.append(Problem(item.file.name, error.message))
        return False
    return True


def _verify(source: Source, view: TenantStore) -> tuple[int, list[str]]:
    verified, missing = 0, list[str]()
    for one in source.items():
        if isinstance(one, Problem):
            continue
        if source.state(view, one) == "same":
            verified += 1
        else:
            missing.append(one.name)
    return verified, missing


def read_document(path: Path) -> dict[str, Any] | Problem:
    """One JSON object from a file, or what is wrong with it."""
    if path.is_symlink() or not path.is_file():
        return Problem(path.name, "is a link or no file; only real files are read")
    if path.stat().st_size > SOURCE_BYTES:
        return Problem(path.name, f"has more than {SOURCE_BYTES} bytes")
    try:
        found = json.loads(path.read_bytes(), parse_constant=_refuse, parse_float=_finite,
                           parse_int=_whole)
        canonical(found)
    except (ValueError, OverflowError, RecursionError, OSError) as error:
        return Problem(path.name, f"is not JSON that can be read ({type(error).__name__})")
    if not isinstance(found, dict):
        return Problem(path.name, "does not hold a JSON object")
    return found


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"{text} is no JSON number that can be kept")
    return found


def _whole(text: str) -> int:
    found = int(text)
    if not -(1 << 63) <= found < 1 << 64:
        raise ValueError(f"{text[:20]}... is too large a number to be kept")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
