"""A line of the keyring: a wrapped key, and how one is read by its place in the file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import frames, platform
from ruche.storage.errors import IntegrityError
from ruche.storage.vault import nonce, part

_LINE_BYTES: Final = 512
_LONGEST_LINE: Final = 1 << 16
Place = int
"""Where a line begins in the file, in bytes."""

Kind = Literal["root", "hash", "users", "journal", "tenant", "person", "gone", "renew", "openings"]


class WrappedKey(msgspec.Struct, frozen=True, array_like=True):
    """A line of the keyring.

    `owner` is the tenant's hash, for a person followed by a random id; `name` is the hash by which the person is
    found, made under the users key `named_by`. `spent` counts nonces granted up to opening number `opening` of the
    file. `number` is of a person's key and of `renew` the round of renewals that it belongs to, of a users key the
    journal frame up to which rows were found by another one.
    """

    kind: Kind
    id: bytes
    parent: bytes
    owner: bytes
    made_ms: int
    wrapped: bytes
    name: bytes = b""
    spent: int = 0
    opening: int = 0
    named_by: bytes = b""
    number: int = 0

    def place(self) -> bytes:
        return b"ruche:wrap:" + b"".join(map(part, (self.kind.encode(), self.id, self.parent, self.owner, self.name,
                                                self.named_by)))

    def sealed(self, key: bytes, wrapping: bytes) -> WrappedKey:
        """This line with a key in it (AES-256-GCM, 12 bytes of nonce before it), bound to everything that names it."""
        drawn = nonce()
        wrapped = drawn + AESGCM(wrapping).encrypt(drawn, key, self.place())
        return msgspec.structs.replace(self, wrapped=wrapped)

    def opened(self, wrapping: bytes) -> bytes:
        """The key in it. Raises InvalidTag when it was wrapped by another one, or changed."""
        return AESGCM(wrapping).decrypt(self.wrapped[:12], self.wrapped[12:], self.place())


class LineReader:
    """One line at a time; the file stays the one that it was when this was made. Any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0) if path.exists() else None

    def __call__(self, place: Place) -> WrappedKey:
        """The line that begins there. Raises IntegrityError."""
        return read_line(self._frame(place))

    def end(self, place: Place) -> Place:
        """Where the line that begins there ends. Raises IntegrityError."""
        return place + self._frame(place).end

    def _frame(self, place: Place) -> frames.Frame:
        found = None
        if self._file is not None:
            content = platform.read_at(self._file, place, _LINE_BYTES)
            found = frames.read_frame(content, 0)
            if found is None and len(content) == _LINE_BYTES:
                found = frames.read_frame(platform.read_at(self._file, place, _LONGEST_LINE), 0)
        if found is None:
            raise IntegrityError(f"{self._path.name}: damaged at byte {place}; bring back a backup of the keyring",
                                 file=str(self._path), offset=place)
        return found

    def close(self) -> None:
        """For good; who only lets go of it need not call."""
        if self._file is not None:
            self._file.close()

    __del__ = close


_decoder = msgspec.msgpack.Decoder(WrappedKey)


def read_line(frame: frames.Frame) -> WrappedKey:
    return _decoder.decode(frame.body)


def written_line(line: WrappedKey, number: int) -> bytes:
    """The line as the file has it, `number` counting lines from 1."""
    return frames.frame(number, number - 1, msgspec.msgpack.encode(line))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
