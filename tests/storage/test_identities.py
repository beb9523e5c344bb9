"""Other names of a person: kept sealed with what they bring, over restarts and new keys, and gone with the person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ruche.storage.errors import Conflict, NotFound
from ruche.storage.identities import names_of
from ruche.storage.model.conversation import FieldValue
from ruche.storage.model.record import IdentityLinked, PersonErased
from ruche.storage.secured import BadCursor
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, profile, session_key


def link(name: str, person: str = "ada-canary", linked: bool = True, tenant: str = "acme",
         **more: Any) -> IdentityLinked:
    return IdentityLinked(tenant=tenant, at_ms=NOW_MS, interlocutor=person, identity=name, linked=linked, by="ann",
                          **more)


def spoke(store: Store, *people: str, tenant: str = "acme", rounds: int = 1) -> None:
    for number in range(rounds):
        store.append([Conversation(f"s-{person}-{number}", session_key(tenant, person),
                                   created_ms=NOW_MS + number // 2).turn() for person in people])


def test_a_link_and_what_it_brings_are_one_record_that_a_restart_finds(open_store: Opener) -> None:
    store = open_store()
    brought = {"name": FieldValue(value="canary-name", source="user_provided", at_ms=NOW_MS)}
    changed = profile("ada-canary", "acme", name="canary-name")
    store.append([link("kiosk-canary", brought=brought, profile=changed), link("other", linked=False),
                  link("kiosk-canary", "eve", tenant="rival")])
    store.close()
    opened = open_store()
    view = opened.tenant("acme")
    assert view.identity("kiosk-canary") == link("kiosk-canary", brought=brought)
    assert view.profile("ada-canary") == changed
    assert view.names_of("kiosk-canary") == view.names_of("ada-canary") == ("ada-canary", "kiosk-canary")
    assert view.names_of("other") == ("other",)
    assert opened.tenant("rival").names_of("kiosk-canary") == ("eve", "kiosk-canary")


def test_no_name_is_on_disk_as_it_is(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([link("kiosk-canary")])
    store.close()
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path


def test_an_erasure_takes_every_name_of_the_person_at_once_and_frees_them(open_store: Opener) -> None:
    store = open_store()
    spoke(store, "ada-canary", "kiosk", "bob")
    store.append([link("kiosk"), link("silent")])
    names = store.tenant("acme").names_of("kiosk")
    done = store.audit.erase("acme", names[0], names=names, reason="asked", by="officer", at_ms=NOW_MS)
    assert len(done.also) == 1
    assert set(done.keys).isdisjoint(done.also[0].keys)
    view = store.tenant("acme")
    assert (view.identities(), view.names_of("kiosk")) == ([], ("kiosk",))
    assert [one.key.interlocutor for one in view.sessions().items] == ["bob"]
    with pytest.raises(NotFound):
        store.audit.erase("acme", names[0], names=names, reason="asked", by="officer", at_ms=NOW_MS)


def test_a_hold_on_one_name_keeps_all_of_them(open_store: Opener) -> None:
    store = open_store()
    spoke(store, "ada-canary", "kiosk")
    store.audit.hold("acme", "kiosk", held=True, reason="case 1", by="officer", at_ms=NOW_MS)
    with pytest.raises(Conflict):
        store.audit.erase("acme", "ada-canary", names=("kiosk",), reason="asked", by="officer", at_ms=NOW_MS)
    with pytest.raises(Conflict):
        store.append([PersonErased(tenant="acme", at_ms=NOW_MS, interlocutor=name, reason="asked", by="officer")
                      for name in ("ada-canary", "kiosk")])
    assert len(store.tenant("acme").sessions().items) == 2


def test_links_are_found_after_the_user_hash_key_and_the_tenants_key_changed(open_store: Opener) -> None:
    store = open_store()
    spoke(store, "ada-canary")
    store.append([link("kiosk")])
    for level in ("users", "tenant", "person"):
        store.keys.rotate(level, tenant="acme")  # type: ignore[arg-type]
        while store.keys.status().under_way:
            store.keys.step()
    assert store.tenant("acme").names_of("kiosk") == ("ada-canary", "kiosk")
    assert [one.identity for one in store.all_identities()] == ["kiosk"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_the_sessions_of_several_names_are_one_list_without_gap_or_repetition(open_store: Opener, limit: int) -> None:
    store, names = open_store(), ("ada-canary", "kiosk", "nobody")
    spoke(store, "ada-canary", "kiosk", "bob", rounds=6)
    view, found, cursor = store.tenant("acme"), list[str](), None
    while True:
        page = view.sessions(names=names, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found, cursor = found + [one.id for one in page.items], page.next_cursor
        if cursor is None:
            break
    whole = [one.id for one in view.sessions(limit=100).items if one.key.interlocutor in names]
    assert (found, len(found)) == (whole, 12)
    with pytest.raises(BadCursor):
        view.sessions(names=names, cursor="?")


_NAMES = some.sampled_from("abcdef")


@given(some.lists(some.tuples(_NAMES, _NAMES, some.booleans()), max_size=8))
def test_every_name_of_a_person_leads_to_the_same_names(links: Sequence[tuple[str, str, bool]]) -> None:
    known = {name: link(name, person, linked) for name, person, linked in links if name != person}
    persons = {one.interlocutor for one in known.values() if one.linked}
    allowed = [one for one in known.values() if one.identity not in persons]  # the engine links no chains
    for name in "abcdef":
        names = names_of(name, allowed)
        assert name in names
        assert len(set(names)) == len(names)
        assert all(names_of(other, allowed) == names for other in names)


def test_what_an_erased_name_left_hides_no_session_of_the_others(open_store: Opener) -> None:
    store = open_store()
    for number in range(4):
        store.append([Conversation(f"gone-{number}", session_key(person="kiosk"),
                                   created_ms=NOW_MS + 100 + number).turn()])
    store.audit.erase("acme", "kiosk", reason="asked", by="officer", at_ms=NOW_MS)
    store.append([Conversation("back", session_key(person="kiosk"), created_ms=NOW_MS + 50).turn()])
    spoke(store, "ada-canary", rounds=3)
    view, found, cursor = store.tenant("acme"), list[str](), None
    while True:
        page = view.sessions(names=("ada-canary", "kiosk"), limit=2, cursor=cursor)
        found, cursor = found + [one.id for one in page.items], page.next_cursor
        if cursor is None:
            break
    assert found == ["back", *(f"s-ada-canary-{number}" for number in (2, 1, 0))]
