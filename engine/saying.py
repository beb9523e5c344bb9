"""From a request to the session that answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ruche.actors.session import Say
from ruche.engine.oversight import refuse_leaving
from ruche.engine.request import Request
from ruche.storage.model.conversation import Message
from ruche.storage.model.event import Event

if TYPE_CHECKING:
    from ruche.engine.host import Host

_ENDINGS = ("turn.completed", "turn.failed")


async def say(host: Host, request: Request, want: Literal["reply", "accepted", "events"]) -> Any:
    """Ask the session. Raises InvalidRequest, NotFound, QuotaExceeded, RateLimited before anything is journalled."""
    request.check()
    request = await known_by_name(host, request)
    host.catalog.published(request.tenant, request.agent)
    await host.quotas.check(request.tenant)
    hosting = host.hosting
    message = Message(id=hosting.new_id(), text=request.message, at_ms=hosting.clock_ms(),
                      request_id=request.request_id or "", idempotency_key=request.idempotency_key,
                      fingerprint=request.fingerprint, metadata=request.metadata or {})
    asked = Say(message, want, new_session=request.new_session, session_id=request.session_id)
    host.quotas.crowd.enter(request.tenant)
    try:
        async with host.admission.inside(request.tenant):
            return await host.sessions.ask(str(request.key), asked, trace=message.request_id)
    finally:
        host.quotas.crowd.leave(request.tenant)


async def known_by_name(host: Host, request: Request) -> Request:
    """The request of the person whose name `user` is. Raises Unavailable while they are being erased or linked."""
    refuse_leaving(host, request.tenant, request.user)
    if host.linked.link(request.tenant, request.user) is None:
        return request
    user = await host.linked.speaker(request.tenant, request.user, request.idempotency_key)
    refuse_leaving(host, request.tenant, user)
    return replace(request, user=user)


async def follow(host: Host, request: Request) -> AsyncGenerator[Event]:
    """The events of the turn that answers the request, from `turn.accepted` to its end.

    A turn that is superseded is followed into the turn that replaced it.
    """
    taken = await say(host, request, "events")
    if taken.listener is None:
        async with aclosing(_again(host, request, taken)) as events:
            async for event in events:
                yield event
        return
    turn_id, spoken = taken.turn_id, False
    try:
        while True:
            event = await taken.listener.next()
            if event.turn_id != turn_id:
                continue
            spoken = spoken or event.kind == "message.segment"
            if event.kind == "turn.completed" and not spoken:
                yield _whole(event)
            yield event
            if event.kind == "turn.superseded":
                turn_id = event.data["superseded_by"]
            elif event.kind in _ENDINGS:
                return
    finally:
        taken.listener.close()


def _whole(completed: Event) -> Event:
    """A reply that was not spoken in segments, as one: passing news, for callers who show only segments."""
    return Event(seq=completed.seq - 1, kind="message.segment", session_id=completed.session_id,
                 turn_id=completed.turn_id, at_ms=completed.at_ms, data={"text": completed.data["reply"], "seq": 0})


async def _again(host: Host, request: Request, taken: Any) -> AsyncGenerator[Event]:
    """The kept events of a turn that a message with the same idempotency key began earlier."""
    async def replay(session: str, cursor: int, limit: int) -> list[Event]:
        return await host.scribe.read(lambda store: store.tenant(request.tenant).events(session, cursor, limit))

    async with aclosing(host.hosting.feeds.follow(taken.session_id, 0, replay)) as events:
        async for event in events:
            if event.turn_id == taken.turn_id:
                yield event
                if event.kind in _ENDINGS:
                    return
