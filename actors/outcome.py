"""What a turn comes to: the state and the run that are to be committed, and the answer its callers get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from ruche.actors.accumulate import learned
from ruche.actors.handback import to_hand_back
from ruche.actors.hosting import Hosting
from ruche.actors.logical import LogicalTurn
from ruche.actors.people import merged
from ruche.actors.thinking import TIMEOUT, Thought
from ruche.actors.undoing import to_undo
from ruche.plugins.errors import DeadlineExceeded
from ruche.storage.model.conversation import Profile, SessionState
from ruche.storage.model.event import Event, EventKind, OutboxItem
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import Run, closed_early, superseded
from ruche.storage.model.turn import Turn

INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`profile` is what the turn made of the profile it was given, None when it left that alone."""

    session: SessionState
    run: Run
    profile: Profile | None = None
    outbox: tuple[OutboxItem, ...] = ()


def outcome_of(turn: LogicalTurn, thought: Thought, hosting: Hosting) -> Outcome:
    """The brain's own run where there is one, else the run of a turn that failed."""
    if thought.output is not None:
        output = thought.output
        return Outcome(output.session, output.run, output.profile, output.outbox)
    return failed(turn, thought, hosting)


def failed(turn: LogicalTurn, thought: Thought, hosting: Hosting) -> Outcome:
    """What was said stays said; a turn that said nothing answers with the refusal."""
    state = turn.open.state
    reply = "".join(thought.segments) or hosting.refusal(state.key)
    return Outcome(*closed_early(
        state, tuple(turn.messages), turn_id=turn.turn_id, engine=hosting.engine, at_ms=hosting.clock_ms(),
        status="failed", error=thought.error, reply=reply, segments=thought.segments,
        timings_ms={"accumulate": turn.waited_ms, "total": round(thought.ms, 3)}, tape=thought.tape,
        group=turn.group))


def interrupted(turn: LogicalTurn, hosting: Hosting) -> Outcome:
    """The turn that a crash ended after it had said something: exactly what was journalled."""
    return Outcome(*closed_early(
        turn.open.state, tuple(turn.messages), turn_id=turn.turn_id, engine=hosting.engine, at_ms=hosting.clock_ms(),
        status="interrupted", error=INTERRUPTED, reply="".join(turn.interrupted), segments=turn.interrupted,
        group=turn.group))


def new_profile(turn: LogicalTurn, before: Profile, changed: Profile | None, newest: Profile) -> Profile | None:
    """The profile to commit: the turn's changes on top of the newest, with the cadence of its messages."""
    profile = newest if changed is None else merged(before, changed, newest)
    if len(turn.messages) > 1:
        profile = replace(profile, cadence_ms=learned(newest.cadence_ms, turn.messages), version=newest.version + 1)
    return None if profile is newest else profile


def answer_of(run: Run) -> Turn | DeadlineExceeded:
    """What a caller is given for a run: a turn, or the watchdog's time-out with the turn's id."""
    if run.error == TIMEOUT:
        return DeadlineExceeded("the turn took too long and was given up", turn_id=run.id, session_id=run.session)
    return run.turn()


def committing(turn: LogicalTurn, outcome: Outcome, profile: Profile | None, hosting: Hosting
               ) -> Callable[[int], TurnCommitted]:
    """How the ledger makes the one record of a turn."""
    at_ms, key = hosting.clock_ms(), turn.open.state.key
    run, replaces = outcome.run, (*turn.replaces, *turn.absorbed)
    session, former = _with_former(turn, outcome)
    undoing = tuple(to_undo(turn, hosting)) if turn.earlier else ()
    back = to_hand_back(session, turn.open.state.handover) if session.handed_off else ()

    def build(seq: int) -> TurnCommitted:
        events = tuple(
            Event(seq=seq + place, kind=kind, session_id=run.session, turn_id=turn_id, at_ms=at_ms, data=data)
            for place, (kind, turn_id, data) in enumerate(_news(turn, outcome, replaces)))
        return TurnCommitted(
            tenant=run.tenant, at_ms=at_ms, run=run, answered=tuple(message.id for message in turn.messages),
            session=replace(session, event_seq=events[-1].seq, processing_turn=""), profile=profile,
            events=events, superseded=former,
            outbox=(*outcome.outbox, *undoing, *back, *hosting.notify(key, events, run)))

    return build


def _with_former(turn: LogicalTurn, outcome: Outcome) -> tuple[SessionState, tuple[Run, ...]]:
    """The runs of the turns that this one replaced, behind its own in the chain, and the session after them."""
    session, runs = outcome.session, list[Run]()
    for former in turn.former:
        kept = tuple(message for message in former.messages if message in turn.messages)
        if kept:
            session, run = superseded(session, outcome.run, kept, turn_id=former.turn_id, group=turn.group,
                                      timings_ms={"total": former.ms}, tape=former.tape)
            runs.append(run)
    return session, tuple(runs)


def _news(turn: LogicalTurn, outcome: Outcome, replaces: tuple[str, ...]
          ) -> list[tuple[EventKind, str, dict[str, object]]]:
    run = outcome.run
    news: list[tuple[EventKind, str, dict[str, object]]] = [
        ("turn.superseded", old, {"superseded_by": run.id}) for old in replaces]
    if outcome.session.handed_off and not turn.open.state.handed_off:
        news.append(("session.handoff", run.id, {"state": "waiting"}))
    if run.status == "failed":
        news.append(("turn.failed", run.id, {"error": {"code": run.error}, "turn": msgspec.to_builtins(run.turn())}))
    else:
        news.append(("turn.completed", run.id, {}))
    return news
