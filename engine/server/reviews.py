"""Reviewing: what nobody has looked at yet, what people say of a run, and why it came out so."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta

from ruche.engine.server.answers import answer
from ruche.engine.server.audit import AdvisoryShown, advisory_shown
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, query, read, whole
from ruche.engine.server.routes import OVERSEE, Route
from ruche.engine.server.runs import RunPage, RunShort, short


class ReviewRequest(Body, frozen=True, kw_only=True):
    """`rating` goes with `rate`: 1 is bad, 5 is good."""

    verdict: Literal["approve", "reject", "rate"]
    note: Annotated[str, Meta(min_length=1, max_length=4000)]
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None


async def list_open(request: web.Request) -> web.Response:
    """The gravest risk first, of one risk the oldest; a page may be short and still have a successor."""
    values = query(request, "limit", "cursor")
    found = await request.app[ENGINE].reviews.queue(
        request[IDENTITY].tenant, limit=whole(values, "limit", 20, 1, 100), cursor=values.get("cursor"))
    return answer(RunPage(items=[RunShort(**short(run)) for run in found.runs], next_cursor=found.next_cursor))


async def review_run(request: web.Request) -> web.Response:
    """The same again gives the review that is there."""
    query(request)
    sent, identity = await read(request, ReviewRequest), request[IDENTITY]
    added = await request.app[ENGINE].reviews.review(
        identity.tenant, request.match_info["id"], sent.verdict, by=identity.subject, note=sent.note,
        rating=sent.rating)
    return answer(advisory_shown(added), 201)


async def explain_run(request: web.Request) -> web.Response:
    """Drawn from the record, without a model: the same run gives the same words."""
    query(request)
    added = await request.app[ENGINE].reviews.explain(request[IDENTITY].tenant, request.match_info["id"])
    return answer(advisory_shown(added), 201)


ROUTES = answered_once((
    Route("GET", "/v1/reviews/queue", list_open, "Runs that nobody has reviewed, the gravest first", OVERSEE,
          answer=RunPage, query=("limit", "cursor")),
    Route("POST", "/v1/runs/{id}/review", review_run, "Approve, reject or rate a run", OVERSEE, body=ReviewRequest,
          answer=AdvisoryShown, status=201),
    Route("POST", "/v1/runs/{id}/explain", explain_run, "Keep with a run why it came out so", OVERSEE,
          answer=AdvisoryShown, status=201),
))
