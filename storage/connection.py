"""A DuckDB connection whose damage is told in our words: by file, and what to do. Everything else goes through.

Damage in a block shows only when the block is read, long after the file was opened. A note beside the file then makes
the next opening rebuild it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from ruche.storage.errors import IntegrityError, Unavailable

T = TypeVar("T")
_AT_ONCE: Final = 64
_DAMAGE: Final = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException,
                  duckdb.TransactionException)
"""Errors of the file, not of a statement; a block with a wrong checksum is a bare Error."""


def distrusted(path: Path) -> Path:
    """The note that a table file is not to be used again."""
    return path.with_name("tables.rebuild")


class TooLittleMemory(Unavailable):
    """What was asked for does not fit into the memory of the tables."""


class Connection:
    """What the tables use of a connection. Raises IntegrityError once the file turns out to be damaged."""

    def __init__(self, raw: duckdb.DuckDBPyConnection, path: Path, doubtful: Callable[[], bool] = lambda: False
                 ) -> None:
        """`doubtful` tells whether a checkpoint may have failed just now: then an error says nothing of the file."""
        self.raw: Any = raw
        self._path, self._doubtful = path, doubtful

    def execute(self, statement: str, values: Sequence[Any] | None = None) -> Connection:
        self._guarded(lambda: self.raw.execute(statement, values) if values is not None
                      else self.raw.execute(statement))
        return self

    def fetchall(self) -> list[Any]:
        return self._guarded(self.raw.fetchall)

    def fetchmany(self, size: int) -> list[Any]:
        return self._guarded(lambda: self.raw.fetchmany(size))

    def fetchone(self) -> Any:
        return self._guarded(self.raw.fetchone)

    def columns(self, statement: str, values: Sequence[Any]) -> dict[str, Any]:
        """The answer as one array for each column, by its name."""
        return self._guarded(lambda: self.raw.execute(statement, values).fetchnumpy())

    def appender(self, name: str) -> Appender:
        return Appender(self._guarded(lambda: self.raw.appender(name)), self._guarded)

    def roll_back(self) -> None:
        """Whatever became of the transaction."""
        with contextlib.suppress(duckdb.Error):
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        """Whoever keeps this, such as a traceback, keeps nothing of DuckDB's, which complains of that at the end."""
        with contextlib.suppress(duckdb.Error):
            self.raw.close()
        self.raw = _Closed()

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except duckdb.OutOfMemoryException as error:
            raise TooLittleMemory("the tables need more memory than they may take at present; try again",
                                  retry_after=2.0) from error
        except duckdb.Error as error:
            if not isinstance(error, _DAMAGE) and type(error) is not duckdb.Error:
                raise
            if self._doubtful():
                raise Unavailable("the tables could not be written and begin again; try again",
                                  retry_after=2.0) from error
            with contextlib.suppress(OSError):
                distrusted(self._path).touch(mode=0o600)
            raise IntegrityError(f"{self._path.name}: the table file is damaged ({type(error).__name__}); restart the "
                                 "process, which rebuilds it", file=str(self._path)) from error


class _Closed:
    """In the place of a connection that is closed."""

    def __getattr__(self, name: str) -> Any:
        raise duckdb.ConnectionException("the connection is closed")


class Appender:
    """Rows into one table."""

    def __init__(self, raw: Any, guarded: Callable[[Callable[[], Any]], Any]) -> None:
        self._raw, self._guarded = raw, guarded

    def append_rows(self, rows: Sequence[Any]) -> None:
        """In parts: DuckDB keeps the interpreter from everybody while it takes rows in, 3 us for each."""
        for start in range(0, len(rows), _AT_ONCE):
            self._guarded(partial(self._raw.append_rows, rows[start:start + _AT_ONCE]))

    def flush(self) -> None:
        self._guarded(self._raw.flush)
