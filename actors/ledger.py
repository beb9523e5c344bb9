"""One session's way into the journal: it numbers the session's events and publishes them once they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ruche.actors.feed import Feeds
from ruche.plugins.errors import RucheError
from ruche.storage.model.event import Event
from ruche.storage.model.record import Accepted, AnyRecord, DeadLettered, SegmentReleased, SessionSaved, TurnCommitted
from ruche.storage.model.told import told
from ruche.storage.payload import PayloadTooLarge

Numbered = Accepted | TurnCommitted | SegmentReleased | SessionSaved | DeadLettered
Build = Callable[[int], Numbered]
"""Makes a record whose events are numbered upwards from the given sequence number."""
Done = Callable[[BaseException | None], None]
_UNTIL_THE_LAST = 60.0
"""Seconds; the last of several records, written at once, sends them all."""


class Poster(Protocol):
    def post(self, records: tuple[AnyRecord, ...], done: Done) -> None:
        """Commit the records together; `done(None)` on the loop once they are durable, `done(error)` if not."""


class Ledger:
    """At most one group of records is under way, and what is written meanwhile forms the next group.

    A group is kept wholly or not at all and is numbered when it leaves, so numbers have no gap even when the disk is
    full for a while. `seq` is the number of the last durable event. Nothing leaves before what the ledger `after`,
    that of the session before this one, was given until then.
    """

    __slots__ = ("_after", "_busy", "_feeds", "_holding", "_poster", "_quiet", "_session_id", "_singly", "_waiting",
                 "seq")

    def __init__(self, poster: Poster, feeds: Feeds, session_id: str, seq: int, after: Ledger | None = None) -> None:
        self.seq = seq
        self._after = after
        self._poster = poster
        self._feeds = feeds
        self._session_id = session_id
        self._waiting: list[tuple[Build, Done]] = []
        self._busy = False
        self._singly = 0
        self._holding: asyncio.TimerHandle | None = None
        self._quiet: list[Callable[[], None]] = []

    def write(self, build: Build, done: Done, *, hold_s: float = 0.0) -> None:
        """Append a record in order. `done` is called on the loop, after the events were published.

        A record that may be held waits so many seconds for the next one, to share its sync.
        """
        self._waiting.append((build, done))
        if self._busy:
            return
        if not hold_s:
            self._send()
        elif self._holding is None:
            self._holding = asyncio.get_running_loop().call_later(hold_s, self._send)

    async def commit(self, *builds: Build) -> None:
        """`write`, awaited; raises what the journal raised. To give up waiting does not take the records back.

        Several leave in one group, so that all of them are kept or none is.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for build in builds[:-1]:
            self.write(build, partial(_settle_failed, written), hold_s=_UNTIL_THE_LAST)
        self.write(builds[-1], lambda error: settle(written, error))
        await written

    async def quiet(self) -> None:
        """Let go of what is held, and return when nothing is under way."""
        while True:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._is_quiet(partial(settle, idle, None)):
                return
            await idle

    def _is_quiet(self, then: Callable[[], None]) -> bool:
        """Let go of what is held; False when something is under way, and `then()` is called after it."""
        if not self._busy:
            self._send()
        if self._busy:
            self._quiet.append(then)
        return not self._busy

    def _send(self) -> None:
        """Let what waits leave as one group; after a record that can never be kept, one by one."""
        self._busy = True
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
        if self._after is not None:
            if self._waiting and not self._after._is_quiet(self._send):
                return
            self._after = None
        while self._waiting:
            count = 1 if self._singly else len(self._waiting)
            self._singly = max(0, self._singly - 1)
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            group = self._numbered(taken)
            if group:
                self._poster.post(tuple(record for record, _, _ in group), partial(self._written, group))
                return
        self._busy = False
        idle, self._quiet = self._quiet, []
        for each in idle:
            each()

    def _numbered(self, taken: list[tuple[Build, Done]]) -> list[tuple[Numbered, Build, Done]]:
        seq, group = self.seq, []
        for build, done in taken:
            try:
                record = build(seq + 1)
            except Exception as error:  # a fault of the caller's costs the caller's record only
                done(error)
                continue
            seq += len(events_of(record))
            group.append((record, build, done))
        return group

    def _written(self, group: list[tuple[Numbered, Build, Done]], error: BaseException | None) -> None:
        if error is not None and len(group) > 1 and (not isinstance(error, RucheError)
                                                     or isinstance(error, PayloadTooLarge)):
            self._waiting[:0] = [(build, done) for _, build, done in group]
            self._singly = len(group)
        else:
            for record, _, done in group:
                if error is None:
                    self.seq += len(events_of(record))
                    if self._feeds.watched(self._session_id):
                        self._feeds.publish(self._session_id, _as_told(record))
                done(error)
        self._send()


def events_of(record: Numbered) -> tuple[Event, ...]:
    return (record.event,) if isinstance(record, SegmentReleased) else record.events


def _as_told(record: Numbered) -> tuple[Event, ...]:
    return told(record.events, {record.run.id: record.run}) if isinstance(record, TurnCommitted) else events_of(record)


def _settle_failed(written: asyncio.Future[None], error: BaseException | None) -> None:
    if error is not None:
        settle(written, error)


def settle(written: asyncio.Future[None], error: BaseException | None) -> None:
    """Tell whoever still waits how it went."""
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
