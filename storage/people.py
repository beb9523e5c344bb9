"""Profiles of a tenant's interlocutors."""

from __future__ import annotations

import msgspec

from ruche.storage.model.conversation import Profile
from ruche.storage.rows import PersonRow
from ruche.storage.secured import Door

_profile = msgspec.msgpack.Decoder(Profile).decode


class People:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._people = door.handle(tenant, PersonRow)

    def unknown(self, interlocutor: str) -> bool:
        """True when surely nothing is kept of a person; never waits for the disk."""
        return self._people.lacks("person", interlocutor)

    def profile(self, interlocutor: str) -> Profile | None:
        row = self._people.get(interlocutor)
        return None if row is None else _profile(row["profile"])
