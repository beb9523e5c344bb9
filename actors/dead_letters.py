"""Messages that nobody can answer: kept with the reason, so that people can look at them. Nothing is dropped unseen."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from ruche.actors.hosting import Hosting
from ruche.actors.logical import Open, Orphan
from ruche.actors.supervise import DeadLetter
from ruche.plugins.errors import RucheError
from ruche.storage.model.conversation import Message, SessionKey
from ruche.storage.model.event import Event
from ruche.storage.model.record import DeadLettered

log = logging.getLogger(__name__)

CRASHED = "the engine failed each time that it was to be answered"


class Dead(RucheError):
    """The message was given up; what its turn had done by then stays done."""

    code = "DEAD_LETTERED"


async def bury(opened: Open, orphan: Orphan, hosting: Hosting) -> None:
    """Give up a turn that ended its session's activation again and again, and tell who listens. Durable on return."""
    last = orphan.messages[-1]
    for message in orphan.messages:
        await opened.ledger.commit(_given_up(opened, orphan, message, hosting, ends=message is last))
    hosting.stats["dead_letters"] += len(orphan.messages)
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


def _given_up(opened: Open, orphan: Orphan, message: Message, hosting: Hosting, *, ends: bool
              ) -> Callable[[int], DeadLettered]:
    key, now = opened.state.key, hosting.clock_ms()

    def build(seq: int) -> DeadLettered:
        event = Event(seq=seq, kind="turn.failed", session_id=opened.state.id, turn_id=orphan.turn_id, at_ms=now,
                      data={"error": {"code": Dead.code}})
        return DeadLettered(tenant=key.tenant, at_ms=now, key=key, message=message, reason=CRASHED,
                            attempts=orphan.crashes, session_id=opened.state.id, events=(event,) if ends else ())

    return build


def _is_accepted(key: str, said: Message, hosting: Hosting) -> bool:
    return any(message.id == said.id for orphan in hosting.orphans.get(key, ()) for message in orphan.messages)


def _report(error: BaseException | None) -> None:
    if error is not None:
        log.error("a dead letter could not be kept: %s", type(error).__name__)
