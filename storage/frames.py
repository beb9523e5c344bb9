"""The one file form: a header, then frames that carry a length, a sequence number and a checksum.

Header: magic (8 bytes: name, version, kind), salt (16), id of the key that seals the file (8, zero where none does),
first sequence (8), crc32 (4).
Frame: magic (4), body length (4), sequence (8), durable (8), batch (4), time in ms since 1970 (8, zero where nobody
asks), crc32 over all of it (4), body. `durable` is the last sequence that was known to be on disk when this frame was
written, `batch` how many frames were written after it together: what tells a torn batch from damage, and half a batch
from a whole one.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from ruche.storage.errors import ConfigurationError, IntegrityError

HEADER: Final = struct.Struct("<8s16s8sQI")
HEAD: Final = struct.Struct("<4sIQQIQI")
_MAGIC: Final = b"\xabRF1"
_NAME: Final = b"RUCHE"
_VERSION: Final = 1
_FILE: Final = _NAME + b"%02d" % _VERSION
NO_KEY: Final = bytes(8)
LARGEST_BODY: Final = 256 * 1024 * 1024
_PART: Final = 1 << 20
"""Bytes that are read at once where a file is not read whole."""


class Frame(NamedTuple):
    """A frame as read: where it starts and ends in its file, and what it holds."""

    start: int
    end: int
    sequence: int
    durable: int
    batch: int
    body: bytes
    at_ms: int


class Header(NamedTuple):
    """A file's start as read."""

    salt: bytes
    first: int
    key: bytes


class Scan(NamedTuple):
    """The good prefix of a file. `bad` is the offset of the first byte that is no frame, None when all are good."""

    frames: list[Frame]
    end: int
    bad: int | None


def header(kind: bytes, salt: bytes, first: int, key: bytes = NO_KEY) -> bytes:
    """The start of a file of this kind (one byte) whose first frame has sequence `first`, sealed by key id `key`."""
    fields = (_FILE + kind, salt, key, first)
    return HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)))


def read_header(content: bytes, kind: bytes, path: Path) -> Header:
    """Raises IntegrityError naming the file, ConfigurationError when a newer version of ruche wrote it."""
    if len(content) >= HEADER.size:
        magic, salt, key, first, crc = HEADER.unpack_from(content)
        if crc == zlib.crc32(HEADER.pack(magic, salt, key, first, 0)):
            if magic == _FILE + kind:
                return Header(salt, first, key)
            _refuse_newer(magic, path)
    raise IntegrityError(f"{path.name}: the file's first bytes are damaged or of another kind of file",
                         file=str(path), offset=0)


def _refuse_newer(magic: bytes, path: Path) -> None:
    version = magic[len(_NAME):-1]
    if magic.startswith(_NAME) and version.isdigit() and int(version) > _VERSION:
        raise ConfigurationError(f"{path}: written by a newer version of ruche (file format {int(version)}, this one "
                                 f"reads up to {_VERSION}); install that version, or restore an older backup")


def frame(sequence: int, durable: int, body: bytes, batch: int = 1, at_ms: int = 0) -> bytes:
    """One frame, ready to write."""
    crc = zlib.crc32(body, zlib.crc32(HEAD.pack(_MAGIC, len(body), sequence, durable, batch, at_ms, 0)))
    return HEAD.pack(_MAGIC, len(body), sequence, durable, batch, at_ms, crc) + body


def read_frame(content: bytes, at: int, start: int = 0) -> Frame | None:
    """The frame that starts at `at`, None when there is no whole and sound one; `start` is where the content does in
    its file."""
    if at + HEAD.size > len(content):
        return None
    magic, length, sequence, durable, batch, at_ms, crc = HEAD.unpack_from(content, at)
    end = at + HEAD.size + length
    if magic != _MAGIC or length > LARGEST_BODY or end > len(content):
        return None
    body = content[at + HEAD.size:end]
    if zlib.crc32(body, zlib.crc32(HEAD.pack(magic, length, sequence, durable, batch, at_ms, 0))) != crc:
        return None
    return Frame(start + at, start + end, sequence, durable, batch, body, at_ms)


def scan(content: bytes, at: int = HEADER.size) -> Scan:
    """All frames from `at` up to the end or the first bad byte."""
    found: list[Frame] = []
    while at < len(content):
        read = read_frame(content, at)
        if read is None:
            return Scan(found, at, at)
        found.append(read)
        at = read.end
    return Scan(found, at, None)


def read_along(file: IO[bytes], path: Path, at: int = HEADER.size) -> Iterator[Frame]:
    """All frames of a file one after the other, from a place on. Raises IntegrityError at the first bad byte."""
    held, start = b"", file.seek(at)
    while more := file.read(_PART):
        held, at = held + more, 0
        while (read := read_frame(held, at, start)) is not None:
            yield read
            at = read.end - start
        if not _may_go_on(held, at):
            break
        held, start = held[at:], start + at
        at = 0
    if held[at:]:
        raise IntegrityError(f"{path.name}: damaged at byte {start + at}", file=str(path), offset=start + at)


def _may_go_on(content: bytes, at: int) -> bool:
    """Whether what begins at `at` and is no whole frame may be the beginning of one."""
    if at + HEAD.size > len(content):
        return True
    magic, length = HEAD.unpack_from(content, at)[:2]
    return bool(magic == _MAGIC and length <= LARGEST_BODY and at + HEAD.size + length > len(content))


def whole_batches(found: Scan) -> Scan:
    """The scan without a last batch of which only a part is there."""
    if not found.frames or found.frames[-1].sequence >= found.frames[-1].durable + found.frames[-1].batch:
        return found
    durable = found.frames[-1].durable
    kept = [frame for frame in found.frames if frame.durable != durable]
    end = found.frames[len(kept)].start
    return Scan(kept, end, end)


def frames_after(content: bytes, bad: int) -> list[Frame]:
    """Sound frames beyond a bad place, found by their magic."""
    found: list[Frame] = []
    at = content.find(_MAGIC, bad + 1)
    while at >= 0:
        read = read_frame(content, at)
        if read is not None:
            found.append(read)
        at = content.find(_MAGIC, at + 1 if read is None else read.end)
    return found


def new_salt() -> bytes:
    return os.urandom(16)
