"""People outside the process: they speak, listen, give up, repeat themselves, and believe what they hear."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pykka

from ruche.actors.directory import Directory
from ruche.actors.feed import Listener, ListenerDropped
from ruche.actors.hosting import Hosting
from ruche.actors.logical import Taken
from ruche.actors.scribe import Scribe
from ruche.actors.session import Close, Look, Say, SessionActor, Typing
from ruche.plugins.errors import (
    IdempotencyMismatch,
    InvalidRequest,
    MailboxFull,
    NotFound,
    RucheError,
    StorageFull,
    StorageStopped,
    Unavailable,
)
from ruche.storage.model.conversation import Message
from ruche.storage.model.event import Event
from ruche.storage.model.turn import Turn
from tests.simulation.brain import InjectedFault
from tests.simulation.disk import Disk, short
from tests.simulation.plan import Person, Step, Utterance
from tests.simulation.world import World

NOT_TAKEN = (IdempotencyMismatch, InvalidRequest, MailboxFull, NotFound)
"""Whoever is told one of these knows that the message was not taken."""
PATIENCE_S = 300.0
"""Virtual seconds after which an answer will not come any more."""
NEWS_S = 0.5
"""Virtual seconds after which a durable event has reached whoever is connected."""
_ENDINGS = ("turn.completed", "turn.failed")


@dataclass(slots=True, eq=False)
class Server:
    """What a process offers to its clients."""

    directory: Directory[SessionActor]
    hosting: Hosting
    scribe: Scribe
    settling: bool = False
    """Nobody asks for anything new any more."""
    closing: bool = False


@dataclass(slots=True, eq=False)
class Attempt:
    """One request. `outcome` stays None when the process died before it answered."""

    utterance: Utterance
    message_id: str
    address: str
    life: int
    number: int = 0
    """In the order in which requests reached the server."""
    outcome: Any = None


class Evidence:
    """Everything that clients saw, and the laws that can be checked when they see it."""

    def __init__(self, world: World, disk: Disk) -> None:
        self.world = world
        self.disk = disk
        self.attempts: list[Attempt] = []
        self.sessions: dict[str, str] = {}
        """Session id to address, of the sessions that somebody was told about."""
        self.cursors: dict[tuple[int, str], int] = {}
        self._sent = 0

    def next_number(self) -> int:
        self._sent += 1
        return self._sent

    def turn(self, attempt: Attempt, turn: Turn) -> None:
        run = self.disk.runs.get(turn.turn_id)
        if run is None:
            return self.world.violated(f"{attempt.utterance.text} was answered before its turn was durable")
        if attempt.utterance.text not in run.said or run.turn() != turn:
            self.world.violated(f"{attempt.utterance.text} was answered with another turn's reply")
        self.sessions[turn.session_id] = attempt.address

    def taken(self, attempt: Attempt, taken: Taken) -> None:
        if taken.message_id not in self.disk.accepted:
            self.world.violated(f"{attempt.utterance.text} was said to be taken and is not durable")
        self.sessions[taken.session_id] = attempt.address

    def error(self, attempt: Attempt, error: BaseException) -> None:
        if not isinstance(error, RucheError | InjectedFault | OSError):
            self.world.violated(f"{attempt.utterance.text} was refused with {error!r}")

    def heard(self, event: Event) -> None:
        if event.seq > self.disk.last_event.get(event.session_id, 0):
            self.world.violated(f"event {event.seq} of {short(event.session_id)} was heard before it was durable")


class Client:
    """One person, through all processes."""

    def __init__(self, person: Person, evidence: Evidence) -> None:
        self._person = person
        self._evidence = evidence
        self._world = evidence.world
        self._whim = self._world.stream(f"client {person.number}")
        self._mine: list[Attempt] = []

    @property
    def address(self) -> str:
        return str(self._person.key)

    async def run(self, server: Server) -> None:
        self._say_again()
        while self._person.steps and not server.closing:
            await asyncio.sleep(self._person.steps[0].seconds)
            if server.closing:
                return
            await self._do(server, self._person.steps.pop(0))

    def _say_again(self) -> None:
        """Requests that the last process left without an answer are repeated where that is safe."""
        for attempt in self._mine:
            if attempt.outcome is None:
                attempt.outcome = "lost"
                if attempt.utterance.idem is not None and not attempt.utterance.metadata:
                    self._person.steps.insert(0, Step("say", [attempt.utterance]))
        self._mine.clear()

    async def _do(self, server: Server, step: Step) -> None:
        match step.kind:
            case "say":
                await asyncio.gather(*(self._say(server, utterance) for utterance in step.said))
            case "close":
                await self._ask(server, Close())
            case "look":
                await self._ask(server, Look())
            case "typing":
                await self._ask(server, Typing())
            case "poison":
                await self._ask(server, "nobody understands this")

    async def _ask(self, server: Server, message: Any) -> None:
        self._world.note("ask", type(message).__name__, f"at {self.address}")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await server.directory.ask(self.address, message)
        except TimeoutError:
            self._world.violated(f"a {type(message).__name__} was never answered")
        except (RucheError, InjectedFault, OSError) as error:
            self._world.note("refused", type(message).__name__, type(error).__name__)
        except pykka.ActorDeadError as error:
            self._world.violated(f"a {type(message).__name__} was answered with {error!r}")

    async def _say(self, server: Server, utterance: Utterance) -> None:
        world, evidence = self._world, self._evidence
        attempt = Attempt(utterance, server.hosting.new_id(), self.address, world.life)
        evidence.attempts.append(attempt)
        self._mine.append(attempt)
        message = Message(id=attempt.message_id, text=utterance.text, at_ms=world.wall_ms(),
                          idempotency_key=utterance.idem, fingerprint=utterance.fingerprint,
                          metadata=utterance.metadata)
        session = self._open_session() if utterance.in_session else None
        world.note("say", utterance.text, utterance.want, utterance.idem or "", f"at {self.address}")
        asked = Say(message, utterance.want, new_session=utterance.new_session, session_id=session)
        work = asyncio.ensure_future(self._send(server, attempt, asked))
        patience = PATIENCE_S if utterance.patience is None else utterance.patience
        await asyncio.wait([work], timeout=patience)
        if not work.done():
            return await self._give_up(attempt, work)
        await self._hear(server, attempt, work)

    async def _send(self, server: Server, attempt: Attempt, asked: Say) -> Any:
        attempt.number = self._evidence.next_number()
        return await server.directory.ask(self.address, asked, timeout=attempt.utterance.timeout)

    async def _give_up(self, attempt: Attempt, work: asyncio.Future[Any]) -> None:
        if attempt.utterance.patience is None:
            self._world.violated(f"{attempt.utterance.text} was never answered")
        attempt.outcome = "gave up"
        self._world.note("gave up", attempt.utterance.text)
        work.cancel()
        await asyncio.wait([work])

    async def _hear(self, server: Server, attempt: Attempt, work: asyncio.Future[Any]) -> None:
        error = None if work.cancelled() else work.exception()
        if work.cancelled():
            if not self._world.dead:
                self._world.violated(f"{attempt.utterance.text} was answered with a cancellation")
        elif error is not None:
            attempt.outcome = error
            self._world.note("refused", attempt.utterance.text, type(error).__name__, error)
            self._evidence.error(attempt, error)
            if "interrupted" in str(error) and not server.closing and not server.directory.stats["crashed"]:
                self._world.violated(f"{attempt.utterance.text} was interrupted by nothing")
        elif isinstance(work.result(), Turn):
            attempt.outcome = work.result()
            self._world.note("answered", attempt.utterance.text, short(attempt.outcome.turn_id))
            self._evidence.turn(attempt, attempt.outcome)
        else:
            attempt.outcome = work.result()
            self._world.note("taken", attempt.utterance.text, short(attempt.outcome.message_id))
            self._evidence.taken(attempt, attempt.outcome)
            if attempt.outcome.listener is not None:
                await self._listen(attempt.outcome)

    async def _listen(self, taken: Taken) -> None:
        """Until the turn that answers has ended, as the engine's streams do; some read slowly."""
        listener, turn_id = taken.listener, taken.turn_id
        assert listener is not None
        slow = self._whim.random() < 0.2
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    event = await self._next(listener)
                    if event.turn_id == turn_id and event.kind == "turn.superseded":
                        turn_id = event.data["superseded_by"]
                    if event.turn_id == turn_id and event.kind in _ENDINGS:
                        return
                    if slow:
                        await asyncio.sleep(0.05)
        except TimeoutError:
            self._world.violated(f"a stream of {short(taken.session_id)} heard nothing of the end of its turn")
        except RucheError as error:
            self._world.note("stream ends", type(error).__name__)
        finally:
            listener.close()

    async def _next(self, listener: Listener) -> Event:
        before = listener.cursor
        event = await listener.next()
        if event.kind != "turn.phase":
            self._evidence.heard(event)
            if event.seq != before + 1:
                self._world.violated(f"a stream of {short(event.session_id)} heard {event.seq} after {before}")
        return event

    def _open_session(self) -> str | None:
        mine = [session for session, address in self._evidence.sessions.items() if address == self.address]
        return mine[-1] if mine else None


class Follower:
    """Somebody who watches sessions, loses the connection, and comes back with a cursor."""

    def __init__(self, number: int, evidence: Evidence) -> None:
        self._number = number
        self._evidence = evidence
        self._world = evidence.world
        self._whim = self._world.stream(f"follower {number}")

    async def run(self, server: Server) -> None:
        """Follow some session for a while, then another, until nobody waits for this any more."""
        while not (server.closing or server.settling):
            known = list(self._evidence.sessions)
            if known:
                session, connected = self._whim.choice(known), self._world.now
                try:
                    async with asyncio.timeout(self._whim.choice((0.001, 0.05, 4.0)) * self._whim.random()):
                        await self.follow(server, session)
                except TimeoutError:
                    self._world.note("disconnects", self._number)
                    self._expect_news(session, connected)
            await asyncio.sleep(self._whim.choice((0.01, 0.1, 1.0)) * self._whim.random())

    def _expect_news(self, session: str, connected: float) -> None:
        """Whoever was connected long enough has heard what was durable long enough."""
        missed = session, self._evidence.cursors[self._number, session] + 1
        durable = self._evidence.disk.durable_at.get(missed, self._world.now)
        if self._world.now > max(durable, connected) + NEWS_S:
            self._world.violated(f"a follower of {short(session)} was not told of event {missed[1]}")

    async def catch_up(self, server: Server) -> None:
        """Hear everything that there is of every session that was ever followed."""
        for number, session in list(self._evidence.cursors):
            if number == self._number:
                while self._evidence.cursors[number, session] < self._evidence.disk.last_event[session]:
                    try:
                        async with asyncio.timeout(5.0):
                            await self.follow(server, session, to_the_end=True)
                    except TimeoutError:
                        return self._world.violated(f"a stream of {short(session)} missed its last events")

    async def follow(self, server: Server, session: str, *, to_the_end: bool = False) -> None:
        cursors, place = self._evidence.cursors, (self._number, session)
        tenant = self._evidence.sessions[session].split(":", 1)[0]

        async def replay(session_id: str, after: int, limit: int) -> list[Event]:
            return await server.scribe.read(lambda store: store.tenant(tenant).events(session_id, after, limit))

        stream = server.hosting.feeds.follow(session, cursors.setdefault(place, 0), replay)
        try:
            async for event in stream:
                if event.kind == "turn.phase":
                    continue
                self._evidence.heard(event)
                if event.seq != cursors[place] + 1:
                    self._world.violated(f"a follower of {short(session)} heard {event.seq} after {cursors[place]}")
                cursors[place] = event.seq
                if to_the_end and event.seq >= self._evidence.disk.last_event[session]:
                    return
        except ListenerDropped:
            self._world.note("dropped", self._number)
        except (StorageFull, StorageStopped, Unavailable, OSError, pykka.ActorDeadError) as error:
            self._world.note("stream ends", self._number, type(error).__name__)
        finally:
            await stream.aclose()
