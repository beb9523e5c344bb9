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
        are gigabytes, and no lock."""
        sequence, salt = reading.applied, frames.new_salt()
        key_id, key = self._keys.newest_file_key()
        cipher = _cipher(key, salt)
        content = [frames.header(_KIND, salt, sequence, key_id)]
        for number, body in enumerate(self._bodies(reading), 1):
            drawn = nonce()
            sealed = drawn + cipher.encrypt(drawn, body, _place(number, sequence))
            content.append(frames.frame(number, sequence, sealed))
        try:
            self._disk.write_atomically(self._path(sequence), b"".join(content))
        except OSError as error:
            raise Unavailable(f"a snapshot could not be written ({type(error).__name__}); it is tried again",
                              retry_after=5.0) from error
        for _ in self.read(sequence):
            pass
        return self._trim()

    def newest(self) -> tuple[int, list[tuple[Collection, list[tuple[int, Values]]]]]:
        """The newest sound snapshot's sequence and rows; (0, []) when there is none."""
        for sequence in reversed(self.sequences()):
            with contextlib.suppress(IntegrityError):
                return sequence, list(self.read(sequence))
        return 0, []

    def key_id(self, sequence: int) -> bytes:
        """Id of the journal key that seals a snapshot."""
        path = self._path(sequence)
        return frames.read_header(path.read_bytes(), _KIND, path).key

    def _bodies(self, reading: Reading) -> Iterator[bytes]:
        count = 0
        for collection in self._collections.values():
            if not collection.model.logged:
                for rows in reading.everything(collection):
                    count += 1
                    yield _encode([collection.name, rows])
        yield _encode(["end", count])

    def read(self, sequence: int) -> Iterator[tuple[Collection, list[tuple[int, Values]]]]:
        """Rows of a snapshot with their tenant tags, by collection. Raises IntegrityError."""
        path = self._path(sequence)
        content = path.read_bytes()
        header = frames.read_header(content, _KIND, path)
        cipher, found = _cipher(self._keys.file_key(header.key), header.salt), frames.scan(content)
        bodies = [self._body(path, cipher, number, sequence, frame) for number, frame in enumerate(found.frames, 1)]
        if found.bad is not None or not bodies or bodies[-1] != ["end", len(bodies) - 1]:
            raise IntegrityError(f"{path.name}: damaged at byte {found.end}", file=str(path), offset=found.end)
        for name, rows in bodies[:-1]:
            yield self._collections[name], [(tag, tuple(values)) for tag, *values in rows]

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
