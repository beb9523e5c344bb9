"""Virtual actors: a key is always there to be asked, whether or not an actor for it is in memory.

The directory wakes an actor for the first message of a key, lets idle ones go, restarts what crashed, and keeps the
letters that arrive in between, in order. It lives on the loop of its system.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pykka

from ruche.actors.activations import Activations
from ruche.actors.future import AioFuture
from ruche.actors.mailbox import Letter, Offer, full
from ruche.actors.ref import AioActorRef, answer_before, travelling_deadline
from ruche.actors.slot import State
from ruche.actors.supervise import DeadLetter, Policy, Terminated
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import RucheError

__all__ = ["DeadLetter", "Directory", "Policy", "Terminated"]

A = TypeVar("A", bound=pykka.Actor)


class Directory(Generic[A]):
    """Actors of one class by key, each made as `actor_class(key, *arguments)`.

    A key names a person's session for ever, an actor one activation of it. `stats` counts since the start.
    `on_escalate(directory, error)` hears of crashes over many keys, once a window; `on_dead_letter` of every message
    that was given up, `on_rest(key)` of every key that goes into quarantine. `clock` (monotonic seconds) and `chance`
    (in [0, 1)) may be replaced.
    """

    def __init__(self, actor_class: type[A], *arguments: Any, policy: Policy | None = None,
                 on_escalate: Callable[[Directory[A], BaseException], object] | None = None,
                 on_dead_letter: Callable[[DeadLetter], object] | None = None,
                 on_rest: Callable[[str], object] | None = None, system: ActorSystem | None = None,
                 clock: Callable[[], float] | None = None, chance: Callable[[], float] = random.random) -> None:
        self.policy = policy or Policy()
        self._class = actor_class
        self._arguments = arguments
        self._system = system or ActorSystem.running()
        self._clock = clock or self._system.clock
        escalate = None if on_escalate is None else lambda error: on_escalate(self, error)
        self._held = Activations(self._make, actor_class.expected, self.policy, self._system,  # type: ignore[attr-defined]
                                 self._clock, chance, escalate, on_dead_letter, on_rest)
        self._slots = self._held.slots
        self._sweeping: asyncio.TimerHandle | None = None
        self._system.before_exit(self.drain)

    @property
    def stats(self) -> dict[str, int]:
        """Counters since the start, for metrics named `ruche_actors_*`."""
        return self._held.stats

    @property
    def alarmed(self) -> bool:
        """True for a while after crashes over many keys: what they all use is at fault."""
        return self._held.alarmed

    def __len__(self) -> int:
        """Keys in memory, whatever their state."""
        return len(self._slots)

    def now(self) -> float:
        """The clock of its delays, in seconds."""
        return self._clock()

    def __contains__(self, key: str) -> bool:
        return key in self._slots

    # --- sending -----------------------------------------------------------------------------------------------

    async def ask(self, key: str, message: Any, *, timeout: float | None = None, trace: str = "") -> Any:
        """The answer of the key's actor, which is woken when it is not there. Messages of a key keep their order.

        Raises MailboxFull, Unavailable (quarantine, shutdown, too many active; with `retry_after`), DeadlineExceeded
        (`timeout` seconds or the caller's own anyio deadline, which go with the message), and what the actor raised.
        """
        reply: AioFuture[Any] = AioFuture()
        self._route(key, Letter(message, reply, travelling_deadline(timeout, self._system.clock()), trace))
        return await (reply if timeout is None else answer_before(reply, timeout))

    def tell(self, key: str, message: Any, *, trace: str = "") -> None:
        """Send without an answer. On the loop a refusal is raised; from other threads it becomes a dead letter."""
        letter = Letter(message, trace=trace)
        if self._system.on_loop():
            self._route(key, letter)
        else:
            self._system.post(self._route_posted, key, letter)

    def control(self, key: str, message: Any, *, trace: str = "") -> AioFuture[Any]:
        """Send by the control lane where the key is live, so that it overtakes what waits; else as `ask` does."""
        ref = self.live(key)
        if ref is not None:
            return ref.control(message, trace=trace)
        reply: AioFuture[Any] = AioFuture()
        self._route(key, Letter(message, reply, trace=trace))
        return reply

    def wake(self, key: str) -> None:
        """Have the key's actor in memory, as a message would; so a restart finishes what was left unanswered.

        Raises Unavailable.
        """
        slot = self._slots.get(key)
        if slot is None:
            slot = self._held.open(key)
            slot.touched = self._clock()
        elif slot.state is State.QUARANTINED:
            self._held.knock(slot)

    def live(self, key: str) -> AioActorRef[A] | None:
        """The present activation of a key, None when there is none. It may end at any time; the key does not."""
        slot = self._slots.get(key)
        if slot is None or slot.state is not State.LIVE or slot.ref is None or slot.ref.actor_inbox.closed:
            return None
        return slot.ref

    def keys(self) -> list[str]:
        """Keys in memory, whatever their state."""
        return list(self._slots)

    # --- watching ----------------------------------------------------------------------------------------------

    def monitor(self, key: str, target: Callable[[Terminated], object] | pykka.ActorRef[Any]) -> None:
        """Send `Terminated` to a callable or an actor, once, when the key's present activation ends."""
        self._held.watch.monitor(key, target)

    def link(self, one: str, other: str) -> None:
        """When either's present activation crashes, the other's stops as well; its letters are kept."""
        self._held.watch.link(one, other)

    def state(self, key: str) -> State | None:
        """Of a key's activation; None where there is none."""
        slot = self._slots.get(key)
        return None if slot is None else slot.state

    def snapshot(self, limit: int = 20) -> dict[str, Any]:
        """For the admin route: counters, states, letters waiting, and the keys with the longest mailboxes."""
        queued = {key: slot.queued for key, slot in self._slots.items()}
        longest = sorted((key for key in queued if queued[key]), key=lambda key: (-queued[key], key))[:limit]
        return {
            "actors": len(self._slots), "states": dict(Counter(slot.state.value for slot in self._slots.values())),
            "queued": sum(queued.values()), "longest": {key: queued[key] for key in longest}, **self.stats,
        }

    # --- letting go --------------------------------------------------------------------------------------------

    def sweep(self, limit: int = 1000) -> int:
        """Passivate what was idle for `idle_after`, at most `limit` actors; how many. O(passivated), not O(active)."""
        horizon = self._clock() - self.policy.idle_after
        passivated = 0
        for _ in range(len(self._slots)):
            slot = next(iter(self._slots.values()))
            if slot.touched > horizon or passivated == limit:
                break
            passivated += self._held.release(slot)
        return passivated

    async def evict(self, key: str) -> None:
        """Let a key go after the messages that it has; nothing of its actor is in memory when this returns.

        Whoever wants it to stay away keeps new messages from it.
        """
        while (slot := self._slots.get(key)) is not None:
            await self._held.evict(slot)

    def sweep_every(self, seconds: float) -> None:
        """Sweep now and then until `drain`."""
        self.sweep()
        self._sweeping = self._system.loop.call_later(seconds, self.sweep_every, seconds)

    async def drain(self) -> None:
        """Stop every actor after the messages that it has; new messages are refused. Returns when none is left."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._held.drain()

    # --- routing -----------------------------------------------------------------------------------------------

    def _make(self, key: str) -> A:
        return self._system.make(self._class, key, *self._arguments)

    def _route(self, key: str, letter: Letter) -> None:
        slot = self._slots.get(key)
        if slot is None:
            slot = self._held.open(key)
        else:
            self._slots.move_to_end(key)
        slot.touched = self._clock()
        if slot.state is State.QUARANTINED:
            self._held.knock(slot)
        outcome = slot.address.actor_inbox.offer(letter) if slot.state is State.LIVE else Offer.CLOSED
        if outcome is Offer.FULL:
            raise self._held.refusal(full())
        if outcome is Offer.CLOSED:  # it is not there, or has just ended and its exit is about to be reported
            self._held.hold(slot, letter)

    def _route_posted(self, key: str, letter: Letter) -> None:
        try:
            self._route(key, letter)
        except RucheError as error:
            self._held.bury(key, letter, error.code)
