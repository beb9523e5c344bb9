"""Letters and the bounded two-lane mailbox that every actor reads, whether it lives on the loop or on a thread.

Put and close are one decision under one lock: a letter is either taken, refused as full, or seen to be too late.
"""

from __future__ import annotations

import asyncio
import enum
import math
import threading
from collections import deque
from typing import Any, ClassVar, Protocol

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from ruche.actors.future import AioFuture
from ruche.plugins.errors import DeadlineExceeded, MailboxFull


class Letter(Envelope[Any]):
    """A message on its way. `deadline` is on the monotonic clock (seconds, inf for none); `trace` is the request id."""

    __slots__ = ("attempts", "deadline", "trace")

    def __init__(self, message: Any, reply_to: pykka.Future[Any] | None = None, deadline: float = math.inf,
                 trace: str = "") -> None:
        self.message = message
        self.reply_to = reply_to
        self.deadline = deadline
        self.trace = trace
        self.attempts = 0

    @property
    def is_stop(self) -> bool:
        return type(self.message) is _ActorStop

    def answer(self, value: Any) -> None:
        if self.reply_to is not None:
            self.reply_to.set(value)

    def refuse(self, error: BaseException) -> None:
        """Tell the asker why there is no answer. Without an asker nobody is told."""
        if self.reply_to is not None:
            self.reply_to.set_exception((type(error), error, error.__traceback__))

    def expired(self, now: float) -> bool:
        """Too old to be begun, or its asker has given up already (loop timers may fire up to 1 ms early)."""
        return self.deadline != math.inf and (
            self.deadline <= now or (isinstance(self.reply_to, AioFuture) and self.reply_to.done()))

    def expire(self) -> None:
        self.refuse(DeadlineExceeded("the message's deadline had passed before it was its turn; ask again"))


class Offer(enum.Enum):
    """What became of a letter that was offered."""

    TAKEN = "taken"
    FULL = "full"
    CLOSED = "closed"


class Owner(Protocol):
    """The actor behind a mailbox."""

    put_timeout: ClassVar[float]

    def _now(self) -> float:
        """The monotonic clock, in seconds, that its letters' deadlines are on."""

    def _wake(self) -> None:
        """The first letter lies in an idle mailbox: begin to read. Any thread, never under the mailbox's lock."""


class Mailbox:
    """At most `limit` ordinary letters; the control lane goes first and is not bounded.

    `scheduled` is True from the first letter until `take` found nothing: somebody reads, or is about to. The mailbox is
    its actor's `actor_stopped` flag as well: closed is stopped.
    """

    __slots__ = ("_control", "_items", "_lock", "_waiting", "closed", "limit", "owner", "scheduled")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.owner: Owner | None = None
        self.scheduled = False
        self.closed = False
        self._lock = threading.Lock()
        # An empty deque takes 624 bytes, and most mailboxes are empty: none of these exists without a letter.
        self._items: deque[Letter] | None = None
        self._control: deque[Letter] | None = None
        self._waiting: deque[tuple[Letter, AioFuture[None]]] | None = None

    def offer(self, letter: Letter, *, control: bool = False, force: bool = False) -> Offer:
        """Put without waiting. `force` ignores the limit. Any thread."""
        with self._lock:
            if self.closed:
                return Offer.CLOSED
            if control:
                if self._control is None:
                    self._control = deque()
                self._control.append(letter)
            else:
                items = self._items
                if items is None:
                    items = self._items = deque()
                elif len(items) >= self.limit and not force:
                    return Offer.FULL
                items.append(letter)
            if self.scheduled:
                return Offer.TAKEN
            self.scheduled = True
            owner = self.owner
        if owner is not None:
            owner._wake()
        return Offer.TAKEN

    def put(self, envelope: Envelope[Any], /) -> None:
        """pykka's way in, for tell, ask, proxies and broadcasts.

        On a loop's thread a full mailbox raises MailboxFull; other threads wait for room, as long as the actor's
        `put_timeout`. A tell to a closed mailbox raises pykka.ActorDeadError, an ask is answered with it.
        """
        letter = envelope if isinstance(envelope, Letter) else Letter(envelope.message, envelope.reply_to)
        outcome = self.offer(letter, force=letter.is_stop)
        if outcome is Offer.FULL:
            self._put_blocking(letter)
        elif outcome is Offer.CLOSED:
            self._too_late(letter)

    async def put_async(self, letter: Letter) -> None:
        """Put, suspended while the mailbox is full; who waits longer is let in first. A cancelled put leaves nothing
        behind unless the letter was let in already."""
        outcome = self.offer(letter)
        if outcome is Offer.FULL:
            entry = self._queue_up(letter)
            try:
                await entry
            except BaseException:
                self._withdraw(entry)
                raise
        elif outcome is Offer.CLOSED:
            self._too_late(letter)

    def take(self) -> Letter | None:
        """The next letter, control lane first; None makes the mailbox idle, and the next letter wakes the actor."""
        with self._lock:
            if self._control:
                return self._control.popleft()
            if not self._items:
                self.scheduled = False
                self._items = self._control = None
                return None
            letter = self._items.popleft()
            admitted = self._admit() if self._waiting else None
        if admitted is not None:
            admitted.set()
        return letter

    def take_more(self, limit: int) -> list[Letter]:
        """Up to `limit` further ordinary letters, stops excluded; for actors that work in batches."""
        letters: list[Letter] = []
        while len(letters) < limit:
            with self._lock:
                if self._control or not self._items or self._items[0].is_stop:
                    break
                letters.append(self._items.popleft())
                admitted = self._admit() if self._waiting else None
            if admitted is not None:
                admitted.set()
        return letters

    def close(self) -> list[Letter]:
        """Take nothing more; hands back what was not read, control lane first. Those who wait for room are refused."""
        with self._lock:
            self.closed = True
            left = [*(self._control or ()), *(self._items or ())]
            waiting = self._waiting or ()
            self.owner = self._items = self._control = self._waiting = None
        for letter, entry in waiting:
            letter.refuse(dead())
            entry.fail(dead())
        return left

    def empty(self) -> bool:
        return not (self._items or self._control)

    def __len__(self) -> int:
        return len(self._items or ()) + len(self._control or ())

    def get(self) -> Letter:
        """The blocking read of pykka's own loops, which none of our actors runs."""
        raise NotImplementedError("actors of this runtime read their mailbox with take()")

    def is_set(self) -> bool:
        """`actor_stopped.is_set()`, as pykka reads it."""
        return self.closed

    def set(self) -> None:
        """`actor_stopped.set()`: close, and refuse whatever lay here."""
        for letter in self.close():
            letter.answer(None) if letter.is_stop else letter.refuse(dead())

    def _admit(self) -> AioFuture[None] | None:
        if not self._waiting or self._items is None or len(self._items) >= self.limit:
            return None
        letter, entry = self._waiting.popleft()
        self._items.append(letter)
        if not self._waiting:
            self._waiting = None
        return entry

    def _queue_up(self, letter: Letter) -> AioFuture[None]:
        entry: AioFuture[None] = AioFuture()
        with self._lock:
            if not self.closed and self._items is not None and len(self._items) >= self.limit:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append((letter, entry))
                return entry
        outcome = self.offer(letter, force=True)
        entry.set() if outcome is Offer.TAKEN else entry.fail(dead())
        return entry

    def _withdraw(self, entry: AioFuture[None]) -> None:
        with self._lock:
            kept = [pair for pair in self._waiting or () if pair[1] is not entry]
            self._waiting = deque(kept) if kept else None

    def _put_blocking(self, letter: Letter) -> None:
        owner = self.owner
        if asyncio._get_running_loop() is not None or owner is None:
            raise full()
        patience = min(owner.put_timeout, letter.deadline - owner._now())
        entry = self._queue_up(letter)
        try:
            entry.get(timeout=max(0.0, patience))
        except pykka.Timeout:
            self._withdraw(entry)
            if entry.done():
                return
            raise full() from None

    def _too_late(self, letter: Letter) -> None:
        if letter.is_stop or letter.reply_to is not None:
            letter.refuse(dead())
        else:
            raise dead()


def dead() -> pykka.ActorDeadError:
    return pykka.ActorDeadError("the actor has stopped; nothing was done with the message")


def full() -> MailboxFull:
    return MailboxFull("too many messages wait for this actor; send again a little later", retry_after=1.0)
