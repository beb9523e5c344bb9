"""Recorded turns run again, and two of them compared. Read only: nothing is called, said or kept."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from ruche.engine.rerunning import differences
from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import Body, query, read
from ruche.engine.server.routes import EXAMINE, Route


class ReplayRequest(Body, frozen=True, kw_only=True):
    """`agent_version` runs it with another published version of its agent; what comes out otherwise is told."""

    agent_version: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None


class DifferenceShown(Shown, kw_only=True):
    """The first thing that came out otherwise; `turn` is its number in the session, `site` where in the turn."""

    turn: int
    site: str
    recorded: str
    replayed: str


class ReplayShown(Shown, kw_only=True):
    """`earlier` turns of the session were run again first, to have the state that this one began with."""

    run_id: str
    session_id: str
    sequence: int
    agent_id: str
    agent_version: int
    identical: bool
    earlier: int
    difference: DifferenceShown | None
    notes: list[str]


class FieldDiffers(Shown, kw_only=True):
    field: str
    left: Any
    right: Any


class RunsCompared(Shown, kw_only=True):
    left: str
    right: str
    same: bool
    differences: list[FieldDiffers]


async def replay_run(request: web.Request) -> web.Response:
    """The same inputs and recorded answers from outside: identical, or the first difference."""
    query(request)
    engine, tenant, run_id = request.app[ENGINE], request[IDENTITY].tenant, request.match_info["id"]
    await engine.run(tenant, run_id)
    body = await read(request, ReplayRequest) if request.can_read_body else ReplayRequest()
    replayed = await engine.replay(tenant, run_id, body.agent_version)
    run, found = replayed.run, replayed.difference
    return answer(ReplayShown(
        run_id=run.id, session_id=run.session, sequence=run.sequence, agent_id=run.agent,
        agent_version=body.agent_version or run.agent_version, identical=found is None, earlier=replayed.earlier,
        notes=list(replayed.notes), difference=None if found is None else DifferenceShown(
            turn=found.turn, site=found.site, recorded=found.recorded, replayed=found.replayed)))


async def compare_runs(request: web.Request) -> web.Response:
    """What two turns were told, decided and said, field by field."""
    query(request)
    engine, tenant = request.app[ENGINE], request[IDENTITY].tenant
    left = await engine.run(tenant, request.match_info["id"])
    right = await engine.run(tenant, request.match_info["other"])
    found = [FieldDiffers(field=name, left=one, right=other) for name, one, other in differences(left, right)]
    return answer(RunsCompared(left=left.id, right=right.id, same=not found, differences=found))


ROUTES = (
    Route("POST", "/v1/runs/{id}/replay", replay_run, "Run a recorded turn again and compare", EXAMINE,
          body=ReplayRequest, answer=ReplayShown),
    Route("GET", "/v1/runs/{id}/diff/{other}", compare_runs, "Compare two runs", EXAMINE, answer=RunsCompared),
)
