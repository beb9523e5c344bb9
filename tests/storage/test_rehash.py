"""Everybody is found by a new user-hash key while it replaces the old one, and by the new one alone afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ruche.storage.errors import Conflict
from ruche.storage.model.record import HoldSet
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS
from tests.storage.test_keys import PEOPLE, go_on, readable, talked


def steps_of(store: Store, limit: int = 10_000) -> int:
    count = 0
    while count < limit and store.keys.step() is not None:
        count += 1
    return count


@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_a_user_hash_rotation_goes_on_after_a_kill(open_store: Opener, tmp_path: Path, steps: int) -> None:
    store = open_store()
    talks = talked(store)
    store.checkpoint()
    store.keys.rotate("users")
    steps_of(store, steps)
    go_on(store, talks, "person2")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")  # as a kill would leave it
    again = open_store(tmp_path / "copy")
    assert again.keys.status().under_way == ("users",)
    readable(again, talks)
    again.keys.finish()
    readable(again, talks)
    again.close()
    readable(open_store(tmp_path / "copy"), talks)


def test_rows_that_an_old_journal_brings_back_are_moved_to_the_new_user_hash(open_store: Opener,
                                                                              tmp_path: Path) -> None:
    store = open_store()
    talks = talked(store)
    store.keys.rotate("users")
    store.keys.finish()
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    again = open_store()
    assert again.keys.status().under_way == ()
    readable(again, talks)


def test_no_old_user_hash_is_left_in_keyring_and_tables(open_store: Opener, tmp_path: Path) -> None:
    """Security item 41: who knows the old user-hash key finds nobody with it."""
    store = open_store()
    talked(store)
    old = [store._keyring.hash_user("acme", person) for person in PEOPLE]
    content = (tmp_path / "data" / "keys" / "keyring").read_bytes()
    assert all(one in content for one in old)
    store.keys.rotate("users")
    store.keys.finish()
    content = (tmp_path / "data" / "keys" / "keyring").read_bytes()
    assert not any(one in content for one in old)
    held = {row[2] for collection in store._collections if collection.name == "sessions"
            for rows in store.keys._use.rows(collection) for row in rows}
    assert held.isdisjoint(old)
    assert len(held) == len(PEOPLE)


def test_a_legal_hold_stands_through_a_user_hash_rotation(open_store: Opener) -> None:
    store = open_store()
    talked(store)
    store.append([HoldSet(tenant="acme", at_ms=NOW_MS, interlocutor="person1", held=True, reason="court", by="eve")])
    store.keys.rotate("users")
    for _ in range(2):
        with pytest.raises(Conflict, match="legal hold"):
            store.audit.erase("acme", "person1", reason="asked", by="eve", at_ms=NOW_MS)
        store.keys.finish()
    store.append([HoldSet(tenant="acme", at_ms=NOW_MS, interlocutor="person1", held=False, reason="over", by="eve")])
    store.audit.erase("acme", "person1", reason="asked", by="eve", at_ms=NOW_MS)
    assert store.tenant("acme").profile("person1") is None


def test_a_person_is_erased_in_the_middle_of_a_user_hash_rotation(open_store: Opener) -> None:
    """Security item 43."""
    store = open_store()
    talks = talked(store)
    store.keys.rotate("users")
    store.keys.step()
    for person in ("person1", "person7"):
        store.audit.erase("acme", person, reason="asked", by="eve", at_ms=NOW_MS)
        del talks[person]
        store.apply()
        assert store.tenant("acme").profile(person) is None
    readable(store, talks)
    store.keys.finish()
    readable(store, talks)
