"""What was accepted, reserved, released or is to be delivered is known until it is done, also after a restart."""

from __future__ import annotations

import msgspec

from ruche.storage.model.record import (
    DeadLettered,
    OutboxSettled,
)
from tests.storage.conftest import Opener
from tests.storage.contents import ITEM, RESERVED, SETTLED
from tests.storage.records import NOW_MS, Conversation, accepted, segment, session_key


def test_unanswered_messages_are_those_without_a_turn_in_order(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted(f"m{number}") for number in range(12)])
    store.append([talk.turn(answered=("m3", "m4"))])
    store.append([DeadLettered(tenant="acme", at_ms=NOW_MS, key=session_key(), message=accepted("m0").message,
                               reason="broken")])
    left = [f"m{number}" for number in (1, 2, 5, 6, 7, 8, 9, 10, 11)]
    assert [one.message.id for one in store.unanswered()] == left
    store.close()
    store = open_store()
    assert [one.message.id for one in store.unanswered()] == left
    assert store.unanswered()[0] == accepted("m1")
    store.append([accepted("m99")])
    store.close()
    assert [one.message.id for one in open_store().unanswered()] == [*left, "m99"]


def test_a_repeated_request_is_known_before_and_after_its_answer(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted("m1", idempotency_key="k", fingerprint="f")])
    waiting = store.tenant("acme").idempotent("ada", "k")
    assert waiting == ("f", "m1", "s1", None)
    store.close()
    store = open_store()
    store.append([talk.turn(answered=("m1",))])
    assert store.tenant("acme").idempotent("ada", "k") == ("f", "m1", "s1", "s1-t00000")
    assert store.tenant("acme").idempotent("bob", "k") is None
    assert store.tenant("acme").idempotent("ada", "other") is None


def test_a_message_accepted_and_answered_in_one_batch_leaves_nothing_open(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted("m1", idempotency_key="k"), segment("s1-t00000", 1, "Part."), talk.turn(answered=("m1",))])
    assert store.unanswered() == []
    assert store.tenant("acme").segments("s1-t00000") == []
    assert store.tenant("acme").idempotent("ada", "k") == (None, "m1", "s1", "s1-t00000")


def test_the_segments_of_a_committed_turn_are_let_go_also_after_a_restart(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([segment("s1-t00000", 1, "A."), segment("s1-t00000", 2, "B.")])
    store.close()
    store = open_store()
    assert [one.text for one in store.tenant("acme").segments("s1-t00000")] == ["A.", "B."]
    store.append([talk.turn()])
    assert store.tenant("acme").segments("s1-t00000") == []


def test_an_effect_is_reserved_until_it_is_settled(open_store: Opener) -> None:
    store = open_store()
    store.append([accepted("m1"), RESERVED])
    assert store.tenant("acme").effect("effect-1") == RESERVED
    store.close()
    store = open_store()
    store.append([SETTLED])
    assert store.tenant("acme").effect("effect-1") == SETTLED
    assert store.tenant("acme").effect("effect-2") is None


def test_the_outbox_holds_what_is_still_to_be_delivered(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    later = msgspec.structs.replace(ITEM, id="o2", at_ms=NOW_MS + 1)
    store.append([talk.turn(outbox=(later, ITEM))])
    assert [item.id for _, item in store.outbox()] == ["o1", "o2"]
    again = msgspec.structs.replace(ITEM, attempts=1, at_ms=NOW_MS + 9)
    store.append([OutboxSettled(tenant="acme", at_ms=NOW_MS, item="o1", interlocutor="ada", retry=again),
                  OutboxSettled(tenant="acme", at_ms=NOW_MS, item="o2")])
    store.close()
    assert open_store().outbox() == [("acme", again)]
