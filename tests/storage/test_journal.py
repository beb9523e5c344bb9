"""What was acknowledged is there; a torn end is cut; damage is named; a failed sync stops everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ruche.storage import frames
from ruche.storage.errors import IntegrityError, StorageStopped
from ruche.storage.journal import Journal
from tests.storage.disks import FailingSync
from tests.storage.records import OneKey

KEY = OneKey(bytes(range(32)))


def opened(path: Path, **options: object) -> tuple[Journal, list[bytes]]:
    journal = Journal(path, KEY, reserve_bytes=0, **options)  # type: ignore[arg-type]
    try:
        return journal, [body for _, body in journal.recover()]
    except IntegrityError:
        journal.close()
        raise


def written(path: Path, *batches: list[bytes], **options: object) -> Path:
    """A journal with these batches, closed; gives its only segment."""
    journal, _ = opened(path, **options)
    for batch in batches:
        journal.append(batch)
    journal.close()
    return next(path.glob("*.seg"))


def read_until_damage(path: Path) -> tuple[list[bytes], IntegrityError]:
    """What could be read, and the error that ended it."""
    read, journal = [], Journal(path, KEY, reserve_bytes=0)
    try:
        for _, body in journal.recover():
            read.append(body)
    except IntegrityError as error:
        return read, error
    finally:
        journal.close()
    pytest.fail("the damage was not seen")


def without_mark(path: Path) -> None:
    (path / "mark").unlink()


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    written(tmp_path, [b"one"], [b"two", b"three"])
    assert opened(tmp_path)[1] == [b"one", b"two", b"three"]


def test_bodies_are_not_readable_in_the_file(tmp_path: Path) -> None:
    assert b"canary" not in written(tmp_path, [b"the canary sings"]).read_bytes()


def test_reading_starts_after_what_is_known(tmp_path: Path) -> None:
    written(tmp_path, [b"one"], [b"two", b"three"])
    journal = Journal(tmp_path, KEY, reserve_bytes=0)
    assert list(journal.recover(2)) == [(3, b"three")]
    assert journal.append([b"four"]) == 4


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    written(tmp_path, [b"one"])
    with pytest.raises(IntegrityError):
        list(Journal(tmp_path, OneKey(bytes(range(1, 33))), reserve_bytes=0).recover())


def test_a_batch_cut_at_any_byte_is_cut_and_what_came_before_stays(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path)
    journal.append([b"first"])
    journal.append([b"kept"])
    mark = (tmp_path / "mark").read_bytes()
    journal.append([b"torn" * 10])
    journal.close()
    path = next(tmp_path.glob("*.seg"))
    whole = path.read_bytes()
    for length in range(frames.scan(whole).frames[2].start, len(whole)):
        path.write_bytes(whole[:length])
        (tmp_path / "mark").write_bytes(mark)
        journal, bodies = opened(tmp_path)
        assert bodies == [b"first", b"kept"]
        assert journal.append([b"next"]) == 3
        journal.close()
        journal, bodies = opened(tmp_path)
        journal.close()
        assert bodies == [b"first", b"kept", b"next"]
        for other in tmp_path.glob("*.seg"):
            if other != path:
                other.unlink()


@pytest.mark.parametrize("tail", [bytes(4096), os.urandom(4096), b"\xabRF1" + bytes(100)])
def test_garbage_after_the_last_frame_is_cut(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path, [b"one"], [b"two"])
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert opened(tmp_path)[1] == [b"one", b"two"]
    assert path.read_bytes() == whole


def test_any_flipped_byte_is_found_with_file_and_offset_and_the_good_prefix_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, [b"one"], [b"two"], [b"three"])
    whole = path.read_bytes()
    starts = [frame.start for frame in frames.scan(whole).frames]
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        read, caught = read_until_damage(tmp_path)
        sound = sum(start <= at for start in starts[1:])
        assert read == [b"one", b"two", b"three"][:sound]
        assert caught.details["file"] == str(path)
        assert caught.details["offset"] == (0 if at < frames.HEADER.size else starts[sound])


def test_damage_before_an_acknowledged_frame_is_found_without_the_mark(tmp_path: Path) -> None:
    path = written(tmp_path, [b"one"], [b"two"], [b"three"])
    whole = path.read_bytes()
    at = frames.scan(whole).frames[1].end - 1
    path.write_bytes(whole[:at] + b"\0" + whole[at + 1:])
    without_mark(tmp_path)
    with pytest.raises(IntegrityError, match="damaged"):
        opened(tmp_path)


def test_a_batch_whose_parts_reached_the_disk_out_of_order_is_cut_without_the_mark(tmp_path: Path) -> None:
    path = written(tmp_path, [b"one"], [b"two", b"three", b"four"])
    whole = path.read_bytes()
    second = frames.scan(whole).frames[1]
    path.write_bytes(whole[:second.start] + bytes(second.end - second.start) + whole[second.end:])
    without_mark(tmp_path)
    assert opened(tmp_path)[1] == [b"one"]


def test_half_a_batch_is_no_batch(tmp_path: Path) -> None:
    path = written(tmp_path, [b"one"], [b"two", b"three", b"four"])
    whole = path.read_bytes()
    ends = [frame.end for frame in frames.scan(whole).frames]
    for size in (*range(ends[0], ends[3], 9), ends[1], ends[2]):
        path.write_bytes(whole[:size])
        without_mark(tmp_path)
        journal, bodies = opened(tmp_path)
        journal.close()
        assert bodies == [b"one"]


def test_a_journal_cut_short_of_what_was_acknowledged_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [b"one"], [b"two"])
    path.write_bytes(path.read_bytes()[:frames.scan(path.read_bytes()).frames[0].end])
    with pytest.raises(IntegrityError, match="acknowledged"):
        opened(tmp_path)


def test_segments_roll_and_are_read_as_one(tmp_path: Path) -> None:
    bodies = [bytes([number]) * 300 for number in range(40)]
    written(tmp_path, *[[body] for body in bodies], segment_bytes=1000)
    assert len(list(tmp_path.glob("*.seg"))) > 5
    assert opened(tmp_path)[1] == bodies


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    written(tmp_path, *[[bytes(500)] for _ in range(10)], segment_bytes=1000)
    sorted(tmp_path.glob("*.seg"))[2].unlink()
    with pytest.raises(IntegrityError, match="missing"):
        opened(tmp_path)


def test_segments_that_are_covered_are_forgotten_and_the_rest_is_read(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path, segment_bytes=1000)
    for number in range(20):
        journal.append([bytes([number]) * 500])
    assert journal.forget(11) > 0
    journal.close()
    again = Journal(tmp_path, KEY, reserve_bytes=0)
    assert [body[0] for _, body in again.recover(11)] == list(range(11, 20))


def test_a_failed_sync_stops_the_journal_for_good(tmp_path: Path) -> None:
    disk = FailingSync()
    journal, _ = opened(tmp_path, disk=disk)
    journal.append([b"one"])
    disk.failing = True
    with pytest.raises(StorageStopped, match="EIO"):
        journal.append([b"two"])
    disk.failing = False
    with pytest.raises(StorageStopped, match="restart"):
        journal.append([b"three"])
    journal.close()
    assert opened(tmp_path)[1] in ([b"one"], [b"one", b"two"])


def test_the_last_segment_ends_where_its_frames_do_once_it_is_closed_or_followed(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path, segment_bytes=4000)
    for number in range(9):
        journal.append([bytes([number]) * 900])
        (first, *_), last = sorted(tmp_path.glob("*.seg")), journal.acknowledged()[1][-1]
        assert last[0].stat().st_size >= last[1]
    assert frames.scan(first.read_bytes()).bad is None
    assert last[0].stat().st_size > last[1]
    journal.close()
    assert all(frames.scan(path.read_bytes()).bad is None for path in tmp_path.glob("*.seg"))


def test_what_a_kill_leaves_of_the_zeros_ahead_is_cut_and_goes_on(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path)
    journal.append([b"one"])
    journal.append([b"two"])
    [path] = tmp_path.glob("*.seg")
    left = path.read_bytes()
    journal.close()
    ended = path.read_bytes()
    assert left == ended + bytes(len(left) - len(ended))
    for torn in (left, left[:len(ended)] + b"\xabRF1" + left[len(ended) + 4:]):
        path.write_bytes(torn)
        journal, bodies = opened(tmp_path)
        assert bodies == [b"one", b"two"]
        assert path.read_bytes() == ended
        journal.close()


def test_who_lets_go_of_a_journal_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """A forked child: the parent goes on writing where the zeros are."""
    journal, _ = opened(tmp_path)
    journal.append([b"one"])
    [path] = tmp_path.glob("*.seg")
    before = path.stat().st_size
    journal.disown()
    assert path.stat().st_size == before
