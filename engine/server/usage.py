"""What a tenant's models read, wrote and cost, by day and agent."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import query
from ruche.engine.server.routes import OVERSEE, Route
from ruche.engine.usage import DAY_MS
from ruche.plugins.errors import InvalidRequest


class DayUsed(Shown, kw_only=True):
    """One agent's turns of one UTC day. `cost` by the price that the settings give its model, 0 without one."""

    day: str
    agent_id: str
    turns: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    cost: float


class UsageShown(Shown, kw_only=True):
    tenant_id: str
    items: list[DayUsed]
    turns: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    cost: float


async def show_usage(request: web.Request) -> web.Response:
    """From `from` to `to` (days such as 2026-11-20, UTC, both included); today without them."""
    values = query(request, "from", "to")
    today = int(time.time() * 1000) // DAY_MS
    last = _day(values, "to", today)
    tenant = request[IDENTITY].tenant
    spent = await request.app[ENGINE].usage(tenant, _day(values, "from", last), last)
    items = [DayUsed(day=datetime.fromtimestamp(one.day * 86_400, UTC).date().isoformat(), agent_id=one.agent,
                     turns=one.turns, model_calls=one.usage.model_calls, input_tokens=one.usage.input_tokens,
                     output_tokens=one.usage.output_tokens, cost=one.cost) for one in spent]
    return answer(UsageShown(
        tenant_id=tenant, items=items, turns=sum(one.turns for one in items),
        model_calls=sum(one.model_calls for one in items), input_tokens=sum(one.input_tokens for one in items),
        output_tokens=sum(one.output_tokens for one in items), cost=round(sum(one.cost for one in items), 6)))


def _day(values: dict[str, str], name: str, default: int) -> int:
    text = values.get(name)
    if text is None:
        return default
    try:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError:
        message = "a day such as 2026-11-20"
        raise InvalidRequest(f"{name}: {message}", fields=[{"path": name, "message": message}]) from None


ROUTES = (
    Route("GET", "/v1/admin/usage", show_usage, "What models read, wrote and cost, by day and agent", OVERSEE,
          answer=UsageShown, query=("from", "to")),
)
