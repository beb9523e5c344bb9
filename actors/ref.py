"""The address of one actor: how others ask it, tell it, supersede its turn, and stop it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import anyio
import pykka
from pykka.messages import _ActorStop

from ruche.actors.future import AioFuture
from ruche.actors.mailbox import Letter, Mailbox, Offer, dead, full
from ruche.plugins.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A", bound=pykka.Actor)


class AioActorRef(pykka.ActorRef[A]):
    """A `pykka.ActorRef` that carries deadlines and traces, and whose asks can be awaited.

    It does not keep pykka's weak reference and flag (200 bytes an actor): the mailbox knows both.
    """

    actor_inbox: Mailbox

    def __init__(self, actor: A) -> None:
        self.actor_class = actor.__class__
        self.actor_urn = actor.actor_urn
        self.actor_inbox = actor.actor_inbox  # type: ignore[assignment]

    @property
    def actor_stopped(self) -> Mailbox:  # type: ignore[override]
        return self.actor_inbox

    def _actor_weakref(self) -> A | None:  # type: ignore[override]
        return self.actor_inbox.owner  # type: ignore[return-value]

    def is_alive(self) -> bool:
        return not self.actor_inbox.closed

    def tell(self, message: Any, *, trace: str = "") -> None:
        """Put a message, from any thread.

        Raises pykka.ActorDeadError; MailboxFull at once on the loop, after the actor's `put_timeout` on other threads.
        """
        self.actor_inbox.put(Letter(message, None, math.inf, trace))

    async def tell_async(self, message: Any, *, trace: str = "") -> None:
        """Put a message, suspended while the mailbox is full. Raises pykka.ActorDeadError."""
        await self.actor_inbox.put_async(Letter(message, None, math.inf, trace))

    @overload
    def ask(self, message: Any, *, block: Literal[False], timeout: float | None = None,
            trace: str = "") -> AioFuture[Any]: ...

    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None, trace: str = "") -> Any: ...

    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None, trace: str = "") -> Any: ...

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None, trace: str = "") -> Any:
        """Put a message and get its future (`block=False`), or its answer (blocking, never on the loop).

        `timeout` seconds from now the message is too old to be begun. Raises MailboxFull.
        """
        reply: AioFuture[Any] = AioFuture()
        self.actor_inbox.put(Letter(message, reply, deadline_after(timeout, self._now()), trace))
        return reply.get(timeout=timeout) if block else reply

    async def ask_async(self, message: Any, *, timeout: float | None = None, trace: str = "",
                        wait: bool = False) -> Any:
        """The answer. The earlier of `timeout` (seconds) and the caller's own anyio deadline goes with the message.

        Raises DeadlineExceeded, pykka.ActorDeadError, what the actor raised, and MailboxFull unless `wait` asks to
        be suspended until there is room.
        """
        reply: AioFuture[Any] = AioFuture()
        letter = Letter(message, reply, travelling_deadline(timeout, self._now()), trace)
        if wait:
            await self.actor_inbox.put_async(letter)
        else:
            self._post(letter)
        return await answer_before(reply, timeout)

    def control(self, message: Any, *, trace: str = "") -> AioFuture[Any]:
        """Put a message on the control lane: never refused as full, read before all others. Any thread."""
        reply: AioFuture[Any] = AioFuture()
        letter = Letter(message, reply, math.inf, trace)
        if self.actor_inbox.offer(letter, control=True) is Offer.CLOSED:
            letter.refuse(dead())
        return reply

    def supersede(self, message: Any, *, trace: str = "") -> AioFuture[Any]:
        """Cancel the turn in flight and put `message` before all others. On the loop's thread only.

        The superseded turn's asker gets Superseded, or the committed value where a commit went through. Only actors
        with `turn_scope` have a turn that can be cancelled.
        """
        cancel: Callable[[], None] | None = getattr(self.actor_inbox.owner, "_cancel_turn", None)
        if cancel is not None:
            cancel()
        return self.control(message, trace=trace)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Stop after the messages that are there already; True, or False when it had stopped before."""
        stopped = self._stop_letter(control=False)
        return stopped.get(timeout=timeout) if block else stopped

    def halt(self) -> AioFuture[bool]:
        """Stop after the message in hand: the rest is refused, or kept by the supervisor for the next activation."""
        return self._stop_letter(control=True)

    async def stop_async(self) -> bool:
        """`stop`, awaited."""
        return await self._stop_letter(control=False)

    def _stop_letter(self, *, control: bool) -> AioFuture[bool]:
        reply = _Stopped()
        if self.actor_inbox.offer(Letter(_ActorStop(), reply), control=control, force=True) is Offer.CLOSED:
            reply.fail(dead())
        return reply

    def _now(self) -> float:
        owner = self.actor_inbox.owner
        return 0.0 if owner is None else owner._now()

    def _post(self, letter: Letter) -> None:
        outcome = self.actor_inbox.offer(letter)
        if outcome is Offer.FULL:
            raise full()
        if outcome is Offer.CLOSED:
            raise dead()


class _Stopped(AioFuture[bool]):
    """True when the actor stopped because of this, False when it was dead."""

    def set(self, value: bool | None = None) -> None:
        super().set(True)

    def fail(self, error: BaseException) -> None:
        super().set(False)


def deadline_after(timeout: float | None, now: float) -> float:
    return math.inf if timeout is None else now + timeout


def travelling_deadline(timeout: float | None, now: float) -> float:
    """The earlier of `timeout` seconds after `now` and the caller's own anyio deadline, on the clock of `now`."""
    own = anyio.current_effective_deadline()
    if own == math.inf:
        return math.inf if timeout is None else now + timeout
    return min(deadline_after(timeout, now), now + own - anyio.current_time())


async def answer_before(reply: AioFuture[Any], timeout: float | None) -> Any:
    """Await a reply, DeadlineExceeded after `timeout` seconds; a timer is far cheaper than a cancel scope."""
    if timeout is None or reply.done():
        return await reply
    late = DeadlineExceeded(f"no answer within {timeout:.3g} s; the message may still be worked on")
    timer = asyncio.get_running_loop().call_later(max(0.0, timeout), reply.fail, late)
    try:
        return await reply
    finally:
        timer.cancel()
