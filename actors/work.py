"""A coroutine that an actor runs beside its mailbox, such as a turn that newer messages may interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from ruche.actors.mailbox import Letter

if TYPE_CHECKING:
    from ruche.actors.actor import AioActor


class Work:
    """A coroutine that an actor runs beside its mailbox."""

    __slots__ = ("_actor", "_coroutine", "_scope", "ended")

    def __init__(self, actor: AioActor, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._actor = actor
        self._coroutine = coroutine
        self._scope = anyio.CancelScope()
        self.ended: asyncio.Future[None] = actor._system.loop.create_future()

    @property
    def done(self) -> bool:
        return self.ended.done()

    def cancel(self) -> None:
        """Cancel at its next await outside a commit. Loop thread only."""
        self._scope.cancel()

    async def run(self) -> None:
        actor = self._actor
        try:
            with self._scope:
                await self._coroutine
        except (Exception, asyncio.CancelledError) as error:
            actor.actor_inbox.offer(Letter(WorkFailed(actor._own(error))), control=True)
        finally:
            self._coroutine.close()
            if actor._works is not None:
                actor._works.discard(self)
            if not self.ended.done():
                self.ended.set_result(None)


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """A work of this actor failed, and the actor with it."""

    error: BaseException
