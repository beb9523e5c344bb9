"""What tenants may use: how many of their messages wait, what is kept of them, what models read and wrote for them.

A quota is looked at before a message is taken. Turns that have begun are finished, so a tenant may end a little above.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ruche.actors.scribe import Scribe
from ruche.engine.config import LimitSettings
from ruche.plugins.errors import QuotaExceeded, RateLimited
from ruche.storage.model.run import Run

if TYPE_CHECKING:
    from ruche.storage.store import Store

LOOK_SECONDS = 10.0
"""A tenant's storage is looked up again after so long; it may grow beyond its quota meanwhile."""
MEGABYTE = 1_000_000
PAGE = 200
CHARACTERS_PER_TOKEN = 4
_DAY_MS = 86_400_000


@dataclass(slots=True, eq=False)
class _Account:
    """One tenant's use. `day` is the UTC day that `tokens` belong to; `looked` is when `stored` was looked up."""

    storage: int
    tokens_allowed: int
    day: int
    tokens: int = 0
    earlier: bool = False
    """Whether `tokens` holds what was used on `day` before this process began."""
    stored: int = 0
    looked: float = float("-inf")
    lock: anyio.Lock = field(default_factory=anyio.Lock)


def tokens_of(run: Run) -> int:
    """What a turn's model calls used. A model that streams tells nothing: then four characters count as a token."""
    usage = run.usage
    if usage.model_calls and not usage.input_tokens + usage.output_tokens:
        return (sum(map(len, run.said)) + len(run.reply)) // CHARACTERS_PER_TOKEN
    return usage.input_tokens + usage.output_tokens


class Crowd:
    """Callers that wait for an answer, by tenant.

    Without a bound a server that was too slow for a while answers everybody too late for ever after.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._usual = limits.waiting_per_tenant
        self._waiting: dict[str, int] = {}

    def enter(self, tenant: str) -> None:
        """One more waits, until `leave`. Raises RateLimited when too many do."""
        waiting = self._waiting.get(tenant, 0)
        if waiting >= self._most(tenant):
            raise RateLimited("too many messages of this tenant wait for an answer; slow down", retry_after=1.0)
        self._waiting[tenant] = waiting + 1

    def leave(self, tenant: str) -> None:
        left = self._waiting[tenant] - 1
        if left:
            self._waiting[tenant] = left
        else:
            del self._waiting[tenant]

    def _most(self, tenant: str) -> int:
        own = self._limits.tenants.get(tenant)
        return self._usual if own is None or own.waiting is None else own.waiting


class Quotas:
    """All tenants' accounts, on the event loop; only tenants that have a quota have one.

    `clock_ms` is the wall clock in milliseconds, `clock` a monotonic one in seconds.
    """

    def __init__(self, limits: LimitSettings, scribe: Scribe, clock_ms: Callable[[], int],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.crowd = Crowd(limits)
        self._limits = limits
        self._scribe = scribe
        self._clock_ms = clock_ms
        self._clock = clock
        self._began_ms = clock_ms()
        self._accounts: dict[str, _Account | None] = {}

    async def check(self, tenant: str) -> None:
        """Raises QuotaExceeded when the tenant has used up what it may keep, or its models' tokens of the day."""
        account = self._account(tenant)
        if account is None:
            return
        async with account.lock:
            if account.storage:
                await self._check_storage(tenant, account)
            if account.tokens_allowed:
                await self._check_tokens(tenant, account)

    def count(self, run: Run) -> None:
        """A turn was kept."""
        account = self._account(run.tenant)
        if account is not None:
            self._turn_day(account)
            account.tokens += tokens_of(run)

    def _account(self, tenant: str) -> _Account | None:
        try:
            return self._accounts[tenant]
        except KeyError:
            allowed = self._limits.for_tenant(tenant)
            storage, tokens = (allowed.storage_mb or 0) * MEGABYTE, allowed.tokens_per_day or 0
            limited = bool(storage or tokens)
            account = self._accounts[tenant] = _Account(storage, tokens, self._today()) if limited else None
            return account

    async def _check_storage(self, tenant: str, account: _Account) -> None:
        if self._clock() - account.looked >= LOOK_SECONDS:
            account.stored = await self._scribe.read(partial(_stored, tenant))
            account.looked = self._clock()
        if account.stored >= account.storage:
            raise QuotaExceeded(f"this tenant keeps {account.stored / MEGABYTE:,.1f} MB of turns and may keep "
                                f"{account.storage // MEGABYTE:,} MB; raise limits.tenants or erase what is old")

    async def _check_tokens(self, tenant: str, account: _Account) -> None:
        self._turn_day(account)
        if not account.earlier:
            account.tokens += await self._used_before(tenant, account.day)
            account.earlier = True
        if account.tokens >= account.tokens_allowed:
            left_ms = (account.day + 1) * _DAY_MS - self._clock_ms()
            raise QuotaExceeded(f"this tenant's models have used the {account.tokens_allowed:,} tokens of today (UTC)",
                                retry_after=max(1.0, left_ms / 1000))

    async def _used_before(self, tenant: str, day: int) -> int:
        """Tokens of the day's turns before this process began; turns of its own are counted as they are kept."""
        total, cursor, more = 0, None, day * _DAY_MS < self._began_ms
        while more:
            used, cursor = await self._scribe.read(partial(_used, tenant, day * _DAY_MS, self._began_ms, cursor))
            total, more = total + used, cursor is not None
        return total

    def _turn_day(self, account: _Account) -> None:
        today = self._today()
        if today != account.day:
            account.day, account.tokens, account.earlier = today, 0, False

    def _today(self) -> int:
        return self._clock_ms() // _DAY_MS


def _stored(tenant: str, store: Store) -> int:
    return store.tenant(tenant).run_bytes()


def _used(tenant: str, since_ms: int, until_ms: int, cursor: str | None, store: Store) -> tuple[int, str | None]:
    page = store.tenant(tenant).runs(since_ms=since_ms, until_ms=until_ms, cursor=cursor, limit=PAGE)
    return sum(map(tokens_of, page.items)), page.next_cursor
