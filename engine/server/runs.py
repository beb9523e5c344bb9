"""The records of turns: list, read, verify. Read only; for those who examine what the engine did."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from ruche.engine.server.answers import Shown, TurnShown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import query, whole
from ruche.engine.server.routes import EXAMINE, Route
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.run import Run

_RISKS = ("GREEN", "YELLOW", "RED", "UNKNOWN", "ERROR")
_STATES = ("complete", "awaiting", "blocked", "superseded", "handed_off", "interrupted", "failed")
_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d)$")


class RunShort(Shown, kw_only=True):
    """A run in a list."""

    id: str
    session_id: str
    agent_id: str
    agent_version: int
    sequence: int
    created_at: str
    outcome: str
    status: str
    response_type: str
    risk: str
    language: str
    total_ms: float | None


class TapeShown(Shown, kw_only=True):
    """One thing the turn learned from outside: where, the hash of what was asked, how much came back."""

    site: str
    request: str
    answer_bytes: int
    error: str | None


class RunShown(RunShort, kw_only=True):
    """A whole run. `hashes` and `previous` are hexadecimal: SHA-256, and HMAC under a key of the
    tenant's for what words go into where `version` is 2; `tape` says what was learned, not its bytes."""

    schema: int
    previous: str
    interlocutor_id: str
    channel: str
    request_id: str
    engine: str
    message_ids: list[str]
    said: list[str]
    turn: TurnShown
    turn_group_id: str
    segments: list[str]
    categories: list[str]
    decisions: dict[str, Any]
    hashes: dict[str, str | int]
    tape: list[TapeShown]
    error: str


class VerificationShown(Shown, kw_only=True):
    """What checking the chain of the run's session showed: `problems` is empty when the chain is whole."""

    run_id: str
    session_id: str
    ok: bool
    runs: int
    problems: list[str]


class RunPage(Shown, kw_only=True):
    items: list[RunShort]
    next_cursor: str | None


def short(run: Run) -> dict[str, Any]:
    """The fields of a run in a list."""
    return {"id": run.id, "session_id": run.session, "agent_id": run.agent, "agent_version": run.agent_version,
            "sequence": run.sequence, "created_at": rfc3339(run.created_ms), "outcome": run.outcome,
            "status": run.status, "response_type": run.response_type, "risk": run.risk, "language": run.language,
            "total_ms": run.timings_ms.get("total")}


def shown(run: Run) -> RunShown:
    """A run with all its fields."""
    return RunShown(
        **short(run), schema=run.schema, previous=run.previous, interlocutor_id=run.interlocutor,
        channel=run.channel, request_id=run.request_id, engine=run.engine, message_ids=list(run.message_ids),
        said=list(run.said), turn_group_id=run.turn_group_id or run.id,
        turn=msgspec.convert(run.turn(), TurnShown, from_attributes=True),
        segments=list(run.segments), categories=list(run.categories), decisions=run.decisions,
        hashes=msgspec.structs.asdict(run.hashes), error=run.error,
        tape=[TapeShown(site=one.site, request=one.request, answer_bytes=len(one.answer),
                        error=one.error[0] if one.error else None) for one in run.tape])


async def list_runs(request: web.Request) -> web.Response:
    """The newest first."""
    values = query(request, "from", "to", "risk", "status", "session", "agent", "limit", "cursor")
    page = await request.app[ENGINE].runs(
        request[IDENTITY].tenant, session=values.get("session"), agent=values.get("agent"),
        risk=_one_of(values, "risk", _RISKS), status=_one_of(values, "status", _STATES),
        since_ms=_moment(values, "from"), until_ms=_moment(values, "to"),
        limit=whole(values, "limit", 20, 1, 100), cursor=values.get("cursor"))
    return answer(RunPage(items=[RunShort(**short(run)) for run in page.items], next_cursor=page.next_cursor))


async def read_run(request: web.Request) -> web.Response:
    query(request)
    return answer(shown(await request.app[ENGINE].run(request[IDENTITY].tenant, request.match_info["id"])))


async def verify_run(request: web.Request) -> web.Response:
    """Check the chain of the run's session: no gap, every hash right."""
    query(request)
    engine, tenant = request.app[ENGINE], request[IDENTITY].tenant
    run = await engine.run(tenant, request.match_info["id"])
    found = await engine.verify(tenant, run.session)
    return answer(VerificationShown(run_id=run.id, session_id=run.session, ok=found.ok, runs=found.runs,
                                    problems=list(found.problems)))


async def export_run(request: web.Request) -> web.Response:
    """The canonical bytes: what the run's hash is over."""
    query(request)
    run_id = request.match_info["id"]
    body = await request.app[ENGINE].canonical_run(request[IDENTITY].tenant, run_id)
    return web.Response(body=body, content_type="application/json",
                        headers={"Content-Disposition": 'attachment; filename="run.json"'})


def _one_of(values: dict[str, str], name: str, known: tuple[str, ...]) -> str | None:
    value = values.get(name)
    if value is not None and value not in known:
        raise InvalidRequest(f"{name}: one of {', '.join(known)}",
                             fields=[{"path": name, "message": f"one of {', '.join(known)}"}])
    return value


def _moment(values: dict[str, str], name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        if not _OFFSET.search(text):
            raise ValueError
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        message = "a time such as 2026-11-20T08:00:00Z"
        raise InvalidRequest(f"{name}: {message}", fields=[{"path": name, "message": message}]) from None


ROUTES = (
    Route("GET", "/v1/runs", list_runs, "List runs, newest first", EXAMINE, answer=RunPage,
          query=("from", "to", "risk", "status", "session", "agent", "limit", "cursor")),
    Route("GET", "/v1/runs/{id}", read_run, "Read a run", EXAMINE, answer=RunShown),
    Route("GET", "/v1/runs/{id}/verify", verify_run, "Verify the chain of a run's session", EXAMINE,
          answer=VerificationShown),
    Route("GET", "/v1/runs/{id}/export", export_run, "A run in its canonical bytes", EXAMINE),
)
