"""What is to be done at a time, whoever runs then: kept in the outbox, delivered by the courier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruche.actors.courier import Courier
from ruche.actors.scribe import Scribe
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import OutboxSettled, ReminderSet


class Reminders:
    """Each fires at its time, or as soon as the engine runs again after it.

    Its action is the courier's route for its kind. An action that fails is tried again; one that succeeded is repeated
    only when the process died before that was journalled, so an action does nothing twice for the same item's id.
    """

    def __init__(self, scribe: Scribe, courier: Courier, clock_ms: Callable[[], int],
                 new_id: Callable[[], str]) -> None:
        self._scribe = scribe
        self._courier = courier
        self._clock_ms = clock_ms
        self._new_id = new_id

    async def set(self, tenant: str, kind: str, at_ms: int, *, interlocutor: str = "", id: str = "",
                  **payload: Any) -> str:
        """Durable when it returns its id; the id of one that waits replaces that. `at_ms` since 1970 UTC."""
        item = OutboxItem(id=id or self._new_id(), kind=kind, target="", at_ms=at_ms,
                          payload={**payload, "interlocutor": interlocutor})
        await self._scribe.commit(ReminderSet(tenant=tenant, at_ms=self._clock_ms(), item=item,
                                              interlocutor=interlocutor))
        self._courier.expect(at_ms)
        return item.id

    async def ensure(self, tenant: str, kind: str, at_ms: int, id: str) -> None:
        """Set one, unless one of this id waits already."""
        if await self._scribe.read(lambda store: store.waits(tenant, id)):
            return
        await self.set(tenant, kind, at_ms, id=id)

    async def cancel(self, tenant: str, id: str) -> None:
        """It does not fire any more; one that has fired, or never was, is fine."""
        await self._scribe.commit(OutboxSettled(tenant=tenant, at_ms=self._clock_ms(), item=id, delivered=False,
                                                reason="cancelled"))
