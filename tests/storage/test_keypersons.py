"""Persons' keys are looked up in the keyring's file: the same ones as if all of them were in memory."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from ruche.storage import keypersons, register
from ruche.storage import keyring as keyring_module
from ruche.storage.errors import Erased, IntegrityError, StorageFull
from ruche.storage.keyring import Keyring
from ruche.storage.vault import Column
from tests.storage.disks import FullDisk

ROOT = bytes(range(32))
PLACE = Column.of("sessions", "state", 1)


def opened(path: Path, **options: FullDisk) -> Keyring:
    return Keyring(path, ROOT, **options)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little stays in memory, so that a few hundred persons go through everything."""
    monkeypatch.setattr(register, "TAIL", 16)
    monkeypatch.setattr(keypersons, "_NOTED", 20)
    monkeypatch.setattr(keypersons, "_AT_ONCE", 50)
    monkeypatch.setattr(keyring_module, "_OPEN_KEYS", 8)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(4))
def test_any_course_of_making_renewing_destroying_and_opening_leaves_the_keys_as_they_must_be(
        tmp_path: Path, seed: int) -> None:
    draw, ring = random.Random(seed), opened(tmp_path / "keyring")
    keys: dict[tuple[str, str], list[bytes]] = {}
    sealed: dict[bytes, bytes] = {}
    for step in range(400):
        who = (draw.choice(("acme", "rival")), f"person{draw.randrange(60)}")
        match draw.randrange(12):
            case 0:
                assert ring.destroy(*who) == bool(keys.pop(who, []))
            case 1 if who in keys:
                line = ring.find(*who)
                assert line is not None
                keys[who].append(ring.succeed(line).id)
            case 2:
                ring.flush()
                if draw.random() < 0.7:
                    ring.keep_places()
                ring.close()
                ring = opened(tmp_path / "keyring")
            case 3:
                ring.flush()
            case _:
                key = ring.person(*who)
                if who not in keys:
                    keys[who] = [key.id]
                sealed[key.seal(b"said", PLACE, b"%d" % step)] = b"%d" % step
        assert ring.key_ids(*who) == keys.get(who, [])
        assert (ring.find(*who) is not None) == (who in keys)
    living = {one for ids in keys.values() for one in ids}
    assert {line.id for line in ring.lines.of_kind("person")} == living
    for blob, row in sealed.items():
        if blob[1:9] in living:
            assert ring.opener(blob[1:9]).open(blob, PLACE, row) == b"said"
        else:
            with pytest.raises(Erased):
                ring.opener(blob[1:9])
    ring.close()


@pytest.mark.usefixtures("tiny")
def test_what_is_in_the_file_is_in_memory_no_more(tmp_path: Path) -> None:
    ring = opened(tmp_path / "keyring")
    for number in range(300):
        ring.person("acme", f"person{number}")
        ring.flush()
    persons = ring.lines._persons
    assert not persons._changed
    assert not persons._named
    assert len(persons._noted) <= 20
    assert len({ring.person("acme", f"person{number}").id for number in range(300)}) == 300
    ring.close()


@pytest.mark.usefixtures("tiny")
def test_counts_that_are_forgotten_are_taken_for_more_than_was_drawn(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "BLOCK", 4)
    monkeypatch.setattr(keyring_module, "NOTED", 64)
    drawn, ring = 0, opened(tmp_path / "keyring")
    for visit in range(12):
        for number in range(30):
            ring.person("acme", f"other{number}")
        key = ring.person("acme", "ada")
        key.seal_batch([(b"data", b"row")] * visit, PLACE)
        drawn += visit
        ring.flush()
    ring.close()
    again = opened(tmp_path / "keyring")
    line = again.lines.get(key.id)
    assert line is not None
    assert again.spent(line) >= drawn
    assert again.lines.openings > 2
    again.close()


def test_keys_that_found_no_room_are_there_and_are_written_when_there_is(tmp_path: Path) -> None:
    disk = FullDisk()
    ring = opened(tmp_path / "keyring", disk=disk)
    ring.flush()
    disk.room = 10
    key = ring.person("acme", "ada").id
    with pytest.raises(StorageFull):
        ring.flush()
    assert ring.key_ids("acme", "ada") == [key]
    disk.room = None
    ring.flush()
    ring.close()
    again = opened(tmp_path / "keyring")
    assert again.key_ids("acme", "ada") == [key]
    again.close()


def test_a_line_that_was_changed_in_the_file_is_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    ring = opened(path)
    ring.person("acme", "ada")
    ring.flush()
    line = ring.find("acme", "ada")
    assert line is not None
    ring.close()
    ring = opened(path)
    content = path.read_bytes()
    at = content.index(line.wrapped)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ 1]))
    with pytest.raises(IntegrityError, match="damaged at byte"):
        ring.person("acme", "ada")
    ring.close()


@pytest.mark.parametrize("doing", ["destroy", "rewrite"])
def test_a_keyring_that_was_damaged_meanwhile_is_not_written_anew_without_the_rest(tmp_path: Path, doing: str) -> None:
    """What comes after a damaged place is sound: a rewrite that left it out would lose those keys for good."""
    path = tmp_path / "keyring"
    ring = opened(path)
    for number in range(30):
        ring.person("acme", f"person{number}")
    ring.flush()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    work = ring.lines.rewrite if doing == "rewrite" else partial(ring.destroy, "acme", "person1")
    with pytest.raises(IntegrityError, match="damaged"):
        work()
    assert path.read_bytes() == content
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert ring.destroy("acme", "person1")
    ring.close()
    again = opened(path)
    assert [again.known_person("acme", f"person{number}") is not None for number in range(30)] == [
        number != 1 for number in range(30)]
    again.close()


def test_every_line_of_a_destroyed_key_leaves_the_file_and_the_other_lines_stay_where_they_are_looked_for(
        tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    ring, names = opened(path), [f"person{number}" for number in range(20)]
    for _ in range(3):
        for name in names:
            ring.person("acme", name)
            line = ring.find("acme", name)
            assert line is not None
            ring.lines.put(line)
        ring.flush()
    doomed = [ring.find("acme", name) for name in ("person0", "person7", "person19")]
    unwritten = ring.person("acme", "unwritten").id
    ring.shred([line.id for line in doomed if line] + [unwritten])
    content = path.read_bytes()
    assert all(line.wrapped not in content for line in doomed if line)
    left = [name for name in names if name not in ("person0", "person7", "person19")]
    keys = {name: ring.key_ids("acme", name) for name in left}
    assert [content.count(ring.lines.get(one).wrapped) for ids in keys.values() for one in ids] == [4] * 17  # type: ignore[union-attr]
    late = ring.person("acme", "late").id
    ring.flush()
    ring.keep_places()
    ring.close()
    again = opened(path)
    assert {name: again.key_ids("acme", name) for name in left} == keys
    assert again.key_ids("acme", "late") == [late]
    for line in doomed:
        assert line is not None
        with pytest.raises(Erased):
            again.opener(line.id)
    with pytest.raises(Erased):
        again.opener(unwritten)
    again.close()
