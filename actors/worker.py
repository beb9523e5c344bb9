"""Goes through a session's line: waits until a turn is complete, has it thought, commits it, answers. One at a time."""

from __future__ import annotations

import asyncio
import logging

import anyio
from msgspec.structs import replace

from ruche.actors.aside import take_aside
from ruche.actors.line import Line
from ruche.actors.logical import Aside, Closing, LogicalTurn
from ruche.actors.outcome import Outcome, answer_of, committing, failed, interrupted, new_profile, outcome_of
from ruche.actors.thinking import Thought, think
from ruche.plugins.errors import RateLimited, RucheError, Unavailable
from ruche.storage.model.conversation import Profile
from ruche.storage.model.event import Event
from ruche.storage.model.record import SessionSaved, TriedAgain, TurnCommitted
from ruche.storage.payload import PayloadTooLarge

log = logging.getLogger(__name__)


async def work_through(line: Line) -> None:
    """Until the line is empty. What raises here is a fault of the engine's and ends the session's activation."""
    while line.items:
        item = line.items[0]
        if line.owed and not (isinstance(item, LogicalTurn) and item.writing):
            line.items.remove(item)
            line.owe(item, line.debt)
        elif isinstance(item, Closing):
            await _close(line, item)
            line.items.remove(item)
        elif isinstance(item, Aside):
            await take_aside(line, item)
            line.items.remove(item)
        elif item.interrupted:
            _begin(line, item)
            await _finish(line, item, interrupted(item, line.hosting), line.person.profile)
            line.current = None
        else:
            await _take(line, item)


async def _take(line: Line, turn: LogicalTurn) -> None:
    try:
        if turn.recovered and turn.crashes:
            async with line.hosting.suspects:
                await _think_and_finish(line, turn)
        else:
            await _think_and_finish(line, turn)
    except RateLimited as error:  # too many of the tenant's turns wait for a slot
        line.items.remove(turn)
        line.owe(turn, error)


async def _think_and_finish(line: Line, turn: LogicalTurn) -> None:
    hosting = line.hosting
    await _gather(line, turn)
    if not _is_next(line, turn):
        return
    async with hosting.gate.slot(line.key.tenant):
        if turn.recovered:
            await _own_up(line, turn)
        await _gather(line, turn)  # others may have joined meanwhile
        if not _is_next(line, turn):
            return
        _begin(line, turn)
        profile = line.person.profile
        thought = await think(turn, profile, hosting)
        turn.sealed = not turn.again()
        if turn.again() and turn.stage is not None:
            turn.earlier += turn.stage.done
        if turn.epitaph is not None:
            turn.epitaph.tape, turn.epitaph.ms = thought.tape, round(thought.ms, 3)
    if turn.sealed:
        await _finish_thought(line, turn, thought, profile)
    line.current = None


async def _own_up(line: Line, turn: LogicalTurn) -> None:
    """Journal that this process begins a turn that another had in hand when it died."""
    record = TriedAgain(tenant=line.key.tenant, at_ms=line.hosting.clock_ms(), session_id=turn.open.state.id,
                        messages=tuple(message.id for message in turn.messages), tries=turn.crashes + 1)
    turn.recovered, turn.peace = False, replace(record, tries=turn.crashes)
    try:
        await line.hosting.scribe.commit(record)
    except RucheError as error:
        log.warning("turn %s begins anew unrecorded (%s)", turn.turn_id, error.code)


async def make_peace(line: Line) -> None:
    """The engine stops and nothing died: a start that was cut short in good order does not count."""
    for turn in (*line.turns(), *(item for item in line.owed if isinstance(item, LogicalTurn))):
        if turn.peace is not None:
            try:
                await line.hosting.scribe.commit(turn.peace)
            except RucheError as error:
                log.warning("turn %s keeps the count of this start (%s)", turn.turn_id, error.code)


def _is_next(line: Line, turn: LogicalTurn) -> bool:
    """False when the turn has lost its messages to a full disk, or has to wait for an older one."""
    if not turn.messages:
        line.items.remove(turn)
        turn.answer(Unavailable("the message could not be kept; try again"))
        return False
    return line.items[0] is turn and not line.owed


def _begin(line: Line, turn: LogicalTurn) -> None:
    line.items.remove(turn)
    turn.begun, line.current = True, turn
    if turn.opened:
        turn.waited_ms = round((asyncio.get_running_loop().time() - turn.opened) * 1000, 1)


async def _gather(line: Line, turn: LogicalTurn) -> None:
    """Until the window is closed and every message is durable, or may be so later."""
    loop = asyncio.get_running_loop()
    while (turn.writing and (not turn.held or line.owed)) or (turn.closes and turn.closes > loop.time()):
        turn.changed.clear()
        timer = loop.call_at(turn.closes, turn.changed.set) if turn.closes > loop.time() else None
        try:
            await turn.changed.wait()
        finally:
            if timer is not None:
                timer.cancel()


async def _finish_thought(line: Line, turn: LogicalTurn, thought: Thought, profile: Profile) -> None:
    try:
        await _finish(line, turn, outcome_of(turn, thought, line.hosting), profile)
    except Exception as error:
        if thought.output is None and not isinstance(error, PayloadTooLarge):
            raise
        log.error("turn %s cannot be kept (%s); it is closed as failed", turn.turn_id, type(error).__name__)
        tape = () if isinstance(error, PayloadTooLarge) else thought.tape  # it may be what is too large
        refused = Thought(None, "INVALID_OUTPUT", thought.segments, tape, thought.ms)
        await _finish(line, turn, failed(turn, refused, line.hosting), profile)


async def _finish(line: Line, turn: LogicalTurn, outcome: Outcome, before: Profile) -> None:
    """Commit a turn and answer its callers. The person is held while the profile changes."""
    person = line.person
    if outcome.profile is None and len(turn.messages) == 1:
        return await _commit(line, turn, outcome, None)
    async with person.lock:
        profile = new_profile(turn, before, outcome.profile, person.profile)
        await _commit(line, turn, outcome, profile)


async def _commit(line: Line, turn: LogicalTurn, outcome: Outcome, profile: Profile | None) -> None:
    """One frame. Only when it is durable are state and answer true; the wait for it cannot be cancelled.

    When the disk stalls the callers are told, and the session goes on waiting: the frame may still land.
    """
    hosting, kept = line.hosting, list[TurnCommitted]()
    build = committing(turn, outcome, profile, hosting)

    def keep(seq: int) -> TurnCommitted:
        if turn.lost is not None:
            raise turn.lost
        kept[:] = [build(seq)]
        return kept[0]

    stall = asyncio.get_running_loop().call_later(hosting.commit_seconds, _stall, turn)
    try:
        with anyio.CancelScope(shield=True):
            await turn.open.ledger.commit(keep)
    except PayloadTooLarge:
        raise  # it will be no smaller later
    except RucheError as error:
        hosting.stats["commits_failed"] += 1
        line.owe(turn, error)
    else:
        hosting.stats["turns"] += 1
        hosting.on_turn(outcome.run)
        for item in kept[0].outbox:
            hosting.due(item.at_ms)
        turn.open.state = kept[0].session
        if profile is not None:
            line.person.profile = profile
        for message in turn.messages:
            line.forget(message)
        turn.answer(answer_of(outcome.run))
    finally:
        stall.cancel()


async def _close(line: Line, closing: Closing) -> None:
    opened, now = closing.open, line.hosting.clock_ms()
    kept = list[SessionSaved]()

    def build(seq: int) -> SessionSaved:
        event = Event(seq=seq, kind="session.closed", session_id=opened.state.id, turn_id="", at_ms=now)
        state = replace(opened.state, closed_ms=now, event_seq=seq)
        kept[:] = [SessionSaved(tenant=line.key.tenant, at_ms=now, session=state, events=(event,),
                                outbox=line.hosting.notify(line.key, (event,)))]
        return kept[0]

    try:
        with anyio.CancelScope(shield=True):
            await opened.ledger.commit(build)
    except RucheError as error:
        line.owe(closing, error)
    else:
        opened.state = kept[0].session
        for item in kept[0].outbox:
            line.hosting.due(item.at_ms)
        if closing.promise is not None:
            closing.promise.set(opened.state)


def _stall(turn: LogicalTurn) -> None:
    turn.despair(Unavailable("the disk does not answer; the turn may still be kept: look it up, or repeat it with its "
                             "idempotency key", retry_after=5.0, turn_id=turn.turn_id))
