"""What was taken and is not answered yet, kept in memory in step with the journal."""

from __future__ import annotations

from typing import Final

import msgspec

from ruche.storage.model.record import (
    Accepted,
    AnyRecord,
    DeadLettered,
    EffectSettled,
    OutboxSettled,
    PersonErased,
    Record,
    SegmentReleased,
    TenantErased,
    TriedAgain,
    TurnCommitted,
)

ENDINGS: Final = (TurnCommitted, EffectSettled, DeadLettered, SegmentReleased, OutboxSettled)
"""Records that finish what was accepted before: on a full disk they may spend the reserve."""


class Inbox:
    """Accepted messages without an answer by tenant and id, in order, and of the turns that have released segments but
    no commit the numbers of these."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], Accepted] = {}
        self.segments: dict[tuple[str, str], list[int]] = {}
        self.count = 0

    def note(self, record: AnyRecord) -> None:
        """Keep in step with a record; called once the record is on disk."""
        match record:
            case Accepted():
                self.waiting[record.tenant, record.message.id] = record
            case TriedAgain():
                for accepted in self.again(record):
                    self.waiting[record.tenant, accepted.message.id] = accepted
            case TurnCommitted():
                for message in record.answered:
                    self.waiting.pop((record.tenant, message), None)
                self.segments.pop((record.tenant, record.run.id), None)
            case DeadLettered():
                self.waiting.pop((record.tenant, record.message.id), None)
            case SegmentReleased():
                self.segments.setdefault((record.tenant, record.turn_id), []).append(record.number)
            case PersonErased():
                self._forget(record.tenant, record.interlocutor)
            case TenantErased():
                self._forget(record.tenant)
            case _:
                pass

    def _forget(self, tenant: str, interlocutor: str | None = None) -> None:
        """Who was erased, a person or everybody of a tenant, gets no answers any more."""
        gone = [name for name, accepted in self.waiting.items()
                if name[0] == tenant and interlocutor in (None, accepted.key.interlocutor)]
        for name in gone:
            del self.waiting[name]

    def again(self, record: TriedAgain) -> list[Accepted]:
        """Those of the messages that still wait, with the tries."""
        waiting = [self.waiting.get((record.tenant, message)) for message in record.messages]
        return [msgspec.structs.replace(one, tries=record.tries) for one in waiting if one is not None]


def is_ending(record: Record) -> bool:
    return isinstance(record, ENDINGS)
