"""What a directory keeps of one key: its activation, or why there is none, and the letters held meanwhile."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any

from ruche.actors.mailbox import Letter, dead
from ruche.actors.supervise import CrashWindow

if TYPE_CHECKING:
    from ruche.actors.ref import AioActorRef


class State(enum.Enum):
    """LIVE takes letters; LEAVING is on its way out; BACKOFF waits for its restart; QUARANTINED refuses."""

    LIVE = "live"
    LEAVING = "leaving"
    BACKOFF = "backoff"
    QUARANTINED = "quarantined"


class Slot:
    """Exists while its key is active; a passivated key costs nothing."""

    __slots__ = ("crashes", "key", "pending", "ref", "state", "timer", "touched", "until")

    def __init__(self, key: str) -> None:
        self.key = key
        self.state = State.LEAVING
        self.ref: AioActorRef[Any] | None = None
        self.pending: list[Letter] | None = None
        self.crashes: CrashWindow | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.touched = 0.0
        self.until = 0.0

    @property
    def address(self) -> AioActorRef[Any]:
        """The present activation's; pykka.ActorDeadError when there is none."""
        if self.ref is None:
            raise dead()
        return self.ref

    @property
    def queued(self) -> int:
        return len(self.pending or ()) + (0 if self.ref is None else len(self.ref.actor_inbox))

    def hold(self, letters: list[Letter], *, first: bool = False) -> None:
        """Keep letters for the next activation; `first` puts them before those that are held already."""
        if not letters:
            return
        if self.pending is None:
            self.pending = letters
        elif first:
            self.pending = [*letters, *self.pending]
        else:
            self.pending += letters

    def take_held(self) -> list[Letter]:
        held, self.pending = self.pending or [], None
        return held
