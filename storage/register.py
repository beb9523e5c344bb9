"""Where rows lie by a value of theirs: what a database keeps in an index, in bounded memory.

A register belongs to one process and is filled anew when the tables are opened. Entries are 64 bits of a value and the
seat of a row; a seat that is given may hold another row, or none any more: whoever asks looks at the row itself.
What was added last is in a dictionary, the rest in sorted pages of nameless files, so that a look-up reads a page of
4 KB for each of a logarithmic number of runs. Where no file can be written, runs stay in memory.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from ruche.storage.platform import read_at

Numbers = NDArray[np.int64]
Choose = Callable[[Numbers], NDArray[np.bool_]]
"""Which of the seats hold a row."""

TAIL: Final = 8192
"""Entries that are kept in the dictionary: about 1 MB."""
_PAGE: Final = 256
"""Entries of a page."""
_PAGE_BYTES: Final = 2 * 8 * _PAGE
_FAN: Final = 4
"""Runs of a size that are made one."""
_NONE: Final = np.iinfo(np.int64).max


class Register:
    """One column's values. One thread at a time adds and tidies, any thread asks: what was added before is found."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._tail: dict[int, int | list[int]] = {}
        self._count = 0
        self._runs: tuple[_Run, ...] = ()

    def __len__(self) -> int:
        """Entries, with those of rows that are gone and were not tidied away yet."""
        return self._count + sum(run.count for run in self._runs)

    def add(self, number: int, seat: int, lives: Callable[[int], bool] | None = None) -> None:
        """Note a row; where rows may go, what the tail holds of this value and is gone gives way to it."""
        before = self._tail.get(number)
        self._count += 1
        if before is None:
            self._tail[number] = seat
        elif lives is None and isinstance(before, list):
            before.append(seat)
        else:
            kept = [one for one in _several(before) if lives is None or lives(one)]
            self._count -= len(_several(before)) - len(kept)
            self._tail[number] = [*kept, seat] if kept else seat

    def fill(self, numbers: Numbers, seats: Numbers) -> None:
        """Note many rows at once, as when the tables are opened."""
        if numbers.size:
            self._runs = (*self._runs, _Run(numbers, seats, self._scratch))

    def seats(self, number: int) -> Iterator[int]:
        """Seats whose rows may have this value, the newest first."""
        tail = self._tail
        runs = self._runs  # after the tail, which spills into them
        yield from _several(tail.get(number, ()))[::-1]
        for run in reversed(runs):
            yield from run.seats(number)

    def spill(self, living: Choose) -> None:
        """Put a full tail into a run; takes about 3 ms."""
        if self._count < TAIL:
            return
        numbers, seats = self._spilled()
        kept = living(seats)
        self.fill(numbers[kept], seats[kept])  # before they leave the tail: another thread may be looking
        self._tail, self._count = {}, 0

    def everything(self) -> tuple[Numbers, Numbers]:
        """Numbers and seats of all that was noted."""
        parts = [*(run.content() for run in self._runs), self._spilled()]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def crowded(self) -> tuple[_Run, ...]:
        """Runs that should become one: the newest ones, of about one size. Empty when there are few."""
        if len(self._runs) < _FAN:
            return ()
        size, found = 0, 0
        for run in reversed(self._runs):
            if found >= _FAN - 1 and run.count > max(size, TAIL):
                break
            size, found = size + run.count, found + 1
        return self._runs[-found:] if found >= _FAN else ()

    def replace(self, old: tuple[_Run, ...], new: _Run) -> None:
        """Put what was merged in the place of what it was merged from."""
        at = self._runs.index(old[0])
        self._runs = (*self._runs[:at], *((new,) if new.count else ()), *self._runs[at + len(old):])

    def merged(self, contents: Iterable[tuple[Numbers, Numbers]], living: Choose) -> _Run:
        """One run of several runs' contents, without what is gone; needs no lock."""
        parts = list(contents)
        numbers, seats = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        kept = living(seats)
        return _Run(numbers[kept], seats[kept], self._scratch)

    def _spilled(self) -> tuple[Numbers, Numbers]:
        """What is in the dictionary."""
        pairs = [(number, seat) for number, held in self._tail.items() for seat in _several(held)]
        numbers, seats = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return numbers, seats

    def close(self) -> None:
        for run in self._runs:
            run.close()
        self._runs, self._tail, self._count = (), {}, 0


class _Run:
    """Sorted entries in pages of 256 numbers followed by their seats; the first number of each page is in memory."""

    def __init__(self, numbers: Numbers, seats: Numbers, scratch: Path) -> None:
        order = np.argsort(numbers, kind="stable")
        self.count = int(numbers.size)
        pages = -(-self.count // _PAGE)
        laid = np.full((2, pages * _PAGE), _NONE, dtype=np.int64)
        laid[0, :self.count], laid[1, :self.count] = numbers[order], seats[order]
        self._fence = array("q", laid[0, ::_PAGE].tobytes())
        self._file = _kept(np.hstack([side.reshape(pages, _PAGE) for side in laid]).tobytes(), scratch)

    def seats(self, number: int) -> Iterator[int]:
        """The newest first where there are several on a page."""
        page = max(bisect_left(self._fence, number) - 1, 0)
        while page < len(self._fence) and self._fence[page] <= number:
            entries = self._page(page)
            at = bisect_left(entries, number, 0, _PAGE)
            until = at
            while until < _PAGE and entries[until] == number:
                until += 1
            yield from entries[_PAGE + at:_PAGE + until][::-1]
            page += 1

    def content(self) -> tuple[Numbers, Numbers]:
        """Numbers and seats."""
        content = read_at(self._file, 0, len(self._fence) * _PAGE_BYTES)
        laid = np.frombuffer(content, dtype=np.int64).reshape(-1, 2, _PAGE)
        return laid[:, 0].ravel()[:self.count], laid[:, 1].ravel()[:self.count]

    def close(self) -> None:
        self._file.close()

    __del__ = close

    def _page(self, page: int) -> array[int]:
        return array("q", read_at(self._file, page * _PAGE_BYTES, _PAGE_BYTES))


def _kept(content: bytes, scratch: Path) -> IO[bytes]:
    """A file without a name that is gone with the process, else memory."""
    file: IO[bytes] | None = None
    try:
        file = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115 - closed with its run
        view = memoryview(content)
        while view:
            view = view[file.write(view):]
        return file
    except OSError:
        with contextlib.suppress(OSError, AttributeError):
            file.close() if file is not None else None
        return io.BytesIO(content)


def _several(held: int | Sequence[int]) -> Sequence[int]:
    return (held,) if isinstance(held, int) else held
