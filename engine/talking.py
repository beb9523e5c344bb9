"""Conversations, as a host program holds them: say something, follow what happens, have something said later."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from ruche.engine.hosted import Hosted

if TYPE_CHECKING:
    from ruche.actors.logical import Taken
    from ruche.engine.request import Said
    from ruche.storage.model.event import Event
    from ruche.storage.model.turn import Turn


class Talking(Hosted):
    """The part of `Engine` that talks."""

    async def chat(self, **request: Unpack[Said]) -> Turn:
        """Say something and wait for the turn that answers it; the keywords are those of `ruche.engine.request.Said`.

        Raises InvalidRequest, NotFound (agent, session), IdempotencyMismatch, MailboxFull, RateLimited, Unavailable,
        StorageFull. A returned turn is durable.
        """
        from ruche.engine.request import Request
        from ruche.engine.saying import say

        turn: Turn = await say(self._host, Request(**request), "reply")
        return turn

    async def accept(self, **request: Unpack[Said]) -> Taken:
        """As chat, but return once the message is durable: `session_id` and `turn_id` tell where the answer will be."""
        from ruche.engine.request import Request
        from ruche.engine.saying import say

        taken: Taken = await say(self._host, Request(**request), "accepted")
        return taken

    async def stream(self, **request: Unpack[Said]) -> AsyncGenerator[Event]:
        """As chat, with the turn's events as they happen, `turn.completed` or `turn.failed` last."""
        from ruche.engine.request import Request
        from ruche.engine.saying import follow

        async with aclosing(follow(self._host, Request(**request))) as events:
            async for event in events:
                yield event

    async def follow_up(self, at_ms: int, *, unless_active: bool = True, id: str = "", **request: Unpack[Said]) -> str:
        """Have a message said at a time (milliseconds since 1970 UTC), also when the engine is restarted meanwhile;
        `unless_active`: unless the person says something by then. The keywords are those of chat.

        Gives the id; the same id again moves it. Raises InvalidRequest, NotFound (agent), StorageFull.
        """
        from ruche.engine.followups import follow_up
        from ruche.engine.request import Request

        return await follow_up(self._host, Request(**request), at_ms, unless_active=unless_active, id=id)

    async def cancel_follow_up(self, tenant: str, id: str) -> None:
        """It is not said any more; one that was said, or is unknown, is fine."""
        await self._host.standing.reminders.cancel(tenant, id)

    async def events(self, tenant: str, session_id: str, after: int = 0) -> AsyncGenerator[Event]:
        """What is kept of a session after a sequence number, then what happens live, until it is closed."""
        await self.session(tenant, session_id)

        async def replay(session: str, cursor: int, limit: int) -> list[Event]:
            return await self._read(tenant, lambda store: store.events(session, cursor, limit))

        async with aclosing(self._host.hosting.feeds.follow(session_id, after, replay)) as events:
            async for event in events:
                yield event
