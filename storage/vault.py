"""Sealing: AES-256-GCM blobs bound to their place, and keyed hashes. Knows bytes and keys, nothing about records.

Blob: version (1 byte), key id (8), nonce (12), ciphertext, tag (16). The associated data is the place of the blob:
tenant, person, table, column, schema version and row, so that a blob moved elsewhere does not open.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ruche.storage.errors import ConfigurationError, IntegrityError

VERSION: Final = b"\x01"
KEY_BYTES: Final = 32
OVERHEAD: Final = 37
_NONCE: Final = 12
_START: Final = 21
_PIECE: Final = 16
_DRAWN_AT_ONCE: Final = 256
_UNCOUNTED: Final = 1 << 30

_NONCES: Final = struct.Struct(f"{_NONCE}s").iter_unpack

_nonces: deque[bytes] = deque()
_pieces: deque[bytes] = deque()
for _pool in (_nonces, _pieces):
    os.register_at_fork(after_in_child=_pool.clear) if hasattr(os, "register_at_fork") else None


def nonce() -> bytes:
    """96 random bits, never handed out twice: drawn 256 at once, dropped on fork. Safe in any thread."""
    try:
        return _nonces.popleft()
    except IndexError:
        drawn = os.urandom(_NONCE * _DRAWN_AT_ONCE)
        _nonces.extend([drawn[at:at + _NONCE] for at in range(_NONCE, len(drawn), _NONCE)])
        return drawn[:_NONCE]


def random_bytes(count: int) -> bytes:
    """So many random bytes for an id, up to 16 of them drawn 256 times at once, as `nonce` does: each draw gives up
    the interpreter, which under load costs far more than the bytes do."""
    if count > _PIECE:
        return os.urandom(count)
    try:
        return _pieces.popleft()[:count]
    except IndexError:
        drawn = os.urandom(_PIECE * _DRAWN_AT_ONCE)
        _pieces.extend([drawn[at:at + _PIECE] for at in range(_PIECE, len(drawn), _PIECE)])
        return drawn[:count]


def derive(key: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose (HKDF-SHA-256, RFC 5869); different purposes tell nothing about each other."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=b"ruche:" + purpose.encode()).derive(key)


def part(value: bytes) -> bytes:
    """A length-prefixed part of associated data, so that no two tuples of parts give the same bytes."""
    return len(value).to_bytes(4, "big") + value


class Column(msgspec.Struct, frozen=True):
    """A sealed column: table, column and schema version, as associated data."""

    place: bytes

    @classmethod
    def of(cls, table: str, column: str, schema: int) -> Column:
        return cls(part(table.encode()) + part(column.encode()) + schema.to_bytes(4, "big"))


Charge = Callable[[bytes], int]
"""Take note that a key drew the nonces it was granted; gives how many more it may draw before it asks again."""


class DataKey:
    """An opened key together with whom it belongs to. It seals and opens blobs of one person of one tenant."""

    __slots__ = ("_charge", "_decrypt", "_encrypt", "_head", "_left", "_place", "id", "person", "tenant")

    def __init__(self, id: bytes, key: bytes, tenant: bytes, person: bytes, charge: Charge | None = None) -> None:
        """Nonces are counted through `charge`; without it, as for a key that lives briefly, they are not."""
        cipher = AESGCM(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt
        self._head = VERSION + id
        self._place = part(tenant) + part(person)
        self.id, self.tenant, self.person = id, tenant, person
        self._charge, self._left = charge, charge(id) if charge else 0

    def seal(self, data: bytes, column: Column, row: bytes) -> bytes:
        """The blob of `data` for this row of this column."""
        self._left -= 1
        if self._left < 0:
            self._spend()
        drawn = nonce()
        return self._head + drawn + self._encrypt(drawn, data, self._place + column.place + row)

    def seal_batch(self, rows: Iterable[tuple[bytes, bytes]], column: Column) -> list[bytes]:
        """The blobs of many (data, row) of one column; nonces are drawn in one go."""
        chosen = list(rows)
        self._left -= len(chosen)
        if self._left < 0:
            self._spend()
        encrypt, head, place = self._encrypt, self._head, self._place + column.place
        drawn = _NONCES(os.urandom(_NONCE * len(chosen)))
        return [head + one + encrypt(one, data, place + row) for (data, row), (one,) in zip(chosen, drawn, strict=True)]

    def _spend(self) -> None:
        while self._left < 0:
            self._left += self._charge(self.id) if self._charge else _UNCOUNTED

    def open(self, blob: bytes, column: Column, row: bytes) -> bytes:
        """What was sealed. Raises IntegrityError when key, place or bytes are not the sealed ones."""
        try:
            if blob[:9] != self._head:
                raise IntegrityError("a sealed value names another key than the one at hand")
            return self._decrypt(blob[9:_START], blob[_START:], self._place + column.place + row)
        except (InvalidTag, ValueError):
            raise IntegrityError("a sealed value was changed, or moved from where it was written") from None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a blob lives, in words."""

    tenant: str
    person: str
    table: str
    row: str
    column: str
    schema: int = 1


class Keys(Protocol):
    """What the vault asks of the keyring."""

    def person(self, tenant: str, interlocutor: str) -> DataKey: ...

    def opener(self, key_id: bytes) -> DataKey: ...

    def hash_user(self, tenant: str, interlocutor: str) -> bytes: ...


class FileKeys(Protocol):
    """Keys that seal whole files, by id. Each file has its own key, derived from one of these and the file's salt."""

    def newest_file_key(self) -> tuple[bytes, bytes]:
        """Id (8 bytes) and key (32) for new files."""

    def file_key(self, id: bytes) -> bytes:
        """Raises IntegrityError for an id that is not there."""


class Vault:
    """seal, open_sealed and hmac_user by plain names, over a keyring."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, data: bytes, place: Place) -> bytes:
        column = Column.of(place.table, place.column, place.schema)
        return self._keys.person(place.tenant, place.person).seal(data, column, place.row.encode())

    def open_sealed(self, blob: bytes, place: Place) -> bytes:
        """Raises IntegrityError for anything but the blob that was sealed for exactly this place."""
        key, present = self._keys.opener(key_id(blob)), self._keys.person(place.tenant, place.person)
        if (key.tenant, key.person) != (present.tenant, present.person):
            raise IntegrityError("a sealed value belongs to another person or tenant")
        return key.open(blob, Column.of(place.table, place.column, place.schema), place.row.encode())

    def hmac_user(self, tenant: str, interlocutor: str) -> bytes:
        """32 bytes that stand for a person in files (HMAC-SHA-256 under a key of its own, per tenant)."""
        return self._keys.hash_user(tenant, interlocutor)


def key_id(blob: bytes) -> bytes:
    """The id of the key that sealed a blob. Raises IntegrityError for bytes that are no blob."""
    if len(blob) < OVERHEAD or blob[:1] != VERSION:
        raise IntegrityError("a sealed value is too short or of an unknown version")
    return blob[1:9]


def keyed_hash(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over length-prefixed parts: 32 bytes."""
    return hmac.digest(key, b"".join([part(one) for one in parts]), "sha256")


def token(key: bytes, *parts: bytes) -> int:
    """A keyed hash cut to a signed 64 bit integer: equality without meaning."""
    return int.from_bytes(keyed_hash(key, *parts)[:8], "big", signed=True)


def check_key(key: bytes, where: str) -> bytes:
    """The key, if it has 32 bytes that are not all alike. Raises ConfigurationError naming where it came from."""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{where}: the root key has {len(key)} bytes, it must have {KEY_BYTES}")
    if len(set(key)) == 1:
        raise ConfigurationError(f"{where}: the root key is a placeholder, make a real one")
    return key
