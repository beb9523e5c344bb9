"""The actors of a directory that are in memory: how they come, rest, crash, come back, and are given up."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any

from ruche.actors.exits import Exit
from ruche.actors.future import AioFuture
from ruche.actors.mailbox import Letter, full
from ruche.actors.slot import Slot, State
from ruche.actors.supervise import CrashWindow, DeadLetter, Policy, Watch
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import RucheError, Unavailable

log = logging.getLogger(__name__)

COUNTERS = ("activated", "passivated", "crashed", "restarted", "quarantined", "escalated", "dead_letters", "refused")


class Activations:
    """One slot per active key, least recently used first. Loop thread only.

    `make(key)` makes an actor without starting it. `on_escalate(error)` hears of crashes over many keys, once a window;
    `on_dead_letter` of every message that was given up, `on_rest` of every key that goes into quarantine.
    """

    def __init__(self, make: Callable[[str], Any], expected: tuple[type[Exception], ...], policy: Policy,
                 system: ActorSystem, clock: Callable[[], float], chance: Callable[[], float],
                 on_escalate: Callable[[BaseException], object] | None,
                 on_dead_letter: Callable[[DeadLetter], object] | None,
                 on_rest: Callable[[str], object] | None = None) -> None:
        self.slots: OrderedDict[str, Slot] = OrderedDict()
        self.stats: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.watch = Watch()
        self.closing = False
        self.policy = policy
        self._make = make
        self._expected = expected
        self._system = system
        self._clock = clock
        self._chance = chance
        self._on_escalate = on_escalate
        self._on_dead_letter = on_dead_letter
        self._on_rest = on_rest
        self._leaving = 0
        self._crashes = CrashWindow()
        self._calm_until = -math.inf
        self._emptied: AioFuture[None] = AioFuture()
        self._exit_hook = self._exited  # one bound method for all actors

    def open(self, key: str) -> Slot:
        """Wake a key that is not in memory. Raises Unavailable."""
        if self.closing:
            raise self.refusal(_shutting_down())
        self._make_room()
        slot = self.slots[key] = Slot(key)
        self._activate(slot)
        return slot

    def knock(self, slot: Slot) -> None:
        """Let a key out of its quarantine when that is over; else raise Unavailable."""
        left = slot.until - self._clock()
        if left > 0:
            raise self.refusal(_quarantined(left))
        slot.crashes = None
        self._activate(slot)

    def hold(self, slot: Slot, letter: Letter) -> None:
        """Keep a letter for the slot's next activation. Raises MailboxFull."""
        if slot.pending is not None and len(slot.pending) >= self.policy.buffer:
            raise self.refusal(full())
        slot.hold([letter])

    def refusal(self, error: RucheError) -> RucheError:
        self.stats["refused"] += 1
        return error

    def bury(self, key: str, letter: Letter, reason: str) -> None:
        """Give a letter up."""
        self.stats["dead_letters"] += 1
        if self._on_dead_letter is not None:
            self._told(self._on_dead_letter, DeadLetter(
                key, letter.message, reason, letter.attempts, letter.trace, letter.reply_to is not None))

    @property
    def alarmed(self) -> bool:
        """Crashes over many keys were escalated, and the window after that is not over."""
        return self._clock() < self._calm_until

    def release(self, slot: Slot) -> bool:
        """Let a slot go if nothing speaks against it; otherwise it counts as used just now."""
        if slot.state is State.QUARANTINED and slot.until <= self._clock():
            self._remove(slot)
            return True
        owner: Any = None if slot.ref is None else slot.ref.actor_inbox.owner
        if slot.state is State.LIVE and owner is not None and not owner.busy:
            self._dismiss(slot)
            self.stats["passivated"] += 1
            return True
        slot.touched = self._clock()
        self.slots.move_to_end(slot.key)
        return False

    async def evict(self, slot: Slot) -> None:
        """Stop a slot's actor after the messages that it has, or give up what waits for its next one."""
        if slot.state is State.LIVE:
            await self._dismiss(slot)
        elif slot.state is State.LEAVING:
            ended: AioFuture[None] = AioFuture()
            self.watch.monitor(slot.key, lambda _: ended.set())
            await ended
        else:
            self._give_up(slot, Unavailable("this conversation was ended"))

    async def drain(self) -> None:
        """Stop every actor after the messages that it has; nothing comes back. Returns when none is left."""
        self.closing = True
        try:
            await self._stop_all()
        except asyncio.CancelledError:
            self._abandon()
            raise

    async def _stop_all(self) -> None:
        for slot in list(self.slots.values()):
            if slot.state in (State.BACKOFF, State.QUARANTINED):
                self._give_up(slot, _shutting_down())
        live = [slot for slot in self.slots.values() if slot.state is State.LIVE]
        for start in range(0, len(live), 256):
            for stopped in [self._dismiss(slot) for slot in live[start:start + 256] if slot.state is State.LIVE]:
                await stopped
        if self.slots:
            await self._emptied

    def _abandon(self) -> None:
        """There is no more time: refuse everything that waits."""
        for slot in list(self.slots.values()):
            self._refuse_held(slot, _shutting_down())
            owner: Any = None if slot.ref is None else slot.ref.actor_inbox.owner
            if owner is not None:
                owner._abandon()

    # --- coming and going --------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        policy = self.policy
        if len(self.slots) - self._leaving < policy.max_active:
            return
        for slot in list(islice(self.slots.values(), 32)):
            if self.release(slot):
                return
        if len(self.slots) >= policy.max_active * (1 + policy.overshoot):
            raise self.refusal(Unavailable("too many actors are busy at once; try again shortly", retry_after=1.0))

    def _activate(self, slot: Slot) -> None:
        try:
            actor = self._make(slot.key)
        except Exception as error:
            self._crashed(slot, Exit("start", error, None, []))
            return
        actor._slot, actor._on_exit = slot, self._exit_hook
        slot.ref, slot.state, slot.timer = actor.actor_ref, State.LIVE, None
        self.stats["activated"] += 1
        # Before the start: a thread that fails at once would have closed its mailbox already.
        for letter in slot.take_held():
            actor.actor_inbox.offer(letter, force=True)
        actor._start_actor_loop()

    def _dismiss(self, slot: Slot) -> AioFuture[Any]:
        slot.state = State.LEAVING
        self._leaving += 1
        self.slots.move_to_end(slot.key)
        stopped: AioFuture[Any] = slot.address.stop(block=False)
        return stopped

    def _remove(self, slot: Slot) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
        self.slots.pop(slot.key, None)
        self.watch.ended(slot.key, None)
        if self.closing and not self.slots:
            self._emptied.set()

    def _give_up(self, slot: Slot, error: BaseException) -> None:
        """Forget a slot; whoever waits there is refused."""
        self._refuse_held(slot, error)
        self._remove(slot)

    def _refuse_held(self, slot: Slot, error: BaseException) -> None:
        for letter in slot.take_held():
            self.bury(slot.key, letter, _name(error))
            letter.refuse(error)

    # --- ends --------------------------------------------------------------------------------------------------

    def _exited(self, actor: Any, exit: Exit) -> None:
        slot: Slot = actor._slot
        if slot.state is State.LEAVING:
            self._leaving -= 1
        slot.ref, slot.state = None, State.BACKOFF
        slot.hold([letter for letter in exit.left if not letter.is_stop], first=True)
        for key in self.watch.ended(slot.key, exit.reason):
            self._halt(key)
        if exit.reason is None:
            self._rested(slot)
        else:
            self._crashed(slot, exit)
        for letter in (exit.letter, *exit.left):
            if letter is not None and letter.is_stop:
                letter.answer(None)

    def _halt(self, key: str) -> None:
        other = self.slots.get(key)
        if other is not None and other.ref is not None and other.state is State.LIVE:
            other.ref.halt()

    def _rested(self, slot: Slot) -> None:
        if not slot.pending:
            self._remove(slot)
        elif self.closing:
            self._give_up(slot, _shutting_down())
        else:
            self._activate(slot)  # messages raced with the passivation

    def _crashed(self, slot: Slot, exit: Exit) -> None:
        reason = exit.reason or RuntimeError("crashed")
        self.stats["crashed"] += 1
        if exit.letter is not None and not exit.letter.is_stop:
            self._poisoned(slot, exit.letter, reason)
        now = self._clock()
        self._alarm(now, reason)
        if slot.crashes is None:
            slot.crashes = CrashWindow()
        crashes = slot.crashes.add(now, self.policy.window)
        if self.closing:
            self._give_up(slot, _shutting_down())
        elif exit.phase != "work" and isinstance(reason, self._expected):
            self._give_up(slot, reason)  # a refusal that callers can act on, such as a store that is down
        elif crashes > self.policy.max_restarts:
            self._quarantine(slot, now)
        else:
            self._restart_later(slot, now, self.policy.delay(crashes, self._chance()))

    def _poisoned(self, slot: Slot, letter: Letter, reason: BaseException) -> None:
        """The message in hand is tried again only where that is safe."""
        letter.attempts += 1
        if getattr(letter.message, "idempotent", False) and letter.attempts < self.policy.max_attempts:
            slot.hold([letter], first=True)
            return
        self.bury(slot.key, letter, _name(reason))
        letter.refuse(reason)

    def _alarm(self, now: float, reason: BaseException) -> None:
        if self._crashes.add(now, self.policy.window) <= self.policy.kind_max or now < self._calm_until:
            return
        self._calm_until = now + self.policy.window
        self.stats["escalated"] += 1
        log.error("actors of many keys crash, last of %s", _name(reason))
        if self._on_escalate is not None:
            self._told(self._on_escalate, reason)

    def _quarantine(self, slot: Slot, now: float) -> None:
        slot.state, slot.until = State.QUARANTINED, now + self.policy.quarantine
        self.stats["quarantined"] += 1
        self._refuse_held(slot, _quarantined(self.policy.quarantine))
        if self._on_rest is not None:
            self._told(self._on_rest, slot.key)

    def _restart_later(self, slot: Slot, now: float, delay: float) -> None:
        slot.state, slot.until = State.BACKOFF, now + delay
        slot.timer = self._system.loop.call_later(delay, self._restart, slot)

    def _restart(self, slot: Slot) -> None:
        self.stats["restarted"] += 1
        self._activate(slot)

    def _told(self, listener: Callable[[Any], object], news: Any) -> None:
        try:
            listener(news)
        except Exception as error:
            log.error("a listener of the directory failed: %s", _name(error))


def _name(error: BaseException) -> str:
    return error.code if isinstance(error, RucheError) else type(error).__name__


def _shutting_down() -> Unavailable:
    return Unavailable("the engine is shutting down; try again in a moment", retry_after=5.0)


def _quarantined(seconds: float) -> Unavailable:
    return Unavailable("this conversation failed repeatedly and rests; try again later", retry_after=seconds)
