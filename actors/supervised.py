"""A thread service that comes back: callers keep one address while the actor behind it is restarted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

import pykka

from ruche.actors.directory import Directory
from ruche.actors.ref import AioActorRef
from ruche.actors.service import ServiceActor
from ruche.actors.slot import State
from ruche.actors.supervise import Policy

S = TypeVar("S", bound=ServiceActor)

PATIENT = Policy(max_restarts=5, window=60.0, base=0.1, cap=10.0, quarantine=30.0, buffer=1000)
"""Five restarts a minute, then callers are told to come back in 30 s instead of being kept waiting."""


class SupervisedService:
    """One service of class `service_class(*arguments)`, running from now on until `drain` or the system's end.

    The message that it crashed on is refused, unless it is idempotent; those behind it wait, in order, for the restart.
    `options` are those of Directory. Loop thread only, as a directory is; `tell` from any thread.
    """

    def __init__(self, service_class: type[S], *arguments: Any, policy: Policy = PATIENT, **options: Any) -> None:
        self.name = service_class.__name__
        self._one = _One(service_class, *arguments, policy=policy, **options)
        self._one.wake(self.name)

    async def ask(self, message: Any, *, timeout: float | None = None, trace: str = "") -> Any:
        """The answer. Raises MailboxFull, Unavailable (it crashes too often), DeadlineExceeded, and what it raised."""
        return await self._one.ask(self.name, message, timeout=timeout, trace=trace)

    async def ask_async(self, message: Any, *, timeout: float | None = None, trace: str = "",
                        wait: bool = False) -> Any:
        """`ask`, by the name that an address has for it; with `wait` suspended while there is no room."""
        ref = self.live()
        if wait and ref is not None:
            with suppress(pykka.ActorDeadError):  # it died while there was no room: its next activation is asked
                return await ref.ask_async(message, timeout=timeout, trace=trace, wait=True)
        return await self.ask(message, timeout=timeout, trace=trace)

    def tell(self, message: Any, *, trace: str = "") -> None:
        """Send without an answer. Any thread."""
        self._one.tell(self.name, message, trace=trace)

    def live(self) -> AioActorRef[Any] | None:
        """The present activation, None while it is down."""
        return self._one.live(self.name)

    @property
    def state(self) -> State | None:
        """BACKOFF after a crash, QUARANTINED after too many: then it refuses for a while. None once it has stopped."""
        return self._one.state(self.name)

    @property
    def stats(self) -> dict[str, int]:
        return self._one.stats

    def snapshot(self) -> dict[str, Any]:
        return self._one.snapshot()

    async def drain(self) -> None:
        """Stop it after the messages that it has."""
        await self._one.drain()


class _One(Directory[ServiceActor]):
    """A directory whose only actor knows nothing of keys."""

    def _make(self, key: str) -> ServiceActor:
        service = self._system.make(self._class, *self._arguments)
        self._system.adopt(service, listed=False)  # so that its askers are answered when there is no time to drain it
        return service
