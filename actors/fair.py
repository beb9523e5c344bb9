"""A gate in front of turns that goes round robin over tenants, so that one tenant's flood is that tenant's alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping
from types import TracebackType

from ruche.plugins.errors import RateLimited


class FairGate:
    """At most `total` slots at once, at most `per_tenant` for one tenant (`limits` overrides by name).

    Waiters of a tenant are served in order, tenants in turn; taking and releasing cost the same however many wait.
    More than `waiting` waiters of one tenant are refused with RateLimited. At most `pace` slots are given out in one
    round of the loop: a turn may be pure computing, and whoever comes next would wait for all that were let in before.
    Loop thread only.
    """

    def __init__(self, total: int, per_tenant: int, *, waiting: int = 1000,
                 limits: Mapping[str, int] | None = None, pace: int = 1) -> None:
        self.busy = 0
        self._pace = self._left = pace
        self._total = total
        self._per_tenant = per_tenant
        self._limits = dict(limits or {})
        self._waiting_limit = waiting
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        # Tenants that wait and are below their own limit: whoever stands first gets the next slot.
        self._ready: OrderedDict[str, None] = OrderedDict()

    def slot(self, tenant: str) -> TenantSlot:
        """`async with gate.slot(tenant):` holds one of the tenant's slots. Raises RateLimited."""
        return TenantSlot(self, tenant)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """Turns that run and wait, by tenant."""
        return {"running": dict(self._running), "waiting": {name: len(queue) for name, queue in self._waiting.items()}}

    async def enter(self, tenant: str) -> None:
        """Take a slot, waiting for it; each must be given back by `leave`. Cancelled, it has taken none."""
        if self._open() and tenant not in self._waiting and self._below_limit(tenant):
            self._grant(tenant)
            return
        turn = self._queue_up(tenant)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(tenant)  # granted and cancelled in the same breath
            else:
                self._withdraw(tenant, turn)
            raise

    def leave(self, tenant: str) -> None:
        """Give a slot back."""
        self.busy -= 1
        left = self._running[tenant] - 1
        if left:
            self._running[tenant] = left
        else:
            del self._running[tenant]
        if tenant in self._waiting and self._below_limit(tenant):
            self._ready.setdefault(tenant, None)
        self._serve()

    def _open(self) -> bool:
        return self._left > 0 and self.busy < self._total

    def _below_limit(self, tenant: str) -> bool:
        return self._running.get(tenant, 0) < self._limits.get(tenant, self._per_tenant)

    def _grant(self, tenant: str) -> None:
        if self._left == self._pace:
            asyncio.get_running_loop().call_soon(self._next_round)
        self._left -= 1
        self.busy += 1
        self._running[tenant] = self._running.get(tenant, 0) + 1

    def _queue_up(self, tenant: str) -> asyncio.Future[None]:
        if len(self._waiting.get(tenant, ())) >= self._waiting_limit:
            raise RateLimited("too many turns of this tenant wait already; try again shortly", retry_after=1.0)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        if self._below_limit(tenant):
            self._ready.setdefault(tenant, None)
        return turn

    def _next_round(self) -> None:
        self._left = self._pace
        self._serve()

    def _serve(self) -> None:
        while self._ready and self._open():
            tenant, _ = self._ready.popitem(last=False)
            queue = self._waiting[tenant]
            turn = queue.popleft()
            if turn.cancelled():
                self._still_waiting(tenant, queue)
                continue
            self._grant(tenant)
            turn.set_result(None)
            self._still_waiting(tenant, queue)

    def _still_waiting(self, tenant: str, queue: deque[asyncio.Future[None]]) -> None:
        if not queue:
            del self._waiting[tenant]
        elif self._below_limit(tenant):
            self._ready[tenant] = None

    def _withdraw(self, tenant: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(tenant)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[tenant]
                self._ready.pop(tenant, None)


class TenantSlot:
    """A tenant's slot, held inside `async with`."""

    __slots__ = ("_gate", "_tenant")

    def __init__(self, gate: FairGate, tenant: str) -> None:
        self._gate = gate
        self._tenant = tenant

    async def __aenter__(self) -> None:
        await self._gate.enter(self._tenant)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self._gate.leave(self._tenant)
