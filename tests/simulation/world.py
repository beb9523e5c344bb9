"""What all processes of one simulated world share: the seed's decisions, time, the log, and what was seen to break."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

WALL_MS = 1_790_000_000_000
MOST_STEPS = 100_000
"""A world that goes well takes about 1,000, and never yet took 5,000."""


class Violation(AssertionError):
    """A promise of the runtime was broken in this world."""


class World:
    """`schedule` decides who runs when, `fate` what goes wrong; other streams belong to those who draw from them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: list[Random] = []
        self.schedule = self.stream("schedule")
        self.fate = self.stream("fate")
        self.ids = self.stream("ids")
        self.now = 0.0
        self.wall_offset_ms = 0
        self.life = 0
        self.steps = 0
        self.dying = False
        """The process dies before anything else of it runs."""
        self.dead = False
        """What runs now is only the cleaning up after a process that died: nobody sees it."""
        self.stopped = False
        """A sync of this process has failed: what it decides from now on is never kept."""
        self.superseded: dict[str, float] = {}
        """By turn that is to be thought again or in another turn: since when."""
        self.log: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self.violations: list[str] = []
        chance = self.schedule
        self.shuffled = chance.random() < 0.25
        self.preempting = chance.choice((0.0, 0.0, 0.05, 0.3))
        """The probability that a thread, or the loop, is interrupted between two statements of the runtime."""
        self._thread_share = chance.choice((0.01, 0.1, 0.5, 0.9))
        self._tick = chance.choice((1e-6, 2e-5, 2e-4))
        self._wake_up = chance.choice((0.0, 5e-5, 2e-3))

    def stream(self, name: str) -> Random:
        """A source of decisions of its own, the same for the same seed and name."""
        made = Random(f"{self.seed} {name}")
        self._streams.append(made)
        return made

    @contextmanager
    def afterlife(self) -> Iterator[None]:
        """What runs inside is not seen by anybody and decides nothing: its order is not the seed's."""
        self.dead = True
        before = [stream.getstate() for stream in self._streams]
        try:
            yield
        finally:
            for stream, state in zip(self._streams, before, strict=True):
                stream.setstate(state)
            self.dead = False

    # --- time and turns ----------------------------------------------------------------------------------------

    def wall_ms(self) -> int:
        return WALL_MS + self.wall_offset_ms + int(self.now * 1000)

    def step(self) -> None:
        self.steps += 1
        if self.steps == MOST_STEPS:
            self.violated(f"something goes round in circles: {MOST_STEPS:,} steps without an end")
            self.dying = True
        self.now += self._tick * self.schedule.random()

    def skip_to(self, time: float) -> None:
        self.now = max(self.now, time)

    def thread_first(self) -> bool:
        return self.schedule.random() < self._thread_share

    def wake_up_s(self) -> float:
        """How long a thread takes to come to itself."""
        return self._wake_up * self.schedule.random() if self._wake_up else 0.0

    def interrupts(self) -> bool:
        return self.schedule.random() < self.preempting

    def pick(self, among: Sequence[T]) -> T:
        return among[0] if len(among) == 1 else self.schedule.choice(among)

    def below(self, limit: int) -> int:
        return self.schedule.randrange(limit)

    # --- what happened -------------------------------------------------------------------------------------------

    def note(self, what: str, *details: Any) -> None:
        if not self.dead:
            self.log.append((self.now, self.life, what, details))

    def violated(self, law: str) -> None:
        if not self.dead:
            self.note("VIOLATED", law)
            self.violations.append(law)

    def fingerprint(self) -> str:
        """Equal for two runs that went the same way."""
        return hashlib.sha256(repr((self.steps, self.log)).encode()).hexdigest()[:16]

    def told(self) -> str:
        """The log, for people."""
        return "\n".join(f"{time * 1000:12.3f} ms  life {life}  {what:<12} {' '.join(map(str, details))}"
                         for time, life, what, details in self.log)
