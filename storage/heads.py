"""What is left of a day that retention dropped: the leaves of its entries, and where each session's chain goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from ruche.storage import frames, platform
from ruche.storage.errors import IntegrityError
from ruche.storage.vault import Column

_KIND: Final = b"H"
COLUMN: Final = Column.of("heads", "run", 1)


class SessionHead(msgspec.Struct, frozen=True, array_like=True):
    """The last dropped run of a session: its place in the chain, and its hash sealed for the person (empty if erased).
    """

    tag: int
    session: str
    sequence: int
    sealed: bytes


class Heads(msgspec.Struct, frozen=True, array_like=True):
    """Entries are (journal sequence, tenant tag, table number, leaf hash), `parts` their place among those of the same
    journal frame (empty: all 0). Of erasures the whole entry stays, by its
    sequence: a destroyed key must go on having its reason."""

    entries: tuple[tuple[int, int, int, bytes], ...]
    sessions: tuple[SessionHead, ...]
    erasures: tuple[tuple[int, bytes], ...] = ()
    parts: tuple[int, ...] = ()


_decode = msgspec.msgpack.Decoder(Heads).decode


def write_heads(path: Path, heads: Heads, disk: platform.Disk) -> None:
    """Whole or not at all. Raises OSError."""
    body = msgspec.msgpack.encode(heads)
    disk.write_atomically(path, frames.header(_KIND, frames.new_salt(), 0) + frames.frame(1, 0, body))


def read_heads(path: Path) -> Heads:
    """Raises IntegrityError naming the file and the first bad byte."""
    content = path.read_bytes()
    frames.read_header(content, _KIND, path)
    found = frames.scan(content)
    try:
        (only,) = found.frames
        return _decode(only.body)
    except (ValueError, msgspec.DecodeError):
        raise IntegrityError(f"{path.name}: damaged at byte {found.end}", file=str(path), offset=found.end) from None
