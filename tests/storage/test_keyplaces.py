"""What is kept of where keys lie shortens an opening, and is believed only of the very file that it was made over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ruche.storage import keyplaces
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.keyfile import KeyFile
from ruche.storage.keyring import Keyring
from tests.storage.conftest import Opener
from tests.storage.disks import FaultyDisk
from tests.storage.records import Conversation, session_key

ROOT, OTHER = bytes(range(32)), bytes(range(1, 33))
PEOPLE = [f"person{number}" for number in range(40)]
Ids = dict[str, list[bytes]]


def written(path: Path, people: list[str] = PEOPLE) -> Ids:
    """A keyring with these people, whose places are kept; their keys' ids."""
    ring = Keyring(path, ROOT)
    for name in people:
        ring.person("acme", name)
    ring.flush()
    ring.keep_places()
    ids = {name: ring.key_ids("acme", name) for name in people}
    ring.close()
    return ids


def read(path: Path, people: list[str] = PEOPLE) -> Ids:
    ring = Keyring(path, ROOT)
    ids = {name: ring.key_ids("acme", name) for name in people}
    assert all(ring.opener(one) is not None for found in ids.values() for one in found)
    assert len(ring.lines.of_kind("person")) == sum(map(len, ids.values())) + len(ring.key_ids("acme", ""))
    ring.close()
    return ids


def lines_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines an opening reads one by one."""
    count, scanned = 0, KeyFile.read

    def counted(file: KeyFile) -> object:
        nonlocal count
        for one in scanned(file):
            count += 1
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(KeyFile, "read", counted)
        Keyring(path, ROOT).close()
    return count


def test_an_opening_reads_only_the_lines_that_came_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring"
    ids = written(path)
    assert lines_read(path, monkeypatch) == 0
    assert read(path) == ids
    ring = Keyring(path, ROOT)
    late = ring.person("acme", "late").id
    ring.flush()
    ring.close()
    assert 0 < lines_read(path, monkeypatch) < 5
    assert read(path, [*PEOPLE, "late"]) == ids | {"late": [late]}


def test_many_new_lines_are_kept_at_once_at_an_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring"
    ids = written(path)
    (tmp_path / "places").unlink()
    monkeypatch.setattr("ruche.storage.keylines._UNKEPT", 10)
    Keyring(path, ROOT).close()
    assert lines_read(path, monkeypatch) == 0
    assert read(path) == ids


def other_root(path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Keyring(path, OTHER)
    kept = keyplaces.KeyPlaces(path.with_name("places"), FaultyDisk())
    kept.keep(kept.load(ROOT), OTHER)  # type: ignore[arg-type]


def another_file(path: Path) -> None:
    """Sealed by the same root key, over a keyring of the same length."""
    other = path.parent / "other" / "keyring"
    other.parent.mkdir()
    written(other)
    assert other.stat().st_size == path.stat().st_size
    other.with_name("places").replace(path.with_name("places"))


def flipped(at: float) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        kept = path.with_name("places")
        content = bytearray(kept.read_bytes())
        content[int(at * (len(content) - 1))] ^= 1
        kept.write_bytes(content)
    return flip


def rewritten(path: Path) -> None:
    """As an erasure leaves it that was followed by a kill."""
    ring = Keyring(path, ROOT)
    assert ring.person("acme", "gone")
    ring.flush()
    assert ring.destroy("acme", "gone")
    ring.close()


def cut_short(path: Path) -> None:
    path.with_name("places").write_bytes(path.with_name("places").read_bytes()[:-20])


@pytest.mark.parametrize("spoil", [
    lambda path: path.with_name("places").unlink(), lambda path: path.with_name("places").write_bytes(b""), cut_short,
    flipped(0), flipped(0.5), flipped(1), rewritten, another_file, other_root,
], ids=["missing", "empty", "cut short", "flipped first", "flipped", "flipped last", "rewritten", "another file",
        "another root"])
def test_what_cannot_be_believed_is_done_without(tmp_path: Path, spoil: Callable[[Path], None],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring"
    ids = written(path)
    spoil(path)
    assert lines_read(path, monkeypatch) > len(PEOPLE)
    assert read(path) == ids


def test_after_another_root_key_took_over_they_are_kept_under_that(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring"
    ids = written(path)
    ring = Keyring(path, ROOT)
    ring.lines.add_root(OTHER)
    ring.lines.keep_root(OTHER)
    ring.keep_places()
    ring.close()
    kept = keyplaces.KeyPlaces(path.with_name("places"), FaultyDisk())
    assert kept.load(ROOT) is None
    assert kept.load(OTHER) is not None
    monkeypatch.setattr("tests.storage.test_keyplaces.ROOT", OTHER)
    assert lines_read(path, monkeypatch) == 0
    assert read(path) == ids


def test_another_form_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring"
    ids = written(path)
    monkeypatch.setattr(keyplaces, "_BOUND", b"ruche:places:2")
    assert lines_read(path, monkeypatch) > len(PEOPLE)
    assert read(path) == ids


def test_damage_of_the_keyring_is_told_at_the_opening_as_without_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    written(path)
    whole = path.read_bytes()
    for at in range(60, len(whole), len(whole) // 50):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
        with pytest.raises(IntegrityError, match="damaged at byte"):
            Keyring(path, ROOT)


def test_the_store_keeps_them_when_it_closes_and_after_an_erasure_holds_nothing_of_that_key(
        open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, kept = open_store(), tmp_path / "data" / "keys" / "places"
    store.append([Conversation(name, session_key(person=name)).turn() for name in ("ada", "bob")])
    store.close()
    before = kept.read_bytes()
    store = open_store()
    assert store.tenant("acme").session_by_id("bob") is not None
    store.audit.erase("acme", "ada", reason="asked", by="me", at_ms=1)
    store.close()
    assert kept.read_bytes() != before
    again = open_store()
    assert again.tenant("acme").session_by_id("bob") is not None
    assert not again.audit.known("acme", ["ada"])


def test_a_store_whose_disk_takes_no_places_closes_and_opens_as_before(open_store: Opener, tmp_path: Path) -> None:
    class NoPlaces(FaultyDisk):
        def write_atomically(self, path: Path, content: object) -> None:
            if path.name == "places":
                raise OSError(28, "no space left")
            super().write_atomically(path, content)  # type: ignore[arg-type]

    store = open_store(disk=NoPlaces())
    store.append([Conversation("talk").turn()])
    store.close()
    assert not (tmp_path / "data" / "keys" / "places").exists()
    assert open_store().tenant("acme").session_by_id("talk") is not None
