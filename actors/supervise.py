"""What a supervisor knows: its policy, who crashed how often, who watches whom, and what nobody could handle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """How a directory treats its actors. Times in seconds.

    Restarts are one for one, as Erlang's supervisors do: above `max_restarts` crashes of a key within `window` the key
    is in quarantine. Restart n (from 0) waits base * factor**n, at most `cap`, less up to `jitter` of it at random.
    """

    max_restarts: int = 3
    window: float = 10.0
    base: float = 0.05
    factor: float = 2.0
    cap: float = 5.0
    jitter: float = 0.2
    max_attempts: int = 2
    """A message with a true attribute `idempotent` is tried this often before it is a dead letter; all others once."""
    quarantine: float = 30.0
    kind_max: int = 50
    """More crashes than this over all keys within `window` escalate: it is not the sessions, it is what they use."""
    idle_after: float = 60.0
    max_active: int = 20_000
    """Above this the least recently used idle actor is passivated for each new one."""
    overshoot: float = 0.25
    """Share by which busy actors may exceed `max_active` before new keys are refused."""
    buffer: int = 100
    """Messages held for a key that is starting, leaving or waiting for its restart."""

    def delay(self, crashes: int, chance: float) -> float:
        """Seconds before the restart that follows the given number of crashes (1 and up); `chance` in [0, 1)."""
        return min(self.cap, self.base * self.factor ** (crashes - 1)) * (1 - self.jitter * chance)


@dataclass(frozen=True)
class Terminated:
    """An activation ended. `reason` None: it stopped or was passivated."""

    key: str
    reason: BaseException | None


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up after `attempts` tries, and why."""

    key: str
    message: Any
    reason: str
    attempts: int
    trace: str
    asked: bool = True
    """Somebody waited for the answer, and was refused."""


class CrashWindow:
    """Times of the crashes in the last `seconds`; a list, since most are empty (56 bytes, a deque takes 624)."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float, seconds: float) -> int:
        """One more crash; how many lie in the window now."""
        self._times.append(now)
        self._times = [time for time in self._times if time >= now - seconds]
        return len(self._times)


class Watch:
    """Monitors and links between keys. Like Erlang's they end with the activation that they were made for."""

    def __init__(self) -> None:
        self._monitors: dict[str, list[Callable[[Terminated], object] | pykka.ActorRef[Any]]] = {}
        self._links: dict[str, set[str]] = {}

    def monitor(self, key: str, target: Callable[[Terminated], object] | pykka.ActorRef[Any]) -> None:
        self._monitors.setdefault(key, []).append(target)

    def link(self, one: str, other: str) -> None:
        self._links.setdefault(one, set()).add(other)
        self._links.setdefault(other, set()).add(one)

    def ended(self, key: str, reason: BaseException | None) -> set[str]:
        """Tell the monitors; the linked keys, which an abnormal end takes along."""
        for target in self._monitors.pop(key, ()):
            _tell(target, Terminated(key, reason))
        linked = self._links.pop(key, set())
        for other in linked:
            self._unlink(other, key)
        return linked if reason is not None else set()

    def _unlink(self, key: str, other: str) -> None:
        links = self._links.get(key)
        if links is not None:
            links.discard(other)
            if not links:
                del self._links[key]


def _tell(target: Callable[[Terminated], object] | pykka.ActorRef[Any], news: Terminated) -> None:
    try:
        if isinstance(target, pykka.ActorRef):
            target.tell(news)
        else:
            target(news)
    except Exception as error:
        log.warning("a monitor of %s could not be told: %s", news.key, type(error).__name__)
