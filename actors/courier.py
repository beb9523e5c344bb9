"""Delivers what waits in the outbox, at least once, and records how each delivery ended: calls to the outside that a
turn has committed, and reminders that are due. Both survive a restart."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping

import anyio
from msgspec.structs import replace

from ruche.actors.hosting import wall_ms
from ruche.actors.scribe import Scribe
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import OutboxSettled

log = logging.getLogger(__name__)

Deliver = Callable[[str, OutboxItem], Awaitable[int | None]]
"""Takes (tenant, item); returning means delivered, an exception means not. A number is the time, in milliseconds since
1970, at which the item is due again."""

TRIES = 6
FIRST_DELAY_MS, LONGEST_DELAY_MS = 10_000, 3_600_000
AT_ONCE = 8
PAGE = 100


class Undeliverable(Exception):
    """Trying again would not help: the item is given up."""


class Courier:
    """`routes` names how each kind of item is delivered; items of other kinds stay where they are.

    A delivery has `timeout` seconds. One that fails is tried again after 10 s, then twice as long each time up to an
    hour, six tries in all. An item is marked as delivered after the fact, so a crash between the two repeats it.
    """

    def __init__(self, scribe: Scribe, routes: Mapping[str, Deliver], *, timeout: float = 10.0,
                 clock_ms: Callable[[], int] = wall_ms) -> None:
        self.stats: dict[str, int] = dict.fromkeys(("delivered", "failed", "given_up"), 0)
        self._scribe = scribe
        self._routes = dict(routes)
        self._timeout = timeout
        self._clock_ms = clock_ms
        self._busy = False
        self._foreign = 0
        self._next_ms: float = 0
        """Nothing is due before this time; unknown at first."""

    def route(self, kind: str, deliver: Deliver) -> None:
        """From now on items of this kind are delivered so."""
        self._routes[kind] = deliver
        self._next_ms = 0

    def expect(self, at_ms: int) -> None:
        """Something new will be due then."""
        self._next_ms = min(self._next_ms, at_ms)

    async def deliver_due(self) -> int:
        """Try every item that is due, one round at a time; how many were delivered. For the clock to call, often: it
        looks into the outbox only when something may be due."""
        if self._busy or not self._routes or self._clock_ms() < self._next_ms:
            return 0
        self._busy = True
        try:
            return await self._round()
        except BaseException:  # what was delivered could not be settled: it will be repeated, but not in a hurry
            self._next_ms = self._clock_ms() + FIRST_DELAY_MS
            raise
        finally:
            self._busy = False

    async def _round(self) -> int:
        now, delivered = self._clock_ms(), list[str]()
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for tenant, item in await self._look(now):
                tasks.start_soon(self._deliver, tenant, item, limiter, delivered)
        return len(delivered)

    async def _look(self, now: int) -> list[tuple[str, OutboxItem]]:
        """What is due, and when to look again."""
        limit, self._next_ms = PAGE + self._foreign, math.inf
        page = await self._scribe.read(lambda store: store.outbox(limit))
        routed = [(tenant, item) for tenant, item in page if item.kind in self._routes]
        self._foreign = len(page) - len(routed)  # they stay, and must not hide what comes after them
        later = [item.at_ms for _, item in routed if item.at_ms > now]
        self._next_ms = min(self._next_ms, *later, now if len(page) == limit and not later else math.inf)
        return [(tenant, item) for tenant, item in routed if item.at_ms <= now]

    async def _deliver(self, tenant: str, item: OutboxItem, limiter: anyio.CapacityLimiter,
                       delivered: list[str]) -> None:
        async with limiter:
            reason, final, again_ms = await self._try(tenant, item)
        retry = None
        if not reason:
            delivered.append(item.id)
            retry = None if again_ms is None else replace(item, attempts=0, at_ms=again_ms)
        elif not final and item.attempts + 1 < TRIES:
            delay = min(FIRST_DELAY_MS * 2 ** item.attempts, LONGEST_DELAY_MS)
            retry = replace(item, attempts=item.attempts + 1, at_ms=self._clock_ms() + delay)
        self.stats["delivered" if not reason else "failed" if retry else "given_up"] += 1
        await self._scribe.commit(OutboxSettled(
            tenant=tenant, at_ms=self._clock_ms(), item=item.id, delivered=not reason, retry=retry, reason=reason,
            interlocutor=str(item.payload.get("interlocutor", ""))))
        if retry is not None:
            self.expect(retry.at_ms)

    async def _try(self, tenant: str, item: OutboxItem) -> tuple[str, bool, int | None]:
        """Why it failed (empty: it did not), whether that is final, and when it is due again."""
        try:
            with anyio.fail_after(self._timeout):
                return "", False, await self._routes[item.kind](tenant, item)
        except Exception as error:
            log.warning("delivery %s failed of %s at try %d", item.id, type(error).__name__, item.attempts + 1)
            return type(error).__name__, isinstance(error, Undeliverable), None
