"""A damaged directory is opened past its damage on request: what is lost is told, the rest is as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ruche.storage import frames
from ruche.storage.errors import ConfigurationError, DataLocked, Erased, IntegrityError
from ruche.storage.salvage import Gap, salvage
from tests.storage.conftest import Opener
from tests.storage.records import Conversation, StaticKey, session_key
from tests.storage.talks import SMALL

Damage = Callable[[Path], None]


def damaged(open_store: Opener, tmp_path: Path, harm: Damage, *, applied: bool = False, turns: int = 12) -> Path:
    """A directory as a kill leaves it, then harmed: frame n is turn n - 1 of ada (odd) or bob (even)."""
    store = open_store()
    talks = [Conversation(f"s-{person}", session_key(person=person)) for person in ("ada", "bob")]
    for turn in range(turns):
        store.append([talks[turn % 2].turn(f"said {turn}", f"reply {turn}")])
    if applied:
        store.apply()
        store.checkpoint()
    shutil.copytree(tmp_path / "data", tmp_path / "damaged")
    harm(tmp_path / "damaged")
    return tmp_path / "damaged"


def segment(directory: Path) -> Path:
    return next((directory / "journal").glob("*.seg"))


def flip(number: int) -> Damage:
    def harm(directory: Path) -> None:
        path = segment(directory)
        content = bytearray(path.read_bytes())
        frame = frames.scan(bytes(content)).frames[number - 1]
        content[(frame.start + frame.end) // 2] ^= 1
        path.write_bytes(content)
    return harm


@pytest.mark.parametrize("number", [1, 5, 12])
def test_a_damaged_frame_is_passed_over_and_the_rest_is_there(open_store: Opener, tmp_path: Path, number: int) -> None:
    source = damaged(open_store, tmp_path, flip(number))
    with pytest.raises(IntegrityError):
        open_store(source)
    before = segment(source).read_bytes()
    done = salvage(source, tmp_path / "new", StaticKey())
    assert [(gap.first, gap.last, gap.covered) for gap in done.gaps] == [(number, number, False)]
    assert (done.lost, done.runs, done.entries, done.keys) == (True, 11, (), 0)
    assert segment(source).read_bytes() == before
    view = open_store(tmp_path / "new").tenant("acme")
    there = {run.reply for run in view.runs(limit=100).items}
    assert there == {f"reply {turn}" for turn in range(12)} - {f"reply {number - 1}"}
    assert bool(done.problems) == (number < 11)
    whole, broken = ("s-ada", "s-bob") if number % 2 == 0 else ("s-bob", "s-ada")
    assert view.verify_session(whole) == (whole, 6, ())
    assert all(broken[2:] in problem or "sequence" in problem or "point back" in problem for problem in done.problems)


def test_what_was_salvaged_goes_on_and_opens_again(open_store: Opener, tmp_path: Path) -> None:
    source = damaged(open_store, tmp_path, flip(4))
    salvage(source, tmp_path / "new", StaticKey())
    store, talk = open_store(tmp_path / "new", limits=SMALL), Conversation("later")
    for _ in range(40):
        store.append([talk.turn("said " * 30, "reply " * 30)])
        store.apply()
    store.close()
    (tmp_path / "new" / "tables.duckdb").unlink()
    assert open_store(tmp_path / "new", limits=SMALL).tenant("acme").verify_session("later") == ("later", 40, ())


def test_a_frame_that_the_tables_hold_is_no_loss(open_store: Opener, tmp_path: Path) -> None:
    source = damaged(open_store, tmp_path, flip(5), applied=True)
    done = salvage(source, tmp_path / "new", StaticKey())
    assert [(gap.first, gap.last, gap.covered) for gap in done.gaps] == [(5, 5, True)]
    assert (done.lost, done.runs, done.problems) == (False, 12, ())


def test_a_segment_without_its_header_or_a_missing_one_is_a_gap(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(limits=SMALL._replace(snapshot_bytes=1 << 40)), Conversation()
    for _ in range(60):
        store.append([talk.turn("said " * 30, "reply " * 30)])
    names = sorted(path.name for path in (tmp_path / "data" / "journal").glob("*.seg"))
    assert len(names) >= 5
    for number, harm in enumerate((lambda path: path.unlink(), lambda path: path.write_bytes(
            bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]))):
        source = tmp_path / f"damaged{number}"
        shutil.copytree(tmp_path / "data", source)
        harm(source / "journal" / names[2])
        done = salvage(source, tmp_path / f"new{number}", StaticKey())
        first, following = int(names[2][:20]), int(names[3][:20])
        assert [(gap.first, gap.last) for gap in done.gaps] == [(first, following - 1)]
        assert done.runs == 60 - (following - first)
        again = open_store(tmp_path / f"new{number}")
        assert len(again.tenant("acme").runs(limit=100).items) == done.runs


def test_a_journal_cut_short_of_what_was_acknowledged_opens_with_what_is_left(open_store: Opener,
                                                                              tmp_path: Path) -> None:
    def cut(directory: Path) -> None:
        path = segment(directory)
        path.write_bytes(path.read_bytes()[:frames.scan(path.read_bytes()).frames[7].start + 9])

    source = damaged(open_store, tmp_path, cut)
    done = salvage(source, tmp_path / "new", StaticKey())
    assert [(gap.first, gap.last, gap.covered) for gap in done.gaps] == [(8, 12, False)]
    assert (done.runs, done.problems) == (7, ())


def test_damaged_entries_of_a_day_are_named_and_the_others_can_be_listed(open_store: Opener, tmp_path: Path) -> None:
    def harm(directory: Path) -> None:
        path = next((directory / "runs").glob("*.day"))
        content = bytearray(path.read_bytes())
        content[frames.scan(bytes(content)).frames[3].start + 60] ^= 1
        path.write_bytes(content)

    source = damaged(open_store, tmp_path, harm, applied=True)
    store = open_store(source)
    with pytest.raises(IntegrityError):
        store.tenant("acme").runs(limit=100)
    store.close()
    done = salvage(source, tmp_path / "new", StaticKey())
    assert done.entries == (("runs", "s-bob-t00001"),)
    assert done.lost
    assert len(open_store(tmp_path / "new").tenant("acme").runs(limit=100).items) == 11


def test_damaged_keys_are_let_go_of_and_the_others_open_what_they_sealed(open_store: Opener, tmp_path: Path) -> None:
    def harm(directory: Path) -> None:
        path = directory / "keys" / "keyring"
        content = bytearray(path.read_bytes())
        content[frames.scan(bytes(content)).frames[-1].start + 50] ^= 1
        path.write_bytes(content)

    source = damaged(open_store, tmp_path, harm, applied=True)
    with pytest.raises(IntegrityError, match="keyring"):
        open_store(source)
    done = salvage(source, tmp_path / "new", StaticKey())
    assert done.keys == 1
    assert done.lost
    view = open_store(tmp_path / "new").tenant("acme")
    assert view.verify_session("s-ada") == ("s-ada", 6, ())
    with pytest.raises(Erased):
        view.run("s-bob-t00001")


def test_a_sound_directory_is_taken_over_as_it_is(open_store: Opener, tmp_path: Path) -> None:
    source = damaged(open_store, tmp_path, lambda directory: None)
    done = salvage(source, tmp_path / "new", StaticKey())
    assert (done.gaps, done.lost, done.runs, done.problems) == ((), False, 12, ())


def test_a_torn_end_that_nobody_was_told_of_is_no_loss(open_store: Opener, tmp_path: Path) -> None:
    def harm(directory: Path) -> None:
        path = segment(directory)
        path.write_bytes(path.read_bytes() + b"\xabRF1 half a frame")

    done = salvage(damaged(open_store, tmp_path, harm), tmp_path / "new", StaticKey())
    assert (done.gaps, done.lost, done.runs) == ((), False, 12)


def test_a_target_that_is_there_a_directory_in_use_or_the_wrong_key_is_refused(open_store: Opener,
                                                                               tmp_path: Path) -> None:
    source = damaged(open_store, tmp_path, lambda directory: None)
    with pytest.raises(ConfigurationError, match="there already"):
        salvage(source, tmp_path / "data", StaticKey())
    with pytest.raises(ConfigurationError, match="root key"):
        salvage(source, tmp_path / "new", StaticKey(bytes(range(1, 33))))
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.salvaging").exists()
    with pytest.raises(DataLocked):
        salvage(tmp_path / "data", tmp_path / "new", StaticKey())


def test_gaps_know_the_times_around_them(open_store: Opener, tmp_path: Path) -> None:
    done = salvage(damaged(open_store, tmp_path, flip(6)), tmp_path / "new", StaticKey())
    (gap,) = done.gaps
    assert isinstance(gap, Gap)
    assert 0 < gap.after_ms <= gap.before_ms
