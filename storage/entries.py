"""What the audit log is over: an entry for each run, advisory and erasure, as day files, journal and heads have it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ruche.storage import frames, merkle
from ruche.storage.collection import Collection, Values
from ruche.storage.errors import IntegrityError
from ruche.storage.heads import read_heads

_EPOCH: Final = date(1970, 1, 1)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Place(NamedTuple):
    """Where an entry's frame lies: days since 1970, byte offset, length."""

    day: int
    place: int
    length: int


Order = tuple[int, int]
"""Journal sequence of an entry, and how many entries of that frame came before it: the order of the audit logs."""


class Entry(NamedTuple):
    """A frame of a day file: journal sequence, tenant tag, table number, schema, stored values, place and leaf hash;
    `part` counts the entries of the same journal frame before it.

    Of a day that was dropped only sequence, tag, table and leaf are left; `values` is None.
    """

    sequence: int
    tag: int
    number: int
    schema: int
    values: Values | None
    place: Place
    leaf: bytes
    part: int = 0

    @property
    def order(self) -> Order:
        return self.sequence, self.part


def entry(tag: int, collection: Collection, values: Values) -> bytes:
    """The bytes that the audit log is over: who, which table in which version, and the row as it is stored."""
    return _encode((tag, collection.number, collection.model.schema, *values))


def entry_of(day: int, frame: frames.Frame) -> Entry:
    """Raises IntegrityError for a body that is no entry."""
    place = Place(day, frame.start, frame.end - frame.start)
    try:
        tag, number, schema, *values = _decode(frame.body)
    except (msgspec.DecodeError, ValueError, TypeError):
        raise IntegrityError(f"the entry at byte {frame.start} is not one that this engine writes",
                             offset=frame.start) from None
    return Entry(frame.sequence, tag, number, schema, tuple(values), place, merkle.leaf_hash(frame.body),
                 frame.batch - 1)


def entries_of_heads(path: Path) -> list[Entry]:
    """What is left of a dropped day. Raises IntegrityError."""
    place = Place(day_of(path), 0, 0)
    heads = read_heads(path)
    parts = heads.parts or (0,) * len(heads.entries)
    return [Entry(sequence, tag, number, 0, None, place, leaf, part)
            for (sequence, tag, number, leaf), part in zip(heads.entries, parts, strict=True)]


def day_of(path: Path) -> int:
    """Days since 1970 of the day that a file is named after."""
    return (date.fromisoformat(path.stem) - _EPOCH).days
