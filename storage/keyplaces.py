"""Where the lines of the keyring begin, kept sealed beside it, so that opening need not read every one of them again.

What is kept holds for exactly the bytes that it was made over: it names their number and their hash. Where it is
missing, changed, sealed by another root key or of another file, the keyring is read line by line, as without it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import platform
from ruche.storage.keyfile import Extents
from ruche.storage.register import Numbers
from ruche.storage.vault import derive, nonce

FORM: Final = 1
_NONCE: Final = 12
_BOUND: Final = b"ruche:places:%d" % FORM

Entries = tuple[Numbers, Numbers]
"""Of a register: numbers, and the places that they stand at."""


class Places(msgspec.Struct, frozen=True):
    """Of the lines of persons, by id, name and owner; and of the other lines, in order."""

    known: Extents
    registers: tuple[Entries, Entries, Entries]
    others: Numbers


class KeyPlaces:
    """One file. It is never waited for, and never trusted further than its seal and its hash go."""

    def __init__(self, path: Path, disk: platform.Disk) -> None:
        self._path, self._disk = path, disk
        self.kept: Extents | None = None
        """What of the keyring's file it holds for."""

    def load(self, root_key: bytes) -> Places | None:
        """What was kept last; None where that cannot be told."""
        try:
            sealed = self._path.read_bytes()
            opened = _decode(_cipher(root_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _BOUND))
        except (OSError, InvalidTag, ValueError, msgspec.DecodeError):
            return None
        columns = [np.frombuffer(one, dtype="<i8").astype(np.int64) for one in opened.columns]
        self.kept = opened.known
        return Places(opened.known, ((columns[0], columns[1]), (columns[2], columns[3]), (columns[4], columns[5])),
                      columns[6])

    def keep(self, places: Places, root_key: bytes) -> None:
        """Or not, where the disk does not take it."""
        columns = [*(side for entries in places.registers for side in entries), places.others]
        body = _encode(_Form(places.known, [one.astype("<i8").tobytes() for one in columns]))
        drawn = nonce()
        with contextlib.suppress(OSError):
            self._disk.write_atomically(self._path, [drawn, _cipher(root_key).encrypt(drawn, body, _BOUND)])
            self.kept = places.known


def _cipher(root_key: bytes) -> AESGCM:
    return AESGCM(derive(root_key, "places"))


class _Form(msgspec.Struct, frozen=True, array_like=True):
    """As it is stored."""

    known: Extents
    columns: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Form).decode
