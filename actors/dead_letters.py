"""Messages that nobody can answer: kept with the reason, so that people can look at them. Nothing is dropped unseen."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from msgspec.structs import replace

from ruche.actors.hosting import Hosting
from ruche.actors.logical import LogicalTurn, Open, Orphan
from ruche.actors.outcome import Outcome, committing
from ruche.actors.supervise import DeadLetter
from ruche.plugins.errors import RucheError, StorageFull
from ruche.storage.model.conversation import Message, SessionKey
from ruche.storage.model.record import DeadLettered, EffectSettled, TurnCommitted
from ruche.storage.model.run import DEAD_LETTERED, closed_early

log = logging.getLogger(__name__)

CRASHED = "the engine failed each time that it was to be answered"


class Dead(RucheError):
    """The message was given up; what its turn had done by then is undone where a tool for that is named."""

    code = DEAD_LETTERED


async def bury(opened: Open, orphan: Orphan, hosting: Hosting, segments: tuple[str, ...],
               done: list[EffectSettled]) -> None:
    """Give up a turn that ended its session's activation, or the process, again and again, and tell who listens.

    `segments` is what it had said, `done` what it had done and can be undone. Durable on return, in one frame: its
    messages as dead letters, and a run that says what was asked and what became of it.
    """
    turn = LogicalTurn(opened, orphan.turn_id, orphan.group, list(orphan.messages), former=list(orphan.former),
                       absorbed=list(orphan.absorbed), interrupted=segments, earlier=done)
    ended = Outcome(*closed_early(
        opened.state, orphan.messages, turn_id=orphan.turn_id, engine=hosting.engine, at_ms=hosting.clock_ms(),
        status="failed", error=DEAD_LETTERED, reply="".join(segments), segments=segments, group=orphan.group))
    build, kept = committing(turn, ended, None, hosting), list[TurnCommitted]()

    def end(seq: int) -> TurnCommitted:
        kept[:] = [replace(build(seq), answered=())]  # nobody has an answer: a repeated request is told so
        return kept[0]

    with anyio.CancelScope(shield=True):
        await opened.ledger.commit(*(_given_up(opened, orphan, message, hosting) for message in orphan.messages), end)
    opened.state = kept[0].session
    hosting.stats["dead_letters"] += len(orphan.messages)
    hosting.on_turn(ended.run)
    for item in kept[0].outbox:
        hosting.due(item.at_ms)
    log.error("turn %s is given up after %d crashes", orphan.turn_id, orphan.crashes)


def keeper(hosting: Hosting) -> Callable[[DeadLetter], None]:
    """Hears from a directory of sessions which letters it gave up. Kept are those that a crash had in hand, and those
    whose sender waits for no answer; who asked and was refused knows it."""
    def keep(letter: DeadLetter) -> None:
        said = getattr(letter.message, "message", None)
        if not isinstance(said, Message) or (letter.asked and not letter.attempts):
            return
        if _is_accepted(letter.key, said, hosting):
            return  # it is durable already, and the next activation answers it
        key = SessionKey.parse(letter.key)
        record = DeadLettered(
            tenant=key.tenant, at_ms=hosting.clock_ms(), key=key, reason=letter.reason, attempts=letter.attempts,
            message=replace(said, idempotency_key=None, fingerprint=None))  # the key may be another message's
        hosting.stats["dead_letters"] += 1
        hosting.scribe.post((record,), _report)

    return keep


def note_refusal(message: Message, key: SessionKey, hosting: Hosting) -> None:
    """The full disk did not take a message: keep, out of the reserve, that this happened. Nothing of what was said is
    kept, its sender was told to try again, and of a tenant's refusals until there is room only the first is.
    """
    if key.tenant in hosting.refused:
        return
    hosting.refused.add(key.tenant)
    record = DeadLettered(
        tenant=key.tenant, at_ms=hosting.clock_ms(), key=key, reason=StorageFull.code,
        message=replace(message, text="", metadata={}, idempotency_key=None, fingerprint=None))

    def kept(error: BaseException | None) -> None:
        if error is not None:
            hosting.refused.discard(key.tenant)  # the next refusal tries again

    hosting.scribe.post((record,), kept)


def _given_up(opened: Open, orphan: Orphan, message: Message, hosting: Hosting) -> Callable[[int], DeadLettered]:
    letter = DeadLettered(
        tenant=opened.state.key.tenant, at_ms=hosting.clock_ms(), key=opened.state.key, message=message, reason=CRASHED,
        attempts=orphan.crashes, session_id=opened.state.id, turn_id=orphan.turn_id)
    return lambda seq: letter


def _is_accepted(key: str, said: Message, hosting: Hosting) -> bool:
    return any(message.id == said.id for orphan in hosting.orphans.get(key, ()) for message in orphan.messages)


def _report(error: BaseException | None) -> None:
    if error is not None:
        log.error("a dead letter could not be kept: %s", type(error).__name__)
