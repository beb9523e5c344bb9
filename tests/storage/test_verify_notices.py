"""Each of the ten checks notices what it is there to notice, and says where."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from ruche.storage import frames
from ruche.storage.checkpoints import Checkpoint, Signer, read_note
from ruche.storage.evidence import Evidence
from ruche.storage.keyfile import read_lines
from ruche.storage.keyline import WrappedKey
from ruche.storage.model.record import EffectReserved, EffectSettled, SessionSaved, TurnCommitted
from ruche.storage.overlay import Change
from tests.storage.conftest import Opener
from tests.storage.contents import advisory
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, session_key
from tests.storage.reports import failed, hold, report


@pytest.mark.parametrize("keys", [True, False])
def test_every_changed_byte_of_a_day_segment_is_found_with_file_and_offset(data: Path, keys: bool) -> None:
    choice = random.Random(3)
    day = sorted((data / "runs").glob("*.day"))[0]
    whole = day.read_bytes()
    found = frames.scan(whole).frames
    for at in [0, 30, *(choice.randrange(frames.HEADER.size, len(whole)) for _ in range(40))]:
        day.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << choice.randrange(8)]) + whole[at + 1:])
        check = report(data, keys=keys)["bytes"]
        start = next((one.start for one in found if one.start <= at < one.end), 0)
        assert check["status"] == "fail"
        assert (f"runs/{day.name}", start) in [(fault["file"], fault["offset"]) for fault in check["faults"]]
    day.write_bytes(whole)
    assert failed(data, keys=keys) == set()


def test_a_changed_byte_of_the_journal_is_found_with_file_and_offset(data: Path) -> None:
    segment = next((data / "journal").glob("*.seg"))
    whole = segment.read_bytes()
    found = frames.scan(whole).frames
    for one in found[::9]:
        at = (one.start + one.end) // 2
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
        faults = report(data, keys=False)["bytes"]["faults"]
        assert [(fault["file"], fault["offset"]) for fault in faults] == [(f"journal/{segment.name}", one.start)]


@pytest.mark.parametrize("harm", ["cut", "doubled", "removed", "swapped"])
def test_entries_that_are_cut_doubled_removed_or_swapped_are_noticed(data: Path, harm: str) -> None:
    day = sorted((data / "runs").glob("*.day"))[0]
    whole = day.read_bytes()
    one, other = frames.scan(whole).frames[3:5]
    parts = {"cut": whole[:frames.scan(whole).frames[-1].start], "removed": whole[:one.start] + whole[one.end:],
             "doubled": whole + whole[one.start:one.end],
             "swapped": whole[:one.start] + frames.frame(one.sequence, 0, other.body)
             + frames.frame(other.sequence, 0, one.body) + whole[other.end:]}
    day.write_bytes(parts[harm])
    for keys in (True, False):
        assert failed(data, keys=keys), harm


def test_an_entry_changed_with_its_checksum_and_its_tree_contradicts_the_checkpoints(data: Path) -> None:
    held, day = hold(data), sorted((data / "runs").glob("*.day"))[0]
    whole = day.read_bytes()
    one = frames.scan(whole).frames[2]
    forged = one.body[:-1] + bytes([one.body[-1] ^ 1])
    day.write_bytes(whole[:one.start] + frames.frame(one.sequence, 0, forged) + whole[one.end:])
    assert failed(data, keys=False) == {"inclusion", "append-only"}
    faults = report(data, keys=False)["inclusion"]["faults"]
    assert [(fault["file"], fault["offset"]) for fault in faults] == [(day.name, one.start)]
    assert failed(data) == {"bytes", "inclusion", "append-only"}
    for tree in (data / "log").glob("*.tree"):
        tree.unlink()
    assert failed(data, keys=False, held=held) == {"append-only"}


def test_a_restore_from_an_older_copy_contradicts_the_checkpoint_that_was_kept(open_store: Opener,
                                                                               tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(4)])
    store.close()
    shutil.copytree(tmp_path / "data", tmp_path / "old")
    store = open_store()
    store.append([talk.turn()])
    store.close()
    held = hold(tmp_path / "data")
    assert failed(tmp_path / "data", held=held) == set()
    assert failed(tmp_path / "old") == set()
    assert failed(tmp_path / "old", held=held) == {"append-only"}


def test_a_checkpoint_of_another_log_or_by_another_key_is_noticed(data: Path) -> None:
    stranger = Signer(bytes(range(32)))
    (mine, _), = hold(data)

    def note(checkpoint: Checkpoint) -> Any:
        return [(checkpoint, read_note(stranger.note(checkpoint.text())))]

    assert failed(data, held=note(mine)) == {"authenticity"}
    assert failed(data, held=note(mine._replace(origin="ruche/0123456789abcdef"))) == {"append-only", "authenticity"}
    assert failed(data, held=note(mine._replace(origin="elsewhere"))) == {"append-only", "authenticity"}
    assert failed(data, key=stranger.public) == {"authenticity"}


def test_a_time_that_goes_back_is_noticed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine, _), = hold(data)
    evidence = Evidence(data, StaticKey())
    seed = evidence.keyring.signing_seed(1) if evidence.keyring else b""
    earlier = mine._replace(at_ms=mine.at_ms - 1_000_000_000)
    again = read_note(Signer(seed).note(earlier.text()))
    found = report(data, held=[(mine, hold(data)[0][1]), (earlier, again)])["authenticity"]
    assert found["status"] == "pass"
    later = [one for one, _ in evidence.notes if one.origin == mine.origin and one.size < mine.size]
    assert not later or failed(data, held=[(earlier, again)]) == {"authenticity"}


def forged(open_store: Opener, tmp_path: Path, *records: TurnCommitted, **rest: Any) -> Path:
    store = open_store()
    store.append([*records, *rest.get("more", ())])
    store.close()
    return tmp_path / "data"


def test_a_gap_and_a_wrong_link_in_a_chain_are_noticed(open_store: Opener, tmp_path: Path) -> None:
    gap, link = Conversation("gap"), Conversation("link", session_key(person="bob"))
    kept = [gap.turn(), link.turn()]
    gap.turn()
    kept.append(gap.turn())
    wrong = link.turn()
    kept.append(msgspec.structs.replace(wrong, run=msgspec.structs.replace(wrong.run, previous="0" * 63 + "1")))
    data = forged(open_store, tmp_path, *kept)
    faults = report(data)["chain"]["faults"]
    assert {fault["id"] for fault in faults} == {"gap-t00002", "link-t00001"}
    assert [fault["id"] for fault in report(data, keys=False)["chain"]["faults"]] == ["gap-t00002"]


def test_a_placeholder_hash_is_refused_and_noticed_where_it_was_kept(open_store: Opener, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Conversation()
    record = talk.turn()
    hashes = msgspec.structs.replace(record.run.hashes, input="0" * 64)
    with pytest.raises(ValueError, match="placeholder"):
        open_store(tmp_path / "refused").append([msgspec.structs.replace(record, run=msgspec.structs.replace(
            record.run, hashes=hashes))])
    monkeypatch.setattr("ruche.storage.ledger.refuse_placeholders", lambda hashes: None)
    data = forged(open_store, tmp_path, msgspec.structs.replace(record, run=msgspec.structs.replace(
        record.run, hashes=hashes)))
    assert "input hash is a placeholder" in report(data)["bytes"]["faults"][0]["what"]


def test_an_acknowledged_request_without_a_run_is_noticed(data: Path, open_store: Opener) -> None:
    store = open_store()
    store.append([accepted("w1", idempotency_key="kw"), Conversation("s7").turn(answered=("w1",)),
                  accepted("w2", idempotency_key="kw2")])
    store.close()
    assert failed(data) == set()
    with duckdb.connect(str(data / "tables.duckdb")) as connection:
        connection.execute("DELETE FROM inbox")
        connection.execute("UPDATE idempotency SET turn = 'gone' WHERE message = 'w1'")
    assert {fault["id"] for fault in report(data)["completeness"]["faults"]} == {"gone", "w2"}
    assert failed(data, keys=False) == {"completeness"}


def test_a_message_that_a_frame_let_go_without_a_run_is_noticed(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([accepted("w1"), accepted("w2"), Conversation("s7").turn(answered=("w2",))])
    inbox = next(one for one in store._files.collections if one.name == "inbox")
    gone = Change(inbox.number, store._keyring.tenant("acme").tag, "w1", None)
    store._journal.append([store._ledger.body([gone])])
    store.close()
    found = report(tmp_path / "data")["completeness"]
    assert [(fault["what"], fault["id"]) for fault in found["faults"]] == [
        ("was let go without a run or a dead letter", "w1")]


@pytest.mark.parametrize("applied", [True, False])
def test_a_tool_call_of_a_finished_turn_without_an_outcome_is_noticed(open_store: Opener, tmp_path: Path,
                                                                       applied: bool) -> None:
    def call(number: int, turn: str) -> EffectReserved:
        return EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id=turn, tool="book",
                              key=f"e{number}", policy="IRREVERSIBLE")

    store, talk = open_store(), Conversation()
    store.append([call(1, "s1-t00000"), call(2, "s1-t00000"), call(3, "s1-t00001"), call(4, "later")])
    store.append([EffectSettled(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="s1-t00000", tool="book",
                                key="e1", status="ok")])
    store.append([talk.turn(), talk.turn(status="interrupted")])
    if applied:
        store.apply()
        store.checkpoint()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    if not applied:
        store.close()  # the copy has everything in its journal alone
        (tmp_path / "copy" / "tables.duckdb").unlink()
        assert report(tmp_path / "copy")["completeness"]["status"] == "not checkable"
        return
    found = report(tmp_path / "copy")["completeness"]
    assert [(fault["what"], fault["id"]) for fault in found["faults"]] == [
        ("began the call of book, and its outcome is not on record", "s1-t00000")]
    store.append([EffectSettled(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="s1-t00000", tool="book",
                                key="e2", status="unknown")])
    shutil.copytree(tmp_path / "data", tmp_path / "later")
    assert report(tmp_path / "later")["completeness"]["status"] == "pass"


def test_a_run_that_is_there_twice_or_a_message_answered_twice_is_noticed(open_store: Opener, tmp_path: Path) -> None:
    one, other = Conversation("s1"), Conversation("s2", session_key(person="bob"))
    data = forged(open_store, tmp_path, one.turn(answered=("m1",), run_id="same"),
                  other.turn(answered=("m1",), run_id="same"))
    assert {fault["id"] for fault in report(data)["completeness"]["faults"]} == {"same", "m1"}


def test_index_rows_that_say_otherwise_are_noticed(data: Path) -> None:
    with duckdb.connect(str(data / "tables.duckdb")) as connection:
        connection.execute("UPDATE runs SET risk = 'RED' WHERE id = 'acme-0-t00003'")
        connection.execute("UPDATE runs SET leaf = 77 WHERE id = 'acme-0-t00004'")
    found = report(data, keys=False)
    assert [fault["id"] for fault in found["bytes"]["faults"]] == ["acme-0-t00003"]
    assert [fault["id"] for fault in found["inclusion"]["faults"]] == ["acme-0-t00004"]


def test_a_machine_that_judged_is_noticed(open_store: Opener, tmp_path: Path) -> None:
    judged = msgspec.structs.replace(advisory(1), kind="promote", author="system:policy-1")
    data = forged(open_store, tmp_path, Conversation().turn(), more=[judged])
    assert [fault["id"] for fault in report(data)["references"]["faults"]] == ["a1"]


def test_advisories_that_do_not_hang_together_are_noticed(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation().turn(), advisory(1), advisory(2), advisory(3)])
    store.close()
    data = tmp_path / "data"
    day = next((data / "runs").glob("*.day"))
    whole = day.read_bytes()
    second = frames.scan(whole).frames[2]
    day.write_bytes(whole[:second.start] + whole[second.end:])
    found = report(data, keys=False)
    assert [fault["id"] for fault in found["references"]["faults"]] == ["a3"]


def rewritten_keys(data: Path, change: Any) -> None:
    """The keyring with other lines, as somebody would write it who has the directory."""
    path = data / "keys" / "keyring"
    content = path.read_bytes()
    lines, _ = read_lines(content, path)
    made = [one for one in map(change, lines) if one is not None]
    path.write_bytes(content[:frames.HEADER.size] + b"".join(
        frames.frame(number, number - 1, msgspec.msgpack.encode(line)) for number, line in enumerate(made, 1)))


def test_a_key_that_is_missing_without_an_erasure_or_there_after_one_is_noticed(data: Path) -> None:
    path = data / "keys" / "keyring"
    before = path.read_bytes()
    person = next(line for line in read_lines(before, path)[0] if line.kind == "person" and line.name)

    def gone(line: WrappedKey) -> WrappedKey | None:
        return msgspec.structs.replace(line, kind="gone", wrapped=b"") if line.id == person.id else line

    rewritten_keys(data, gone)
    assert [fault["what"] for fault in report(data, keys=False)["erasure"]["faults"]] == [
        "was destroyed without an erasure on record"]
    path.write_bytes(before)
    rewritten_keys(data, lambda line: None if line.id == person.id else line)
    assert [fault["what"] for fault in report(data, keys=False)["erasure"]["faults"]] == [
        "is missing from the keyring"]
    path.write_bytes(before)
    rewritten_keys(data, lambda line: msgspec.structs.replace(line, kind="person") if line.kind == "gone" else line)
    assert [fault["what"] for fault in report(data, keys=False)["erasure"]["faults"]] == [
        "was erased, and its key is still there"]


@pytest.mark.parametrize(("name", "check"), [
    ("keys/keyring", "erasure"), ("log/keys", "bytes"), ("tables.duckdb", "completeness")])
def test_damage_beside_the_entries_is_told_and_never_raises(data: Path, name: str, check: str) -> None:
    path = data / name
    path.write_bytes(b"\xff" + path.read_bytes()[1:50])
    found = report(data, keys=False)
    assert found["bytes"]["status"] == "fail"
    assert any(fault["file"] == name for fault in found["bytes"]["faults"])
    assert found[check]["status"] in ("fail", "not checkable")


def test_random_changes_of_the_audit_files_are_noticed_or_harmless(data: Path) -> None:
    """Single bits through checkpoints, key history and heads: never an exception, never a false pass of the log."""
    choice = random.Random(11)
    for name in ("log/checkpoints", "log/keys"):
        path = data / name
        whole = path.read_bytes()
        for _ in range(25):
            at = choice.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << choice.randrange(7)]) + whole[at + 1:])
            found = report(data, keys=False)
            assert {one["status"] for one in found.values()} <= {"pass", "fail", "not checkable"}
            assert found["inclusion"]["status"] == "pass"
        path.write_bytes(whole)
    assert failed(data) == set()


@pytest.mark.parametrize("keys", [True, False])
def test_a_keyring_with_a_changed_line_does_not_pass(data: Path, keys: bool) -> None:
    path = data / "keys" / "keyring"
    whole = path.read_bytes()
    lines = frames.scan(whole).frames
    for frame in (lines[len(lines) // 2], lines[-1]):
        for at in (frame.start, frame.end - 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
            found = report(data, keys=keys)["bytes"]
            assert found["status"] == "fail", at
            assert any(one["file"] == "keys/keyring" and one["offset"] == frame.start for one in found["faults"])
        path.write_bytes(whole[:frame.start])
        assert report(data, keys=keys)["bytes"]["status"] == "fail"


@pytest.mark.parametrize("keys", [True, False])
def test_a_journal_that_ends_before_what_was_acknowledged_does_not_pass(
        open_store: Opener, tmp_path: Path, keys: bool) -> None:
    store, talk = open_store(), Conversation()
    for turn in range(4):
        store.append([accepted(f"m{turn}"), talk.turn(answered=(f"m{turn}",))])
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "data", copy)
    assert failed(copy, keys=keys) == set()
    [segment] = (copy / "journal").glob("*.seg")
    content = segment.read_bytes()
    found = frames.scan(content).frames
    for end in (found[-1].start, found[-1].end - 3, found[2].start):
        segment.write_bytes(content[:end])
        assert "bytes" in failed(copy, keys=keys), end
    segment.unlink()
    assert "bytes" in failed(copy, keys=keys)


def test_a_session_that_was_put_back_to_an_earlier_state_is_noticed(open_store: Opener, tmp_path: Path) -> None:
    """The older state is sealed rightly, for the same row: only the chain tells that it is not the last one."""
    store, talks = open_store(), [Conversation(f"s{number}", session_key(person=f"p{number}")) for number in range(3)]
    store.append([talk.turn() for talk in talks])
    store.close()
    data, rows = tmp_path / "data", "SELECT state FROM sessions WHERE id = 's1'"
    with duckdb.connect(str(data / "tables.duckdb"), read_only=True) as connection:
        earlier = connection.execute(rows).fetchall()[0][0]
    store = open_store()
    store.append([talk.turn() for talk in talks])
    store.close()
    assert failed(data) == set()
    with duckdb.connect(str(data / "tables.duckdb")) as connection:
        connection.execute("UPDATE sessions SET state = ? WHERE id = 's1'", [earlier])
    found = report(data)["chain"]
    assert [(fault["id"], fault["what"]) for fault in found["faults"]] == [
        ("s1-t00001", "its session's state does not name it as the last run")]
    assert failed(data, keys=False) == set()
    with duckdb.connect(str(data / "tables.duckdb")) as connection:
        connection.execute("UPDATE sessions SET state = ? WHERE id = 's2'", [earlier])
    assert report(data)["bytes"]["faults"][0]["id"] == "s2"


def test_a_state_that_the_journal_alone_holds_is_compared_with_the_chain_as_well(
        open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    store.apply()
    store.checkpoint()
    older = talk.state
    store.append([talk.turn()])
    talk.state = msgspec.structs.replace(talk.state, previous_run=older.previous_run)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert failed(tmp_path / "copy") == set()
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=talk.state)])
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert failed(tmp_path / "copy") == {"chain"}
