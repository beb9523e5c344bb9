"""A journal on a full disk: it refuses, takes up again, and spends its reserve on last words alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ruche.storage.errors import StorageFull
from ruche.storage.journal import Journal
from tests.storage.disks import FullDisk, SmallDisk
from tests.storage.test_journal import KEY, opened


def test_a_full_disk_refuses_and_takes_up_again_when_there_is_room(tmp_path: Path) -> None:
    disk = FullDisk()
    journal, _ = opened(tmp_path, disk=disk)
    journal.append([b"one"])
    for room in range(0, 500, 37):
        disk.room = room
        with pytest.raises(StorageFull):
            journal.append([bytes(200_000)])
    disk.room = None
    assert journal.append([b"two"]) == 2
    journal.close()
    assert opened(tmp_path)[1] == [b"one", b"two"]


def test_a_disk_that_is_full_when_a_segment_begins_refuses_and_takes_up_again(tmp_path: Path) -> None:
    disk = FullDisk()
    journal, _ = opened(tmp_path, disk=disk, segment_bytes=100)
    journal.append([bytes(200)])
    for room in (0, 10, 36, 60):
        disk.room = room
        with pytest.raises(StorageFull):
            journal.append([bytes(200)])
    disk.room = None
    journal.append([b"two"])
    journal.close()
    assert opened(tmp_path)[1] == [bytes(200), b"two"]


def held(folder: Path) -> int:
    """Bytes that the reserve holds back."""
    return (folder / "reserve").stat().st_size if (folder / "reserve").exists() else 0


@pytest.mark.parametrize("segment_bytes", [50_000, 1])
def test_last_words_spend_as_much_of_the_reserve_as_they_need_and_nothing_else_does(
        tmp_path: Path, segment_bytes: int) -> None:
    disk = SmallDisk(tmp_path, 130_000)
    journal = Journal(tmp_path, KEY, reserve_bytes=100_000, segment_bytes=segment_bytes, disk=disk)
    list(journal.recover())
    kept = [b"one"]
    journal.append(kept)
    with contextlib.suppress(StorageFull):
        while len(kept) < 40:
            journal.append([bytes(2000)])
            kept.append(bytes(2000))
    assert len(kept) < 40
    assert held(tmp_path) == 100_000
    for number in range(12):
        kept.append(b"last words %d" % number + bytes(4000))
        journal.append(kept[-1:], last_resort=True)
        assert 0 < held(tmp_path) <= 100_000
        with pytest.raises(StorageFull):
            journal.append([bytes(60_000)])
    assert held(tmp_path) < 100_000
    disk.room = 400_000
    journal.restore_reserve()
    assert held(tmp_path) == 100_000
    journal.close()
    assert opened(tmp_path)[1] == kept


def test_last_words_that_the_reserve_has_no_room_for_leave_it_as_it_was(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path, 70_000)
    journal = Journal(tmp_path, KEY, reserve_bytes=60_000, disk=disk)
    list(journal.recover())
    journal.append([b"one"])
    with pytest.raises(StorageFull):
        journal.append([bytes(200_000)], last_resort=True)
    assert held(tmp_path) >= 30_000
    assert journal.append([bytes(20_000)], last_resort=True) == 2
    journal.close()
    assert opened(tmp_path)[1] == [b"one", bytes(20_000)]
