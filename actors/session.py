"""The session actor: takes messages at any time, has one turn thought at a time, and commits each as one frame.

The mailbox never waits for a turn. Messages are placed in a line (`line.py`), which one piece of work goes through in
order (`worker.py`). All state is in the store between turns, so going idle writes nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec.structs import replace

from ruche.actors.actor import AioActor
from ruche.actors.asking import Close, Intervene, Look, Resume, Say, Snapshot, Typing
from ruche.actors.dead_letters import bury, note_refusal
from ruche.actors.hosting import Hosting
from ruche.actors.line import Line
from ruche.actors.logical import Aside, Caller, Closing, LogicalTurn, Orphan, Taken, Want
from ruche.actors.outcome import answer_of
from ruche.actors.recall import left_behind, recall, recall_session, stranger
from ruche.actors.refusals import unkept
from ruche.actors.repeats import Known, known
from ruche.actors.worker import make_peace, work_through
from ruche.plugins.errors import InvalidRequest, MailboxFull, NotFound, RucheError, StorageFull, Unavailable
from ruche.storage.model.conversation import Message, SessionKey
from ruche.storage.model.event import Event
from ruche.storage.model.record import Accepted
from ruche.storage.model.run import Run

__all__ = ["Close", "Intervene", "Look", "Resume", "Say", "SessionActor", "Snapshot", "Typing"]

HOLD_S = 0.01
"""Seconds that a message of a caller who waits may take to become durable together with its turn."""


class SessionActor(AioActor):
    """One key's conversation, activated by a directory with `str(SessionKey)` and the process's Hosting."""

    registered: ClassVar[bool] = False

    def __init__(self, key: str, hosting: Hosting) -> None:
        super().__init__()
        self._address = key
        self._hosting = hosting
        self._line = Line(SessionKey.parse(key), hosting)
        self._working = False

    async def on_start(self) -> None:  # type: ignore[override]
        key, hosting = self._line.key, self._hosting
        state, profile, seq = None, None, 0
        if not hosting.scribe.glance(lambda store: stranger(store, key)):
            state, profile, seq = await hosting.scribe.read(lambda store: recall(store, key))
        self._line.person = hosting.people.meet(key.tenant, key.interlocutor, profile)
        if state is not None:
            self._line.resume(state, seq)
        try:
            for orphan in hosting.orphans.get(self._address, ()):
                await self._take_up(orphan)
        except BaseException:
            self._line.forget_all()
            raise
        # Nothing is begun before everything is read: a read that fails leaves all of it to the next activation.
        if hosting.orphans.pop(self._address, None):
            self._go_on()

    async def on_stop(self) -> None:  # type: ignore[override]
        await make_peace(self._line)
        await self._hand_over()

    async def on_failure(self, *_: object) -> None:  # type: ignore[override]
        await self._hand_over()

    async def on_receive(self, message: Any) -> Any:
        match message:
            case Say():
                return await self._say(message)
            case Typing():
                return self._line.typing()
            case Resume():
                self._hosting.owing.pop(self._address, None)
                return self._pay()
            case Close():
                return self._close(message)
            case Intervene():
                return self._intervene(message)
            case Look():
                return self._look()
        raise InvalidRequest(f"a session does not understand a {type(message).__name__}")

    # --- messages ----------------------------------------------------------------------------------------------

    async def _say(self, say: Say) -> Any:
        message, line = say.message, self._line
        earlier = await known(line, message, self._pay)
        if earlier is not None:
            return self._again(say.want, earlier)
        try:
            self._check(say)
        except RucheError:
            line.forget(message)
            raise
        turn = line.place(message, say.new_session)
        self._accept(turn, message, self._caller(say.want, turn, message.id))
        return None

    def _check(self, say: Say) -> None:
        line = self._line
        if say.session_id is not None and (line.open is None or line.open.state.id != say.session_id):
            raise NotFound("this session is not open; leave session_id out to go on in the open one")
        if line.waiting() >= self._hosting.waiting_limit:
            raise MailboxFull("too many messages of this session wait for an answer; slow down", retry_after=1.0)

    def _close(self, close: Close) -> None:
        opened = self._line.open
        if opened is None or close.session_id not in (None, opened.state.id):
            raise NotFound("this session is not open")
        self._line.shut(self.promise())
        self._go_on()

    def _intervene(self, asked: Intervene) -> None:
        opened = self._line.open
        if opened is None or opened.state.id != asked.session_id:
            raise NotFound("this session is not open")
        self._line.items.append(Aside(opened, asked.what, self.promise(), asked.request_id))
        self._go_on()

    def _look(self) -> Snapshot:
        turn, opened = self._line.current, self._line.open
        state = None if opened is None else opened.state
        if state is not None and turn is not None and turn.open is opened:
            state = replace(state, processing_turn=turn.turn_id)
        return Snapshot(state, self._line.waiting())

    def _again(self, want: Want, earlier: Known) -> Any:
        """Answer somebody who repeats a message as the first asker is answered."""
        if isinstance(earlier, Run):
            if want != "reply":
                return Taken(earlier.session, earlier.id, earlier.message_ids[-1])
            answer = answer_of(earlier)
            if isinstance(answer, RucheError):
                raise answer
            return answer
        turn, message_id = earlier
        if want != "reply" and message_id not in turn.writing:
            return Taken(turn.open.state.id, turn.turn_id, message_id)
        waiting = turn.writing.get(message_id, turn.callers)
        waiting.append(self._caller(want, turn, message_id))
        return None

    def _caller(self, want: Want, turn: LogicalTurn, message_id: str) -> Caller:
        session_id, feeds = turn.open.state.id, self._hosting.feeds
        listener = feeds.listen(session_id, turn.open.ledger.seq) if want == "events" else None
        return Caller(want, self.promise(), Taken(session_id, turn.turn_id, message_id, listener))

    # --- accepting -------------------------------------------------------------------------------------------------

    def _accept(self, turn: LogicalTurn, message: Message, caller: Caller) -> None:
        """Journal a message; whoever waits hears of it when it is durable."""
        turn.messages.append(message)
        turn.writing[message.id] = [caller]
        self._line.expect(message)
        self._line.extend(turn, message)
        turn.held = self._may_hold(turn, caller)
        told = tuple(turn.replaces)
        turn.open.ledger.write(lambda seq: self._accepted(turn, message, told, seq),
                               lambda error: self._written(turn, message, told, error),
                               hold_s=HOLD_S if turn.held else 0.0)
        self._go_on()

    def _may_hold(self, turn: LogicalTurn, caller: Caller) -> bool:
        """A lone message whose only witness waits for the reply may share the turn's sync; nobody else hears of it."""
        hosting = self._hosting
        return (caller.want == "reply" and len(turn.messages) == 1 and not turn.closes and not turn.replaces
                and not self._line.owed and not hosting.scribe.refusing
                and not hosting.feeds.watched(turn.open.state.id))

    def _accepted(self, turn: LogicalTurn, message: Message, told: tuple[str, ...], seq: int) -> Accepted:
        now, session_id, key = self._hosting.clock_ms(), turn.open.state.id, self._line.key
        superseded = [Event(seq=seq + place, kind="turn.superseded", session_id=session_id, turn_id=old, at_ms=now,
                            data={"superseded_by": turn.turn_id}) for place, old in enumerate(told)]
        accepted = Event(seq=seq + len(told), kind="turn.accepted", session_id=session_id, turn_id=turn.turn_id,
                         at_ms=now, data={"message_id": message.id})
        events = (*superseded, accepted)
        return Accepted(tenant=key.tenant, at_ms=now, key=key, session_id=session_id, message=message, events=events,
                        outbox=self._hosting.notify(key, events))

    def _written(self, turn: LogicalTurn, message: Message, told: tuple[str, ...], error: BaseException | None) -> None:
        callers = turn.writing.pop(message.id)
        turn.changed.set()
        if error is not None:
            turn.messages.remove(message)
            self._line.forget(message)
            if isinstance(error, StorageFull):
                note_refusal(message, self._line.key, self._hosting)
            if turn.begun:
                turn.lose(unkept(error))
            elif turn.replaces and not turn.writing:  # the journal never heard of this turn: it is the first again
                turn.be_again(turn.replaces[0])
            for caller in callers:
                caller.fail(unkept(error))
            return
        if self._hosting.notices is not None:
            self._hosting.due(self._hosting.clock_ms())
        self._hosting.refused.clear()
        turn.replaces = [old for old in turn.replaces if old not in told]
        for caller in callers:
            caller.accepted()
            if caller.want != "accepted":
                turn.callers.append(caller)
        self._pay()

    def _pay(self) -> None:
        """The disk takes writes again: what is owed goes first."""
        if self._line.pay():
            self._go_on()

    # --- working ---------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self._working:
            self._working = True
            self.work(self._go_through())

    async def _go_through(self) -> None:
        try:
            await work_through(self._line)
        except Exception:
            self._line.blame()
            raise
        self._working = False
        if self._promises is not None:
            self._promises.open()  # lets go of what is answered, which would pile up in a session that is never idle

    async def _take_up(self, orphan: Orphan) -> None:
        """Before anything else: answer what a crash left unanswered, and close a turn that had said something."""
        line, scribe = self._line, self._hosting.scribe
        if line.open is None or line.open.state.id != orphan.session_id:
            state, seq = await scribe.read(lambda store: recall_session(store, line.key.tenant, orphan.session_id))
            if state is None or state.closed_ms is None:
                line.shut()
                line.resume(state or line.fresh(orphan.session_id), seq)
        segments, done = await scribe.read(lambda store: left_behind(store, line.key.tenant, orphan))
        if orphan.crashes >= self._hosting.most_crashes:
            return await bury(line.opened(), orphan, self._hosting, segments, done)
        line.take_up(orphan, segments=segments, done=done)

    async def _hand_over(self) -> None:
        """What is under way must have landed before another activation reads; what is unanswered waits for it."""
        for opened in self._line.sessions():
            await opened.ledger.quiet()
        for turn in self._line.turns():
            turn.despair(Unavailable("this conversation was interrupted; the message is kept and will be answered: "
                                     "look it up, or repeat it with its idempotency key", retry_after=1.0))
        for item in self._line.items:
            if isinstance(item, Closing) and item.promise is not None:
                item.promise.fail(Unavailable("this conversation was interrupted before it could be closed; close it "
                                              "again", retry_after=1.0))
            elif isinstance(item, Aside):
                item.promise.fail(Unavailable("this conversation was interrupted before that was kept; do it again",
                                              retry_after=1.0))
        self._line.forget_all()
        orphans = self._line.orphans()
        if orphans:
            self._hosting.orphans[self._address] = orphans
