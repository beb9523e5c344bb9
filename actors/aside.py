"""What a person does in a conversation in its place among the turns: taken over, spoken, given back; one frame each."""

from __future__ import annotations

import anyio
import msgspec

from ruche.actors.handback import to_hand_back
from ruche.actors.hosting import Hosting
from ruche.actors.line import Line
from ruche.actors.logical import Aside
from ruche.plugins.errors import Conflict, IdempotencyMismatch, RucheError
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.event import Event, EventKind
from ruche.storage.model.handoff import Intervention, intervene, is_away, is_taken
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import Run


async def take_aside(line: Line, aside: Aside) -> None:
    """Commit it and tell who asked; what does not fit the session's state is refused, and nothing is kept."""
    opened, hosting, now = aside.open, line.hosting, line.hosting.clock_ms()
    kept = list[TurnCommitted]()
    try:
        done = await _done(line, opened.state, aside.what)
        if done is not None:
            return aside.promise.set(done)
        refuse(opened.state, aside.what, now)
        session, run = intervene(opened.state, aside.what, turn_id=hosting.new_id(), engine=hosting.engine, at_ms=now,
                                 request_id=aside.request_id)

        def build(seq: int) -> TurnCommitted:
            kept[:] = [_record(session, run, aside, seq, hosting)]
            return kept[0]

        with anyio.CancelScope(shield=True):
            await opened.ledger.commit(build)
    except RucheError as error:
        aside.promise.fail(error)
    else:
        opened.state = kept[0].session
        for item in kept[0].outbox:
            hosting.due(item.at_ms)
        aside.promise.set(run)


async def _done(line: Line, state: SessionState, what: Intervention) -> Run | None:
    """The run of the same request, where it is the person's last. Raises IdempotencyMismatch."""
    kept = state.handover
    if kept is None or not what.key or kept.key != what.key:
        return None
    if kept.fingerprint != what.fingerprint:
        raise IdempotencyMismatch("this idempotency key was used for another request; use a new key")
    return await line.hosting.scribe.read(lambda store: store.tenant(state.key.tenant).run(kept.turn_id))


def refuse(state: SessionState, what: Intervention, now_ms: int) -> None:
    """Raises Conflict for what the session's state does not allow."""
    taken, holder = is_taken(state, now_ms), state.handover.by if state.handover is not None else ""
    if what.action == "handoff" and is_away(state, now_ms):
        raise Conflict("a person has this conversation already, or is asked for")
    if what.action == "takeover" and taken and holder != what.by:
        raise Conflict("somebody else has taken this conversation over; they return it first")
    if what.action == "reply" and not (taken and holder == what.by):
        raise Conflict("take the conversation over first" if not taken else "somebody else has taken it over")
    if what.action == "return" and not (state.handed_off and (what.by or not is_away(state, now_ms))):
        raise Conflict("the agent has this conversation already" if what.by else "there is no time that is up")


def _record(session: SessionState, run: Run, aside: Aside, seq: int, hosting: Hosting) -> TurnCommitted:
    what = aside.what
    kind: EventKind = "turn.completed" if what.action == "reply" else "session.handoff"
    data = msgspec.to_builtins(run.turn()) if what.action == "reply" else {"state": _STATES[what.action]}
    if not what.by:
        data["reason"] = "timeout"
    event = Event(seq=seq, kind=kind, session_id=run.session, turn_id=run.id, at_ms=run.created_ms, data=data)
    outbox = (*to_hand_back(session, aside.open.state.handover), *hosting.notify(session.key, (event,), run))
    return TurnCommitted(tenant=run.tenant, at_ms=run.created_ms, run=run, answered=(), events=(event,), outbox=outbox,
                         session=msgspec.structs.replace(session, event_seq=seq, processing_turn=""))


_STATES = {"handoff": "waiting", "takeover": "taken", "return": "returned"}
