"""The key hierarchy: root key -> tenant key -> a data key per person, wrapped, in one append-only file.

A data key is on disk before anything sealed under it is. Destroying one rewrites the file without it and leaves a
tombstone. Tenants and persons appear as keyed hashes only.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import frames, platform
from ruche.storage.errors import ConfigurationError, Erased, IntegrityError, StorageStopped
from ruche.storage.keysources import (
    CommandKeySource,
    EnvKeySource,
    FileKeySource,
    KeyringKeySource,
    create_root_key,
)
from ruche.storage.mark import Mark
from ruche.storage.recent import Recent
from ruche.storage.vault import KEY_BYTES, DataKey, check_key, derive, keyed_hash, nonce, token

__all__ = ["CommandKeySource", "EnvKeySource", "FileKeySource", "KeySource", "Keyring", "KeyringKeySource", "Tenant",
           "create_root_key"]

_KIND: Final = b"K"
_OPEN_KEYS: Final = 4096
"""Opened data keys kept at once, about 2.5 KB each."""


@runtime_checkable
class KeySource(Protocol):
    """Where the root key comes from: a file, the environment, the OS keyring, a command."""

    def root_key(self) -> bytes:
        """32 bytes. Raises ConfigurationError when there is none; never makes one up."""


class WrappedKey(msgspec.Struct, frozen=True, array_like=True):
    """A line of the keyring. `owner` is a tenant's hash, or tenant and person hash joined; `gone` is a tombstone."""

    kind: Literal["journal", "hash", "tenant", "person", "gone"]
    id: bytes
    parent: bytes
    owner: bytes
    made_ms: int
    wrapped: bytes

    def place(self) -> bytes:
        return b"ruche:wrap:" + self.kind.encode() + b":" + self.id + self.parent + self.owner


class Tenant(msgspec.Struct, frozen=True):
    """A tenant's names in files: `hash` (32 bytes) in associated data, `tag` (64 bits) as a column, and its keys."""

    name: str
    hash: bytes
    tag: int
    user_key: bytes
    token_key: bytes


class Keyring:
    """Opens and makes keys. New keys are written by `flush`, which the journal calls before it writes."""

    def __init__(self, path: Path, root_key: bytes, *, disk: platform.Disk | None = None) -> None:
        """Raises ConfigurationError for a wrong root key, IntegrityError for a damaged file."""
        self._path, self._disk = path, disk or platform.Disk()
        self._root = check_key(root_key, "key source")
        self._wrapping = derive(root_key, "wrap")
        self._lock = threading.RLock()
        self._lines: dict[bytes, WrappedKey] = {}
        self._ids: dict[bytes, bytes] = {}
        self._unwritten: list[bytes] = []
        self._sequence = 0
        self._opened: Recent[bytes, DataKey] = Recent(_OPEN_KEYS)
        self._persons: Recent[tuple[str, str], DataKey] = Recent(_OPEN_KEYS)
        self._tenants: Recent[str, Tenant] = Recent(1024)
        self._tenant_keys: Recent[bytes, bytes] = Recent(256)
        self._mark = Mark(path.with_name("mark"))
        try:
            if path.exists():
                self._read()
            else:
                self._create()
            self._hash_key = self._root_level("hash")
            self.journal_key = self._root_level("journal")
        except BaseException:
            self._mark.close()
            raise

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose outside storage (token signing, ...), from the root key."""
        return derive(self._root, "derived:" + purpose)

    # --- names -----------------------------------------------------------------------------------------------

    def tenant(self, name: str) -> Tenant:
        """A tenant's hashes; makes no key, so that asking for an unknown tenant leaves no trace."""
        known = self._tenants.get(name)
        if known is not None:
            return known
        raw = name.encode()
        return self._tenants.put(name, Tenant(
            name, keyed_hash(self._hash_key, b"tenant", raw), token(self._hash_key, b"tag", raw),
            keyed_hash(self._hash_key, b"users", raw), keyed_hash(self._hash_key, b"tokens", raw)))

    def hash_user(self, tenant: str, interlocutor: str) -> bytes:
        """32 bytes: HMAC-SHA-256 of the person under the tenant's user-hash key."""
        return keyed_hash(self.tenant(tenant).user_key, interlocutor.encode())

    # --- keys ------------------------------------------------------------------------------------------------

    def person(self, tenant: str, interlocutor: str) -> DataKey:
        """The person's data key, made if there is none yet. An empty interlocutor is the tenant itself."""
        known = self._persons.get((tenant, interlocutor))
        if known is not None:
            return known
        owner = self._owner(tenant, interlocutor)
        with self._lock:
            found = self._ids.get(owner) or self._make_person(tenant, owner)
        return self._persons.put((tenant, interlocutor), self.opener(found))

    def known_person(self, tenant: str, interlocutor: str) -> DataKey | None:
        """The person's data key if there is one."""
        found = self._ids.get(self._owner(tenant, interlocutor))
        return self.opener(found) if found else None

    def opener(self, key_id: bytes) -> DataKey:
        """The key with this id. Raises Erased when it was destroyed, IntegrityError when it was never there."""
        opened = self._opened.get(key_id)
        if opened is not None:
            return opened
        line = self._lines.get(key_id)
        if line is None:
            raise IntegrityError("a sealed value names a key that the keyring does not hold")
        if line.kind == "gone":
            raise Erased("this was erased")
        key = self._unwrap(line, self._tenant_key(line.parent))
        return self._opened.put(key_id, DataKey(key_id, key, line.owner[:32], line.owner[32:]))

    def destroy(self, tenant: str, interlocutor: str) -> bool:
        """Crypto-shred a person: the key is gone from the file when this returns. False when there was none."""
        with self._lock:
            found = self._ids.pop(self._owner(tenant, interlocutor), None)
            if found is None:
                return False
            line = self._lines[found]
            self._lines[found] = WrappedKey("gone", line.id, line.parent, line.owner, _now_ms(), b"")
            self._opened.clear()
            self._persons.clear()
            self._rewrite()
            return True

    @property
    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    def flush(self) -> None:
        """Put new keys on disk. Raises StorageFull (they wait for the next call) or StorageStopped."""
        with self._lock:
            if not self._unwritten:
                return
            descriptor = platform.open_private(self._path, os.O_WRONLY | os.O_APPEND)
            size = os.fstat(descriptor).st_size
            try:
                self._disk.write(descriptor, b"".join(self._unwritten))
                self._sync(descriptor)
                self._mark.write(os.fstat(descriptor).st_size)
            except OSError as error:
                self._disk.truncate(descriptor, size)
                raise platform.disk_error(error, "writing a key") from error
            finally:
                os.close(descriptor)
            self._unwritten.clear()

    def _sync(self, descriptor: int) -> None:
        try:
            self._disk.sync(descriptor)
        except OSError as error:
            raise StorageStopped("storage stopped: a sync of the keyring failed; restart the process") from error

    def close(self) -> None:
        """Forget every key."""
        self._mark.close()
        self._opened.clear()
        self._persons.clear()
        self._tenants.clear()
        self._tenant_keys.clear()
        self._root = self._wrapping = self._hash_key = self.journal_key = b""

    # --- inside ----------------------------------------------------------------------------------------------

    def _owner(self, tenant: str, interlocutor: str) -> bytes:
        person = self.hash_user(tenant, interlocutor) if interlocutor else b""
        return self.tenant(tenant).hash + person

    def _make_person(self, tenant: str, owner: bytes) -> bytes:
        parent = self._ids.get(b"tenant" + owner[:32])
        if parent is None:
            parent = self._add("tenant", b"", owner[:32], self._wrapping)
        return self._add("person", parent, owner, self._tenant_key(parent))

    def _tenant_key(self, id: bytes) -> bytes:
        known = self._tenant_keys.get(id)
        return known or self._tenant_keys.put(id, self._unwrap(self._lines[id], self._wrapping))

    def _root_level(self, kind: str) -> bytes:
        for line in self._lines.values():
            if line.kind == kind:
                return self._unwrap(line, self._wrapping)
        raise IntegrityError(f"{self._path.name}: the {kind} key is missing from the keyring", file=str(self._path))

    def _unwrap(self, line: WrappedKey, key: bytes) -> bytes:
        try:
            return AESGCM(key).decrypt(line.wrapped[:12], line.wrapped[12:], line.place())
        except InvalidTag:
            if line.parent == b"":
                raise ConfigurationError("the root key is not the one that this data directory was made with; "
                                         "bring back the right key, or choose another data directory") from None
            raise IntegrityError(f"{self._path.name}: a wrapped key was changed", file=str(self._path)) from None

    def _add(self, kind: Literal["journal", "hash", "tenant", "person"], parent: bytes, owner: bytes,
             wrapping: bytes) -> bytes:
        line = WrappedKey(kind, os.urandom(8), parent, owner, _now_ms(), b"")
        drawn = nonce()
        wrapped = drawn + AESGCM(wrapping).encrypt(drawn, os.urandom(KEY_BYTES), line.place())
        self._index(msgspec.structs.replace(line, wrapped=wrapped))
        self._sequence += 1
        self._unwritten.append(frames.frame(self._sequence, self._sequence - 1, msgspec.msgpack.encode(
            self._lines[line.id])))
        return line.id

    def _index(self, line: WrappedKey) -> None:
        self._lines[line.id] = line
        if line.kind == "tenant":
            self._ids[b"tenant" + line.owner] = line.id
        elif line.kind == "person":
            self._ids[line.owner] = line.id

    def _create(self) -> None:
        self._add("hash", b"", b"", self._wrapping)
        self._add("journal", b"", b"", self._wrapping)
        self._unwritten.clear()
        self._rewrite()

    def _rewrite(self) -> None:
        lines = list(self._lines.values())
        content = [frames.header(_KIND, frames.new_salt(), 1)]
        content += [frames.frame(number, number - 1, msgspec.msgpack.encode(line))
                    for number, line in enumerate(lines, 1)]
        self._mark.clear()
        platform.write_atomically(self._path, b"".join(content))
        self._mark.write(sum(map(len, content)))
        self._sequence = len(lines)
        self._unwritten.clear()

    def _read(self) -> None:
        content = self._path.read_bytes()
        frames.read_header(content, _KIND, self._path)
        found = frames.scan(content)
        if found.end < max(len(content), self._mark.read()):
            self._cut(found.end)
        decoder = msgspec.msgpack.Decoder(WrappedKey)
        for line in found.frames:
            self._index(decoder.decode(line.body))
        self._sequence = found.frames[-1].sequence if found.frames else 0

    def _cut(self, bad: int) -> None:
        """An append that was cut short by a crash was never used; anything else is damage."""
        if bad < self._mark.read():
            raise IntegrityError(f"{self._path.name}: damaged at byte {bad}; bring back a backup of the keyring",
                                 file=str(self._path), offset=bad)
        descriptor = platform.open_private(self._path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, bad)
            platform.sync_data(descriptor)
        finally:
            os.close(descriptor)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
