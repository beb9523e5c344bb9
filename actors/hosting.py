"""What all sessions of a process share: handed to each by the directory that activates it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ruche.actors.accumulate import CHANNEL_BASE_MS
from ruche.actors.fair import FairGate
from ruche.actors.feed import Feeds
from ruche.actors.logical import Orphan
from ruche.actors.people import People
from ruche.actors.scribe import Scribe
from ruche.actors.supersede import Decider, default_decider
from ruche.plugins.contracts import Brain
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.ids import make_id
from ruche.storage.model.run import Run
from ruche.storage.vault import random_bytes

REFUSAL = "I am sorry, something went wrong on my side. Please try again."


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True, eq=False)
class Hosting:
    """`refusal` is what a caller reads when a turn failed without having said anything.

    `turn_seconds` bounds one thinking; after `commit_seconds` without an answer from the disk callers are told, while
    the session goes on waiting. `waiting_limit` messages may wait in one session; the next is refused.
    """

    brain: Brain
    scribe: Scribe
    gate: FairGate
    feeds: Feeds = field(default_factory=Feeds)
    people: People = field(default_factory=People)
    engine: str = "ruche"
    """Name and version of the engine, as runs carry it."""
    turn_seconds: float = 60.0
    commit_seconds: float = 10.0
    waiting_limit: int = 100
    most_crashes: int = 3
    """A turn on which its session's activation, or after a restart the process, died so often is given up: its messages
    are dead letters."""
    suspects: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a turn that a process may have died of: such turns are thought about one at a time, so that the next
    death blames the right one."""
    decider: Decider = default_decider
    channel_bases: Mapping[str, int] = field(default_factory=lambda: CHANNEL_BASE_MS)
    refusal: Callable[[SessionKey], str] = lambda key: REFUSAL
    clock_ms: Callable[[], int] = wall_ms
    entropy: Callable[[int], bytes] = random_bytes
    orphans: dict[str, list[Orphan]] = field(default_factory=dict)
    """By session key: what the next activation takes up before anything else."""
    owing: dict[str, None] = field(default_factory=dict)
    """Addresses of active sessions that have put something off, oldest first."""
    due: Callable[[int], object] = lambda at_ms: None
    """Hears when something that a turn put into the outbox is due, once it is durable; it must not raise."""
    notices: Callable[[SessionKey, tuple[Event, ...], Run | None], tuple[OutboxItem, ...]] | None = None
    """What is to be delivered outside about events, with the run where they tell of one; kept in their frame."""
    refused: set[str] = field(default_factory=set)
    """Tenants whose message the full disk did not take, since it took the last one."""
    stats: Counter[str] = field(default_factory=Counter)
    on_turn: Callable[[Run], object] = lambda run: None
    """Hears of every run once it is durable, on the loop; it must not raise."""

    def notify(self, key: SessionKey, events: tuple[Event, ...], run: Run | None = None) -> tuple[OutboxItem, ...]:
        """`notices`, if anybody wants any."""
        return () if self.notices is None else self.notices(key, events, run)

    def new_id(self) -> str:
        return make_id(self.clock_ms(), self.entropy(10))
