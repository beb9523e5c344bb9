"""A logical turn while a session has it in hand: the messages that belong together, and who waits for the reply."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import anyio

from ruche.actors.feed import Listener
from ruche.actors.future import AioFuture
from ruche.actors.ledger import Ledger
from ruche.actors.stage import SessionStage
from ruche.storage.model.conversation import Message, SessionState
from ruche.storage.model.handoff import Intervention
from ruche.storage.model.record import EffectSettled, TriedAgain
from ruche.storage.model.run import Run, TapeEntry
from ruche.storage.model.turn import Turn

Want = Literal["reply", "accepted", "events"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A message is durable. `turn_id` is the turn that is to answer it; one that supersedes it may do so instead.

    `listener` (want "events") has everything that subscribers of the session are told from this message on; None when
    the message had been taken before.
    """

    session_id: str
    turn_id: str
    message_id: str
    listener: Listener | None = None


@dataclass(slots=True, eq=False)
class Caller:
    """Somebody who waits: for the reply, for the message to be durable, or for the events that follow."""

    want: Want
    promise: AioFuture[Turn | Taken]
    taken: Taken

    def accepted(self) -> None:
        if self.want != "reply":
            self.promise.set(self.taken)

    def answer(self, turn: Turn) -> None:
        if self.want == "reply":
            self.promise.set(turn)

    def fail(self, error: BaseException) -> None:
        """There will be no turn, or none to show."""
        if self.taken.listener is not None:
            self.taken.listener.fail(error)
        self.promise.fail(error)


@dataclass(slots=True, eq=False)
class Open:
    """A session that is open under its key, with its way into the journal. `state` is durable once it has a turn."""

    state: SessionState
    ledger: Ledger


@dataclass(slots=True, eq=False)
class Former:
    """A turn that another replaced before it had answered: what it was asked, and what it had learned by then."""

    turn_id: str
    messages: tuple[Message, ...]
    tape: tuple[TapeEntry, ...] = ()
    ms: float = 0.0
    """How long it was thought about."""


@dataclass(slots=True, eq=False)
class LogicalTurn:
    """`begun` while it is thought about or committed; `sealed` once nothing can replace its outcome.

    `writing` has messages on their way to the journal: unless it is `held`, a turn begins when they are durable.
    """

    open: Open
    turn_id: str
    group: str
    messages: list[Message] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    writing: dict[str, list[Caller]] = field(default_factory=dict)
    replaces: list[str] = field(default_factory=list)
    """Turns that this one answers instead, until subscribers have been told."""
    former: list[Former] = field(default_factory=list)
    """The same turns and those that were absorbed, until they are recorded together with this one."""
    earlier: list[EffectSettled] = field(default_factory=list)
    """What earlier attempts did that can be undone. Undone is what the attempt that is kept did not ask for."""
    absorbed: list[str] = field(default_factory=list)
    """Turns that were accepted and taken in by this one, which subscribers are told with its end."""
    epitaph: Former | None = None
    """This turn among those, once another replaces it."""
    opened: float = 0.0
    """Loop time of the first message."""
    closes: float = 0.0
    """Loop time at which the accumulation window closes; 0 where nothing is awaited."""
    waited_ms: float = 0.0
    begun: bool = False
    sealed: bool = False
    replaced: bool = False
    interrupted: tuple[str, ...] = ()
    """Segments that were journalled before a crash: the turn is closed with exactly these."""
    held: bool = False
    """The one message may become durable together with the turn: until then only its caller, who waits, knows of it."""
    crashes: int = 0
    """Activations that ended while they worked on it, and processes that died after they had begun it anew."""
    recovered: bool = False
    """A process that died has left it, and this one has not yet journalled that it begins it."""
    peace: TriedAgain | None = None
    """What takes the count of this start back, should the engine stop in peace before the turn has ended."""
    lost: BaseException | None = None
    """Why the message of a held turn could not be kept."""
    stage: SessionStage | None = None
    scope: anyio.CancelScope | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def again(self) -> bool:
        """True when what was thought is not to be used: a newer message replaced or restarted the turn."""
        return self.replaced or not self.begun

    def be_again(self, turn_id: str) -> None:
        """Take an earlier turn's id back: what replaced it could not be kept."""
        self.turn_id, self.replaces = turn_id, []
        names = [former.turn_id for former in self.former]
        self.former = self.former[:names.index(turn_id)] if turn_id in names else self.former

    def may_take_in(self) -> bool:
        """It is thought about, all it has is durable, and nothing of it is irrevocable yet."""
        done = self.stage is None or self.stage.commit_reached
        return not (self.again() or self.sealed or self.writing or done)

    def take_in(self, other: LogicalTurn) -> None:
        """Answer another turn's messages and callers as well; its id is that of a turn which this one replaced."""
        self.absorbed += [*other.replaces, *other.absorbed, other.turn_id]
        self.former += [*other.former, Former(other.turn_id, tuple(other.messages))]
        self.earlier += other.earlier
        self.messages += other.messages
        self.callers += other.callers
        other.messages, other.callers = [], []

    def lose(self, error: BaseException) -> None:
        """The message of a turn that runs already cannot be kept: nothing of the turn is."""
        self.lost = error
        self.replaced = not self.sealed
        if self.stage is not None:
            self.stage.end()
        if self.scope is not None:
            self.scope.cancel()

    def put_off(self) -> None:
        """Nothing came of thinking: to be thought again, or closed with what was said, when its time comes again."""
        if self.stage is not None:
            self.earlier += self.stage.done
            self.interrupted = self.interrupted or tuple(self.stage.segments)
        self.begun = self.sealed = self.held = False
        self.stage, self.lost = None, None

    def despair(self, error: BaseException) -> None:
        """Tell everybody who waits that the outcome is not known; the turn itself goes on."""
        for caller in [*self.callers, *chain.from_iterable(self.writing.values())]:
            caller.fail(error)

    def answer(self, outcome: Turn | BaseException) -> None:
        """Answer everybody who waits for the reply."""
        callers, self.callers = self.callers, []
        for caller in callers:
            if isinstance(outcome, BaseException):
                caller.fail(outcome)
            else:
                caller.answer(outcome)


@dataclass(slots=True, eq=False)
class Closing:
    """A session to close, in its place among the turns."""

    open: Open
    promise: AioFuture[SessionState] | None = None


@dataclass(slots=True, eq=False)
class Aside:
    """What a person does in the conversation, in its place among the turns."""

    open: Open
    what: Intervention
    promise: AioFuture[Run]
    request_id: str = ""


Item = LogicalTurn | Closing | Aside


@dataclass(frozen=True, slots=True)
class Orphan:
    """Accepted messages of one turn that nobody works on: after a crash, or after a commit that failed."""

    session_id: str
    turn_id: str
    messages: tuple[Message, ...]
    group: str
    """The first of the turns that replaced each other, whose effects count as this turn's."""
    former: tuple[Former, ...] = ()
    crashes: int = 0
    absorbed: tuple[str, ...] = ()
    recovered: bool = False
