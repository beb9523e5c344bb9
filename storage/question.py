"""A query of one table as DuckDB takes it. Only parameters carry values; names are our own."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ruche.storage.collection import Collection
from ruche.storage.query import Query
from ruche.storage.reading import tabled
from ruche.storage.tablefile import SEAT

_FEW: Final = 64
"""Seats that are named one by one; more are joined."""


class Question(NamedTuple):
    """What stands after SELECT, and the values of its parameters."""

    rest: str
    values: list[Any]

    @classmethod
    def of(cls, collection: Collection, tag: int | None, query: Query, seats: list[int] | None) -> Question:
        """`seats` are those of every row that may meet the query, None when they are not known."""
        texts, values = _seated(seats)
        if tag is not None:
            texts.append("tenant = ?")
            values.append(tag)
        for condition in query.conditions:
            texts.append(f"{collection.columns[condition.column]} {condition.operator} ?")
            values.append(condition.value)
        names = [collection.columns[column] for column in query.order]
        if query.after is not None:
            texts.append(f"({', '.join(names)}) {'<' if query.descending else '>'} ({', '.join('?' * len(names))})")
            values.extend(query.after)
        direction = " DESC" if query.descending else ""
        order = f"ORDER BY {', '.join(name + direction for name in names)} " if names else ""
        return cls(f"FROM {collection.name} WHERE {' AND '.join(texts) or 'true'} {order}LIMIT ?",
                   [*values, query.limit])

    def chosen(self, names: str) -> tuple[str, list[Any]]:
        """The statement that gives these columns, and its values."""
        return f"SELECT {names} {self.rest}", self.values


def names_of(collection: Collection) -> str:
    """The columns of a collection that its table has."""
    return ", ".join([field.name for field in tabled(collection)])


def _seated(seats: list[int] | None) -> tuple[list[str], list[Any]]:
    """Numbers of our own stand in the text, where the database can compare them with its bounds."""
    if seats is None:
        return [], []
    if len(seats) <= _FEW:
        return [f"{SEAT} = {seats[0]}" if len(seats) == 1 else f"{SEAT} IN ({', '.join(map(str, seats))})"], []
    return [f"{SEAT} BETWEEN {min(seats)} AND {max(seats)}",
            f"{SEAT} IN (SELECT unnest(?::BIGINT[]))"], [seats]
