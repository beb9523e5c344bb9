"""What must hold of the journal at the end, whatever happened on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ruche.actors.logical import Taken
from ruche.plugins.errors import StorageFull
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.event import Event
from ruche.storage.model.record import (
    Accepted,
    AnyRecord,
    DeadLettered,
    EffectSettled,
    SegmentReleased,
    SessionSaved,
    TurnCommitted,
)
from ruche.storage.model.run import DEAD_LETTERED, Run, digest, genesis
from ruche.storage.model.turn import Turn
from tests.simulation.clients import NOT_TAKEN, Attempt, Evidence
from tests.simulation.disk import Disk, events_of, short
from tests.simulation.hotel import BOOK, Hotel
from tests.simulation.world import World


def check(world: World, disk: Disk, evidence: Evidence, hotel: Hotel) -> None:
    """Note every broken law in the world."""
    history = History(disk.records())
    for broken in undone(history, hotel):
        world.violated(broken)
    for law in (answered_once, in_order, chained, buried, numbered, spoken, kept_apart, learned, told_truth, not_taken,
                taken_once):
        for broken in law(history, evidence.attempts):
            world.violated(broken)


class History:
    """The journal's records, sorted by what they are."""

    def __init__(self, records: list[AnyRecord]) -> None:
        self.records = records
        self.accepted = [record for record in records if isinstance(record, Accepted)]
        self.turns = [record for record in records if isinstance(record, TurnCommitted)]
        self.dead = {record.message.id for record in records if isinstance(record, DeadLettered)}
        self.by_id = {record.message.id: record for record in self.accepted}
        self.runs = {record.run.id: record.run for record in self.turns}


def answered_once(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """Every accepted message is answered by exactly one turn of its own session, or is a dead letter, of which one run
    tells."""
    answers = Counter(message for record in history.turns for message in record.run.message_ids)
    for accepted in history.accepted:
        count = answers[accepted.message.id]
        if count != 1:
            yield f"{accepted.message.text} was accepted and is answered {count} times"
    for record in history.turns:
        if record.run.error == DEAD_LETTERED:
            if record.answered or not history.dead.issuperset(record.run.message_ids):
                yield f"turn {short(record.run.id)} was given up and its messages are no dead letters"
        elif record.run.message_ids != record.answered:
            yield f"turn {short(record.run.id)} answers others than it says"
        for message in record.answered:
            if message not in history.by_id:
                yield f"turn {short(record.run.id)} answers a message that was never accepted"
            elif history.by_id[message].session_id != record.run.session:
                yield f"{history.by_id[message].message.text} is answered in another session"


def in_order(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """Messages are accepted in the order in which they came, and answered in the order of their acceptance."""
    came = {attempt.message_id: attempt.number for attempt in attempts}
    place = {accepted.message.id: number for number, accepted in enumerate(history.accepted)}
    last: dict[str, int] = {}
    for accepted in history.accepted:
        number = came[accepted.message.id]
        if number < last.get(accepted.session_id, -1):
            yield f"{accepted.message.text} was accepted after one that came later"
        last[accepted.session_id] = number
    latest: dict[str, int] = {}
    for record in history.turns:
        for message in record.run.message_ids:
            if place.get(message, -1) < latest.get(record.run.session, -1):
                yield f"{history.by_id[message].message.text} was answered after a newer message of its session"
            latest[record.run.session] = max(place.get(message, -1), latest.get(record.run.session, -1))


def chained(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """One run per turn; the runs of a session count from 0 and each points to the one before."""
    for turn, count in Counter(record.run.id for record in history.turns).items():
        if count > 1:
            yield f"turn {short(turn)} was committed {count} times"
    sessions: dict[str, list[Run]] = defaultdict(list)
    for record in history.turns:
        before = sessions[record.run.session]
        for run in (record.run, *record.superseded):
            previous = digest(before[-1]) if before else genesis(run.tenant, run.session, run.engine)
            if run.sequence != len(before) or run.previous != previous:
                yield f"turn {short(run.id)} is not the link {len(before)} of its session's chain"
            before.append(run)
        if record.session.turn_count != len(before) or record.session.previous_run != digest(before[-1]):
            yield f"the session after turn {short(record.run.id)} is not the one that the turn made"


def buried(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """A turn that was replaced has a run that names its successor and what was said to it, and no other does."""
    replaced = {event.turn_id for record in history.records for event in events_of(record)
                if event.kind == "turn.superseded"}
    runs: Counter[str] = Counter()
    for record in history.turns:
        for run in record.superseded:
            runs[run.id] += 1
            if run.status != "superseded" or run.superseded_by != record.run.id:
                yield f"turn {short(run.id)} was replaced and does not say by {short(record.run.id)}"
            if not set(run.message_ids) < set(record.run.message_ids):
                yield f"turn {short(run.id)} was replaced by one that does not answer what was said to it"
    asked = {event.turn_id for record in history.accepted for event in record.events if event.kind == "turn.accepted"}
    for turn in replaced:
        if runs.pop(turn, 0) != (turn in asked) or turn in history.runs:
            yield f"turn {short(turn)} was replaced and does not have the one run of such a turn"
    for turn in runs:
        yield f"turn {short(turn)} has the run of a turn that was replaced, and was not"


def undone(history: History, hotel: Hotel) -> Iterator[str]:
    """What a turn's earlier attempts booked, and the one that is kept did not want, is undone exactly once; nothing
    else is. A turn that was closed with what it had said keeps what it had done."""
    kept = {run.id: record.run for record in history.turns for run in (record.run, *record.superseded)}
    for effect in {one.key: one for one in history.records if isinstance(one, EffectSettled) and one.tool == BOOK
                   and one.status == "ok"}.values():
        run, times = kept.get(effect.turn_id), len(hotel.undone.get(effect.key, ()))
        if run is None:
            yield f"{effect.key} was booked by turn {short(effect.turn_id)}, which has no run"
            continue
        given_up = run.error == DEAD_LETTERED and not run.segments
        stays = run.status == "interrupted" or (effect.key in hotel.wanted.get(run.id, ()) and not given_up)
        if times != (not stays):
            yield f"{effect.key} {'is wanted' if stays else 'is not wanted'} and was undone {times} times"
    for booking in hotel.undone.keys() - hotel.booked.keys():
        yield f"{booking} was undone and never booked"


def numbered(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """The events of a session are numbered from 1 without gap or repeat, in the order of the journal."""
    last: dict[str, int] = {}
    for record in history.records:
        for event in events_of(record):
            if event.seq != last.get(event.session_id, 0) + 1:
                yield f"event {event.seq} of {short(event.session_id)} follows {last.get(event.session_id, 0)}"
            last[event.session_id] = event.seq
        if isinstance(record, TurnCommitted | SessionSaved) and record.session.event_seq != last.get(
                record.session.id, 0):
            yield f"session {short(record.session.id)} misnumbers its last event"


def spoken(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """What was said in pieces is what the turn's run says was said, and a turn ends for its listeners exactly once."""
    pieces: dict[str, list[SegmentReleased]] = defaultdict(list)
    ends: Counter[str] = Counter()
    replaced: set[str] = set()
    for record in history.records:
        if isinstance(record, SegmentReleased):
            pieces[record.turn_id].append(record)
        ends.update(event.turn_id for event in events_of(record) if _ends(event))
        replaced.update(event.turn_id for event in events_of(record) if event.kind == "turn.superseded")
    for turn, segments in pieces.items():
        run = history.runs.get(turn)
        if run is None:
            yield f"turn {short(turn)} said something and was never committed"
        elif run.reply != "".join(segment.text for segment in segments):
            yield f"turn {short(turn)} says {run.reply} and said {[segment.text for segment in segments]}"
        elif [segment.number for segment in segments] != list(range(len(segments))):
            yield f"turn {short(turn)} misnumbers what it says"
    for turn in history.runs:
        if turn in replaced:
            yield f"turn {short(turn)} ended after its listeners were told that another replaces it"
        if ends[turn] != 1:
            yield f"turn {short(turn)} ended {ends[turn]} times for its listeners"


def kept_apart(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """An address has at most one open session, and nothing is said in a closed one."""
    states = {}
    for record in history.records:
        if isinstance(record, TurnCommitted | SessionSaved):
            before = states.get(record.session.id)
            if before is not None and before.closed_ms is not None:
                yield f"session {short(record.session.id)} goes on although it is closed"
            states[record.session.id] = record.session
    still_open = Counter(str(state.key) for state in states.values() if state.closed_ms is None)
    for address, count in still_open.items():
        if count > 1:
            yield f"{address} has {count} open sessions"


def learned(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """What any turn learned about a person is still known."""
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in history.turns:
        if record.profile is None:
            continue
        person = record.profile.tenant, record.profile.interlocutor
        if known[person] - set(record.profile.fields):
            yield f"turn {short(record.run.id)} forgets what was learned about {person[1]}"
        known[person] |= set(record.profile.fields)


def told_truth(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """What callers were told is what is kept, and a turn has one reply for all of them."""
    for attempt in attempts:
        if isinstance(attempt.outcome, Turn):
            run = history.runs.get(attempt.outcome.turn_id)
            if run is None or run.turn() != attempt.outcome:
                yield f"the reply to {attempt.utterance.text} is not kept"
        elif isinstance(attempt.outcome, Taken) and attempt.outcome.message_id not in history.by_id:
            yield f"{attempt.utterance.text} was taken and is not kept"


def not_taken(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """A message that was refused as not acceptable is not accepted after all."""
    for attempt in attempts:
        refused = isinstance(attempt.outcome, NOT_TAKEN) or (
            isinstance(attempt.outcome, StorageFull) and attempt.utterance.want == "accepted")
        if refused and attempt.message_id in history.by_id:
            yield f"{attempt.utterance.text} was refused ({type(attempt.outcome).__name__}) and accepted"


def taken_once(history: History, attempts: list[Attempt]) -> Iterator[str]:
    """An idempotency key of a person is accepted once."""
    keys = Counter((record.tenant, record.key.interlocutor, record.message.idempotency_key)
                   for record in history.accepted if record.message.idempotency_key is not None)
    for (_, _, key), count in keys.items():
        if count > 1:
            yield f"the request {key} was accepted {count} times"


def stopped_in_peace(before: list[Accepted], after: list[Accepted]) -> Iterator[str]:
    """A process in which nothing failed, and which stopped in good order, holds a start against no message."""
    tries = defaultdict[SessionKey, int](int)
    for accepted in before:  # messages of one turn share the greatest count among them
        tries[accepted.key] = max(tries[accepted.key], accepted.tries)
    for accepted in after:
        if accepted.tries > tries[accepted.key]:
            yield f"{accepted.message.text} was begun by a process that stopped in good order: that counts"


def _ends(event: Event) -> bool:
    return event.kind in ("turn.completed", "turn.failed")
