"""The other names of a tenant's persons: who comes by one is the person whose it is, until it is taken away."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ruche.storage.model.record import IdentityLinked
from ruche.storage.rows import IdentityRow
from ruche.storage.secured import Door

_MOST = 1_000_000_000

_identity = msgspec.msgpack.Decoder(IdentityLinked).decode


class Identities:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._identities = door.handle(tenant, IdentityRow)

    def get(self, name: str) -> IdentityLinked | None:
        row = self._identities.get(name)
        return None if row is None else _identity(row["record"])

    def all(self) -> list[IdentityLinked]:
        """By name."""
        rows = self._identities.find(limit=_MOST)
        return sorted((_identity(row["record"]) for row in rows), key=lambda one: one.identity)


def names_of(name: str, known: Iterable[IdentityLinked]) -> tuple[str, ...]:
    """All names of the person who goes by this one, that of their records first."""
    linked = [one for one in known if one.linked]
    person = next((one.interlocutor for one in linked if one.identity == name), name)
    return person, *[one.identity for one in linked if one.interlocutor == person]
