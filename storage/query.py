"""What is asked of the tables: comparisons of stored columns, order, and how many rows. Never text."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Operator = Literal["=", "<", "<=", ">", ">="]


class Condition(NamedTuple):
    """A comparison of a stored column with a stored value."""

    column: int
    operator: Operator
    value: Any


class Query(NamedTuple):
    """What to look for in one collection: conditions, order, where to go on, how many."""

    conditions: tuple[Condition, ...] = ()
    order: tuple[int, ...] = ()
    descending: bool = False
    after: tuple[Any, ...] | None = None
    limit: int = 1000

    @classmethod
    def of(cls, column: int, value: Any) -> Query:
        """Rows whose column has this stored value."""
        return cls((Condition(column, "=", value),))
