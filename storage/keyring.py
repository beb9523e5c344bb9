"""The key hierarchy: root key -> tenant key -> data keys of each person, wrapped, in one file.

A data key is on disk before anything sealed under it is. Destroying a person's keys rewrites the file without them and
leaves tombstones. Tenants and persons appear as keyed hashes only. New seals use the newest generation of a key; older
ones open what they sealed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ruche.storage import platform
from ruche.storage.errors import Erased, IntegrityError, StorageStopped
from ruche.storage.keyfile import checked
from ruche.storage.keyline import WrappedKey, now_ms
from ruche.storage.keylines import KeyLines
from ruche.storage.keynames import Tenant, user_hash
from ruche.storage.keysources import (
    CommandKeySource,
    EnvKeySource,
    FileKeySource,
    KeyringKeySource,
    KeySource,
    create_root_key,
)
from ruche.storage.recent import Recent
from ruche.storage.vault import DataKey, derive, keyed_hash, token

__all__ = ["CommandKeySource", "EnvKeySource", "FileKeySource", "KeySource", "Keyring", "KeyringKeySource", "Tenant",
           "create_root_key"]

_OPEN_KEYS: Final = 4096
"""Opened data keys kept at once, about 2.5 KB each."""
BLOCK: Final = 1 << 12
"""Nonces that an opened key is granted at once."""
NOTED: Final = 16 * BLOCK
"""Nonces after which it is noted on disk that they were granted: at most so many are unnoted when a process ends."""
BUDGET: Final = 1 << 30
"""Nonces after which a key gets a new generation: a quarter of NIST SP 800-38D's bound for random 96-bit nonces."""
_PERSON: Final = 16


class Keyring:
    """Opens and makes keys. New keys are written by `flush`, which the store calls before it writes the journal."""

    def __init__(self, path: Path, root_key: bytes, *, disk: platform.Disk | None = None) -> None:
        """Raises ConfigurationError for a wrong root key, IntegrityError for a damaged file."""
        self.lock = threading.RLock()
        self.lines = KeyLines(path, root_key, disk or platform.Disk())
        self._opened: Recent[bytes, DataKey] = Recent(_OPEN_KEYS)
        self._persons: Recent[tuple[str, str], DataKey] = Recent(_OPEN_KEYS)
        self._tenants: Recent[str, Tenant] = Recent(1024)
        self._hash_key = self.lines.unwrap(self.lines.of_kind("hash")[0])
        self._load()

    def _load(self) -> None:
        """Take the keys of the first level as the lines have them."""
        unwrap, lines = self.lines.unwrap, self.lines
        self._user_keys = [unwrap(line) for line in reversed(lines.of_kind("users"))]
        self._file_keys = {line.id: unwrap(line) for line in lines.of_kind("journal")}
        self._tenants.clear()
        self._persons.clear()

    def reload(self) -> None:
        """Let go of what was remembered: the lines were changed by a rotation."""
        with self.lock:
            self._load()
            self._opened.clear()

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose outside storage (token signing, ...), from the root key."""
        return derive(self.lines.root, "derived:" + purpose)

    def backup_key(self) -> bytes:
        """32 bytes that manifests of backups are checked with; a rotation does not change it. Raises StorageStopped
        once the keyring is closed."""
        if not self._hash_key:
            raise StorageStopped("storage is closed")
        return derive(self._hash_key, "backup")

    @property
    def path(self) -> Path:
        return self.lines.file.path

    # --- names -----------------------------------------------------------------------------------------------

    def tenant(self, name: str) -> Tenant:
        """A tenant's hashes; makes no key, so that asking for an unknown tenant leaves no trace."""
        known = self._tenants.get(name)
        if known is not None:
            return known
        raw, made = name.encode(), None
        for user_key in reversed(self._user_keys):
            made = Tenant(name, keyed_hash(self._hash_key, b"tenant", raw), token(self._hash_key, b"tag", raw),
                          keyed_hash(user_key, b"users", raw), keyed_hash(self._hash_key, b"tokens", raw), made)
        if made is None:
            raise IntegrityError("the keyring holds no user-hash key")
        return self._tenants.put(name, made)

    @property
    def users_key(self) -> bytes:
        """Id of the newest user-hash key."""
        return self.lines.of_kind("users")[-1].id

    def content_key(self, tenant: str) -> bytes:
        """32 bytes that the hashes of what is said in a tenant are keyed with; a rotation does not change them."""
        return keyed_hash(self.tenant(tenant).token_key, b"content")

    def hash_user(self, tenant: str, interlocutor: str) -> bytes:
        """32 bytes: HMAC-SHA-256 of the person under the tenant's user-hash key."""
        return keyed_hash(self.tenant(tenant).user_key, interlocutor.encode())

    # --- data keys -------------------------------------------------------------------------------------------

    def person(self, tenant: str, interlocutor: str) -> DataKey:
        """The person's newest data key, made if there is none yet. An empty interlocutor is the tenant itself."""
        known = self._persons.get((tenant, interlocutor))
        if known is not None:
            return known
        with self.lock:
            line = self.find(tenant, interlocutor)
            if line is None:
                line = self._make_person(self.tenant(tenant), interlocutor)
            elif line.number < self.lines.renewal(line.owner[:32]):
                line = self.succeed(line)
            return self._persons.put((tenant, interlocutor), self.opener(line.id))

    def known_person(self, tenant: str, interlocutor: str) -> DataKey | None:
        """The person's newest data key if there is one."""
        line = self.find(tenant, interlocutor)
        return self.opener(line.id) if line else None

    def newest(self, key: DataKey) -> DataKey:
        """The key that seals now for whom this one sealed. Raises Erased when theirs were destroyed."""
        generations = self.lines.generations("person", key.tenant + key.person)
        if not generations:
            raise Erased("this was erased")
        return key if generations[-1].id == key.id else self.opener(generations[-1].id)

    def opener(self, key_id: bytes) -> DataKey:
        """The key with this id. Raises Erased when it was destroyed, IntegrityError when it was never there."""
        opened = self._opened.get(key_id)
        if opened is not None:
            return opened
        with self.lock:  # who destroys it must not be overtaken
            line = self.lines.get(key_id)
            if line is None or line.kind not in ("person", "gone"):
                raise IntegrityError("a sealed value names a key that the keyring does not hold", key=key_id.hex())
            if line.kind == "gone":
                raise Erased("this was erased")
            key = self.lines.unwrap(line)
            return self._opened.put(key_id, DataKey(key_id, key, line.owner[:32], line.owner[32:], self._charge))

    def destroy(self, tenant: str, interlocutor: str) -> bool:
        """Crypto-shred a person: every key of theirs is gone from the file when this returns. False: there was none."""
        with self.lock:
            line = self.find(tenant, interlocutor)
            if line is None:
                return False
            self._destroy(self.lines.generations("person", line.owner))
            return True

    def key_ids(self, tenant: str, interlocutor: str) -> list[bytes]:
        """Ids of a person's data keys, oldest first; empty when there is none."""
        line = self.find(tenant, interlocutor)
        return [] if line is None else [one.id for one in self.lines.generations("person", line.owner)]

    def renewed_tenant(self, tenant: str) -> list[bytes]:
        """Ids of all data keys of a tenant, its persons' and its own. Its own gets a successor that is not among them:
        what is said of the tenant's end is sealed under that. Empty when nothing is kept."""
        with self.lock:
            owner = self.tenant(tenant).hash
            found = [line.id for line in self.lines.of_kind("person") if line.owner[:32] == owner]
            line = self.find(tenant, "")
            if line is not None:
                self.succeed(line)
            return found

    def shred(self, ids: Iterable[bytes]) -> None:
        """Destroy data keys by their ids; gone from the file when this returns. Those that are gone already stay so."""
        with self.lock:
            found = [self.lines.get(one) for one in ids]
            self._destroy([line for line in found if line is not None and line.kind == "person"])

    def mourn(self, ids: Iterable[bytes]) -> None:
        """Note that keys were lost: what they sealed reads as erased from now on. For a salvaged directory."""
        with self.lock:
            for one in ids:
                if self.lines.get(one) is None:
                    self.lines.put(WrappedKey("gone", one, b"", b"", now_ms(), b""))
            self.lines.flush()

    def signing_seed(self, generation: int) -> bytes:
        """32 bytes: the private key number `generation` of the audit logs' checkpoints."""
        return derive(self._hash_key, f"log signing {generation}")

    def find(self, tenant: str, interlocutor: str) -> WrappedKey | None:
        """The line of the person's newest key, by the present user hash or the one before."""
        asked: Tenant | None = self.tenant(tenant)
        while asked is not None:
            line = self.lines.named(asked.hash, user_hash(asked, interlocutor))
            if line is not None:
                return line
            asked = asked.before
        return None

    def _destroy(self, doomed: list[WrappedKey]) -> None:
        if not doomed:
            return
        self.lines.destroy(doomed)
        self._opened.clear()
        self._persons.clear()

    def _make_person(self, tenant: Tenant, interlocutor: str) -> WrappedKey:
        parents = self.lines.generations("tenant", tenant.hash)
        parent = parents[-1] if parents else self.lines.make("tenant", owner=tenant.hash)
        return self.lines.make("person", parent.id, tenant.hash + os.urandom(_PERSON),
                               user_hash(tenant, interlocutor), self.users_key, self.lines.renewal(tenant.hash))

    def _charge(self, key_id: bytes) -> int:
        """Grant a key its next block of nonces; one that has spent its budget gets a successor for new seals."""
        with self.lock:
            line = self.lines.get(key_id)
            if line is None or line.kind != "person":
                return BLOCK  # destroyed meanwhile: nothing will open what it seals
            granted = msgspec.structs.replace(line, spent=line.spent + BLOCK)
            if granted.spent % NOTED:
                self.lines.note(granted)
            else:
                missed = (self.lines.openings - line.opening) * NOTED
                self.lines.put(msgspec.structs.replace(granted, spent=granted.spent + missed,
                                                       opening=self.lines.openings))
            if self.spent(granted) > BUDGET and self.lines.generations("person", line.owner)[-1].id == key_id:
                self.succeed(line)
            return BLOCK

    def spent(self, line: WrappedKey) -> int:
        """Nonces that a key has drawn at most: what was granted, and for every opening of the file what may be
        missing in that."""
        return line.spent + (self.lines.openings - line.opening + 1) * NOTED

    def succeed(self, line: WrappedKey) -> WrappedKey:
        """A new generation of a person's key, for new seals."""
        parent, number = self.lines.generations("tenant", line.owner[:32])[-1], self.lines.renewal(line.owner[:32])
        made = self.lines.make("person", parent.id, line.owner, line.name, line.named_by, number)
        self._persons.clear()
        return made

    # --- files -----------------------------------------------------------------------------------------------

    def newest_file_key(self) -> tuple[bytes, bytes]:
        newest = next(reversed(self._file_keys))
        return newest, self._file_keys[newest]

    def file_key(self, id: bytes) -> bytes:
        key = self._file_keys.get(id)
        if key is None:
            raise IntegrityError("a file names a journal key that the keyring does not hold")
        return key

    @property
    def has_unwritten(self) -> bool:
        return self.lines.file.has_unwritten

    def flush(self) -> None:
        """Put new keys on disk. Raises StorageFull (they wait for the next call) or StorageStopped."""
        with self.lock:
            self.lines.flush()

    def content(self) -> bytes:
        """The file, with every key that was written. Raises IntegrityError when it was changed since."""
        with self.lock:
            file, known = self.lines.file.opened()
        with file:
            return checked(file.read(known.end), known, self.path)

    def keep_places(self) -> None:
        """Note, for the next opening, where keys lie; lost without harm."""
        with self.lock:
            self.lines.keep_places()

    def close(self) -> None:
        """Forget every key."""
        self.lines.close()
        for kept in (self._opened, self._persons, self._tenants):
            kept.clear()
        self._hash_key, self._user_keys, self._file_keys = b"", [], {}
