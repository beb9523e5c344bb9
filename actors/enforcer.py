"""Judges drafts: built-in enforcers at once on the loop, everybody else's on threads of their own within a deadline.

An enforcer that hangs, crashes or answers nonsense costs its own verdict: it is `error`, which counts as failed under a
hard rule.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import anyio
import msgspec

from ruche.actors.ref import AioActorRef
from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import Draft, Enforcer, Verdict
from ruche.plugins.enforcers import (
    CountEnforcer,
    ExpressionEnforcer,
    FormEnforcer,
    GroundingEnforcer,
    InjectionEnforcer,
    LengthEnforcer,
    PatternEnforcer,
    PersonalDataEnforcer,
    PhraseEnforcer,
    RelevanceEnforcer,
)
from ruche.plugins.errors import DeadlineExceeded, RucheError
from ruche.storage.model.rule import Rule

log = logging.getLogger(__name__)

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Verdict).decode

Check = tuple[Rule, Any, Enforcer]
"""A rule, what its enforcer prepared from it, and the enforcer."""

DEADLINE_SECONDS = 0.25
MAX_STRAYS = 4
"""Threads of one enforcer that hang at the same time; a thread cannot be killed, so no more are begun."""
_INLINE = (ExpressionEnforcer, PhraseEnforcer, PatternEnforcer, LengthEnforcer, PersonalDataEnforcer,
           GroundingEnforcer, CountEnforcer, FormEnforcer, InjectionEnforcer, RelevanceEnforcer)


class Enforcement:
    """The enforcement service. Used on the event loop; threads start with the first plugin that is asked.

    `seconds` is what a plugin may take for one rule, waiting included.
    """

    def __init__(self, *, seconds: float = DEADLINE_SECONDS, system: ActorSystem | None = None) -> None:
        self._seconds = seconds
        self._system = system
        self._lanes: dict[int, _Lane] = {}

    async def check(self, draft: Draft, checks: Sequence[Check]) -> list[Verdict]:
        """One verdict for each check, in order. Never raises; does not suspend while there are only built-ins."""
        verdicts: list[Verdict | None] = [_judge(draft, *check) if type(check[2]) in _INLINE else None
                                          for check in checks]
        if None in verdicts:
            async with anyio.create_task_group() as group:
                for place, verdict in enumerate(verdicts):
                    if verdict is None:
                        group.start_soon(self._ask, draft, checks[place], verdicts, place)
        return [verdict or _error("was not judged") for verdict in verdicts]

    async def _ask(self, draft: Draft, check: Check, verdicts: list[Verdict | None], place: int) -> None:
        verdicts[place] = await self._lane(check[2]).judge(Job(draft, *check), self._seconds)

    def _lane(self, enforcer: Enforcer) -> _Lane:
        lane = self._lanes.get(id(enforcer))
        if lane is None:
            lane = self._lanes[id(enforcer)] = _Lane(enforcer, self._system or ActorSystem.running())
        return lane


class Job(NamedTuple):
    draft: Draft
    rule: Rule
    prepared: Any
    enforcer: Enforcer


class EnforcingService(ServiceActor):
    """The thread of one enforcer."""

    registered: ClassVar[bool] = False  # a host's own pykka actors may end all that are registered

    mailbox_size = 64

    def on_receive(self, message: Any) -> Verdict:
        return _judge(*message)


class _Lane:
    """One plugin enforcer: its thread, those that it left hanging, and the breaker that leaves it alone."""

    def __init__(self, enforcer: Enforcer, system: ActorSystem) -> None:
        self._enforcer = enforcer  # kept, so that its identity is not given to another
        self._system = system
        self._service: AioActorRef[EnforcingService] | None = None
        self._strays: list[AioActorRef[EnforcingService]] = []
        self._breaker = Breaker(failures=3)

    async def judge(self, job: Job, seconds: float) -> Verdict:
        if not self._breaker.allow():
            return _error(f"{job.enforcer.name} failed several times in a row and is left alone for a while")
        settled = False
        try:
            verdict = await self._running().ask_async(job, timeout=seconds)
            self._breaker.succeeded()
            settled = True
            return _sound(verdict, job.enforcer.name)
        except DeadlineExceeded:
            self._breaker.failed()
            settled = True
            self._set_aside()
            return _error(f"{job.enforcer.name} did not answer within {seconds:g} s")
        except Exception as error:
            self._breaker.failed()
            settled = True
            return _error(f"{job.enforcer.name} failed ({type(error).__name__})")
        finally:
            if not settled:
                self._breaker.abandoned()

    def _running(self) -> AioActorRef[EnforcingService]:
        self._strays = [ref for ref in self._strays if ref.is_alive()]
        if len(self._strays) >= MAX_STRAYS:
            raise RucheError(f"{MAX_STRAYS} threads of this enforcer hang")
        if self._service is None or not self._service.is_alive():
            self._service = self._system.spawn(EnforcingService)
        return self._service

    def _set_aside(self) -> None:
        """Leave the thread that hangs to itself: it ends when it comes back, and nobody waits for it at the end."""
        service, self._service = self._service, None
        if service is None:
            return
        self._strays.append(service)
        owner = service.actor_inbox.owner
        service.halt()
        if owner is not None:
            self._system.forget(owner)  # type: ignore[arg-type]


def _judge(draft: Draft, rule: Rule, prepared: Any, enforcer: Enforcer) -> Verdict:
    try:
        verdict = enforcer.check(draft, rule, prepared)
    except Exception as error:
        return _error(f"{enforcer.name} failed ({type(error).__name__})")
    return verdict if isinstance(verdict, Verdict) else _error(f"{enforcer.name} gave no verdict")


def _sound(verdict: object, name: str) -> Verdict:
    """A plugin's verdict, if it is one: an outcome that nobody knows must not pass for one that allows the reply."""
    try:
        if isinstance(verdict, Verdict):
            return _decode(_encode(verdict))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        log.warning("the enforcer %s gives verdicts that are none; ruche.plugins.testing tells more", name)
    return _error(f"{name} gave no verdict")


def _error(reason: str) -> Verdict:
    return Verdict(outcome="error", reason=reason)
