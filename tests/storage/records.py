"""Records to feed a store with, for the tests of this folder."""

from __future__ import annotations

import hashlib
from typing import Any

from ruche.storage.model.conversation import Exchange, FieldValue, Message, Profile, SessionKey, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.record import Accepted, SegmentReleased, TurnCommitted
from ruche.storage.model.run import Run, RunHashes, canonical, digest, genesis
from ruche.storage.model.turn import Enforcement

NOW_MS = 1_790_000_000_000
ENGINE = "ruche/test"


class StaticKey:
    """A key source for tests."""

    def __init__(self, key: bytes = bytes(range(32))) -> None:
        self._key = key

    def root_key(self) -> bytes:
        return self._key


class OneKey:
    """A file key for tests, known by one id."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def newest_file_key(self) -> tuple[bytes, bytes]:
        return b"file key", self._key

    def file_key(self, id: bytes) -> bytes:
        return self._key


def session_key(tenant: str = "acme", person: str = "ada", agent: str = "desk", channel: str = "api") -> SessionKey:
    return SessionKey(tenant=tenant, agent=agent, interlocutor=person, channel=channel)


def accepted(message_id: str = "m1", *, key: SessionKey | None = None, session: str = "s1", text: str = "hello",
             at_ms: int = NOW_MS, **message: Any) -> Accepted:
    key = key or session_key()
    return Accepted(tenant=key.tenant, at_ms=at_ms, key=key, session_id=session,
                    message=Message(id=message_id, text=text, at_ms=at_ms, **message))


def event(seq: int, *, session: str = "s1", turn: str = "t1", kind: Any = "turn.completed", **data: Any) -> Event:
    return Event(seq=seq, kind=kind, session_id=session, turn_id=turn, at_ms=NOW_MS, data=data)


def segment(turn: str, number: int, text: str, *, key: SessionKey | None = None,
            session: str = "s1") -> SegmentReleased:
    key = key or session_key()
    return SegmentReleased(tenant=key.tenant, at_ms=NOW_MS, key=key, session_id=session, turn_id=turn, number=number,
                           text=text, event=event(100 + number, session=session, turn=turn, kind="message.segment"))


def profile(person: str = "ada", tenant: str = "acme", **fields: str) -> Profile:
    values = {name: FieldValue(value=value, source="user_provided", at_ms=NOW_MS) for name, value in fields.items()}
    return Profile(interlocutor=person, tenant=tenant, fields=values)


class Conversation:
    """Turns of one session whose runs hang together as the engine's do."""

    def __init__(self, session: str = "s1", key: SessionKey | None = None, created_ms: int = NOW_MS) -> None:
        self.key = key or session_key()
        self.state = SessionState(id=session, key=self.key, created_ms=created_ms, last_activity_ms=created_ms)

    def turn(self, said: str = "hello", reply: str = "Good day.", *, answered: tuple[str, ...] = (),
             run_id: str | None = None, risk: Any = "GREEN", status: Any = "complete",
             **changes: Any) -> TurnCommitted:
        """The next turn; the conversation goes on from it."""
        before, number = self.state, self.state.turn_count
        run = Run(id=run_id or f"{before.id}-t{number:05d}", sequence=number,
                  previous=before.previous_run or genesis(self.key.tenant, before.id, ENGINE),
                  tenant=self.key.tenant, agent=self.key.agent, agent_version=1, session=before.id,
                  interlocutor=self.key.interlocutor, channel=self.key.channel, request_id="r1",
                  created_ms=before.created_ms + number * 1000, engine=ENGINE, outcome="OK", status=status,
                  response_type="ANSWER", risk=risk, language="en", message_ids=answered, said=(said,), reply=reply,
                  enforcement=Enforcement(risk=risk), hashes=RunHashes(
                      configuration="c1", input="i1", state_before="b1", state_after="a1",
                      evaluation=digest(Enforcement(risk=risk)), output=digest(reply)))
        exchange = Exchange(turn_id=run.id, said=(said,), reply=reply)
        self.state = SessionState(id=before.id, key=self.key, created_ms=before.created_ms,
                                  last_activity_ms=run.created_ms, turn_count=number + 1,
                                  event_seq=before.event_seq + 1, history=(*before.history[-9:], exchange),
                                  previous_run=hashlib.sha256(canonical(run)).hexdigest())
        return TurnCommitted(tenant=self.key.tenant, at_ms=run.created_ms, session=self.state, run=run,
                             answered=answered, events=(event(self.state.event_seq, session=before.id, turn=run.id,
                                                              reply=reply),), **changes)
