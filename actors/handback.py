"""Where nobody comes, or the person who came falls silent, the agent has the conversation again: kept in the outbox
with what passed it on, so that it happens at its time, whoever runs then."""

from __future__ import annotations

from typing import Final

from ruche.storage.model.conversation import Handover, SessionState
from ruche.storage.model.event import OutboxItem

KIND: Final = "handoff_timeout"


def to_hand_back(session: SessionState, before: Handover | None) -> tuple[OutboxItem, ...]:
    """The item for a conversation that was passed on, or whose time was made longer; else none.

    Each time-out has an item of its own: what an older one finds then is not for it, and it does nothing.
    """
    kept = session.handover
    if kept is None or kept == before or not (session.handed_off and kept.until_ms):
        return ()
    return (OutboxItem(id=f"handoff:{session.id}:{kept.until_ms}", kind=KIND, target=str(session.key),
                       at_ms=kept.until_ms,
                       payload={"interlocutor": session.key.interlocutor, "session_id": session.id}),)
