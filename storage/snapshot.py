"""Sealed snapshots of the tables without what has its day files: what lost tables are rebuilt from.

A snapshot is verified by reading it back before it counts. Two are kept; journal segments that the older one covers
may go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import frames, platform
from ruche.storage.collection import Collection, Values
from ruche.storage.errors import IntegrityError, Unavailable
from ruche.storage.reading import Reading
from ruche.storage.vault import FileKeys, keyed_hash, nonce

_KIND: Final = b"S"
KEPT: Final = 2

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


Rows = Iterator[tuple[Collection, list[tuple[int, Values]]]]
"""Parts of tables: rows with their tenant tags."""


class Snapshots:
    """The folder of snapshots, each named after the last journal frame that it holds."""

    def __init__(self, directory: Path, keys: FileKeys, collections: Sequence[Collection],
                 disk: platform.Disk | None = None) -> None:
        platform.private_directory(directory)
        self._directory, self._keys, self._disk = directory, keys, disk or platform.Disk()
        self._collections = {collection.name: collection for collection in collections}

    def sequences(self) -> list[int]:
        """Of the snapshots that are there, oldest first."""
        return sorted(int(path.stem) for path in self._directory.glob("*.snap"))

    def size(self) -> int:
        """Bytes of the newest one, 0 when there is none."""
        found = self.sequences()
        return self._path(found[-1]).stat().st_size if found else 0

    def take(self, reading: Reading) -> int:
        """Write and verify a snapshot; gives the journal sequence that may now be forgotten. Takes seconds where there
        are gigabytes, and no lock, and memory for some hundred rows."""
        sequence = reading.applied
        try:
            self._disk.write_atomically(self._path(sequence), self._content(reading))
        except OSError as error:
            raise Unavailable(f"a snapshot could not be written ({type(error).__name__}); it is tried again",
                              retry_after=5.0) from error
        for _ in self.read(sequence):
            pass
        return self._trim()

    def newest(self) -> tuple[int, Rows]:
        """The newest sound snapshot's sequence and rows; (0, none) when there is none."""
        for sequence in reversed(self.sequences()):
            with contextlib.suppress(IntegrityError):
                for _ in self.read(sequence):
                    pass  # to its end, before anybody builds on its beginning
                return sequence, self.read(sequence)
        return 0, iter(())

    def key_id(self, sequence: int) -> bytes:
        """Id of the journal key that seals a snapshot."""
        path = self._path(sequence)
        with path.open("rb") as file:
            return frames.read_header(file.read(frames.HEADER.size), _KIND, path).key

    def _content(self, reading: Reading) -> Iterator[bytes]:
        sequence, salt = reading.applied, frames.new_salt()
        key_id, key = self._keys.newest_file_key()
        cipher = _cipher(key, salt)
        yield frames.header(_KIND, salt, sequence, key_id)
        for number, body in enumerate(self._bodies(reading), 1):
            drawn = nonce()
            sealed = drawn + cipher.encrypt(drawn, body, _place(number, sequence))
            yield frames.frame(number, sequence, sealed)

    def _bodies(self, reading: Reading) -> Iterator[bytes]:
        count = 0
        for collection in self._collections.values():
            if not collection.model.logged:
                for rows in reading.everything(collection):
                    count += 1
                    yield _encode([collection.name, rows])
        yield _encode(["end", count])

    def read(self, sequence: int) -> Rows:
        """Rows of a snapshot with their tenant tags, by collection. Raises IntegrityError, at a damaged place after the
        rows before it."""
        path, left = self._path(sequence), -1
        with path.open("rb") as file:
            header = frames.read_header(file.read(frames.HEADER.size), _KIND, path)
            cipher = _cipher(self._keys.file_key(header.key), header.salt)
            for number, frame in enumerate(frames.read_along(file, path), 1):
                name, rows = self._body(path, cipher, number, sequence, frame)
                left = rows - number + 1 if name == "end" else -1
                if name != "end":
                    yield self._collections[name], [(tag, tuple(values)) for tag, *values in rows]
        if left != 0:
            raise IntegrityError(f"{path.name}: it does not end as it should", file=str(path), offset=0)

    @staticmethod
    def _body(path: Path, cipher: AESGCM, number: int, sequence: int, frame: frames.Frame) -> Any:
        try:
            return _decode(cipher.decrypt(frame.body[:12], frame.body[12:], _place(number, sequence)))
        except (InvalidTag, ValueError):
            raise IntegrityError(f"{path.name}: damaged at byte {frame.start}", file=str(path),
                                 offset=frame.start) from None

    def _trim(self) -> int:
        found = self.sequences()
        for sequence in found[:-KEPT]:
            with contextlib.suppress(OSError):  # one too many is harmless, and goes the next time
                self._disk.unlink(self._path(sequence))
        return found[-KEPT] if len(found) >= KEPT else 0

    def _path(self, sequence: int) -> Path:
        return self._directory / f"{sequence:020d}.snap"


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(keyed_hash(keyed_hash(key, b"snapshot"), salt))


def _place(number: int, sequence: int) -> bytes:
    return number.to_bytes(8, "big") + sequence.to_bytes(8, "big")
