"""What was shipped comes back whole, as it is or as it was, and nothing damaged or foreign passes for it."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ruche.storage import journal as journal_module
from ruche.storage.archive import MANIFEST
from ruche.storage.datafiles import Limits
from ruche.storage.errors import (
    ConfigurationError,
    DataLocked,
    Erased,
    IntegrityError,
    NotFound,
    StorageFull,
    StorageStopped,
)
from ruche.storage.platform import Disk
from ruche.storage.restore import Restore, Restored, prove
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.contents import everything, filled
from tests.storage.disks import Died, Fault, FaultyDisk, at
from tests.storage.records import Conversation, StaticKey, accepted, session_key
from tests.storage.talks import SMALL, is_whole, long_talk


def restored(tmp_path: Path, name: str = "back", key: bytes | None = None, **options: int) -> Restored:
    return Restore(tmp_path / "archive", StaticKey(key) if key else StaticKey()).run(tmp_path / name, **options)  # type: ignore[arg-type]


def ship(store: Store, tmp_path: Path, **options: float) -> int:
    return store.backup.ship(tmp_path / "archive", **options).bytes  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [SMALL, Limits()], ids=["with snapshots", "journal alone"])
def test_what_was_shipped_is_brought_back_and_goes_on(open_store: Opener, tmp_path: Path, limits: Limits) -> None:
    store = open_store(limits=limits)
    talks = long_talk(store)
    ship(store, tmp_path)
    found = restored(tmp_path)
    assert (found.sessions, found.runs, found.sequence) == (3, 150, 300)
    again = open_store(tmp_path / "back", limits=limits)
    is_whole(again, talks)
    assert everything(again.tenant("acme")) == everything(store.tenant("acme"))
    again.append([talks[0].turn()])
    again.close()
    assert open_store(tmp_path / "back").tenant("acme").verify_session("s0").ok


def test_a_later_shipment_carries_only_what_is_new(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn("words " * 2000) for _ in range(20)])
    first = ship(store, tmp_path)
    store.append([talk.turn("a word")])
    second = ship(store, tmp_path)
    assert 0 < second < first / 20
    assert ship(store, tmp_path) < 1000
    restored(tmp_path)
    assert open_store(tmp_path / "back").tenant("acme").verify_session("s1") == ("s1", 21, ())


def test_the_archive_holds_no_root_key_and_nothing_readable(open_store: Opener, tmp_path: Path) -> None:
    """Security items 27 and 41: backups are sealed, and for their owner alone."""
    store, talk = open_store(), Conversation("s1", session_key(person="canary-person"))
    store.append([talk.turn("the canary sings", "canary reply")])
    ship(store, tmp_path)
    files = [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {MANIFEST, "keyring"}
    for path in files:
        assert b"canary" not in path.read_bytes()
        assert StaticKey().root_key() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "archive" / "keys" / "root.key").exists()


def test_everything_comes_back_as_it_was_at_any_time(open_store: Opener, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(1_000_000_000_000, 1_000_000_000)
    monkeypatch.setattr(journal_module, "time", SimpleNamespace(time_ns=lambda: next(clock)))
    store, talk = open_store(limits=SMALL), Conversation()
    for turn in range(60):
        store.append([talk.turn(f"said {turn}", "reply " * 40)])
        if turn % 7 == 0:
            store.apply()
        if turn % 20 == 19:
            ship(store, tmp_path)
    monkeypatch.undo()
    for kept in (1, 33, 60):
        at_ms = 1_000_000 + 1000 * (kept - 1)
        found = restored(tmp_path, f"at{kept}", to_ms=at_ms + 999 if kept < 60 else at_ms)
        assert (found.runs, found.sequence, found.at_ms) == (kept, kept, at_ms)
        back = open_store(tmp_path / f"at{kept}")
        assert back.tenant("acme").verify_session("s1") == ("s1", kept, ())
        assert back.audit.problem == ""
        later = Conversation()
        for _ in range(kept):
            later.turn("x")
        later.state = back.tenant("acme").session_by_id("s1") or later.state
        back.append([later.turn("another way")])
        back.close()
        again = open_store(tmp_path / f"at{kept}")
        assert again.tenant("acme").verify_session("s1") == ("s1", kept + 1, ())
        assert again.audit.problem == ""
        run = again.tenant("acme").runs(session="s1", limit=1).items[0]
        assert run.said == ("another way",)
        again.close()
    assert restored(tmp_path, "frame", to_sequence=21).runs == 21


def test_a_time_before_the_backup_or_across_a_clock_that_was_set_back_is_refused(
        open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10_000, 20_000, 30_000, 15_000, 40_000])
    monkeypatch.setattr(journal_module, "time", SimpleNamespace(time_ns=lambda: next(times) * 1_000_000))
    store, talk = open_store(), Conversation()
    for _ in range(5):
        store.append([talk.turn()])
    monkeypatch.undo()
    ship(store, tmp_path)
    with pytest.raises(ConfigurationError, match="no further"):
        restored(tmp_path, to_ms=9_999)
    with pytest.raises(ConfigurationError, match="--to-sequence"):
        restored(tmp_path, to_ms=25_000)
    assert restored(tmp_path, to_sequence=3).runs == 3
    assert restored(tmp_path, "later", to_ms=30_000).runs == 4


def test_a_batch_comes_back_wholly_or_not_at_all(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    store.append([talk.turn() for _ in range(4)])
    ship(store, tmp_path)
    assert restored(tmp_path, "in", to_sequence=3).runs == 1
    assert restored(tmp_path, "all", to_sequence=5).runs == 5


def test_a_target_that_holds_something_is_left_alone(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    ship(store, tmp_path)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "mine").write_text("here")
    with pytest.raises(ConfigurationError, match="not empty"):
        restored(tmp_path)
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["mine"]
    (tmp_path / "back" / "mine").unlink()
    assert restored(tmp_path).runs > 0


def test_without_a_backup_or_its_root_key_there_is_nothing_to_restore(open_store: Opener, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no backup"):
        restored(tmp_path)
    store = open_store()
    filled(store)
    ship(store, tmp_path)
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        restored(tmp_path, key=bytes(range(1, 33)))
    assert not (tmp_path / "back.restoring").exists()


def test_a_folder_with_another_directorys_backup_is_not_written_to(open_store: Opener, tmp_path: Path) -> None:
    store, other = open_store(), open_store(tmp_path / "other")
    filled(store)
    ship(store, tmp_path)
    with pytest.raises(IntegrityError, match="another data directory"):
        ship(other, tmp_path)


@pytest.mark.parametrize("places", [1, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_every_damaged_byte_of_an_archive_is_found_or_harmless(open_store: Opener, tmp_path: Path,
                                                               places: int) -> None:
    store = open_store(limits=SMALL)
    long_talk(store, 30)
    ship(store, tmp_path)
    paths = [path for path in sorted((tmp_path / "archive").rglob("*")) if path.is_file() and path.name != "lock"]
    kinds = {path.parent.name for path in paths}
    assert kinds >= {"archive", "journal", "snapshots", "runs", "keys", "log"}
    found: dict[str, int] = {}
    for path in paths:
        whole = path.read_bytes()
        for at_byte in {len(whole) * (2 * part + 1) // (2 * places) for part in range(places)}:
            path.write_bytes(whole[:at_byte] + bytes([whole[at_byte] ^ 8]) + whole[at_byte + 1:])
            try:
                restored(tmp_path, to_sequence=None)  # type: ignore[arg-type]
            except (IntegrityError, ConfigurationError):
                found[path.parent.name] = found.get(path.parent.name, 0) + 1
            else:
                with open_store(tmp_path / "back") as back:
                    assert prove(back)[1:] == (30, [])
                shutil.rmtree(tmp_path / "back")
        path.write_bytes(whole)
    assert all(found.get(kind) for kind in ("archive", "journal", "runs", "keys"))


def test_damage_at_the_source_is_not_shipped(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn("words " * 200) for _ in range(5)])
    segment = next((tmp_path / "data" / "journal").glob("*.seg"))
    whole = segment.read_bytes()
    segment.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    with pytest.raises(IntegrityError, match="not shipped"):
        ship(store, tmp_path)


def test_erasing_a_person_reaches_the_archive_with_the_next_shipment(open_store: Opener, tmp_path: Path) -> None:
    """Security item 43: a backup does not bring erased persons back."""
    store = open_store()
    for person in ("ada", "bob"):
        store.append([Conversation(f"s-{person}", session_key(person=person)).turn()])
    ship(store, tmp_path)
    store.audit.erase("acme", "ada", reason="asked", by="eve", at_ms=1)
    ship(store, tmp_path)
    restored(tmp_path, "now")
    restored(tmp_path, "then", to_sequence=2)
    for name in ("now", "then"):
        view = open_store(tmp_path / name).tenant("acme")
        with pytest.raises(Erased):
            view.session_by_id("s-ada")
        with pytest.raises(Erased):
            view.run("s-ada-t00000")
        assert view.session_by_id("s-bob") is not None


def test_older_shipments_are_let_go_of_when_a_snapshot_stands_for_them(open_store: Opener, tmp_path: Path) -> None:
    store = open_store(limits=SMALL)
    talks = long_talk(store)
    ship(store, tmp_path)
    for _ in range(60):
        store.append([talks[0].turn("words " * 200)])
        store.apply()
    ship(store, tmp_path, keep_days=0)
    ship(store, tmp_path, keep_days=0)
    assert len(list((tmp_path / "archive" / "snapshots").iterdir())) == 2
    assert min(int(path.stem) for path in (tmp_path / "archive" / "journal").iterdir()) > 300
    assert restored(tmp_path).runs == 210
    with pytest.raises(ConfigurationError, match="no further"):
        restored(tmp_path, "early", to_sequence=5)


@pytest.mark.parametrize("when", ["half", pytest.param("before", marks=pytest.mark.long),
                                  pytest.param("after", marks=pytest.mark.long)])
def test_a_shipment_that_is_killed_at_any_write_leaves_a_backup_and_is_made_good(
        open_store: Opener, tmp_path: Path, when: str) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn("words " * 100) for _ in range(5)])
    ship(store, tmp_path)
    store.append([talk.turn("words " * 100) for _ in range(3)])
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "archive", kept)
    for number in itertools.count(1):
        shutil.rmtree(tmp_path / "archive")
        shutil.copytree(kept, tmp_path / "archive")
        try:
            store.backup.ship(tmp_path / "archive", disk=FaultyDisk(at(number, Fault(when))))  # type: ignore[arg-type]
        except Died:
            if number % 8 == 0:
                assert restored(tmp_path, f"dead{number}").runs in (5, 8)
            ship(store, tmp_path)
        else:
            break
    assert number > 15
    assert restored(tmp_path).runs == 8


@pytest.mark.parametrize(("error", "kind"), [(28, StorageFull), (5, StorageStopped), (24, StorageFull)])
def test_an_archives_bad_disk_costs_the_shipment_and_not_the_store(open_store: Opener, tmp_path: Path, error: int,
                                                                   kind: type[Exception]) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    with pytest.raises(kind):
        store.backup.ship(tmp_path / "archive", disk=FaultyDisk(at(3, Fault(error=error))))
    store.append([talk.turn()])
    ship(store, tmp_path)
    assert restored(tmp_path).runs == 2


def test_one_shipment_at_a_time(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    with (store.backup.archive(tmp_path / "archive").locked(), pytest.raises(DataLocked)):
        ship(store, tmp_path)


def test_a_manifest_of_a_newer_version_is_refused(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    ship(store, tmp_path)
    path = tmp_path / "archive" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(ConfigurationError, match="newer version"):
        restored(tmp_path)


def test_a_drill_under_load_loses_nothing_that_was_acknowledged_before_it_was_shipped(open_store: Opener,
                                                                                      tmp_path: Path) -> None:
    """Ship while turns are written, read and applied; bring back; verify every chain."""
    store = open_store(limits=SMALL)
    talks = [Conversation(f"s{number}", session_key(person=f"p{number}")) for number in range(4)]
    done, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        for turn in itertools.count():
            if done.is_set():
                return
            talk = talks[turn % 4]
            store.append([accepted(f"m{turn}", key=talk.key, session=talk.state.id),
                          talk.turn("said", "reply " * 30, answered=(f"m{turn}",))])
            written = turn + 1

    def apply() -> None:
        while not done.wait(0.02):
            store.apply()

    threads = [threading.Thread(target=write), threading.Thread(target=apply)]
    for thread in threads:
        thread.start()
    shipped = []
    try:
        deadline = time.monotonic() + 30
        while len(shipped) < 6 and time.monotonic() < deadline:
            before = written
            ship(store, tmp_path)
            shipped.append(before)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    found = restored(tmp_path)
    assert found.runs >= shipped[-1] > 0
    back = open_store(tmp_path / "back")
    assert prove(back) == (4, found.runs, [])
    assert back.unanswered() == [] or len(back.unanswered()) == 1


def test_a_shipment_that_outlives_its_store_is_signed_with_the_right_key_or_not_made(open_store: Opener,
                                                                                     tmp_path: Path) -> None:
    class Late(Disk):
        """Closes the store just before the manifest is written."""

        def write_atomically(self, path: Path, content: bytes) -> None:
            if path.name == "manifest.json":
                store.close()
            super().write_atomically(path, content)

    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(5)])
    store.backup.ship(tmp_path / "archive", disk=Late())
    with pytest.raises(StorageStopped):
        store._backup.ship(tmp_path / "archive")
    assert Restore(tmp_path / "archive", StaticKey()).run(tmp_path / "back").runs == 5
    again = open_store()
    assert again.backup.ship(tmp_path / "archive").sequence == 5


def test_a_damaged_keyring_does_not_take_the_place_of_the_sound_one_that_was_shipped(
        open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    talks = long_talk(store)
    ship(store, tmp_path)
    keyring = tmp_path / "data" / "keys" / "keyring"
    content = bytearray(keyring.read_bytes())
    content[len(content) // 2] ^= 1
    keyring.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged at byte"):
        ship(store, tmp_path)
    restored(tmp_path)
    is_whole(open_store(tmp_path / "back"), talks)
