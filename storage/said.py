"""What was said with a tenant's interlocutors, as agents that remember keep it."""

from __future__ import annotations

import msgspec

from ruche.storage.model.memory import Remembered
from ruche.storage.rows import UtteranceRow
from ruche.storage.secured import Door, Filter

_said = msgspec.msgpack.Decoder(tuple[str, str, Remembered]).decode


class Said:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._said = door.handle(tenant, UtteranceRow)

    def of(self, interlocutor: str, limit: int) -> list[Remembered]:
        """Oldest first; of more than `limit` the newest."""
        rows = self._said.find(Filter("person", "=", interlocutor), order=("at_ms", "id"), descending=True, limit=limit)
        return [_said(row["record"])[2] for row in reversed(rows)]
