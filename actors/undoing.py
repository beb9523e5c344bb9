"""What a turn's earlier attempts did and the one that is kept did not want: to be undone, once, by the courier.

It goes into the outbox in the frame of the turn, so that neither a crash nor a tool that is down forgets it. What the
kept attempt asked for again is its own: the journal answered it, and nothing was done twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ruche.actors.hosting import Hosting
from ruche.actors.logical import LogicalTurn
from ruche.storage.model.event import OutboxItem

KIND: Final = "compensation"


def to_undo(turn: LogicalTurn, hosting: Hosting) -> Iterator[OutboxItem]:
    """One item for each effect, the last one first; none for a turn that only closes what a crash had ended."""
    if turn.interrupted:
        return
    claimed = set() if turn.stage is None else turn.stage.claimed
    key, now = turn.open.state.key, hosting.clock_ms()
    for effect in reversed({effect.key: effect for effect in turn.earlier}.values()):
        if effect.key not in claimed:
            yield OutboxItem(id=hosting.new_id(), kind=KIND, target=effect.tool, at_ms=now, payload={
                "interlocutor": key.interlocutor, "agent": key.agent, "session_id": effect.session_id,
                "turn_id": effect.turn_id, "key": effect.key, "arguments": effect.arguments, "result": effect.result})
