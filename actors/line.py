"""What a session has in hand: its turns in order, the one that runs, and where a new message belongs.

Everything here happens at once, on the loop; `worker.py` does the waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from msgspec.structs import replace

from ruche.actors.accumulate import LONGEST_TURN_MS, base_ms, window_ms
from ruche.actors.future import AioFuture
from ruche.actors.hosting import Hosting
from ruche.actors.ledger import Ledger
from ruche.actors.logical import Aside, Closing, Former, Item, LogicalTurn, Open, Orphan
from ruche.actors.people import Person
from ruche.actors.supersede import REQUEST_CHANNELS, Decision, Situation, decide
from ruche.plugins.errors import RucheError, Unavailable
from ruche.storage.model.conversation import Message, Profile, SessionKey, SessionState
from ruche.storage.model.record import EffectSettled


class Line:
    """`items` wait in order, `current` is thought about or committed.

    `owed` could not be committed, or not even begun, for the reason `debt`: it comes before anything newer, so what
    follows it is put off as well.
    """

    __slots__ = ("_before", "current", "debt", "hosting", "items", "key", "open", "owed", "person")

    def __init__(self, key: SessionKey, hosting: Hosting) -> None:
        self.key = key
        self.hosting = hosting
        self.person = Person(Profile(interlocutor=key.interlocutor, tenant=key.tenant))
        """Known better once the session has read the store."""
        self.open: Open | None = None
        self.items: list[Item] = []
        self.current: LogicalTurn | None = None
        self.owed: list[Item] = []
        self.debt: RucheError = Unavailable("not now")
        self._before: Ledger | None = None

    def turns(self) -> Iterator[LogicalTurn]:
        """Every turn that is still to be answered, in order."""
        if self.current is not None and not self.current.again():
            yield self.current
        for item in self.items:
            if isinstance(item, LogicalTurn):
                yield item

    def sessions(self) -> list[Open]:
        """Every session that something in hand belongs to, and the open one."""
        found = [turn.open for turn in self.turns()] + [item.open for item in (*self.items, *self.owed)]
        return list(dict.fromkeys([*found, *([] if self.open is None else [self.open])]))

    def waiting(self) -> int:
        """Messages without an answer."""
        return sum(len(turn.messages) for turn in self.turns())

    def find(self, message_id: str) -> LogicalTurn | None:
        return next((turn for turn in self.turns() if any(each.id == message_id for each in turn.messages)), None)

    def opened(self) -> Open:
        """The open session; a new one where there is none."""
        return self.open or self.resume(self.fresh(self.hosting.new_id()), 0)

    def fresh(self, session_id: str) -> SessionState:
        now = self.hosting.clock_ms()
        return SessionState(id=session_id, key=self.key, created_ms=now, last_activity_ms=now)

    def resume(self, state: SessionState, seq: int) -> Open:
        """Go on in a session whose last event has the number `seq`; what its runs hash is keyed from now on."""
        state = replace(state, content_key=self.hosting.scribe.glance(
            lambda store: store.tenant(state.key.tenant).content_key))
        self.open = Open(state, Ledger(self.hosting.scribe, self.hosting.feeds, state.id, seq, self._before))
        return self.open

    def shut(self, promise: AioFuture[SessionState] | None = None) -> None:
        """Close the open session, after the turns that it has; the next message opens another."""
        if self.open is not None:
            self.items.append(Closing(self.open, promise))
            self._before, self.open = self.open.ledger, None

    def place(self, message: Message, new_session: bool) -> LogicalTurn:
        """The turn that takes a message: one that still gathers, one that supersedes what runs, or the next."""
        if new_session:
            self.shut()
        opened = self.opened()
        last = self.items[-1] if self.items else self.current
        if isinstance(last, LogicalTurn) and last.open is opened:
            if last is self.current and not last.again():
                return self._meet(last, message)
            if not last.replaced and not last.interrupted and self.key.channel not in REQUEST_CHANNELS:
                return last
        if self.current is not None and self.current.stage is not None:
            self.current.stage.newer_waits()
        return self._next(opened)

    def take_up(self, orphan: Orphan, *, segments: tuple[str, ...] = (), done: list[EffectSettled]) -> LogicalTurn:
        """Put accepted messages that nobody works on back into the line; with segments, only to be closed. `done` is
        what was done about them and can be undone."""
        turn = LogicalTurn(self.opened(), orphan.turn_id, orphan.group, list(orphan.messages), interrupted=segments,
                           former=list(orphan.former), crashes=orphan.crashes,
                           absorbed=list(orphan.absorbed), earlier=done, recovered=orphan.recovered)
        self.items.append(turn)
        for message in orphan.messages:
            self.expect(message)
        return turn

    def owe(self, item: Item, error: RucheError) -> None:
        """Put an item off and tell those who wait for it. Its messages stay accepted.

        A session that cannot be closed stays open, or is closed later if there is a newer one already.
        """
        self.debt = error
        self.hosting.owing[str(self.key)] = None
        if isinstance(item, LogicalTurn):
            for message in item.messages:
                self.forget(message)
            item.put_off()
            self.owed.append(item)
            return item.answer(error)
        if isinstance(item, Aside):
            return item.promise.fail(error)
        if self.open is None and all(each.open is item.open for each in self.items):
            self.open = item.open
        elif self.open is not item.open:
            self.owed.append(Closing(item.open))
        if item.promise is not None:
            item.promise.fail(error)

    def pay(self) -> bool:
        """Have what is owed done next; False when nothing is."""
        if not self.owed:
            return False
        owed, self.owed = self.owed, []
        self.hosting.owing.pop(str(self.key), None)
        self.items[:0] = owed
        for item in owed:
            for message in item.messages if isinstance(item, LogicalTurn) else ():
                self.expect(message)
        return True

    def expect(self, message: Message) -> None:
        """The message is to be answered once, however often it comes."""
        if message.idempotency_key is not None:
            self.person.requests[message.idempotency_key] = self, message

    def extend(self, turn: LogicalTurn, message: Message) -> None:
        """Keep a turn's window open for what may follow this message."""
        base = base_ms(self.key.channel, self.hosting.channel_bases)
        now = asyncio.get_running_loop().time()
        turn.opened = turn.opened or now
        if base:
            window = window_ms(message.text, base=base, messages_in_turn=len(turn.messages),
                               hint_ms=turn.open.state.hint_ms, cadence_ms=self.person.profile.cadence_ms)
            keep_open(turn, now + window / 1000)

    def typing(self) -> None:
        """Keep the window that is open, if one is, open for another base of the channel."""
        turn = self.items[-1] if self.items else None
        if isinstance(turn, LogicalTurn) and turn.closes:
            base = base_ms(self.key.channel, self.hosting.channel_bases)
            keep_open(turn, max(turn.closes, asyncio.get_running_loop().time() + base / 1000))

    def forget(self, message: Message) -> None:
        """The message is answered, or was not taken, or is put off."""
        key = message.idempotency_key
        if key is not None and self.person.requests.get(key, (None,))[0] is self:
            del self.person.requests[key]

    def forget_all(self) -> None:
        """Nobody works on this line any more."""
        self.hosting.owing.pop(str(self.key), None)
        for message in [message for line, message in self.person.requests.values() if line is self]:
            self.forget(message)

    def orphans(self) -> list[Orphan]:
        """Everything durable and unanswered, for the next activation."""
        left = []
        for turn in (*(item for item in self.owed if isinstance(item, LogicalTurn)), *self.turns()):
            durable = tuple(message for message in turn.messages if message.id not in turn.writing)
            if turn.replaces:  # the journal never heard of this turn: it is the first again
                turn.be_again(turn.replaces[0])
            if durable:
                left.append(Orphan(turn.open.state.id, turn.turn_id, durable, turn.group, tuple(turn.former),
                                   turn.crashes, tuple(turn.absorbed), turn.recovered))
        return left

    def blame(self) -> None:
        """The work on the turn in hand, or on the next one, has ended this activation."""
        turn = self.current or next(iter(self.items), None)
        if isinstance(turn, LogicalTurn):
            turn.crashes += 1

    def _next(self, opened: Open) -> LogicalTurn:
        turn_id = self.hosting.new_id()
        turn = LogicalTurn(opened, turn_id, turn_id)
        self.items.append(turn)
        return turn

    def _meet(self, running: LogicalTurn, message: Message) -> LogicalTurn:
        stage = running.stage
        decision = decide(self.hosting.decider, Situation(
            self.key.channel, running.turn_id, tuple(running.messages), message,
            running.sealed or stage is None or stage.commit_reached, 0 if stage is None else stage.effects))
        self.hosting.stats[decision.value] += 1
        if decision is Decision.SUPERSEDE:
            return self._supersede(running)
        if decision is Decision.ABSORB:
            return self._restart(running)
        if stage is not None and decision in (Decision.QUEUE, Decision.CONTINUE):
            stage.newer_waits()
        if stage is not None and decision is Decision.CONTINUE:
            stage.offer(lambda: self._absorb(running))
        return self._next(running.open)

    def _absorb(self, running: LogicalTurn) -> tuple[Message, ...]:
        """Make the turns that wait right behind the running one part of it, as far as their messages are durable."""
        taken = list[Message]()
        while self.items and running is self.current and running.may_take_in():
            turn = self.items[0]
            if not isinstance(turn, LogicalTurn) or turn.open is not running.open or turn.writing or turn.interrupted:
                break
            self.items.remove(turn)
            taken += turn.messages
            running.take_in(turn)
        if running.stage is not None and not any(isinstance(item, LogicalTurn) for item in self.items):
            running.stage.none_waits()
        return tuple(taken)

    def _supersede(self, running: LogicalTurn) -> LogicalTurn:
        """A new turn over all messages and for all callers."""
        running.epitaph = Former(running.turn_id, tuple(running.messages))
        turn = LogicalTurn(running.open, self.hosting.new_id(), running.group, running.messages, running.callers,
                           running.writing, [*running.replaces, running.turn_id],
                           [*running.former, running.epitaph], running.earlier, running.absorbed, opened=running.opened,
                           peace=running.peace, changed=running.changed)
        running.replaced = True
        return self._rethink(running, turn)

    def _restart(self, running: LogicalTurn) -> LogicalTurn:
        running.begun = False
        return self._rethink(running, running)

    def _rethink(self, running: LogicalTurn, turn: LogicalTurn) -> LogicalTurn:
        self.items.append(turn)
        if running.stage is not None:
            running.stage.end()  # a brain that does not stop when it is cancelled says nothing more
        if running.scope is not None:
            running.scope.cancel()
        return turn


def keep_open(turn: LogicalTurn, until: float) -> None:
    turn.closes = min(until, turn.opened + LONGEST_TURN_MS / 1000)
    turn.changed.set()
