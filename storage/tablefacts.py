"""What a table file says as it was at its last checkpoint, read without opening a store: for an auditor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from ruche.storage.collection import Collection, Values

_ROWS: Final = 500
Rows = Callable[[str], list[tuple[Any, ...]]]


@dataclass
class TableFacts:
    """Of logged rows: stored values, place and leaf."""

    applied: int
    lengths: dict[int, int]
    sizes: dict[int, int]
    logged: dict[tuple[int, int, str], tuple[Any, ...]] = field(default_factory=dict)
    requests: list[tuple[int, str, str, int]] = field(default_factory=list)
    """Tenant tag, message, turn (empty while unanswered), time of every request with an idempotency key."""
    waiting: set[tuple[int, str]] = field(default_factory=set)
    published: list[tuple[int, Values]] = field(default_factory=list)
    effects: dict[tuple[int, Any], Values] = field(default_factory=dict)
    """The last that is kept of every tool call, by tenant tag and key."""


def read_tables(path: Path, collections: Sequence[Collection],
                session: Callable[[int, Values], None] = lambda tag, values: None) -> TableFacts | None:
    """None for a file that was never checkpointed: the journal has everything. `session` is told of each session's
    row, with its tenant's tag; they are too many to keep. Raises duckdb.Error."""
    with duckdb.connect() as connection:
        connection.execute("ATTACH ? AS ruche (READ_ONLY)", [str(path)])
        connection.execute("USE ruche")

        def rows(statement: str) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
            return found

        if not rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'applied'"):
            return None
        facts = TableFacts(rows("SELECT sequence FROM applied")[0][0], dict(rows("SELECT day, length FROM days")),
                           dict(rows("SELECT tenant, size FROM logs")))
        for one in collections:
            if one.model.logged:
                _read_logged(facts, one, rows)
        named = {one.name: one for one in collections}
        _read_rest(facts, named, rows)
        found = connection.execute(_every(named["sessions"]))
        while part := found.fetchmany(_ROWS):
            for tag, *values in part:
                session(tag, tuple(values))
        return facts


def _read_logged(facts: TableFacts, one: Collection, rows: Rows) -> None:
    names = ", ".join(one.columns[:-1])
    for tag, key, *rest in rows(f"SELECT tenant, {one.columns[one.key]}, {names}, day, place, length, leaf "  # noqa: S608 - our own names
                                f"FROM {one.name}"):
        facts.logged[one.number, tag, key] = tuple(rest)


def _read_rest(facts: TableFacts, named: dict[str, Collection], rows: Rows) -> None:
    facts.requests = [tuple(row) for row in rows("SELECT tenant, message, turn, at_ms FROM idempotency")]
    facts.waiting = {(tag, key) for tag, key in rows("SELECT tenant, id FROM inbox")}
    facts.published = _whole(named["agents"], rows)
    effects = named["effects"]
    facts.effects = {(tag, values[effects.key]): values for tag, values in _whole(effects, rows)}


def _whole(one: Collection, rows: Rows) -> list[tuple[int, Values]]:
    return [(tag, tuple(values)) for tag, *values in rows(_every(one))]


def _every(one: Collection) -> str:
    return f"SELECT tenant, {', '.join(one.columns)} FROM {one.name}"  # noqa: S608 - our own names
