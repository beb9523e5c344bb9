"""An address outside that hears of a tenant's conversations, and what became of each call to it."""

from __future__ import annotations

from typing import Literal

from ruche.storage.model.conversation import Struct
from ruche.storage.model.event import OutboxItem

HookState = Literal["pending", "active", "paused", "disabled"]
"""Pending: its owner has not shown yet that it wants to be called. Disabled: it failed again and again."""
DeliveryState = Literal["delivered", "waiting", "given_up"]


class Webhook(Struct, frozen=True, kw_only=True):
    """As an admin made it over the API. `secret` signs what is sent to `url`."""

    id: str
    url: str
    secret: str
    created_ms: int
    created_by: str
    events: tuple[str, ...]
    agents: tuple[str, ...] = ()
    """Of these agents only; of all where it is empty."""
    texts: bool = False
    state: HookState = "pending"
    failures: int = 0
    """Deliveries given up since the last one that arrived."""


class Delivery(Struct, frozen=True, kw_only=True):
    """What became of telling a webhook of one event; `item` is what to send, should it be sent again."""

    item: OutboxItem
    state: DeliveryState
    attempts: int
    tried_ms: int
    status: int = 0
    """What the address answered, 0 where it did not."""
    reason: str = ""
    answered: str = ""
    """The first 500 characters of its answer."""
