"""A message that comes again under its idempotency key is answered as the first one is, and done once."""

from __future__ import annotations

from collections.abc import Callable

from ruche.actors.dead_letters import Dead
from ruche.actors.line import Line
from ruche.actors.logical import LogicalTurn
from ruche.actors.recall import Earlier, look_up
from ruche.actors.refusals import elsewhere, same_request
from ruche.storage.model.conversation import Message
from ruche.storage.model.run import Run

Known = Run | tuple[LogicalTurn, str]
"""The answer, or the turn and message in hand that will be it."""


async def known(line: Line, message: Message, pay: Callable[[], None]) -> Known | None:
    """What there is under a message's idempotency key.

    None when there is nothing: then no other session of the person takes the key until it is forgotten. `pay` has what
    was put off taken up again. Raises IdempotencyMismatch when the key came with another request, Dead when that was
    given up.
    """
    key = message.idempotency_key
    if key is None:
        return None
    _, first = line.person.requests.get(key, (None, None))
    if first is not None:
        same_request(first.fingerprint, message.fingerprint)
        return _in_hand(line, first.id), first.id
    line.expect(message)
    try:
        earlier = await line.hosting.scribe.read(lambda store: look_up(store, line.key, key))
    except Exception:
        line.forget(message)
        raise
    if earlier is None:
        return None
    line.forget(message)
    same_request(earlier.fingerprint, message.fingerprint)
    return _taken_before(line, earlier, pay)


def _taken_before(line: Line, earlier: Earlier, pay: Callable[[], None]) -> Known:
    """What is kept of an earlier request; one that is durable and was put off is worked on again."""
    if earlier.given_up:
        raise Dead("this request could not be answered and was given up; send it with a new idempotency key")
    if earlier.run is not None:
        return earlier.run
    pay()
    return _in_hand(line, earlier.message_id), earlier.message_id


def _in_hand(line: Line, message_id: str) -> LogicalTurn:
    turn = line.find(message_id)
    if turn is None:
        raise elsewhere()
    return turn
