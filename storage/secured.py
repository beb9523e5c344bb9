"""The only door to stored rows: a handle is bound to one tenant, one collection and one role, and asks in filters.

There is no query text, and a handle leads to no connection, file or key: it holds the door's closures.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, get_args

import msgspec

from ruche.storage.collection import Collection, Values
from ruche.storage.errors import Erased, RucheError
from ruche.storage.fields import Protection, Stored
from ruche.storage.keyring import Keyring, Tenant
from ruche.storage.overlay import Overlay
from ruche.storage.policy import Policies, Role
from ruche.storage.query import Condition, Operator, Query
from ruche.storage.tables import Tables

T = TypeVar("T")
Row = dict[str, Any]
"""A row's clear and opened fields by name; only the clear ones where the person was erased."""


class Filter(NamedTuple):
    """A field compared with a plain value; the door hashes and tokenises it. Only unsealed fields can be asked."""

    field: str
    operator: Operator
    value: Any


class Page(NamedTuple, Generic[T]):
    """Part of a list; `next_cursor` goes on where it ends, None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class BadCursor(RucheError):
    """A cursor that no list gave out."""

    code, status = "BAD_CURSOR", 400


class Handle:
    """A capability: read one collection of one tenant. Another tenant's rows are unknown to it."""

    __slots__ = ("_find", "_get", "_lacks")

    def __init__(self, get: Callable[[Any], Row | None], find: Callable[..., list[tuple[Row, bool]]],
                 lacks: Callable[[str, Any], bool]) -> None:
        self._get, self._find, self._lacks = get, find, lacks

    def lacks(self, field: str, value: Any) -> bool:
        """True when surely no row of the tenant has this value in its key or a lookup field; False when that is not
        known without looking. Any thread; never waits for the disk."""
        return self._lacks(field, value)

    def get(self, key: Any) -> Row | None:
        """The row with this key, None when the tenant has none. Raises Erased for what remains of an erased person."""
        return self._get(key)

    def find(self, *filters: Filter, order: Sequence[str] = (), descending: bool = False, after: str | None = None,
             limit: int = 1000, erased: bool = False) -> list[Row]:
        """At most `limit` rows that meet every filter, in order; `after` is a cursor made from a row. Of erased persons
        there are none, with `erased` their clear fields."""
        found = self._find(filters, tuple(order), descending, after, limit)
        return [row for row, readable in found if readable or erased]

    def page(self, *filters: Filter, order: Sequence[str], descending: bool = True, cursor: str | None = None,
             limit: int = 20) -> tuple[list[Row], str | None]:
        """At most `limit` rows and the cursor of the next page. `order` must name fields that never change. Where
        persons were erased a page has fewer rows."""
        found = self._find(filters, tuple(order), descending, cursor, limit + 1)
        rows = [row for row, readable in found[:limit] if readable]
        more = len(found) > limit
        return rows, make_cursor([found[limit - 1][0][name] for name in order]) if more else None


class Door:
    """Makes handles. Reads look at the overlay first and then at the tables, as one consistent view."""

    def __init__(self, collections: Sequence[Collection], overlay: Overlay, tables: Tables, keyring: Keyring,
                 policies: Policies, lock: threading.RLock, check: Callable[[], None]) -> None:
        self._by_model = {collection.model: collection for collection in collections}
        self._overlay, self._tables, self._keyring = overlay, tables, keyring
        self._policies, self._lock, self._check = policies, lock, check

    def handle(self, tenant: str, model: type[Stored], role: Role = "reader") -> Handle:
        """Raises PolicyViolation unless the model's policy allows the role."""
        self._policies.allow(model, role)
        collection, named = self._by_model[model], self._keyring.tenant
        overlay, tables, opener, policies = self._overlay, self._tables, self._keyring.opener, self._policies
        lock, check = self._lock, self._check

        def get(key: Any) -> Row | None:
            check()
            owner = named(tenant)
            with lock:
                values = _row(collection, owner, key, overlay, tables)
            try:
                return None if values is None else collection.reveal(values, owner, opener)
            except Erased:
                if collection.model.remains:
                    raise
                return None

        def find(filters: Sequence[Filter], order: tuple[str, ...], descending: bool, after: str | None,
                 limit: int) -> list[tuple[Row, bool]]:
            check()
            owner = named(tenant)
            query = _query(collection, owner, policies, filters, order, descending, after, limit)
            earlier = _earlier(collection, owner, query, filters)
            with lock:
                found = _merged(collection, owner.tag, query, overlay, tables)
                if earlier is not None:
                    found = _ordered(found + _merged(collection, owner.tag, earlier, overlay, tables), query)
            return [shown(values, owner) for values in found]

        def lacks(field: str, value: Any) -> bool:
            check()
            owner, column = named(tenant), collection.columns.index(field)
            stored = collection.stored(collection.fields[column], value, owner)
            return (owner.before is None and not overlay.knows(collection.number, owner.tag, column, stored)
                    and tables.lacks(collection, column, stored))

        def shown(values: Values, owner: Tenant) -> tuple[Row, bool]:
            try:
                return collection.reveal(values, owner, opener), True
            except Erased:
                return collection.clear(values), False

        return Handle(get, find, lacks)

    def content_key(self, tenant: str) -> bytes:
        """What the content hashes of a tenant's runs are keyed with."""
        return self._keyring.content_key(tenant)

    def meter(self, tenant: str, model: type[Stored]) -> Callable[[], int]:
        """Asks how many bytes a tenant's rows take in the day files; the model must be one that is kept there."""
        self._policies.allow(model, "reader")
        collection, tag, tables, lock, check = (
            self._by_model[model], self._keyring.tenant(tenant).tag, self._tables, self._lock, self._check)

        def measure() -> int:
            check()
            with lock:
                return tables.outside_bytes(collection, tag)

        return measure


def make_cursor(values: Sequence[Any]) -> str:
    """The opaque text of a position in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(values))).decode().rstrip("=")


def read_cursor(text: str, fields: int) -> tuple[Any, ...]:
    """Raises BadCursor for anything that make_cursor did not make for a list of this order."""
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.DecodeError):
        values = None
    if not isinstance(values, list) or len(values) != fields or not all(type(one) in (str, int) for one in values):
        raise BadCursor("the cursor is not one that this list gave; start again without it")
    return tuple(values)


def _row(collection: Collection, owner: Tenant, key: Any, overlay: Overlay, tables: Tables) -> Values | None:
    """The row with a key; while the user-hash key is being replaced, also one that is kept under the hash before."""
    field, asked = collection.fields[collection.key], owner
    while True:
        stored = collection.stored(field, key, asked)
        kept = overlay.get(collection.number, (owner.tag, stored))
        values = kept.values if kept is not None else tables.get(collection, owner.tag, stored)
        if values is not None or kept is not None or asked.before is None or field.protection is not Protection.HASH:
            return values
        asked = asked.before


def _earlier(collection: Collection, owner: Tenant, query: Query, filters: Sequence[Filter]) -> Query | None:
    """The query by the user-hash key that is being replaced, None when there is none or no person is asked for."""
    if owner.before is None:
        return None
    hashed = {collection.columns.index(one.field): one.value for one in filters
              if collection.by_name[one.field].protection is Protection.HASH}
    if not hashed:
        return None
    return query._replace(conditions=tuple([
        one if one.column not in hashed
        else one._replace(value=collection.stored(collection.fields[one.column], hashed[one.column], owner.before))
        for one in query.conditions]))


def _query(collection: Collection, tenant: Tenant, policies: Policies, filters: Sequence[Filter],
           order: tuple[str, ...], descending: bool, after: str | None, limit: int) -> Query:
    names = collection.columns
    for name in (*order, *(one.field for one in filters)):
        field = collection.by_name.get(name)
        if field is None:
            raise policies.violation(f"{collection.name} was asked for a field that it does not have")
        if field.protection.sealed:
            raise policies.violation(f"{collection.name}.{name} cannot be asked for: it is sealed")
    conditions = []
    for one in filters:
        field = collection.by_name[one.field]
        if one.operator not in get_args(Operator) or (
                one.operator != "=" and field.protection in (Protection.HASH, Protection.TOKEN)):
            raise policies.violation(f"{collection.name}.{one.field} can be asked for by equality only")
        conditions.append(Condition(names.index(one.field), one.operator,
                                    collection.stored(field, one.value, tenant)))
    position = read_cursor(after, len(order)) if after is not None else None
    if position is not None and any(type(value) is not collection.by_name[name].kind
                                    for name, value in zip(order, position, strict=True)):
        raise BadCursor("the cursor is not one that this list gave; start again without it")
    return Query(tuple(conditions), tuple([names.index(name) for name in order]), descending, position, limit)


def stored_rows(collection: Collection, tag: int, field: str, value: Any, overlay: Overlay,
                tables: Tables) -> list[Values]:
    """Rows of a tenant whose field has this stored value, or with no field all, as they are stored: for the store
    itself, under its lock."""
    asked = (Condition(collection.columns.index(field), "=", value),) if field else ()
    query = Query(asked, limit=1_000_000)
    return _merged(collection, tag, query, overlay, tables)


def _merged(collection: Collection, tag: int, query: Query, overlay: Overlay, tables: Tables) -> list[Values]:
    lookup = next(((one.column, one.value) for one in query.conditions
                   if one.operator == "=" and one.column in collection.lookups), None)
    return _ordered(_as_now(collection, tag, query, lookup, overlay, tables), query)


def _ordered(rows: list[Values], query: Query) -> list[Values]:
    if query.order:
        rows.sort(key=lambda values: [values[column] for column in query.order], reverse=query.descending)
    return rows[:query.limit]


def _as_now(collection: Collection, tag: int, query: Query, lookup: tuple[int, Any] | None, overlay: Overlay,
            tables: Tables) -> list[Values]:
    """Rows that meet the query: those of the tables that have not changed since, and the changed ones."""
    while True:
        waiting = 0 if collection.model.once else overlay.count(collection.number)
        found = tables.find(collection, tag, query._replace(limit=query.limit + waiting))
        changed, kept = overlay.over(collection.number, tag, lookup, found)
        if len(found) - len(kept) <= waiting:  # else rows changed meanwhile, and too few were asked for
            return [values for values in changed if _meets(values, query)] + kept


def _meets(values: Values, query: Query) -> bool:
    for column, operator, wanted in query.conditions:
        if not _compare(values[column], operator, wanted):
            return False
    if query.after is None:
        return True
    return _compare(tuple([values[column] for column in query.order]), "<" if query.descending else ">", query.after)


def _compare(left: Any, operator: Operator, right: Any) -> bool:
    match operator:
        case "=":
            return bool(left == right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)
