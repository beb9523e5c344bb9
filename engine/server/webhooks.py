"""Addresses that hear of a tenant's conversations: made, verified, tried, paused, and what became of each delivery."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from ruche.engine import Engine
from ruche.engine.observe import fingerprint, log
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Id, cursor_after, name_after, query, read, whole
from ruche.engine.server.routes import ADMINISTER, OVERSEE, Handler, Route
from ruche.engine.subscriptions import USUAL
from ruche.engine.webhooks import Hook
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.webhook import Delivery, DeliveryState

Told = Literal["turn.accepted", "turn.completed", "turn.failed", "turn.superseded", "session.handoff", "session.closed"]
Url = Annotated[str, Meta(min_length=1, max_length=2_000)]
Secret = Annotated[str, Meta(min_length=32, max_length=256, pattern=r"^[\x21-\x7e]+$")]
Events = Annotated[list[Told], Meta(min_length=1, max_length=20)]
Agents = Annotated[list[Id], Meta(max_length=100)]
_DONE = {"verify": "verified", "pause": "paused", "resume": "resumed"}
_STATES: tuple[str, ...] = get_args(DeliveryState)


class WebhookRequest(Body, frozen=True, kw_only=True):
    """`url` is https; `agents` limits it to theirs. Without a `secret` it gets one, which is shown this once.
    `texts`: what was said and the reply go along."""

    url: Url
    events: Events = msgspec.field(default_factory=lambda: list[Told](USUAL))
    agents: Agents = []
    texts: bool = False
    secret: Secret | None = None


class WebhookChange(Body, frozen=True, kw_only=True):
    """What is left out stays. Another `url` must be verified anew; another `secret` signs from now on."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    agents: Agents | UnsetType = UNSET
    texts: bool | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET


class WebhookShown(Shown, kw_only=True):
    """`state`: pending (not verified), active, paused or disabled (10 deliveries were given up one after the other).
    `source`: api, or settings, where it is changed. The secret is None but in the answer that makes it."""

    id: str
    url: str
    events: list[str]
    agents: list[str]
    texts: bool
    state: str
    failures: int
    source: str
    created_at: str | None
    created_by: str
    secret: str | None = None


class WebhookPage(Shown, kw_only=True):
    items: list[WebhookShown]
    next_cursor: str | None


class TriedShown(Shown, kw_only=True):
    """`status` is what the address answered, 0 where it did not."""

    ok: bool
    status: int
    ms: float
    reason: str


class DeliveryShown(Shown, kw_only=True):
    """One event told to one webhook. `answer` is the beginning of what its address answered."""

    id: str
    event_type: str
    event_id: str
    at: str
    state: str
    attempts: int
    tried_at: str
    status: int
    reason: str
    answer: str
    session_id: str
    turn_id: str


class DeliveryPage(Shown, kw_only=True):
    items: list[DeliveryShown]
    next_cursor: str | None


async def list_webhooks(request: web.Request) -> web.Response:
    """By id; those of the settings too."""
    values = query(request, "limit", "cursor")
    limit, after = whole(values, "limit", 20, 1, 100), name_after(values.get("cursor"))
    left = [hook for hook in request.app[ENGINE].webhooks.all(request[IDENTITY].tenant) if hook.id > after]
    return answer(WebhookPage(items=[_shown(hook) for hook in left[:limit]],
                              next_cursor=cursor_after(left[limit - 1].id) if len(left) > limit else None))


async def create_webhook(request: web.Request) -> web.Response:
    """It is pending: nothing is sent before its address repeats a challenge (`verify`)."""
    query(request)
    sent, identity = await read(request, WebhookRequest), request[IDENTITY]
    made = await request.app[ENGINE].webhooks.create(
        identity.tenant, sent.url, by=identity.subject, events=sent.events, agents=sent.agents, texts=sent.texts,
        secret=sent.secret)
    _noted(request, "webhook.created")
    shown = _shown(made)
    shown.secret = made.secret
    return answer(shown, 201)


async def read_webhook(request: web.Request) -> web.Response:
    query(request)
    engine, tenant, name = _place(request)
    return answer(_shown(engine.webhooks.get(tenant, name)))


async def change_webhook(request: web.Request) -> web.Response:
    query(request)
    engine, tenant, name = _place(request)
    sent = await read(request, WebhookChange)
    changes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                               for name in sent.__struct_fields__ if (value := getattr(sent, name)) is not UNSET}
    made = await engine.webhooks.change(tenant, name, **changes)
    _noted(request, "webhook.changed")
    return answer(_shown(made))


async def delete_webhook(request: web.Request) -> web.Response:
    """What waits for it is not sent."""
    query(request)
    engine, tenant, name = _place(request)
    await engine.webhooks.delete(tenant, name)
    _noted(request, "webhook.deleted")
    return web.Response(status=204)


async def test_webhook(request: web.Request) -> web.Response:
    """Sends a signed `webhook.test` now, and says what came of it."""
    query(request)
    engine, tenant, name = _place(request)
    tried = await engine.webhooks.test(tenant, name)
    return answer(TriedShown(ok=tried.ok, status=tried.status, ms=tried.ms, reason=tried.reason))


def _becoming(deed: Literal["verify", "pause", "resume"]) -> Handler:
    """`verify` sends `webhook.verify` with a `challenge` that the address repeats in its answer, 502 where it does not;
    a paused webhook is noted nothing for, and one that goes on is sent what waited."""
    async def handler(request: web.Request) -> web.Response:
        query(request)
        engine, tenant, name = _place(request)
        made: Hook = await getattr(engine.webhooks, deed)(tenant, name)
        _noted(request, f"webhook.{_DONE[deed]}")
        return answer(_shown(made))

    handler.__name__ = f"{deed}_webhook"
    return handler


async def list_deliveries(request: web.Request) -> web.Response:
    """Newest first; an event that was not tried yet is not among them."""
    values = query(request, "state", "limit", "cursor")
    engine, tenant, name = _place(request)
    state = values.get("state")
    if state is not None and state not in _STATES:
        message = f"one of {', '.join(_STATES)}"
        raise InvalidRequest(f"state: {message}", fields=[{"path": "state", "message": message}])
    page = await engine.webhooks.deliveries(tenant, name, state=state, limit=whole(values, "limit", 20, 1, 100),
                                            cursor=values.get("cursor"))
    return answer(DeliveryPage(items=[_delivery(one) for one in page.items], next_cursor=page.next_cursor))


async def redeliver(request: web.Request) -> web.Response:
    """Sends it again under the same delivery id."""
    query(request)
    engine, tenant, name = _place(request)
    return answer(_delivery(await engine.webhooks.redeliver(tenant, name, request.match_info["delivery"])), 202)


def _place(request: web.Request) -> tuple[Engine, str, str]:
    return request.app[ENGINE], request[IDENTITY].tenant, request.match_info["id"]


def _shown(hook: Hook) -> WebhookShown:
    kept = hook.kept
    return WebhookShown(
        id=hook.id, url=hook.url, events=list(hook.events), agents=list(hook.agents), texts=hook.texts,
        state=hook.state, failures=kept.failures if kept else 0, source="api" if kept else "settings",
        created_at=rfc3339(kept.created_ms) if kept else None, created_by=kept.created_by if kept else "")


def _delivery(one: Delivery) -> DeliveryShown:
    told = one.item.payload
    return DeliveryShown(
        id=one.item.id, event_type=str(told["event_type"]), event_id=str(told["event_id"]), at=rfc3339(told["at_ms"]),
        state=one.state, attempts=one.attempts, tried_at=rfc3339(one.tried_ms), status=one.status, reason=one.reason,
        answer=one.answered, session_id=str(told.get("session_id", "")), turn_id=str(told.get("turn_id", "")))


def _noted(request: web.Request, event: str) -> None:
    identity = request[IDENTITY]
    log.info(event, request_id=request[REQUEST_ID], tenant=identity.tenant, subject=fingerprint(identity.subject))


_ONE = "/v1/webhooks/{id}"
ROUTES = answered_once((
    Route("GET", "/v1/webhooks", list_webhooks, "List webhooks", OVERSEE, answer=WebhookPage,
          query=("limit", "cursor")),
    Route("POST", "/v1/webhooks", create_webhook, "Make a webhook", ADMINISTER, body=WebhookRequest,
          answer=WebhookShown, status=201),
    Route("GET", _ONE, read_webhook, "Read a webhook", OVERSEE, answer=WebhookShown),
    Route("PATCH", _ONE, change_webhook, "Change a webhook", ADMINISTER, body=WebhookChange, answer=WebhookShown),
    Route("DELETE", _ONE, delete_webhook, "Delete a webhook", ADMINISTER, status=204),
    Route("POST", f"{_ONE}/verify", _becoming("verify"), "Have a webhook's address repeat a challenge", ADMINISTER,
          answer=WebhookShown),
    Route("POST", f"{_ONE}/test", test_webhook, "Send a webhook something to try it", ADMINISTER, answer=TriedShown),
    Route("POST", f"{_ONE}/pause", _becoming("pause"), "Pause a webhook", ADMINISTER, answer=WebhookShown),
    Route("POST", f"{_ONE}/resume", _becoming("resume"), "Let a webhook go on", ADMINISTER, answer=WebhookShown),
    Route("GET", f"{_ONE}/deliveries", list_deliveries, "What became of a webhook's deliveries", OVERSEE,
          answer=DeliveryPage, query=("state", "limit", "cursor")),
    Route("POST", f"{_ONE}/deliveries/{{delivery}}/redeliver", redeliver, "Send a delivery again", ADMINISTER,
          answer=DeliveryShown, status=202),
))
