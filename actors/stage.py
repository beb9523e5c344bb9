"""What a session offers a brain while it thinks: everything here is journalled before it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from ruche.actors.feed import Feeds
from ruche.actors.ledger import Ledger
from ruche.plugins.contracts import Effect, EffectOutcome
from ruche.plugins.errors import TooLarge
from ruche.storage.model.conversation import Message, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.record import EffectReserved, EffectSettled, SegmentReleased

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruche.actors.scribe import Scribe
    from ruche.storage.store import Store


REPLY_CHARACTERS = 1_000_000
"""More than anybody reads; what is kept of a turn holds its reply several times."""


class SessionStage:
    """One attempt of one turn (implements `contracts.Stage`). `commit_reached` and `effects` are what deciders look at.

    A stage whose turn has ended refuses everything, so that a brain that does not stop when it is cancelled says and
    does nothing more.
    """

    def __init__(self, turn_id: str, state: SessionState, ledger: Ledger, scribe: Scribe, feeds: Feeds,
                 clock_ms: Callable[[], int]) -> None:
        self.segments: list[str] = []
        self.commit_reached = False
        self.effects = 0
        self.claimed: set[str] = set()
        """Keys of the effects that this attempt has asked for."""
        self.done: list[EffectSettled] = []
        """Those that went well and can be undone."""
        self._turn_id = turn_id
        self._state = state
        self._ledger = ledger
        self._scribe = scribe
        self._feeds = feeds
        self._clock_ms = clock_ms
        self._waiting = False
        self._over = False
        self._released = self._length = 0
        self._reserving: set[str] = set()
        self._take: Callable[[], tuple[Message, ...]] = tuple

    # --- the session's side

    def newer_waits(self) -> None:
        self._waiting = True

    def none_waits(self) -> None:
        """Every newer message is this turn's by now."""
        self._waiting = False

    def offer(self, take: Callable[[], tuple[Message, ...]]) -> None:
        """Newer messages may be taken up by this turn."""
        self._take = take

    def end(self) -> None:
        self._over = True

    # --- the brain's side

    async def release(self, text: str) -> None:
        """Journal, then publish a segment. Once begun it is not cancelled: what was said is known exactly."""
        self._refuse_when_over()
        self._length += len(text)
        if self._length > REPLY_CHARACTERS:
            raise TooLarge(f"a reply has at most {REPLY_CHARACTERS:,} characters")
        self.commit_reached = True
        number, self._released = self._released, self._released + 1
        try:
            with anyio.CancelScope(shield=True):
                await self._ledger.commit(lambda seq: self._segment(text, number, seq))
        except Exception:
            self._released = min(number, self._released)
            raise
        self.segments.append(text)

    def progress(self, phase: str, ms: float) -> None:
        if self._feeds.watched(self._state.id):
            news = Event(seq=self._ledger.seq, kind="turn.phase", session_id=self._state.id, turn_id=self._turn_id,
                         at_ms=self._clock_ms(), data={"phase": phase, "ms": ms})
            self._feeds.publish(self._state.id, (news,))

    def pending(self) -> bool:
        return self._waiting

    def absorb(self) -> tuple[Message, ...]:
        """Those that were offered and are durable: this turn's from now on."""
        return () if self._over else self._take()

    async def reserve(self, effect: Effect) -> EffectOutcome:
        """`new` once the reservation is durable. What may be repeated by its policy is never `unknown`.

        An effect that was reserved before and not settled is `unknown`: it may have happened.
        """
        self._refuse_when_over()
        if effect.policy == "PURE":
            return EffectOutcome(status="new")
        self.effects += 1
        self.claimed.add(effect.key)
        if effect.key in self._reserving:
            return EffectOutcome(status="unknown")
        self._reserving.add(effect.key)
        try:
            return await self._reserve(effect)
        finally:
            self._reserving.discard(effect.key)

    async def settle(self, effect: Effect, outcome: EffectOutcome) -> None:
        """Journal how a reserved effect ended; done even when the turn is being cancelled."""
        if effect.policy == "PURE":
            return
        status = "unknown" if outcome.status == "new" else outcome.status
        settled = EffectSettled(
            tenant=self._state.key.tenant, at_ms=self._clock_ms(), session_id=self._state.id, turn_id=self._turn_id,
            tool=effect.tool, key=effect.key, status=status, result=outcome.result, policy=effect.policy,
            arguments=effect.arguments)
        if can_be_undone(settled):
            self.done.append(settled)
        self.commit_reached |= effect.policy == "IRREVERSIBLE" and status in ("ok", "unknown")
        with anyio.CancelScope(shield=True):
            await self._scribe.commit(settled)

    async def _reserve(self, effect: Effect) -> EffectOutcome:
        tenant = self._state.key.tenant
        await self._ledger.quiet()  # the message first, then what is done about it
        self._refuse_when_over()
        known = await self._scribe.read(lambda store: _known(store, tenant, effect.key))
        if isinstance(known, EffectSettled):
            return EffectOutcome(status=known.status, result=known.result)
        if known is not None:
            return EffectOutcome(status="new" if effect.policy == "IDEMPOTENT" else "unknown")
        self._refuse_when_over()
        await self._scribe.commit(EffectReserved(
            tenant=tenant, at_ms=self._clock_ms(), session_id=self._state.id, turn_id=self._turn_id,
            tool=effect.tool, key=effect.key, policy=effect.policy, arguments=effect.arguments))
        return EffectOutcome(status="new")

    def _segment(self, text: str, number: int, seq: int) -> SegmentReleased:
        self._refuse_when_over()  # the message may have been lost to a full disk while this waited behind it
        at_ms = self._clock_ms()
        event = Event(seq=seq, kind="message.segment", session_id=self._state.id, turn_id=self._turn_id, at_ms=at_ms,
                      data={"text": text, "seq": number})
        return SegmentReleased(tenant=self._state.key.tenant, at_ms=at_ms, key=self._state.key,
                               session_id=self._state.id, turn_id=self._turn_id, number=number, text=text, event=event)

    def _refuse_when_over(self) -> None:
        if self._over:
            raise RuntimeError("the turn has ended; a brain must stop when it is cancelled")


def can_be_undone(effect: EffectReserved | EffectSettled) -> bool:
    """It has happened, and there is a tool that takes it back."""
    return isinstance(effect, EffectSettled) and effect.policy == "COMPENSATABLE" and effect.status == "ok"


def _known(store: Store, tenant: str, key: str) -> EffectReserved | EffectSettled | None:
    return store.tenant(tenant).effect(key)
