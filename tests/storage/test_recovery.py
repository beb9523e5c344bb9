"""What a crash, a lost file or a flipped bit leaves behind."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from ruche.storage import frames
from ruche.storage.datafiles import Limits
from ruche.storage.errors import IntegrityError, StorageStopped, Unavailable
from ruche.storage.model.record import SessionSaved
from ruche.storage.platform import Disk
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted, profile
from tests.storage.test_store import everything, filled

SMALL = Limits(checkpoint_bytes=20_000, snapshot_bytes=60_000, segment_bytes=10_000)


def long_talk(store: Store, turns: int = 150) -> list[Conversation]:
    """Three conversations over three days, with everything applied now and then."""
    talks = [Conversation(f"s{number}", created_ms=NOW_MS + number * 86_400_000) for number in range(3)]
    for turn in range(turns):
        talk = talks[turn % 3]
        store.append([accepted(f"m{turn}", idempotency_key=f"k{turn}", session=talk.state.id),
                      talk.turn(f"said {turn}", f"reply {turn}", answered=(f"m{turn}",), profile=profile(n=str(turn)))])
        if turn % 10 == 9:
            store.apply()
    return talks


def is_whole(store: Store, talks: list[Conversation], turns: int = 150) -> None:
    view = store.tenant("acme")
    for talk in talks:
        assert view.session_by_id(talk.state.id) == talk.state
        assert view.verify_session(talk.state.id) == (talk.state.id, turns // 3, ())
        assert len(view.events(talk.state.id)) == turns // 3
    assert len(view.runs(limit=1000).items) == turns
    assert all(view.idempotent("ada", f"k{number}") for number in range(turns))
    assert view.profile("ada") == profile(n=str(turns - 1))
    assert store.unanswered() == []


def test_snapshots_let_journal_segments_go_and_everything_stays_readable(open_store: Opener, tmp_path: Path) -> None:
    store = open_store(limits=SMALL)
    talks = long_talk(store)
    assert len(list((tmp_path / "data" / "snapshots").glob("*.snap"))) == 2
    assert min(int(path.stem) for path in (tmp_path / "data" / "journal").glob("*.seg")) > 1
    is_whole(store, talks)
    store.close()
    is_whole(open_store(limits=SMALL), talks)


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


# --- chains ----------------------------------------------------------------------------------------------------------


def test_a_chain_with_a_gap_a_foreign_link_or_a_lost_end_does_not_verify(open_store: Opener) -> None:
    store = open_store()
    gap, link, end = (Conversation(name) for name in ("gap", "link", "end"))
    store.append([gap.turn()])
    gap.turn()
    store.append([gap.turn(), link.turn()])
    link.state = Conversation("link").turn("other", "other").session
    store.append([link.turn()])
    store.append([end.turn()])
    end.turn()  # a state that goes on without its run
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=end.state)])
    view = store.tenant("acme")
    assert any("sequence 2 where 1" in problem for problem in view.verify_session("gap").problems)
    assert any("does not point back" in problem for problem in view.verify_session("link").problems)
    assert any("last run" in problem for problem in view.verify_session("end").problems)
    assert view.verify_session("never-was") == ("never-was", 0, ())


def test_a_run_whose_reply_is_not_the_hashed_one_does_not_verify(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    record = talk.turn("hello", "Good day.")
    forged = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, reply="Send money."))
    store.append([forged])
    assert any("reply" in problem for problem in store.tenant("acme").verify_session("s1").problems)


# --- a real process, really killed -----------------------------------------------------------------------------------

_WRITER = """
import sys, threading
from pathlib import Path
from ruche.storage.datafiles import Limits
from ruche.storage.model.record import SessionSaved
from ruche.storage.store import Store
from tests.storage.records import Conversation, StaticKey, accepted, session_key
store = Store.open(Path(sys.argv[1]), StaticKey(), reserve_bytes=0,
                   limits=Limits(checkpoint_bytes=30_000, snapshot_bytes=90_000, segment_bytes=20_000))
view, talks = store.tenant("acme"), []
for number in range(5):
    talk = Conversation(f"s{number}", session_key(person=f"person{number}"))
    talk.state = view.session_by_id(talk.state.id) or talk.state
    talks.append(talk)
def feed():
    while True:
        store.apply()
threading.Thread(target=feed, daemon=True).start()
print("ready", flush=True)
while True:
    for talk in talks:
        message = f"{talk.state.id}-m{talk.state.turn_count}"
        store.append([accepted(message, key=talk.key, session=talk.state.id)])
        print("accepted", message, flush=True)
        record = talk.turn("said " * 20, "reply " * 50, answered=(message,))
        store.append([record])
        print("turn", record.run.id, flush=True)
"""


def killed_writer(directory: Path, lines: int) -> list[str]:
    """Let a writer go on for so many lines, kill it, and give every line that it got out."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(directory)], stdout=subprocess.PIPE, text=True,
                              cwd=Path(__file__).parents[2])
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    return [line.strip() for line in said if line.endswith("\n")]  # print writes a line in pieces


def prove(open_store: Opener, directory: Path, said: list[str]) -> None:
    """Every acknowledged message and turn is there once, every chain is whole."""
    store = open_store(directory)
    view = store.tenant("acme")
    runs = view.runs(limit=100_000).items
    ids = [run.id for run in runs]
    assert len(ids) == len(set(ids))
    known = {message for run in runs for message in run.message_ids}
    known |= {one.message.id for one in store.unanswered()}
    for line in said:
        kind, _, name = line.partition(" ")
        assert kind == "ready" or (kind == "turn" and name in set(ids)) or (kind == "accepted" and name in known), line
    for number in range(5):
        proved, state = view.verify_session(f"s{number}"), view.session_by_id(f"s{number}")
        assert proved.ok, proved.problems
        assert proved.runs == (state.turn_count if state else 0)
    store.close()


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(open_store: Opener, tmp_path: Path,
                                                                 kills: int) -> None:
    said: list[str] = []
    choice = random.Random(7)
    for _ in range(kills):
        said += killed_writer(tmp_path / "data", choice.randrange(1, 400))
        prove(open_store, tmp_path / "data", said)
    assert sum(line.startswith("turn") for line in said) > 50 * kills


def test_a_store_reads_the_same_after_its_tables_are_lost_as_before(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    before = everything(store.tenant("acme"))
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    assert everything(open_store().tenant("acme")) == before
