"""What a tenant's models read, wrote and cost, by UTC day and agent, counted from the records of its turns."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.turn import Usage
from ruche.storage.secured import Page

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.model.run import Run
    from ruche.storage.store import Store

MOST_DAYS = 31
DAY_MS = 86_400_000
_PAGE = 200
_KEPT = 4_096
"""Days of tenants whose counts are remembered; a day that is over changes no more but by erasure."""


_Counted = tuple[int, Usage, Usage]
"""Turns, what they used, and what of it does not tell its cost."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one agent's turns of one day used. `day` counts from 1970-01-01; `cost` is in the currency of the prices, by
    those that held when each call was made."""

    day: int
    agent: str
    turns: int
    usage: Usage
    cost: float


class Accounts:
    """Counts a day once when it is asked for; today's anew each time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._days: OrderedDict[tuple[str, int], dict[str, _Counted]] = OrderedDict()

    async def of(self, tenant: str, first: int, last: int) -> list[Spent]:
        """From day `first` to `last`, by day and agent. Raises InvalidRequest for more than 31 days."""
        if not 0 <= last - first < MOST_DAYS:
            raise InvalidRequest(f"from, to: at most {MOST_DAYS} days, the earlier first",
                                 fields=[{"path": "to", "message": f"at most {MOST_DAYS} days after from"}])
        found = []
        for day in range(first, last + 1):
            for agent, (turns, usage, uncounted) in sorted((await self._day(tenant, day)).items()):
                cost = round((usage.cost or 0.0) + self._cost(tenant, agent, uncounted), 6)
                found.append(Spent(day, agent, turns, usage, cost))
        return found

    async def _day(self, tenant: str, day: int) -> dict[str, _Counted]:
        known = self._days.get((tenant, day))
        if known is not None:
            return known
        counted: dict[str, _Counted] = {}
        cursor, more = None, True
        while more:
            page = await self._host.scribe.read(partial(_page, tenant, day, cursor))
            for run in page.items:
                turns, usage, uncounted = counted.get(run.agent, (0, Usage(), Usage()))
                counted[run.agent] = (turns + 1, usage + run.usage,
                                      uncounted if run.usage.cost is not None else uncounted + run.usage)
            cursor, more = page.next_cursor, page.next_cursor is not None
        if day < self._host.hosting.clock_ms() // DAY_MS:
            self._days[tenant, day] = counted
            while len(self._days) > _KEPT:
                self._days.popitem(last=False)
        return counted

    def _cost(self, tenant: str, agent: str, usage: Usage) -> float:
        """Of runs that do not tell: by the price of the model that the agent names now; 0 for one without a price."""
        published = self._host.catalog.find(tenant, agent)
        name = published.bundle.agent.models.model if published is not None else None
        price = self._host.settings.models.prices.get(name or "")
        if price is None:
            return 0.0
        return round((usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000, 6)


def _page(tenant: str, day: int, cursor: str | None, store: Store) -> Page[Run]:
    return store.tenant(tenant).runs(since_ms=day * DAY_MS, until_ms=(day + 1) * DAY_MS, cursor=cursor, limit=_PAGE)
