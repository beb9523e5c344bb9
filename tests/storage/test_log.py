"""The audit log of a store: what is in it, in which order, how it is signed, and what happens when somebody changes it.
"""

from __future__ import annotations

import base64
import errno
import random
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import merkle
from ruche.storage.checkpoints import Checkpoint, PublicKey, Signer, read_checkpoint, read_note
from ruche.storage.datafiles import Limits
from ruche.storage.errors import IntegrityError, NotFound, StorageFull
from ruche.storage.evidence import Evidence
from ruche.storage.log import tenant_name, tenant_tag
from ruche.storage.notary import Notary, read_history, read_notes
from ruche.storage.platform import Disk
from ruche.storage.proofs import Head
from ruche.storage.store import Store
from ruche.storage.treefile import TreeFile, leaves_of
from ruche.storage.verifying import verify
from tests.storage.conftest import Opener
from tests.storage.disks import FailingSync
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, session_key
from tests.storage.test_store import advisory


def key_of(head: Head) -> PublicKey:
    return PublicKey.parse(head.keys[-1])


def talk_a_lot(store: Store, turns: int = 20) -> list[Conversation]:
    """Two tenants, four sessions, runs and advisories, applied now and then."""
    talks = [Conversation(f"{tenant}-{number}", session_key(tenant=tenant, person=f"p{number}"),
                          created_ms=NOW_MS + number * 86_400_000)
             for tenant in ("acme", "rival") for number in range(2)]
    for turn in range(turns):
        for talk in talks:
            store.append([accepted(f"m{turn}-{talk.state.id}", key=talk.key, session=talk.state.id), talk.turn()])
        if turn % 3 == 0:
            store.append([advisory(turn, run=f"acme-0-t{turn:05d}")])
        if turn % 7 == 0:
            store.apply()
    return talks


def heads(store: Store) -> list[tuple[int, str]]:
    return [(head.size, head.root) for head in map(store.audit.head, ("acme", "rival", "nobody"))]


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_every_run_and_advisory_of_a_tenant_is_proved_to_be_in_its_log(open_store: Opener) -> None:
    store = open_store()
    talk_a_lot(store)
    key = key_of(store.audit.head("acme"))
    seen = set()
    for run in store.tenant("acme").runs(limit=100).items:
        proof = store.audit.proof("acme", "run", run.id)
        assert proof is not None
        assert proof.holds(key)
        seen.add(proof.index)
    for number in range(0, 20, 3):
        proof = store.audit.proof("acme", "advisory", f"a{number}")
        assert proof is not None
        assert proof.holds(key)
        seen.add(proof.index)
    assert seen == set(range(47)) == set(range(store.audit.head("acme").size))


def test_a_proof_of_something_else_does_not_hold(open_store: Opener) -> None:
    store = open_store()
    talk_a_lot(store, 5)
    head = store.audit.head("acme")
    one, other = (store.audit.proof("acme", "run", f"acme-0-t0000{number}") for number in (1, 2))
    assert one is not None
    assert other is not None
    made = {name: getattr(other, name) for name in ("index", "leaf", "path", "size")}
    for name, value in made.items():
        if value != getattr(one, name):
            changed = {**{field: getattr(one, field) for field in one.__struct_fields__}, name: value}
            assert not type(one)(**changed).holds(key_of(head)), name
    assert not one.holds(Signer(bytes(32)).public)
    rivals = store.audit.head("rival").checkpoint
    assert not type(one)(**{**{field: getattr(one, field) for field in one.__struct_fields__},
                            "checkpoint": rivals}).holds(key_of(head))


def test_another_tenants_runs_are_not_in_the_log(open_store: Opener) -> None:
    """Security item 5: a proof is asked for by tenant."""
    store = open_store()
    talk_a_lot(store, 3)
    assert store.audit.proof("rival", "run", "acme-0-t00000") is None
    assert store.audit.proof("acme", "run", "rival-0-t00000") is None
    assert store.audit.proof("acme", "session", "acme-0") is None
    assert store.audit.head("nobody").size == 0


def test_the_order_is_that_of_the_journal_however_it_was_applied(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    talk_a_lot(store)
    indexes = {run.id: store.audit.proof("acme", "run", run.id) for run in store.tenant("acme").runs(limit=100).items}
    before = heads(store)
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    store = open_store()
    assert heads(store) == before
    for name, proof in indexes.items():
        again = store.audit.proof("acme", "run", name)
        assert proof is not None
        assert again is not None
        assert (again.index, again.leaf) == (proof.index, proof.leaf)


@pytest.mark.parametrize("lost", ["tables.duckdb", "log/*.tree", "log", "snapshots", "tables.duckdb log/*.tree"])
def test_what_is_derived_is_rebuilt_from_the_day_segments(open_store: Opener, tmp_path: Path, lost: str) -> None:
    store = open_store()
    talk_a_lot(store)
    before, key = heads(store), key_of(store.audit.head("acme"))
    store.close()
    for pattern in lost.split():
        for path in (tmp_path / "data").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    store = open_store()
    assert heads(store) == before
    proof = store.audit.proof("acme", "run", "acme-1-t00007")
    assert proof is not None
    assert proof.holds(key)


@pytest.mark.parametrize("lost", ["nothing", "tables", "trees", "days dropped"])
def test_runs_that_were_committed_together_are_entries_of_their_own(open_store: Opener, tmp_path: Path,
                                                                     lost: str) -> None:
    store, talk = open_store(limits=Limits(snapshot_bytes=1)), Conversation()
    for _ in range(3):
        by = talk.turn("said last", "the one reply")
        given_up = talk.turn("said first", "", status="superseded")
        store.append([msgspec.structs.replace(by, session=given_up.session, superseded=(given_up.run,))])
        shutil.copytree(tmp_path / "data", tmp_path / "fresh", dirs_exist_ok=True)
    store.apply()
    proofs = [store.audit.proof("acme", "run", f"s1-t{number:05d}") for number in range(6)]
    assert [proof.index for proof in proofs if proof] == list(range(6))
    if lost == "days dropped":
        store.audit.retain({"runs": 1}, NOW_MS + 5 * 86_400_000)
    head = store.audit.head("acme")
    store.close()
    if lost == "tables":
        (tmp_path / "data" / "tables.duckdb").unlink()
    if lost == "trees":
        for path in (tmp_path / "data" / "log").glob("*.tree"):
            path.unlink()
    for directory in (tmp_path / "data", tmp_path / "fresh"):
        found = verify(directory, Evidence(directory, StaticKey()), (), None)
        assert [check["faults"] for check in found["checks"] if check["name"] != "configuration"] == [()] * 9 or [
            check["faults"] for check in found["checks"] if check["name"] != "configuration"] == [[]] * 9
        again = open_store(directory, limits=Limits(snapshot_bytes=1))
        assert again.audit.head("acme").root == head.root
        if lost != "days dropped" or directory.name == "fresh":
            assert again.tenant("acme").verify_session("s1") == ("s1", 6, ())
            assert [run.status for run in again.tenant("acme").runs(session="s1", oldest_first=True).items] == [
                "complete", "superseded"] * 3


def test_a_copy_made_at_any_moment_comes_to_the_same_log(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    seen: list[Head] = []
    for turn in range(24):
        store.append([talk.turn()])
        if turn % 5 == 2:
            store.apply()
        if turn % 7 == 3:
            store.checkpoint()
        if turn % 4 == 1:
            shutil.copytree(tmp_path / "data", tmp_path / f"copy{turn}")
            copy = open_store(tmp_path / f"copy{turn}")
            seen.append(copy.audit.head("acme"))
            copy.close()
    for head in seen:
        later = store.audit.head("acme", since=head.size)
        assert merkle.verify_consistency(head.size, later.size, *[base64.b64decode(one) for one in (
            head.root, later.root)], [base64.b64decode(one) for one in later.consistency])


def test_consistency_is_not_proved_from_a_log_that_has_not_been(open_store: Opener) -> None:
    store = open_store()
    talk_a_lot(store, 2)
    with pytest.raises(NotFound, match="has not reached"):
        store.audit.head("acme", since=1000)


# --- when it is changed ----------------------------------------------------------------------------------------------


def test_a_log_that_was_rewritten_is_not_signed_again(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    talk_a_lot(store)
    store.audit.head("acme")
    store.close()
    tree = tmp_path / "data" / "log" / f"{tenant_name(store_tag(open_store))}.tree"
    content = bytearray(tree.read_bytes())
    content[-1] ^= 1
    content[5] ^= 1
    tree.write_bytes(bytes(content))
    store = open_store()
    with pytest.raises(IntegrityError, match="not the one that was signed"):
        store.audit.head("acme")
    store.append([Conversation("new").turn()])
    store.apply()
    store.checkpoint()
    assert "not the one that was signed" in store.health()["audit"]
    assert store.tenant("acme").run("acme-0-t00001") is not None


def store_tag(open_store: Opener) -> int:
    store = open_store()
    try:
        return store._keyring.tenant("acme").tag
    finally:
        store.close()


def test_a_forked_directory_gives_itself_away_by_its_checkpoints(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(6)])
    store.close()
    shutil.copytree(tmp_path / "data", tmp_path / "fork")
    store, fork = open_store(), open_store(tmp_path / "fork")
    store.append([talk.turn("one", "truth")])
    fork.append([Conversation("other").turn("another", "story"), Conversation("third").turn()])
    held, later = store.audit.head("acme"), fork.audit.head("acme", since=7)
    assert not merkle.verify_consistency(7, later.size, base64.b64decode(held.root), base64.b64decode(later.root),
                                         [base64.b64decode(one) for one in later.consistency])


def test_a_failed_sync_of_the_log_stops_writes(open_store: Opener) -> None:
    disk = FailingSync()
    store, talk = open_store(disk=disk), Conversation()
    store.append([talk.turn()])
    store.apply()
    store._files.days.sync()
    disk.failing = True
    with pytest.raises(Exception, match="audit log"):
        store.checkpoint()
    disk.failing = False
    with pytest.raises(Exception, match="stopped"):
        store.append([talk.turn()])


# --- signatures ------------------------------------------------------------------------------------------------------


def test_checkpoints_are_signed_when_the_tables_are_and_their_times_never_go_back(open_store: Opener,
                                                                                   tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    for _ in range(5):
        store.append([talk.turn()])
        store.apply()
        store.checkpoint()
        store.checkpoint()
    notes = [read_note(one) for one in read_notes(tmp_path / "data" / "log" / "checkpoints")]
    found = [read_checkpoint(note.text) for note in notes]
    assert [one.size for one in found] == [1, 2, 3, 4, 5]
    assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)
    assert {one.origin for one in found} == {f"ruche/{tenant_name(store._keyring.tenant('acme').tag)}"}
    key = read_history(tmp_path / "data" / "log" / "keys")[0].key
    assert all(note.signed_by(key) for note in notes)


def test_the_signing_key_is_the_same_after_a_restart_and_a_lost_history(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    first = store.audit.head("acme").keys
    store.close()
    (tmp_path / "data" / "log" / "keys").unlink()
    assert open_store().audit.head("acme").keys == first


def test_a_new_signing_key_is_vouched_for_by_the_one_before(tmp_path: Path) -> None:
    now = iter([5, 9, 9, 3])
    notary = Notary(tmp_path, lambda generation: bytes([generation]) * 32, lambda: next(now))
    old = notary.sign("ruche/a", 1, bytes(32))
    second = notary.renew()
    new = notary.sign("ruche/a", 2, bytes(32))
    keys = read_history(tmp_path / "keys")
    assert [line.key for line in keys] == [Signer(b"\1" * 32).public, second]
    assert read_note(old).signed_by(keys[0].key)
    assert read_note(new).signed_by(second)
    assert not read_note(new).signed_by(keys[0].key)
    assert read_checkpoint(read_note(new).text).at_ms == 9
    history = (tmp_path / "keys").read_text()
    forged = history.replace(second.text(), Signer(b"\7" * 32).public.text())
    (tmp_path / "keys").write_text(forged)
    with pytest.raises(IntegrityError, match="vouched"):
        read_history(tmp_path / "keys")


def test_a_renewed_signing_key_signs_from_now_on_and_what_was_signed_before_stays_good(open_store: Opener,
                                                                                      tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    before = store.audit.head("acme")
    renewed = store.audit.renew_signing_key()
    store.append([talk.turn()])
    after = store.audit.head("acme", since=1)
    assert read_note(after.checkpoint).signed_by(renewed)
    assert not read_note(after.checkpoint).signed_by(key_of(before))
    assert read_note(before.checkpoint).signed_by(PublicKey.parse(after.keys[0]))
    proof = store.audit.proof("acme", "run", "s1-t00000")
    assert proof is not None
    assert proof.holds(renewed)
    store.close()
    again = open_store()
    assert [line.key for line in again.audit.signing_keys] == [key_of(before), renewed]
    again.close()
    held = read_note(before.checkpoint)
    found = verify(tmp_path / "data", Evidence(tmp_path / "data", StaticKey()), [
        (read_checkpoint(held.text), held)], key_of(before))
    assert {check["name"]: check["status"] for check in found["checks"]}["authenticity"] == "pass"
    assert {check["name"]: check["status"] for check in found["checks"]}["append-only"] == "pass"


def test_a_signing_key_that_cannot_be_written_leaves_the_present_one(open_store: Opener) -> None:
    class Full(Disk):
        full = False

        def write_atomically(self, path: Path, content: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "no space left")
            super().write_atomically(path, content)

    disk, talk = Full(), Conversation()
    store = open_store(disk=disk)
    store.append([talk.turn()])
    key = key_of(store.audit.head("acme"))
    disk.full = True
    with pytest.raises(StorageFull):
        store.audit.renew_signing_key()
    store.append([talk.turn()])
    assert read_note(store.audit.head("acme").checkpoint).signed_by(key)
    disk.full = False
    assert read_note(store.audit.head("acme").checkpoint).signed_by(key)
    assert store.audit.renew_signing_key() != key


def test_many_checkpoints_are_thinned_to_one_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruche.storage.notary._LARGEST", 3000)
    now = [0]
    notary = Notary(tmp_path, lambda generation: bytes(32), lambda: now[0])
    for number in range(1, 40):
        now[0] += 8 * 3_600_000
        notary.sign("ruche/a", number, bytes(32))
        notary.sync()
    kept = [read_checkpoint(read_note(one).text) for one in read_notes(tmp_path / "checkpoints")]
    assert kept[-1].size == 39
    assert len(kept) < 30
    assert len({one.at_ms // 86_400_000 for one in kept}) == 14


@pytest.mark.parametrize("note", [
    "", "\n\n", "ruche/a\n1\n", "ruche/a\n1\nAAAA\n\n", "x\n\n\u2014 ruche AAAA\n", "x\n\n- ruche AAAAAAAAAA==\n",
    "x\n\n\u2014  AAAAAAAAAA==\n", "x\n\n\u2014 ruche\n", "x\n\n\u2014 ruche !!!!\n"])
def test_what_is_no_signed_note_is_refused(note: str) -> None:
    with pytest.raises(IntegrityError):
        read_note(note)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize("text", [
    "", "ruche/a\n", f"ruche/a\n-1\n{ROOT}\n", f"ruche/a\n01\n{ROOT}\n", f"ruche/a\n1\n{ROOT[:-4]}\n", "\n1\n" + ROOT,
    f"\n1\n{ROOT}\n", f"ruche/a\n\u0661\n{ROOT}\n", f"ruche/a\n1\n{ROOT}\ntime x\n", f"ruche/a\n1\n{ROOT}\ntime 1",
    f"ruche/a\n1\n{ROOT}\ntime 1\ntime 2\n", f"ruche/a\n{'9' * 30}\n{ROOT}\n"])
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match="not a checkpoint"):
        read_checkpoint(text)


@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32), st.integers(0, 10**17))
def test_a_checkpoint_is_read_as_it_was_written_and_any_change_is_noticed(size: int, root: bytes, at_ms: int) -> None:
    signer, made = Signer(bytes(range(32))), Checkpoint("ruche/a", size, root, at_ms)
    note = signer.note(made.text())
    assert read_checkpoint(read_note(note).text) == made
    assert read_note(note).signed_by(PublicKey.parse(signer.public.text()))
    other = signer.note(Checkpoint("ruche/a", size + 1, root, at_ms).text())
    mixed = read_note(other)._replace(signatures=read_note(note).signatures)
    assert not mixed.signed_by(signer.public)


@pytest.mark.parametrize("text", ["", "ruche", "ruche+00000000+AAAA", "ruche+zz+" + ROOT])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match="not a public key"):
        PublicKey.parse(text)


def test_notes_are_those_that_other_verifiers_of_signed_notes_read() -> None:
    """The published key pair, text and signature of golang.org/x/mod/sumdb/note."""
    public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    private = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signed = (f"{text}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
              "otpRZb6KE6RyyBwJnAM=\n")
    signer = Signer(private[1:], "PeterNeumann")
    assert signer.note(text) == signed
    assert signer.public.text() == public
    assert read_note(signed).signed_by(PublicKey.parse(public))


# --- the tree on disk ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), max_size=8), st.randoms(use_true_random=False))
def test_a_tree_file_is_the_tree_after_any_growing_and_cutting(steps: list[int], choice: random.Random) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path, leaves = Path(folder, "a.tree"), list[bytes]()
        tree = TreeFile(path, 0, Disk())
        for step in steps:
            fresh = [merkle.leaf_hash(choice.randbytes(4)) for _ in range(step)]
            tree.append(fresh)
            leaves += fresh
            if choice.random() < 0.4:
                leaves = leaves[:choice.randint(0, len(leaves))]
                tree.cut(len(leaves))
            if choice.random() < 0.4:
                tree.close()
                tree = TreeFile(path, len(leaves), Disk())
            assert (tree.size, tree.root()) == (len(leaves), merkle.root_of(leaves))
            assert merkle.root(tree.node, len(leaves)) == tree.root()
            assert leaves_of(path.read_bytes()) == leaves
        tree.close()


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_tenants_tag_and_its_name_in_files_are_one_to_one(tag: int) -> None:
    assert tenant_tag(tenant_name(tag)) == tag
    assert len(tenant_name(tag)) == 16
