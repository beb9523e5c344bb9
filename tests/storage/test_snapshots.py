"""Snapshots let journal segments go, are taken beside everything else, and the older one serves for a damaged one."""

from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import pytest

from ruche.storage.errors import StorageStopped, Unavailable
from ruche.storage.platform import Disk
from tests.storage.conftest import Opener
from tests.storage.records import Conversation
from tests.storage.talks import SMALL, is_whole, long_talk


def test_snapshots_let_journal_segments_go_and_everything_stays_readable(open_store: Opener, tmp_path: Path) -> None:
    store = open_store(limits=SMALL)
    talks = long_talk(store)
    assert len(list((tmp_path / "data" / "snapshots").glob("*.snap"))) == 2
    assert min(int(path.stem) for path in (tmp_path / "data" / "journal").glob("*.seg")) > 1
    is_whole(store, talks)
    store.close()
    is_whole(open_store(limits=SMALL), talks)


class SlowSnapshots(Disk):
    """Says when a snapshot is about to be written, and waits until it may."""

    def __init__(self) -> None:
        self.begun, self.may = threading.Event(), threading.Event()

    def write_atomically(self, path: Path, content: bytes) -> None:
        if path.suffix == ".snap":
            self.begun.set()
            self.may.wait(60)
        super().write_atomically(path, content)


def test_commits_reads_and_feeding_go_on_while_a_snapshot_is_taken(open_store: Opener, tmp_path: Path) -> None:
    disk = SlowSnapshots()
    store = open_store(limits=SMALL, disk=disk)
    talks = [Conversation(f"s{number}") for number in range(3)]
    for _ in range(60):
        store.append([talk.turn("said " * 20, "reply " * 40) for talk in talks])
    store.apply(checkpoints=False)
    assert store.health()["snapshots"] == 0
    assert store.checkpoint_due
    thread = threading.Thread(target=store.checkpoint)
    thread.start()
    assert disk.begun.wait(60)
    for _ in range(20):
        store.append([talk.turn("later " * 20, "reply " * 40) for talk in talks])
        assert store.apply(checkpoints=False) == 3
        assert store.tenant("acme").session_by_id("s0") == talks[0].state
    assert thread.is_alive()
    disk.may.set()
    thread.join(60)
    assert store.health()["snapshots"] == 1
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    (tmp_path / "copy" / "tables.duckdb").unlink()
    again = open_store(tmp_path / "copy", limits=SMALL)
    assert again.health()["rebuilt"]
    for talk in talks:
        assert again.tenant("acme").verify_session(talk.state.id) == (talk.state.id, 80, ())


def test_closing_waits_for_a_snapshot_and_whoever_waits_behind_it_is_refused(open_store: Opener,
                                                                             tmp_path: Path) -> None:
    disk, faults = SlowSnapshots(), list[BaseException]()
    store, talk = open_store(limits=SMALL, disk=disk), Conversation()
    store.append([talk.turn("said " * 200, "reply " * 400) for _ in range(40)])
    store.apply(checkpoints=False)

    def ship() -> None:
        try:
            store.backup.ship(tmp_path / "archive")
        except StorageStopped as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for work in (store.checkpoint, ship, store.close)]
    threads[0].start()
    assert disk.begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    disk.may.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert all("closed" in str(error) for error in faults)
    assert open_store(limits=SMALL).tenant("acme").verify_session("s1") == ("s1", 40, ())


def test_a_snapshot_that_finds_no_room_is_due_again_and_lets_nothing_go(open_store: Opener, tmp_path: Path) -> None:
    class NoRoom(Disk):
        full = True

        def write_atomically(self, path: Path, content: bytes) -> None:
            if self.full and path.suffix == ".snap":
                raise OSError(errno.ENOSPC, "no space left")
            super().write_atomically(path, content)

    disk = NoRoom()
    store, talk = open_store(limits=SMALL, disk=disk), Conversation()
    store.append([talk.turn("said " * 200, "reply " * 400) for _ in range(40)])
    segments = len(list((tmp_path / "data" / "journal").glob("*.seg")))
    with pytest.raises(Unavailable):
        store.apply()
    assert store.checkpoint_due
    assert len(list((tmp_path / "data" / "journal").glob("*.seg"))) == segments
    disk.full = False
    store.checkpoint()
    assert store.health()["snapshots"] == 1


def test_the_older_snapshot_serves_when_the_newest_is_damaged(open_store: Opener, tmp_path: Path) -> None:
    store = open_store(limits=SMALL)
    talks = long_talk(store)
    store.close()
    newest = max((tmp_path / "data" / "snapshots").glob("*.snap"))
    content = newest.read_bytes()
    newest.write_bytes(content[:-100] + b"\1" + content[-99:])
    (tmp_path / "data" / "tables.duckdb").unlink()
    is_whole(open_store(limits=SMALL), talks)
