"""What a person's words are hashed to is keyed per tenant; runs whose hashes are plain still verify."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ruche.storage.errors import Erased
from ruche.storage.evidence import Evidence
from ruche.storage.model.conversation import Message, SessionState
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import KEYED, Run, closed_early, digest, hashed, state_hash
from ruche.storage.model.turn import Enforcement
from ruche.storage.store import Store
from ruche.storage.verifying import Verifier
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, StaticKey, session_key

YES = Message(id="m1", text="yes", at_ms=NOW_MS)


def keyed_turn(store: Store, talk: Conversation, reply: str = "No.") -> Run:
    """A committed turn of an active session, which has the tenant's key."""
    key = store.tenant(talk.key.tenant).content_key
    state, run = closed_early(msgspec.structs.replace(talk.state, content_key=key), (YES,),
                              turn_id=f"{talk.state.id}-t{talk.state.turn_count:05d}", engine="ruche/test",
                              at_ms=NOW_MS, status="failed", error="X", reply=reply)
    store.append([TurnCommitted(tenant=talk.key.tenant, at_ms=NOW_MS, session=state, run=run, answered=())])
    talk.state = msgspec.structs.replace(state, content_key=b"")
    return run


def test_the_hashes_of_a_short_text_tell_nothing_and_differ_between_tenants(open_store: Opener) -> None:
    store = open_store()
    mine = keyed_turn(store, Conversation("s1"))
    other = keyed_turn(store, Conversation("s2", session_key("other")))
    assert mine.hashes.version == KEYED
    guesses = {digest("No."), digest((YES,)), digest(Enforcement(risk="ERROR", fallback="refusal"))}
    assert guesses.isdisjoint({mine.hashes.output, mine.hashes.input, mine.hashes.evaluation})
    assert mine.hashes.output != other.hashes.output
    assert mine.hashes.output == keyed_turn(store, Conversation("s3")).hashes.output


def test_plain_and_keyed_runs_of_one_session_verify_and_a_changed_one_does_not(open_store: Opener,
                                                                              tmp_path: Path) -> None:
    store, talk = open_store(), Conversation("s1")
    store.append([talk.turn()])
    keyed_turn(store, talk)
    assert store.tenant("acme").verify_session("s1") == ("s1", 2, ())
    run = keyed_turn(store, talk)
    forged = msgspec.structs.replace(run, id="s1-t00003", sequence=3, previous=digest(run), reply="Yes!")
    store.append([TurnCommitted(tenant="acme", at_ms=NOW_MS, run=forged, answered=(), session=msgspec.structs.replace(
        talk.state, turn_count=4, previous_run=digest(forged)))])
    assert store.tenant("acme").verify_session("s1").problems == (
        "run s1-t00003: its reply is not the one that was hashed",)
    store.close()
    faults = Verifier(Evidence(tmp_path / "data", StaticKey())).bytes().faults
    assert [fault.what for fault in faults if fault.id == "s1-t00001"] == []


def test_the_key_stays_the_same_after_a_restart_and_a_rotation_and_is_in_no_session(open_store: Opener) -> None:
    store, talk = open_store(), Conversation("s1")
    keyed_turn(store, talk)
    key = store.tenant("acme").content_key
    assert len(key) == 32
    assert key != store.tenant("other").content_key
    kept = store.tenant("acme").session_by_id("s1")
    assert kept is not None
    assert (kept.content_key, kept) == (b"", talk.state)
    store.keys.rotate("users")
    while store.keys.step() is not None:
        pass
    store.close()
    again = open_store()
    assert again.tenant("acme").content_key == key
    assert again.tenant("acme").verify_session("s1").ok


def test_the_hash_of_a_state_is_that_of_the_state_without_its_key() -> None:
    state = SessionState(id="s1", key=session_key(), created_ms=1, last_activity_ms=1)
    keyed = msgspec.structs.replace(state, content_key=b"k" * 32)
    assert state_hash(keyed) == digest(state, b"k" * 32)
    made = hashed(keyed, keyed, asked=(), enforcement=Enforcement(risk="GREEN"), reply="")
    assert made.state_before == state_hash(keyed)
    assert made.version == KEYED
    assert hashed(state, state, asked=(), enforcement=Enforcement(risk="GREEN"), reply="").version == 1


def test_the_hashes_go_with_the_person(open_store: Opener) -> None:
    store = open_store()
    keyed_turn(store, Conversation("s1"))
    store.audit.erase("acme", "ada", reason="asked", by="officer", at_ms=NOW_MS)
    with pytest.raises(Erased):
        store.tenant("acme").run("s1-t00000")
