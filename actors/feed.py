"""Who listens to a session: replay from the store, then live, without a gap and without a repeat.

Listeners belong to the process, not to an activation, so they outlive passivation and restarts of a session.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from weakref import WeakKeyDictionary

from ruche.plugins.errors import Unavailable
from ruche.storage.model.event import Event

PAGE = 500
Replay = Callable[[str, int, int], Awaitable[list[Event]]]
"""(session id, after, limit) to the kept events of a session, oldest first."""


class ListenerDropped(Unavailable):
    """A listener did not read, so its queue was given up. `cursor` is the last sequence number it took."""

    code = "LISTENER_DROPPED"


class Listener:
    """One bounded queue of events of one session, on the event loop.

    `cursor` is the sequence number of the last kept event that was taken. A listener whose queue overflows is dropped:
    what it has not read is thrown away and its next read raises ListenerDropped.
    """

    __slots__ = ("__weakref__", "_error", "_events", "_feeds", "_limit", "_waiter", "cursor", "session_id")

    def __init__(self, feeds: Feeds, session_id: str, cursor: int, limit: int) -> None:
        self.session_id = session_id
        self.cursor = cursor
        self._feeds = feeds
        self._limit = limit
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    async def next(self) -> Event:
        """The next event that has not been seen; passing news (`turn.phase`) carries a number already seen."""
        while True:
            while self._events:
                event = self._events.popleft()
                if event.kind == "turn.phase":
                    return event
                if event.seq > self.cursor:
                    self.cursor = event.seq
                    return event
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def offer(self, event: Event) -> None:
        """Queue an event; passing news is dropped first when the queue fills up."""
        if self._error is not None or (event.kind == "turn.phase" and len(self._events) * 2 >= self._limit):
            return
        if len(self._events) >= self._limit:
            self._events.clear()
            self.fail(ListenerDropped("the event stream was not read fast enough; reconnect from the cursor",
                                      retry_after=0.0, cursor=self.cursor))
        else:
            self._events.append(event)
            self._wake()

    def fail(self, error: BaseException) -> None:
        """No more events come; what is queued can still be read, then the error is raised."""
        if self._error is None:
            self._error = error
            self._feeds.leave(self)
            self._wake()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        self._feeds.leave(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Feeds:
    """All listeners of a process, by session. Loop thread only.

    A listener that nobody holds any more is gone, so a caller who leaves before it is handed over costs nothing.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._listeners: dict[str, WeakKeyDictionary[Listener, None]] = {}
        self._closed: Unavailable | None = None

    def __len__(self) -> int:
        return sum(map(len, self._listeners.values()))

    def watched(self, session_id: str) -> bool:
        return bool(self._listeners.get(session_id))

    def listen(self, session_id: str, cursor: int) -> Listener:
        """From now on, for a caller that knows that nothing after `cursor` has happened yet."""
        listener = Listener(self, session_id, cursor, self._limit)
        if self._closed is not None:
            listener.fail(self._closed)
            return listener
        self._listeners.setdefault(session_id, WeakKeyDictionary())[listener] = None
        return listener

    def leave(self, listener: Listener) -> None:
        listeners = self._listeners.get(listener.session_id)
        if listeners is not None:
            listeners.pop(listener, None)
            if not listeners:
                del self._listeners[listener.session_id]

    def publish(self, session_id: str, events: Sequence[Event]) -> None:
        """Hand durable events, in order, to whoever listens. Never waits."""
        listeners = self._listeners.get(session_id)
        if listeners is None:
            return
        for listener in list(listeners):
            for event in events:
                listener.offer(event)
        if not listeners:
            self._listeners.pop(session_id, None)  # the last of them was let go of without a word

    def close(self) -> None:
        """The engine stops: listeners are told once they have read what is queued, later ones at once."""
        self._closed = Unavailable("the engine is shutting down; reconnect from the cursor", retry_after=1.0)
        for listener in [each for listeners in self._listeners.values() for each in listeners]:
            listener.fail(self._closed)

    async def stop(self) -> None:
        """`close`, for an actor system to await."""
        self.close()

    async def follow(self, session_id: str, after: int, replay: Replay) -> AsyncGenerator[Event]:
        """Kept events after the cursor, then live ones, until the session is closed. Raises ListenerDropped."""
        listener = self.listen(session_id, after)  # before the replay: what happens during it is queued
        try:
            while page := await replay(session_id, listener.cursor, PAGE):
                for event in page:
                    listener.cursor = event.seq
                    yield event
                    if event.kind == "session.closed":
                        return
                if len(page) < PAGE:
                    break
            while True:
                event = await listener.next()
                yield event
                if event.kind == "session.closed":
                    return
        finally:
            listener.close()
