"""What was appended and is not in the tables yet, row by row, so that reads see everything appended."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from ruche.storage.collection import Collection, Values

Address = tuple[int, Any]
"""Tenant tag and stored key of a row."""
Lookup = tuple[int, int, Any]
"""Column number, tenant tag and stored value."""


class Change(NamedTuple):
    """One row put (`values`) or removed (None), as a journal frame carries it."""

    collection: int
    tag: int
    key: Any
    values: Values | None


class Kept(NamedTuple):
    sequence: int
    values: Values | None


class Overlay:
    """Rows by table and key, with the equality lookups that their models declare. Safe in any thread."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = collections
        self._found_by = [itemgetter(*one.lookups) if one.lookups else None for one in collections]
        self._rows: list[dict[Address, Kept]] = [{} for _ in collections]
        self._lookups: list[dict[Lookup, set[Address]]] = [{} for _ in collections]
        self._lock = threading.Lock()

    def add(self, sequence: int, changes: Iterable[Change]) -> None:
        with self._lock:
            for change in changes:
                self._put((change.tag, change.key), change.collection, Kept(sequence, change.values))

    def drop(self, through: int, changes: Iterable[Change]) -> None:
        """Let go of rows that the tables hold now, unless they changed again after `through`."""
        with self._lock:
            for change in changes:
                address = (change.tag, change.key)
                kept = self._rows[change.collection].get(address)
                if kept is not None and kept.sequence <= through:
                    self._unlink(address, change.collection, kept)
                    del self._rows[change.collection][address]

    def get(self, collection: int, address: Address) -> Kept | None:
        """None when the tables have the last word; `values` None when the row was removed."""
        return self._rows[collection].get(address)

    def count(self, collection: int) -> int:
        """Rows of all tenants that the tables must not answer for."""
        return len(self._rows[collection])

    def knows(self, collection: int, tag: int, column: int, value: Any) -> bool:
        """Whether a row of the tenant, or one that was removed, has this value as its key or in a lookup column;
        without the lock."""
        return ((tag, value) in self._rows[collection] if column == self._collections[collection].key
                else (column, tag, value) in self._lookups[collection])

    def over(self, collection: int, tag: int, lookup: tuple[int, Any] | None, found: list[Values]
             ) -> tuple[list[Values], list[Values]]:
        """Rows of a tenant, with `lookup` (column number, value) only those; and what of the tables' rows still holds.

        Both at one moment, so that a row that changes just now is in one of them.
        """
        key = self._collections[collection].key
        with self._lock:
            rows = self._rows[collection]
            kept = [values for values in found if (tag, values[key]) not in rows]
            return self._changed(collection, tag, lookup), kept

    def _changed(self, collection: int, tag: int, lookup: tuple[int, Any] | None) -> list[Values]:
        rows = self._rows[collection]
        if lookup is None:
            return [kept.values for (owner, _), kept in rows.items() if owner == tag and kept.values is not None]
        found = self._lookups[collection].get((lookup[0], tag, lookup[1]), ())
        return [values for address in found if (values := rows[address].values) is not None]

    def _put(self, address: Address, collection: int, kept: Kept) -> None:
        """A value that stays is never missing meanwhile: `knows` asks without the lock."""
        before, found_by = self._rows[collection].get(address), self._found_by[collection]
        self._rows[collection][address] = kept
        if found_by is None or (before is not None and before.values is not None and kept.values is not None
                                and found_by(before.values) == found_by(kept.values)):
            return
        names, lookups = self._names(address, collection, kept), self._lookups[collection]
        for name in names:
            found = lookups.get(name)
            if found is None:
                lookups[name] = {address}
            else:
                found.add(address)
        if before is not None:
            self._unlink(address, collection, before, names)

    def _unlink(self, address: Address, collection: int, kept: Kept, but: Sequence[Lookup] = ()) -> None:
        lookups = self._lookups[collection]
        for name in self._names(address, collection, kept):
            found = lookups.get(name)
            if found is not None and name not in but:
                found.discard(address)
                if not found:
                    del lookups[name]

    def _names(self, address: Address, collection: int, kept: Kept) -> list[Lookup]:
        values = kept.values
        if values is None:
            return []
        return [(column, address[0], values[column]) for column in self._collections[collection].lookups]
