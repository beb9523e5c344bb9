"""What a crash, a lost file or a flipped bit leaves behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ruche.storage import frames
from ruche.storage.datafiles import Limits
from ruche.storage.errors import IntegrityError
from tests.storage.conftest import Opener
from tests.storage.contents import filled
from tests.storage.records import Conversation
from tests.storage.talks import SMALL, is_whole, long_talk


@pytest.mark.parametrize("harm", ["deleted", "emptied", "garbage", "flipped", "cut"])
@pytest.mark.parametrize("limits", [SMALL, Limits()])
def test_a_lost_or_damaged_table_file_is_rebuilt(open_store: Opener, tmp_path: Path, harm: str, limits: Limits) -> None:
    store = open_store(limits=limits)
    talks = long_talk(store)
    store.close()
    tables = tmp_path / "data" / "tables.duckdb"
    content = tables.read_bytes()
    tables.unlink()
    if harm != "deleted":
        tables.write_bytes({"emptied": b"", "garbage": os.urandom(10_000), "cut": content[:5000],
                            "flipped": content[:20] + bytes([content[20] ^ 1]) + content[21:]}[harm])
        tables.chmod(0o600)
    again = open_store(limits=limits)
    is_whole(again, talks)
    again.append([talks[0].turn()])
    again.close()
    assert open_store(limits=limits).tenant("acme").verify_session("s0") == ("s0", 51, ())


@pytest.mark.parametrize("part", range(1, 8))
def test_a_damaged_block_of_the_tables_is_found_and_the_store_opens_anew(open_store: Opener, tmp_path: Path,
                                                                        part: int) -> None:
    """Damage that shows only when the block is read is found by opening, or by the start after."""
    store = open_store(limits=SMALL)
    talks = long_talk(store)
    store.close()
    tables = tmp_path / "data" / "tables.duckdb"
    content = bytearray(tables.read_bytes())
    content[len(content) * part // 8] ^= 4
    tables.write_bytes(content)
    assert _starts_whole(open_store, talks) or _starts_whole(open_store, talks)


def _starts_whole(open_store: Opener, talks: list[Conversation]) -> bool:
    try:
        store = open_store(limits=SMALL)
    except IntegrityError:
        return False
    try:
        is_whole(store, talks)
    except IntegrityError:
        return False
    finally:
        store.close()
    return True


def test_without_tables_and_without_what_they_are_rebuilt_from_the_store_refuses(open_store: Opener,
                                                                                  tmp_path: Path) -> None:
    store = open_store(limits=SMALL)
    long_talk(store)
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    for path in (tmp_path / "data" / "snapshots").glob("*.snap"):
        path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        open_store(limits=SMALL)


def test_a_copy_made_at_any_moment_opens_with_everything_acknowledged(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(limits=SMALL), Conversation()
    for turn in range(40):
        store.append([talk.turn(f"said {turn}", "reply " * 40)])
        if turn % 5 == 2:
            store.apply()
        if turn % 4 == 0:
            shutil.copytree(tmp_path / "data", tmp_path / f"copy{turn}")
            copy = open_store(tmp_path / f"copy{turn}", limits=SMALL)
            assert copy.tenant("acme").verify_session("s1") == ("s1", turn + 1, ())
            assert copy.tenant("acme").session_by_id("s1") == talk.state
            copy.close()


def test_a_day_file_cut_back_to_the_last_checkpoint_is_written_again(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(5)])
    store.apply()
    store.checkpoint()
    day = next((tmp_path / "data" / "runs").glob("*.day"))
    checkpointed = day.stat().st_size
    store.append([talk.turn() for _ in range(5)])
    store.apply()
    whole = day.read_bytes()
    for size in (checkpointed, checkpointed + 10, len(whole) - 1):
        copy = tmp_path / f"copy{size}"
        shutil.copytree(tmp_path / "data", copy)
        os.truncate(copy / "runs" / day.name, size)
        again = open_store(copy)
        assert again.tenant("acme").verify_session("s1") == ("s1", 10, ())
        again.close()
        assert (copy / "runs" / day.name).read_bytes() == whole


def test_runs_are_written_once_however_often_they_are_replayed(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(8)])
    store.close()
    day = next((tmp_path / "data" / "runs").glob("*.day"))
    whole = day.read_bytes()
    for _ in range(3):
        (tmp_path / "data" / "tables.duckdb").unlink()
        store = open_store()
        assert store.tenant("acme").verify_session("s1") == ("s1", 8, ())
        store.close()
    assert day.read_bytes() == whole


def test_a_flipped_bit_in_a_day_file_is_named_and_the_other_runs_stay_readable(open_store: Opener,
                                                                                tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(4)])
    store.apply()
    store.checkpoint()
    view, day = store.tenant("acme"), next((tmp_path / "data" / "runs").glob("*.day"))
    whole = day.read_bytes()
    second = frames.scan(whole).frames[1]
    for at in range(second.start, second.end, 11):
        day.write_bytes(whole[:at] + bytes([whole[at] ^ 2]) + whole[at + 1:])
        with pytest.raises(IntegrityError) as caught:
            view.run("s1-t00001")
        assert caught.value.details == {"file": str(day), "offset": second.start}
        assert view.run("s1-t00000") is not None
        assert view.run("s1-t00003") is not None
        assert not view.verify_session("s1").ok


def test_a_flipped_bit_in_the_journal_refuses_to_open_and_names_file_and_byte(open_store: Opener,
                                                                              tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    segment = next((tmp_path / "copy" / "journal").glob("*.seg"))
    whole = segment.read_bytes()
    found = frames.scan(whole).frames
    for frame in (found[0], found[len(found) // 2], found[-1]):
        at = (frame.start + frame.end) // 2
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        shutil.copytree(tmp_path / "copy", tmp_path / "damaged")
        with pytest.raises(IntegrityError) as caught:
            open_store(tmp_path / "damaged")
        assert caught.value.details["offset"] == frame.start
        assert segment.name in caught.value.message
        shutil.rmtree(tmp_path / "damaged")
