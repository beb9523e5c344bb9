"""Webhooks of a tenant that were made over the API, and what became of deliveries."""

from __future__ import annotations

import msgspec

from ruche.storage.model.record import DeliveryNoted, WebhookSaved
from ruche.storage.model.webhook import Delivery, Webhook
from ruche.storage.rows import DeliveryRow, WebhookRow
from ruche.storage.secured import Door, Filter, Page

_MOST = 1_000_000

_saved = msgspec.msgpack.Decoder(WebhookSaved).decode
_noted = msgspec.msgpack.Decoder(DeliveryNoted).decode


class Webhooks:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._hooks, self._deliveries = door.handle(tenant, WebhookRow), door.handle(tenant, DeliveryRow)

    def all(self) -> list[Webhook]:
        """By id, which is by age."""
        return [_saved(row["record"]).webhook for row in self._hooks.find(order=("id",), limit=_MOST)]

    def delivery(self, id: str) -> Delivery | None:
        row = self._deliveries.get(id)
        return None if row is None else _noted(row["record"]).delivery

    def deliveries(self, webhook: str, state: str | None, limit: int, cursor: str | None) -> Page[Delivery]:
        """Newest first, by when it happened."""
        filters = [Filter("webhook", "=", webhook)] + ([] if state is None else [Filter("state", "=", state)])
        rows, following = self._deliveries.page(*filters, order=("at_ms", "id"), limit=limit, cursor=cursor)
        return Page(tuple(_noted(row["record"]).delivery for row in rows), following)
