"""A thread actor for work that waits in C code: ONNX Runtime, DuckDB, the file system.

Its futures can be awaited from the loop; mailbox, deadlines and answers follow the same rules as on the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Self

import pykka
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from ruche.actors.exits import Exit, HandlerCancelled, Phase, log_crash
from ruche.actors.future import AioFuture
from ruche.actors.mailbox import Letter, Mailbox, dead
from ruche.actors.ref import AioActorRef
from ruche.actors.system import ActorSystem
from ruche.actors.urn import new_urn
from ruche.plugins.errors import RucheError

log = logging.getLogger(__name__)


class ServiceActor(pykka.ThreadingActor):
    """Subclass it and implement `on_receive`, or `on_receive_many` with a `batch` above 1. All hooks run in its thread.

    An exception in `expected` is an answer and the actor lives on. Any other, under ask and tell alike, ends it;
    whatever a handler raises stays in this actor (stock pykka stops every actor of the process on a CancelledError).
    """

    mailbox_size: ClassVar[int] = 10_000
    put_timeout: ClassVar[float] = 5.0
    batch: ClassVar[int] = 1
    """Letters handed to `on_receive_many` at once, as many of them as wait."""
    expected: ClassVar[tuple[type[Exception], ...]] = (RucheError,)
    registered: ClassVar[bool] = True
    use_daemon_thread: ClassVar[bool] = True

    actor_inbox: Mailbox
    _actor_ref: AioActorRef[Any]

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        self._system = ActorSystem.running()
        self.actor_urn = new_urn()
        self.actor_inbox = Mailbox(self.mailbox_size)
        self.actor_inbox.owner = self
        self.actor_stopped = self.actor_inbox  # type: ignore[assignment]
        self._actor_ref = AioActorRef(self)
        self._on_exit: Callable[[Any, Exit], None] | None = None
        self._slot: Any = None
        self._letter: Letter | None = None
        # The thread reads before it waits, so nobody needs to wake it for what is there when it starts.
        self.actor_inbox.scheduled = True
        # A lock as a bell: taken while nothing is to be read, and let go by the first letter.
        self._bell = self._system.threads.bell()
        self._bell.acquire()

    @classmethod
    def start(cls, *arguments: Any, **named: Any) -> AioActorRef[Self]:
        """Make and start a service of the running system."""
        return ActorSystem.running().spawn(cls, *arguments, **named)

    @property
    def busy(self) -> bool:
        """True while there is anything to read or to do."""
        return self.actor_inbox.scheduled

    @property
    def trace(self) -> str:
        """The request id of the message in hand."""
        return "" if self._letter is None else self._letter.trace

    def on_receive(self, message: Any) -> Any:
        """Handle a message; what is returned is the answer."""
        log.warning("%s has no handler for a %s", type(self).__name__, type(message).__name__)

    def on_receive_many(self, messages: Sequence[Any]) -> Sequence[Any]:
        """Handle up to `batch` messages together: one answer for each, in order; an exception is a refusal."""
        return [self.on_receive(message) for message in messages]

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:
        return Mailbox(cls.mailbox_size)

    @staticmethod
    def _create_future() -> AioFuture[Any]:
        return AioFuture()

    def _start_actor_loop(self) -> None:
        name = f"{type(self).__name__}-{self.actor_urn.rpartition(':')[2]}"
        self._system.threads.start(self._actor_loop, name, daemon=self.use_daemon_thread)

    def _wake(self) -> None:
        self._bell.release()

    def _now(self) -> float:
        return self._system.clock()

    def _actor_loop(self) -> None:
        try:
            self.on_start()
        except BaseException as error:
            return self._end("start", _contained(error), [])
        while True:
            letter = self.actor_inbox.take()
            if letter is None:
                if self.actor_inbox.closed:
                    return None  # left behind by its system
                self._bell.acquire()
            elif letter.is_stop:
                return self._end("stop", None, [letter])
            elif letter.expired(self._now()):
                letter.expire()
            elif (crash := self._handle(letter)) is not None:
                return self._end("work", *crash)

    def _handle(self, letter: Letter) -> tuple[BaseException, list[Letter]] | None:
        self._letter = letter
        letters = [letter]
        try:
            if self.batch == 1 or _is_proxy(letter):
                letter.answer(self._handle_receive(letter.message))
            else:
                letters += self._take_more()
                self._handle_many(letters)
        except self.expected as error:
            for each in letters:
                each.refuse(error)
        except BaseException as error:
            return _contained(error), letters
        self._letter = None
        return None

    def _take_more(self) -> list[Letter]:
        now = self._now()
        fresh = []
        for letter in self.actor_inbox.take_more(self.batch - 1):
            if letter.expired(now):
                letter.expire()
            else:
                fresh.append(letter)
        return fresh

    def _handle_many(self, letters: list[Letter]) -> None:
        answers = self.on_receive_many([letter.message for letter in letters])
        for letter, answer in zip(letters, answers, strict=True):
            letter.refuse(answer) if isinstance(answer, BaseException) else letter.answer(answer)

    def _end(self, phase: Phase, reason: BaseException | None, letters: list[Letter]) -> None:
        left = self.actor_inbox.close()
        try:
            if reason is None:
                self.on_stop()
            elif phase == "work":
                self.on_failure(type(reason), reason, reason.__traceback__)
        except BaseException as error:
            reason = reason or _contained(error)
        if reason is not None:
            log_crash(self, reason)
        for letter in letters[1:]:
            letter.refuse(reason or dead())
        self._leave(Exit(phase, reason, letters[0] if letters else None, left))

    def _abandon(self) -> None:
        """The system goes away while the thread hangs: refuse everything that waits for it."""
        if not self.actor_inbox.closed:
            log.error("%s does not stop and is left behind", type(self).__name__)
            for letter in (self._letter, *self.actor_inbox.close()):
                if letter is not None:
                    letter.refuse(dead())
            with suppress(RuntimeError):  # it rings already
                self._bell.release()  # an idle thread ends, and lets go of what it holds

    def _leave(self, exit: Exit) -> None:
        try:
            if self._on_exit is None:
                exit.settle()
            else:
                self._system.post(self._on_exit, self, exit)
        except RuntimeError:
            exit.settle()  # the supervisor's loop is gone
        self._system.forget(self)


def _is_proxy(letter: Letter) -> bool:
    return isinstance(letter.message, ProxyCall | ProxyGetAttr | ProxySetAttr)


def _contained(error: BaseException) -> Exception:
    """The error as one that may reach an asker: a CancelledError or SystemExit would end the asker's own task."""
    if isinstance(error, Exception):
        return error
    inside = HandlerCancelled(f"a handler was ended by a {type(error).__name__} of its own")
    inside.__cause__ = error
    return inside
