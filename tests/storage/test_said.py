"""What agents remember of a conversation is sealed for its person, found by nobody else, and goes with them."""

from __future__ import annotations

from pathlib import Path

from ruche.storage.model.memory import Remembered, Utterance
from ruche.storage.model.record import UtterancesKept
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS

DAY = 86_400_000


def memory(number: int, text: str = "plum-canary", at_ms: int = NOW_MS) -> Remembered:
    return Remembered(utterance=Utterance(id=f"t{number:05}:0", session="s1", speaker="user", at_ms=at_ms, text=text,
                                          turn=f"t{number:05}"), embedder="e", dimensions=2, rows=b"\0\1\0\1")


def keep(store: Store, *memories: Remembered, person: str = "ada-canary", tenant: str = "acme") -> None:
    store.append([UtterancesKept(tenant=tenant, at_ms=NOW_MS, interlocutor=person, memories=memories)])


def erase(store: Store) -> None:
    store.audit.erase("acme", "ada-canary", reason="asked for it", by="officer", at_ms=NOW_MS)


def test_memories_are_read_in_the_order_in_which_they_were_said(open_store: Opener) -> None:
    store = open_store()
    keep(store, memory(2, at_ms=NOW_MS + 2), memory(1))
    keep(store, memory(3, at_ms=NOW_MS + 3))
    kept = store.tenant("acme").memories("ada-canary")
    assert [one.utterance.turn for one in kept] == ["t00001", "t00002", "t00003"]
    assert kept[0] == memory(1)
    assert [one.utterance.turn for one in store.tenant("acme").memories("ada-canary", 2)] == ["t00002", "t00003"]


def test_memories_survive_a_restart_and_are_nobody_elses(open_store: Opener) -> None:
    store = open_store()
    keep(store, memory(1))
    store.close()
    again = open_store()
    assert again.tenant("acme").memories("ada-canary") == [memory(1)]
    assert again.tenant("acme").memories("bob") == again.tenant("other").memories("ada-canary") == []


def test_no_word_that_is_remembered_is_in_any_file(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    keep(store, memory(1))
    store.apply()
    store.checkpoint()
    store.close()
    content = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert content
    assert not any(word in part for part in content for word in (b"plum-canary", b"ada-canary"))


def test_an_erased_persons_memories_are_gone_for_good(open_store: Opener) -> None:
    store = open_store()
    keep(store, memory(1))
    keep(store, memory(2), person="bob")
    erase(store)
    assert store.tenant("acme").memories("ada-canary") == []
    store.close()
    again = open_store()
    assert again.tenant("acme").memories("ada-canary") == []
    assert len(again.tenant("acme").memories("bob")) == 1


def test_memories_go_by_their_age(open_store: Opener) -> None:
    store = open_store()
    keep(store, memory(1, at_ms=NOW_MS - 10 * DAY), memory(2))
    assert store.audit.retain({"utterances": 5}, NOW_MS).rows == {"utterances": 1}
    assert [one.utterance.turn for one in store.tenant("acme").memories("ada-canary")] == ["t00002"]


def test_memories_are_found_after_the_key_of_person_hashes_changed(open_store: Opener) -> None:
    store = open_store()
    keep(store, memory(1))
    store.keys.rotate("users")
    store.keys.finish()
    assert store.tenant("acme").memories("ada-canary") == [memory(1)]
