"""The keys of an open store are changed while it is written and read, and what needs an old key keeps it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ruche.storage.datafiles import Limits
from ruche.storage.errors import ConfigurationError, Conflict, NotFound, StorageStopped
from ruche.storage.keyring import KeySource
from ruche.storage.keysources import FileKeySource, create_root_key
from ruche.storage.model.record import EffectReserved
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.disks import Died, Fault, FaultyDisk
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, profile, session_key

PEOPLE = tuple(f"person{number}" for number in range(12))
OTHER = bytes(range(7, 39))


def talked(store: Store, people: tuple[str, ...] = PEOPLE) -> dict[str, Conversation]:
    """A turn with each person, their profile, and a message that waits."""
    talks = {}
    for person in people:
        talks[person] = talk = Conversation(f"s-{person}", session_key(person=person))
        store.append([accepted(f"m-{person}", key=talk.key, session=talk.state.id),
                      talk.turn("hello", f"reply to {person}", profile=profile(person, name=person.title()))])
    store.apply()
    return talks


def go_on(store: Store, talks: dict[str, Conversation], person: str) -> None:
    talk = talks[person]
    store.append([talk.turn("and more", "again", profile=profile(person, name=person.upper()))])


def readable(store: Store, talks: dict[str, Conversation]) -> None:
    """Everybody is found, by name, with everything."""
    view = store.tenant("acme")
    for person, talk in talks.items():
        assert [one.id for one in view.sessions(interlocutor=person).items] == [talk.state.id]
        assert view.session_by_id(talk.state.id) == talk.state
        found = view.profile(person)
        assert found is not None
        name = person.title() if talk.state.turn_count == 1 else person.upper()
        assert found.fields["name"].value == name
        assert view.verify_session(talk.state.id).ok
    assert view.profile("nobody") is None
    assert len(view.sessions(limit=100).items) == len(talks)


def test_every_level_is_shown_in_numbers(open_store: Opener) -> None:
    store = open_store()
    talked(store)
    levels = {state.level: (state.keys, state.older) for state in store.keys.status().levels}
    assert levels == {"root": (1, 0), "users": (1, 0), "journal": (1, 0), "tenant": (1, 0), "person": (12, 0)}
    assert store.keys.status().under_way == ()
    assert store.keys.step() is None


def test_a_new_journal_key_seals_the_next_segment_and_the_old_one_stays_while_it_is_needed(
        open_store: Opener, tmp_path: Path) -> None:
    store = open_store(limits=Limits(snapshot_bytes=1))
    talks = talked(store)
    segments = len(list((tmp_path / "data" / "journal").glob("*.seg")))
    store.keys.rotate("journal")
    (old,) = [key for key, level in store.keys.older().items() if level == "journal"]
    go_on(store, talks, "person1")
    assert len(list((tmp_path / "data" / "journal").glob("*.seg"))) == segments + 1
    with pytest.raises(Conflict, match="in use"):
        store.keys.retire(old)
    store.close()
    again = open_store(limits=Limits(snapshot_bytes=1))
    readable(again, talks)
    for _ in range(4):
        again.append([talks["person1"].turn("words " * 40_000, "again", profile=profile("person1", name="PERSON1"))])
        again.apply()
        again.checkpoint()
    again.keys.retire(old)
    again.close()
    readable(open_store(), talks)


def test_a_persons_older_key_is_kept_as_long_as_a_run_is_sealed_under_it(open_store: Opener) -> None:
    store = open_store()
    talks = talked(store)
    store.keys.rotate("person", tenant="acme", person="person1")
    go_on(store, talks, "person1")
    readable(store, talks)
    (old,) = store.keys.older()
    assert store.keys.uses()[old] >= 2
    with pytest.raises(Conflict, match="in use"):
        store.keys.retire(old)
    with pytest.raises(NotFound):
        store.keys.retire(b"no such!")
    store.close()
    readable(open_store(), talks)


def test_everybody_of_a_tenant_gets_a_new_key_with_the_next_turn(open_store: Opener) -> None:
    store = open_store()
    talks = talked(store)
    store.keys.rotate("person", tenant="acme")
    for person in PEOPLE[:5]:
        go_on(store, talks, person)
    assert next(state.older for state in store.keys.status().levels if state.level == "person") == 5
    readable(store, talks)


def test_effects_of_a_session_are_sealed_under_the_persons_newest_key(open_store: Opener) -> None:
    store = open_store()
    talked(store)
    store.keys.rotate("person", tenant="acme", person="person1")
    (old,) = store.keys.older()
    before = store.keys.uses()[old]
    store.append([EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s-person1", turn_id="t1", tool="pay",
                                 key="k1", policy="reserve")])
    assert store.keys.uses()[old] == before


@pytest.mark.parametrize("level", ["tenant", "users"])
def test_a_rotation_goes_on_in_steps_while_turns_are_written_and_read(open_store: Opener, level: str) -> None:
    """Security item 41: a rotation needs no downtime."""
    store = open_store()
    talks = talked(store)
    store.keys.rotate(level)  # type: ignore[arg-type]
    assert store.keys.status().under_way == (level,)
    for person in PEOPLE:
        readable(store, talks)
        go_on(store, talks, person)
        store.keys.step()
    talks |= talked(store, ("newcomer",))
    store.keys.finish()
    assert store.keys.status().under_way == ()
    assert sum(state.older for state in store.keys.status().levels) == 0
    readable(store, talks)
    store.close()
    again = open_store()
    readable(again, talks)
    go_on(again, talks, "person3")
    readable(again, talks)


def test_the_root_key_file_is_replaced_and_the_next_start_uses_it(open_store: Opener, tmp_path: Path) -> None:
    source = create_root_key(tmp_path / "root.key")
    store = open_store(key=source.root_key())
    talks, before = talked(store), source.root_key()
    store.keys.replace_root_file(source)
    after = source.root_key()
    assert after != before
    assert not source.following().path.exists()
    go_on(store, talks, "person1")
    readable(store, talks)
    store.close()
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        open_store(key=before)
    readable(open_store(key=after), talks)


@pytest.mark.parametrize("reached", ["next", "added", "promoted"])
def test_a_root_rotation_that_stopped_half_way_opens_and_is_finished_by_asking_again(
        open_store: Opener, tmp_path: Path, reached: str) -> None:
    source = create_root_key(tmp_path / "root.key")
    store = open_store(key=source.root_key())
    talks, first = talked(store), source.root_key()
    following = source.following()
    following.create_if_absent()
    if reached != "next":
        store.keys.rotate_root(following)
        assert store.keys.status().under_way == ("root",)
    if reached == "promoted":
        source.promote(following)
    store.close()
    again = open_store(key=source.root_key())
    readable(again, talks)
    again.keys.replace_root_file(source)
    assert source.root_key() != first
    again.close()
    with pytest.raises(ConfigurationError):
        open_store(key=first)
    readable(open_store(key=source.root_key()), talks)


def test_the_root_key_of_any_source_is_changed_in_two_steps(open_store: Opener) -> None:
    store = open_store()
    talks = talked(store)
    new: KeySource = StaticKey(OTHER)
    assert store.keys.rotate_root(new)
    assert not store.keys.rotate_root(new)
    store.close()
    again = open_store(key=OTHER)
    assert again.keys.finish_root(new) == 1
    readable(again, talks)
    with pytest.raises(ConfigurationError, match="nothing was changed"):
        again.keys.finish_root(StaticKey())


def test_what_cannot_be_rotated_says_why(open_store: Opener, tmp_path: Path) -> None:
    keys = open_store().keys
    for level, words in (("person", "name the tenant"), ("root", "where it is kept")):
        with pytest.raises(ConfigurationError, match=words):
            keys.rotate(level)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        keys.rotate("tenant", tenant="nobody")
    with pytest.raises(ConfigurationError):
        keys.replace_root_file(FileKeySource(tmp_path / "none" / "root.key"))


def test_a_keyring_that_cannot_be_synced_stops_the_store(open_store: Opener) -> None:
    failing = False
    disk = FaultyDisk(lambda call, name: Fault(error=5) if failing and name == "keyring sync" else None)
    store = open_store(disk=disk)
    talks = talked(store)
    failing = True
    with pytest.raises(StorageStopped):
        store.keys.rotate("journal")
    with pytest.raises(StorageStopped):
        go_on(store, talks, "person1")


@pytest.mark.parametrize("level", ["tenant", "users"])
@pytest.mark.parametrize("call", ["keyring write", "keyring sync", "keyring replace"])
def test_a_rotation_killed_at_a_write_of_the_keyring_goes_on(open_store: Opener, tmp_path: Path, level: str,
                                                             call: str) -> None:
    begun = False
    disk = FaultyDisk(lambda number, name: Fault("half") if begun and name == call else None)
    store = open_store(disk=disk)
    talks = talked(store)
    begun = True
    with pytest.raises(Died):
        rotated(store, level)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    again = open_store(tmp_path / "copy")
    readable(again, talks)
    rotated(again, level)
    readable(again, talks)
    assert sum(state.older for state in again.keys.status().levels) == 0
    disk.revive()


def rotated(store: Store, level: str) -> None:
    store.keys.rotate(level)  # type: ignore[arg-type]
    store.keys.finish()
