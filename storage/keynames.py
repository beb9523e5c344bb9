"""What tenants and persons are called in files: keyed hashes, which tell nobody without the keyring who is meant."""

from __future__ import annotations

import msgspec

from ruche.storage.vault import keyed_hash


class Tenant(msgspec.Struct, frozen=True):
    """A tenant's names in files: `hash` (32 bytes) in associated data, `tag` (64 bits) as a column, and its keys.

    `before` is the same tenant under the user-hash key that is being replaced, while it is.
    """

    name: str
    hash: bytes
    tag: int
    user_key: bytes
    token_key: bytes
    before: Tenant | None = None


def user_hash(tenant: Tenant, interlocutor: str) -> bytes:
    """What stands for a person in the keyring; empty for the tenant itself."""
    return keyed_hash(tenant.user_key, interlocutor.encode()) if interlocutor else b""
