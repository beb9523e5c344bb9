"""A message that comes by itself at a time, such as a question whether all is well: kept over restarts, said once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ruche.actors.courier import Undeliverable
from ruche.engine.request import Request
from ruche.engine.saying import say
from ruche.plugins.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.model.event import OutboxItem
    from ruche.storage.store import Store

KIND: Final = "follow_up"
LATEST_MS: Final = 253_402_300_800_000
"""The year 10000."""
ID_PLACE: Final = 26 * "0"
"""As long as the ids that the engine gives."""


async def follow_up(host: Host, request: Request, at_ms: int, *, unless_active: bool, id: str) -> str:
    """Have the request said at a time, `unless_active`: unless the person has said something by then.

    Gives the id, under which it can be moved or cancelled. Raises InvalidRequest, NotFound (agent), StorageFull.
    """
    request.check()
    _as_delivered(request, id or ID_PLACE).check()
    host.catalog.published(request.tenant, request.agent)
    if not isinstance(at_ms, int) or not 0 <= at_ms < LATEST_MS:
        raise InvalidRequest("at_ms: milliseconds since 1970 UTC, a whole number",
                             fields=[{"path": "at_ms", "message": f"from 0 to below {LATEST_MS}"}])
    return await host.standing.reminders.set(
        request.tenant, KIND, at_ms, id=id, interlocutor=request.user, agent=request.agent, channel=request.channel,
        message=request.message, metadata=request.metadata or {}, set_ms=host.hosting.clock_ms(),
        unless_active=unless_active)


def _as_delivered(request: Request, id: str) -> Request:
    """As it will be said: what is too much by then is refused when it is set."""
    return replace(request, idempotency_key=f"follow-up:{id}", metadata={**(request.metadata or {}), "follow_up": id})


class FollowUps:
    """The courier's route for them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def deliver(self, tenant: str, item: OutboxItem) -> None:
        """Say it, under an idempotency key of the item's: however often this is repeated it is said once."""
        payload = item.payload
        request = _as_delivered(Request(
            agent=payload["agent"], message=payload["message"], user=payload["interlocutor"], tenant=tenant,
            channel=payload["channel"], metadata=payload["metadata"]), item.id)
        if payload["unless_active"] and await self._was_active(request, payload):
            return
        try:
            await say(self._host, request, "accepted")
        except NotFound as error:
            raise Undeliverable(error.message) from error

    async def _was_active(self, request: Request, payload: dict[str, Any]) -> bool:
        now = replace(request, user=self._host.linked.person(request.tenant, request.user))

        def read(store: Store) -> int:
            session = store.tenant(now.tenant).session(now.key)
            return 0 if session is None else session.last_activity_ms

        return await self._host.scribe.read(read) > int(payload["set_ms"])
