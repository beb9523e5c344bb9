"""The audit log of a store: what is in it, in which order, how it is signed, and what happens when somebody changes it.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import msgspec
import pytest

from ruche.storage import merkle
from ruche.storage.checkpoints import PublicKey, Signer
from ruche.storage.datafiles import Limits
from ruche.storage.errors import IntegrityError, NotFound
from ruche.storage.evidence import Evidence
from ruche.storage.log import tenant_name
from ruche.storage.proofs import Head
from ruche.storage.store import Store
from ruche.storage.verifying import verify
from tests.storage.conftest import Opener
from tests.storage.disks import FailingSync
from tests.storage.records import NOW_MS, Conversation, StaticKey
from tests.storage.talks import talk_a_lot


def key_of(head: Head) -> PublicKey:
    return PublicKey.parse(head.keys[-1])


def heads(store: Store) -> list[tuple[int, str]]:
    return [(head.size, head.root) for head in map(store.audit.head, ("acme", "rival", "nobody"))]


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
