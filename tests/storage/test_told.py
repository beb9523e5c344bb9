"""A turn that is kept once is told as often as anybody asks: events name their run, and lone messages their turn."""

from __future__ import annotations

import msgspec

from ruche.storage.model.event import Event
from ruche.storage.model.record import Accepted, TurnCommitted
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted


def taken(seq: int, message: str = "m1") -> Accepted:
    event = Event(seq=seq, kind="turn.accepted", session_id="s1", turn_id="t", at_ms=NOW_MS,
                  data={"message_id": message})
    return msgspec.structs.replace(accepted(message), events=(event,))


def answered(talk: Conversation, seq: int, message: str = "m1", **turn: str) -> TurnCommitted:
    """A turn whose event says nothing but which run it is."""
    made = talk.turn(answered=(message,), **turn)
    event = Event(seq=seq, kind="turn.completed", session_id="s1", turn_id=made.run.id, at_ms=NOW_MS)
    return msgspec.structs.replace(made, events=(event,))


def test_an_event_that_names_its_run_is_told_with_what_the_run_holds(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    first, second = answered(talk, 2, reply="One."), answered(talk, 4, "m2", reply="Two.")
    store.append([taken(1), first, taken(3, "m2"), second])
    for _ in range(2):
        told = store.tenant("acme").events("s1")
        assert [event.seq for event in told] == [1, 2, 3, 4]
        assert [event.data["reply"] for event in told if event.kind == "turn.completed"] == ["One.", "Two."]
        assert told[1].data == msgspec.to_builtins(first.run.turn())
        assert [event.seq for event in store.tenant("acme").events("s1", after=1, limit=2)] == [2, 3]
        store.apply()


def test_an_event_whose_run_is_gone_says_so(open_store: Opener) -> None:
    store = open_store()
    orphan = Event(seq=1, kind="turn.completed", session_id="s1", turn_id="dropped", at_ms=NOW_MS)
    store.append([msgspec.structs.replace(Conversation().turn(), events=(orphan,))])
    told = store.tenant("acme").events("s1")[0].data
    assert (told["status"], told["reply"], told["turn_id"]) == ("expired", "", "dropped")


def test_an_event_that_was_kept_whole_is_told_as_it_was(open_store: Opener) -> None:
    store = open_store()
    store.append([Conversation().turn(reply="as before")])
    assert [event.data for event in store.tenant("acme").events("s1")] == [{"reply": "as before"}]


def test_a_message_that_comes_with_its_turn_never_waits_and_loses_nothing(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    lone = msgspec.structs.replace(taken(1), message=msgspec.structs.replace(
        taken(1).message, idempotency_key="once", fingerprint="f"))
    store.append([lone, answered(talk, 2)])
    assert store.unanswered() == []
    assert store.health()["sequence"] == 1, "one frame"
    known = store.tenant("acme").idempotent("ada", "once")
    assert known is not None
    assert (known.message_id, known.turn_id, known.fingerprint) == ("m1", "s1-t00000", "f")
    assert [event.kind for event in store.tenant("acme").events("s1")] == ["turn.accepted", "turn.completed"]
    store.close()
    again = open_store()
    assert again.unanswered() == []
    assert [event.seq for event in again.tenant("acme").events("s1")] == [1, 2]


def test_a_message_that_another_turn_answers_waits_in_the_inbox(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([taken(1), taken(2, "m2"), answered(talk, 3, "m2")])
    assert [one.message.id for one in store.unanswered()] == ["m1"]
    store.close()
    assert [one.message.id for one in open_store().unanswered()] == ["m1"]
