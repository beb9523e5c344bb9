"""A coroutine actor: a `pykka.Actor` whose messages run on the event loop, one at a time, in order.

An idle actor owns no thread and no task. The first letter into its idle mailbox starts one task, which ends when the
mailbox is empty.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from pykka.messages import _ActorStop

from ruche.actors.exits import Exit, HandlerCancelled, Phase, log_crash
from ruche.actors.future import AioFuture
from ruche.actors.handlers import Handlers, settled
from ruche.actors.mailbox import Letter, Mailbox, dead
from ruche.actors.promise import Promises
from ruche.actors.ref import AioActorRef
from ruche.actors.system import ActorSystem
from ruche.actors.urn import new_urn
from ruche.actors.work import Work, WorkFailed
from ruche.plugins.errors import DeadlineExceeded, Superseded, Unavailable

__all__ = ["AioActor", "AioActorRef", "HandlerCancelled", "Work"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class AioActor(Handlers):
    """Subclass it, implement `on_receive`; `on_start`, `on_stop`, `on_failure` and proxied methods may be coroutines.

    An exception in `expected` is an answer and the actor lives on. Any other, under ask and tell alike, ends it: its
    state may be half changed. `on_failure` runs then, `on_stop` after a normal stop.
    """

    actor_inbox: Mailbox
    _actor_ref: AioActorRef[Any]

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        # pykka's own __init__ makes a threading.Event (1.2 KB) and a UUID for each; the same four attributes are set
        # here. All attributes exist from birth: one that came later would double the actor's size.
        self._system = ActorSystem.running()
        self.actor_urn = new_urn()
        self.actor_inbox = Mailbox(self.mailbox_size)
        self.actor_inbox.owner = self
        self.actor_stopped = self.actor_inbox  # type: ignore[assignment]
        self._actor_ref = AioActorRef(self)
        self._on_exit: Callable[[Any, Exit], None] | None = None
        self._slot: Any = None
        self._begun = self._resting = False
        self._letter: Letter | None = None
        self._scope: anyio.CancelScope | None = None
        self._superseded = False
        self._committed: tuple[Any] | None = None
        self._deferred = False
        self._promises: Promises | None = None
        self._works: set[Work] | None = None

    # --- for those who write an actor --------------------------------------------------------------------------

    @property
    def trace(self) -> str:
        """The request id of the message in hand."""
        return "" if self._letter is None else self._letter.trace

    @property
    def deadline(self) -> float:
        """Until when the message in hand is worth working on: monotonic seconds, inf for ever."""
        return math.inf if self._letter is None else self._letter.deadline

    @property
    def busy(self) -> bool:
        """True while there is anything to read, to do, or promised: a busy actor is not passivated."""
        mailbox = self.actor_inbox
        reads = mailbox.scheduled and not (self._resting and mailbox.empty())
        return bool(reads or self._works or (self._promises and self._promises.open()))

    def promise(self) -> AioFuture[Any]:
        """Answer the message in hand later, through the future returned; what the handler returns is not sent then.

        A promise that is open when the actor ends fails with what ended it. Under a tell nobody listens.
        """
        if self._letter is None or self._letter.reply_to is None:
            return AioFuture()
        self._deferred = True
        if self._promises is None:
            self._promises = Promises()
        self._promises.add(self._letter.reply_to)
        return cast("AioFuture[Any]", self._letter.reply_to)

    def work(self, coroutine: Coroutine[Any, Any, T]) -> Work:
        """Run a coroutine beside the mailbox, as part of this actor: it is cancelled, and awaited, when the actor
        ends, and an exception in it ends the actor."""
        if self._works is None:
            self._works = set()
        work = Work(self, coroutine)
        self._works.add(work)
        self._system.start_task(work.run())
        return work

    async def commit(self, function: Callable[..., Awaitable[T]], *arguments: Any, timeout: float = 10.0) -> T:
        """Await `function(*arguments)` shielded from cancellation, at most `timeout` seconds.

        A turn that is cancelled afterwards answers with the committed value, never with Superseded. A TimeoutError
        leaves the outcome unknown and therefore ends the actor.
        """
        await checkpoint_if_cancelled()
        with anyio.fail_after(timeout, shield=True):
            value = await function(*arguments)
        self._committed = (value,)
        return value

    # --- pykka's hooks for implementors of new actor types ----------------------------------------------------------

    @classmethod
    def start(cls, *arguments: Any, **named: Any) -> AioActorRef[Self]:
        """Make and start an actor of the running system."""
        return ActorSystem.running().spawn(cls, *arguments, **named)

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:
        return Mailbox(cls.mailbox_size)

    @staticmethod
    def _create_future() -> AioFuture[Any]:
        return AioFuture()

    def _start_actor_loop(self) -> None:
        """Run `on_start` now, without waiting for a first letter."""
        with self.actor_inbox._lock:
            wake, self.actor_inbox.scheduled = not self.actor_inbox.scheduled, True
        if wake:
            self._wake()

    def _wake(self) -> None:
        self._system.dispatch(self)

    def _now(self) -> float:
        return self._system.clock()

    # --- the life of an actor -----------------------------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            if self._begun or await self._begin():
                await self._read()
        except BaseException:
            self._abandon()
            raise

    async def _begin(self) -> bool:
        self._begun = True
        try:
            await settled(self.on_start())
        except (Exception, asyncio.CancelledError) as error:
            await self._end("start", self._own(error), None)
            return False
        return True

    async def _read(self) -> None:
        mailbox, system = self.actor_inbox, self._system
        count = 0
        while (letter := mailbox.take()) is not None:
            if letter.deadline != math.inf and letter.expired(system.clock()):
                letter.expire()
                continue
            kind = type(letter.message)
            if kind is _ActorStop:
                return await self._end("stop", None, letter)
            crash = letter.message.error if kind is WorkFailed else await self._handle(letter)
            if crash is not None:
                return await self._end("work", crash, letter)
            count += 1
            if mailbox.empty():  # an asker who goes on at once then needs no new task
                self._resting = True
                await asyncio.sleep(0)
                self._resting = False
            elif count % self.throughput == 0:
                await asyncio.sleep(0)

    async def _handle(self, letter: Letter) -> BaseException | None:
        """Handle one letter and answer it; the exception that ends the actor, if there is one."""
        self._letter, self._deferred = letter, False
        try:
            if self.turn_scope:
                value = await self._turn(letter)
            else:
                value = self._handle_receive(letter.message)
                if hasattr(value, "__await__"):
                    value = await value
        except self.expected as error:
            self._refused(letter, error)
        except (Exception, asyncio.CancelledError) as error:
            return self._own(error)
        else:
            if letter.reply_to is not None and not self._deferred:
                letter.reply_to.set(value)
        self._letter = None
        return None

    async def _turn(self, letter: Letter) -> Any:
        self._superseded, self._committed = False, None
        value: Any = None
        with anyio.CancelScope() as scope:
            if letter.deadline != math.inf:
                scope.deadline = anyio.current_time() + letter.deadline - self._system.clock()
            self._scope = scope
            try:
                value = await settled(self._handle_receive(letter.message))
            finally:
                self._scope = None
        if not scope.cancelled_caught:
            return value
        if self._committed is not None:
            return self._committed[0]
        if self._superseded:
            raise Superseded("a newer message replaced this one")
        raise DeadlineExceeded("the message's deadline passed while it was worked on")

    def _cancel_turn(self) -> None:
        if self._scope is not None:
            self._superseded = True
            self._scope.cancel()

    def _refused(self, letter: Letter, error: Exception) -> None:
        if letter.reply_to is None:
            log.info("%s refused a %s: %s", type(self).__name__, type(letter.message).__name__, type(error).__name__)
        letter.refuse(error)

    def _own(self, error: BaseException) -> BaseException:
        """Tell a cancellation from within, which ends this actor alone, from the system's own, which goes on."""
        if not isinstance(error, asyncio.CancelledError):
            return error
        if self._system.closing:
            raise error
        inside = HandlerCancelled("a handler was cancelled from inside: it awaited something that was cancelled")
        inside.__cause__ = error
        return inside

    async def _end(self, phase: Phase, reason: BaseException | None,
                   letter: Letter | None) -> None:
        left = self.actor_inbox.close()
        try:
            await self._end_works()
            reason = await self._farewell(phase, reason)
        except BaseException:
            reason = reason or self._cut_off()
            raise
        finally:
            self._leave(Exit(phase, reason, letter, left))

    async def _end_works(self) -> None:
        if self._works:
            works = list(self._works)
            for work in works:
                work.cancel()
            await asyncio.wait([work.ended for work in works])

    async def _farewell(self, phase: str, reason: BaseException | None) -> BaseException | None:
        try:
            if reason is None:
                await settled(self.on_stop())
            elif phase == "work":
                await settled(self.on_failure(type(reason), reason, reason.__traceback__))
        except (Exception, asyncio.CancelledError) as error:
            return reason or self._own(error)
        return reason

    def _leave(self, exit: Exit) -> None:
        self._system.forget(self)
        if exit.reason is not None:
            log_crash(self, exit.reason)
        if self._promises is not None:
            self._promises.end(exit)
        if self._on_exit is not None:
            self._on_exit(self, exit)
        else:
            exit.settle()

    def _abandon(self) -> None:
        """The loop goes away: refuse everything, run nothing."""
        if not self.actor_inbox.closed:
            self._leave(Exit("work", self._cut_off(), self._letter, self.actor_inbox.close()))

    def _cut_off(self) -> Exception:
        """What askers are told: those of a directory do not know that there is an actor."""
        if self._on_exit is None:
            return dead()
        return Unavailable("the engine is shutting down; what was accepted is kept and will be answered",
                           retry_after=5.0)
