"""Delivers what committed turns put into the outbox, at least once, and records how each delivery ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio
from msgspec.structs import replace

from ruche.actors.hosting import wall_ms
from ruche.actors.scribe import Scribe
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import OutboxSettled

log = logging.getLogger(__name__)

Deliver = Callable[[str, OutboxItem], Awaitable[None]]
"""Takes (tenant, item); returning means delivered, an exception means not."""

TRIES = 6
FIRST_DELAY_MS, LONGEST_DELAY_MS = 10_000, 3_600_000
AT_ONCE = 8


class Undeliverable(Exception):
    """Trying again would not help: the item is given up."""


class Courier:
    """`routes` names how each kind of item is delivered; items of other kinds stay where they are.

    A delivery has `timeout` seconds. One that fails is tried again after 10 s, then twice as long each time up to an
    hour, six tries in all. An item is marked as delivered after the fact, so a crash between the two repeats it.
    """

    def __init__(self, scribe: Scribe, routes: Mapping[str, Deliver], *, timeout: float = 10.0,
                 clock_ms: Callable[[], int] = wall_ms) -> None:
        self._scribe = scribe
        self._routes = dict(routes)
        self._timeout = timeout
        self._clock_ms = clock_ms
        self._busy = False

    async def deliver_due(self) -> int:
        """Try every item that is due, one round at a time; how many were delivered. For the clock to call."""
        if self._busy or not self._routes:
            return 0
        self._busy = True
        try:
            return await self._round()
        finally:
            self._busy = False

    async def _round(self) -> int:
        now, delivered = self._clock_ms(), list[str]()
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for tenant, item in await self._scribe.read(lambda store: store.outbox()):
                if item.kind in self._routes and item.at_ms <= now:
                    tasks.start_soon(self._deliver, tenant, item, limiter, delivered)
        return len(delivered)

    async def _deliver(self, tenant: str, item: OutboxItem, limiter: anyio.CapacityLimiter,
                       delivered: list[str]) -> None:
        async with limiter:
            reason, final = await self._try(tenant, item)
        retry = None
        if not reason:
            delivered.append(item.id)
        elif not final and item.attempts + 1 < TRIES:
            delay = min(FIRST_DELAY_MS * 2 ** item.attempts, LONGEST_DELAY_MS)
            retry = replace(item, attempts=item.attempts + 1, at_ms=self._clock_ms() + delay)
        await self._scribe.commit(OutboxSettled(
            tenant=tenant, at_ms=self._clock_ms(), item=item.id, delivered=not reason, retry=retry, reason=reason,
            interlocutor=str(item.payload.get("interlocutor", ""))))

    async def _try(self, tenant: str, item: OutboxItem) -> tuple[str, bool]:
        """Why it failed (empty: it did not) and whether that is final."""
        try:
            with anyio.fail_after(self._timeout):
                await self._routes[item.kind](tenant, item)
        except Exception as error:
            log.warning("delivery %s failed of %s at try %d", item.id, type(error).__name__, item.attempts + 1)
            return type(error).__name__, isinstance(error, Undeliverable)
        return "", False
