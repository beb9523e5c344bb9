"""Erasing a person is real, is proved, leaves the log whole, and survives every crash."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ruche.storage.checkpoints import PublicKey
from ruche.storage.datafiles import Limits
from ruche.storage.errors import Conflict, Erased, NotFound, StorageFull
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import AdvisoryAdded, DeadLettered, EffectReserved, ProfileSaved
from ruche.storage.store import Store
from tests.storage.conftest import Opener
from tests.storage.disks import FullDisk
from tests.storage.records import NOW_MS, Conversation, accepted, profile, segment, session_key
from tests.storage.test_secrecy import _found

ADA = session_key(person="ada-canary")


def erase(store: Store, person: str = "ada-canary", tenant: str = "acme") -> Any:
    return store.audit.erase(tenant, person, reason="asked for it", by="officer", at_ms=NOW_MS)


def told(store: Store) -> tuple[Conversation, Conversation]:
    """Ada told everything there is; bob is there as well."""
    ada, bob = Conversation("s1", ADA), Conversation("s2", session_key(person="bob"))
    store.append([accepted("m1", key=ADA, text="canary-said", idempotency_key="k"),
                  accepted("m2", key=ADA, text="canary-waiting", idempotency_key="k2"),
                  ada.turn("canary-said", "canary-reply", answered=("m1",), profile=profile("ada-canary", x="canary"),
                           outbox=(OutboxItem(id="o1", kind="webhook", target="https://x.example", at_ms=NOW_MS),)),
                  bob.turn("hello", "Good day.", profile=profile("bob")),
                  segment("t9", 1, "canary-segment", key=ADA),
                  EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="t1", tool="x", key="e1",
                                 policy="PURE"),
                  AdvisoryAdded(tenant="acme", at_ms=NOW_MS, id="a1", run_id="s1-t00000", kind="note", author="eve",
                                body={"text": "canary-note"}),
                  DeadLettered(tenant="acme", at_ms=NOW_MS, key=ADA, message=accepted("m7", key=ADA).message,
                               reason="canary-reason")])
    return ada, bob


def is_gone(store: Store) -> None:
    """Nothing of Ada's can be read by anybody, her ids say so, and bob is as he was."""
    view = store.tenant("acme")
    for read in (lambda: view.session_by_id("s1"), lambda: view.run("s1-t00000"),
                 lambda: view.canonical_run("s1-t00000")):
        with pytest.raises(Erased) as caught:
            read()
        assert caught.value.status == 410
    assert view.session(ADA) is None
    assert view.profile("ada-canary") is None
    assert view.idempotent("ada-canary", "k") is None
    assert view.effect("e1") is None
    assert [view.events("s1"), view.segments("t9"), view.dead_letters(), view.advisories("s1-t00000")] == [[]] * 4
    assert store.unanswered() == []
    assert store.outbox() == []
    assert [state.id for state in view.sessions().items] == ["s2"]
    assert view.sessions(interlocutor="ada-canary").items == ()
    assert [run.id for run in view.runs().items] == ["s2-t00000"]
    assert view.profile("bob") == profile("bob")
    assert view.verify_session("s1") == ("s1", 1, ())
    assert view.verify_session("s2") == ("s2", 1, ())


def test_an_erased_person_is_gone_from_every_read_before_and_after_a_restart(open_store: Opener) -> None:
    """Security item 43."""
    store = open_store()
    told(store)
    erase(store)
    is_gone(store)
    store.close()
    is_gone(open_store())


def test_the_destroyed_key_is_in_no_file_and_no_word_either(open_store: Opener, tmp_path: Path) -> None:
    """Security item 43: key and canary are searched for in every file after the erasure and a checkpoint."""
    store = open_store(limits=Limits(checkpoint_bytes=1, snapshot_bytes=1))
    told(store)
    store.apply()
    (key,) = store._keyring.key_ids("acme", "ada-canary")
    line = store._keyring.lines.get(key)
    assert line is not None
    wrapped, raw = line.wrapped, store._keyring.lines.unwrap(line)
    erase(store)
    store.checkpoint()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if wrapped in path.read_bytes() or raw in path.read_bytes()
                or wrapped[12:] in path.read_bytes()]
    assert set(_found(tmp_path / "data").values()) == {0}
    store.close()
    assert set(_found(tmp_path / "data").values()) == {0}


def test_the_erasure_is_proved_and_the_log_goes_on_from_what_it_was(open_store: Opener) -> None:
    store = open_store()
    told(store)
    before = store.audit.head("acme")
    run = store.audit.proof("acme", "run", "s1-t00000")
    done = erase(store)
    key = PublicKey.parse(before.keys[0])
    assert done.proof.holds(key)
    assert done.proof.kind == "erasure"
    assert done.proof.index == before.size
    assert done.complete_ms == NOW_MS + 30 * 86_400_000
    assert store.audit.head("acme", since=before.size).size == before.size + 1
    again = store.audit.proof("acme", "run", "s1-t00000")
    assert run is not None
    assert again is not None
    assert (again.leaf, again.index) == (run.leaf, run.index)
    assert again.holds(key)
    assert store.audit.erasure("acme", done.id) == done
    with pytest.raises(NotFound):
        store.audit.erasure("rival", done.id)


def test_a_person_who_comes_back_begins_anew(open_store: Opener) -> None:
    store = open_store()
    told(store)
    first = erase(store).id
    back = Conversation("s3", ADA)
    store.append([accepted("m9", key=ADA, session="s3", idempotency_key="k"), back.turn(answered=("m9",)),
                  ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=profile("ada-canary", y="new"))])
    for _ in range(2):
        view = store.tenant("acme")
        assert view.session(ADA) == back.state
        assert view.profile("ada-canary") == profile("ada-canary", y="new")
        assert view.idempotent("ada-canary", "k") is not None
        assert [state.id for state in view.sessions(interlocutor="ada-canary").items] == ["s3"]
        with pytest.raises(Erased):
            view.session_by_id("s1")
        store.apply()
    assert erase(store).keys != (first,)
    with pytest.raises(Erased):
        store.tenant("acme").session_by_id("s3")


def test_every_generation_of_a_persons_keys_is_destroyed(open_store: Opener) -> None:
    store = open_store()
    told(store)
    ring = store._keyring
    (first,) = ring.key_ids("acme", "ada-canary")
    line = ring.lines.get(first)
    assert line is not None
    ring.succeed(line)
    store.append([accepted("m5", key=ADA, text="canary")])
    done = erase(store)
    assert len(done.keys) == 2
    for key in done.keys:
        with pytest.raises(Erased):
            ring.opener(bytes.fromhex(key))
    is_gone(store)


def test_somebody_who_left_nothing_cannot_be_erased(open_store: Opener) -> None:
    store = open_store()
    told(store)
    for tenant, person in (("acme", "nobody"), ("rival", "ada-canary")):
        with pytest.raises(NotFound):
            erase(store, person, tenant)
    assert store.tenant("acme").session_by_id("s1") is not None
    erase(store)
    with pytest.raises(NotFound):
        erase(store)


def test_a_legal_hold_refuses_the_erasure_until_it_is_lifted(open_store: Opener) -> None:
    store = open_store()
    told(store)
    store.audit.hold("acme", "ada-canary", held=True, reason="trial", by="counsel", at_ms=NOW_MS)
    for _ in range(2):
        with pytest.raises(Conflict, match="hold"):
            erase(store)
        store.apply()
    store.close()
    store = open_store()
    with pytest.raises(Conflict, match="hold"):
        erase(store)
    store.audit.hold("acme", "ada-canary", held=False, reason="over", by="counsel", at_ms=NOW_MS)
    erase(store)
    is_gone(store)


@pytest.mark.parametrize("moment", ["appended", "destroyed", "applied", "checkpointed"])
@pytest.mark.parametrize("lost", ["", "tables.duckdb"])
def test_an_erasure_that_a_crash_interrupts_is_finished_at_the_next_start(open_store: Opener, tmp_path: Path,
                                                                          moment: str, lost: str) -> None:
    store = open_store()
    told(store)
    if moment in ("appended", "destroyed"):
        keys = store._keyring.key_ids("acme", "ada-canary")
        store.append([_erased()])
        if moment == "destroyed":
            store._keyring.shred(keys)
    else:
        erase(store)
        if moment == "checkpointed":
            store.checkpoint()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    if lost:
        (tmp_path / "copy" / lost).unlink()
    again = open_store(tmp_path / "copy")
    is_gone(again)
    assert again.audit.head("acme").size == 4
    again.close()
    is_gone(open_store(tmp_path / "copy"))


def _erased() -> Any:
    from ruche.storage.model.record import PersonErased

    return PersonErased(tenant="acme", at_ms=NOW_MS, interlocutor="ada-canary", reason="asked", by="officer")


def test_without_room_the_erasure_is_on_record_and_takes_effect_when_there_is_some(open_store: Opener) -> None:
    disk = FullDisk()
    store = open_store(disk=disk)
    told(store)
    store.apply()
    store.append([_erased()])
    disk.room = 10
    with pytest.raises(StorageFull):
        store.apply()
    disk.room = None
    store.apply()
    is_gone(store)


def test_what_a_running_session_still_writes_after_an_erasure_is_refused_or_unreadable(open_store: Opener) -> None:
    store = open_store()
    told(store)
    erase(store)
    with pytest.raises(Erased):
        store.append([EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="t1", tool="x", key="e2",
                                     policy="PURE")])
    with pytest.raises(Erased):
        store.append([AdvisoryAdded(tenant="acme", at_ms=NOW_MS, id="a2", run_id="s1-t00000", kind="note",
                                    author="eve")])
    assert store.tenant("acme").effect("e2") is None
