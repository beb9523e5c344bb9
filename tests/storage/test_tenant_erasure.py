"""Erasing a tenant takes everything of everybody in it, and nothing of anybody else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from ruche.storage import auditing
from ruche.storage.auditor import Erasure
from ruche.storage.checkpoints import PublicKey
from ruche.storage.datafiles import Limits
from ruche.storage.errors import Conflict, Erased, NotFound
from ruche.storage.evidence import Evidence
from ruche.storage.model.record import AgentPublished, DraftSaved, PersonErased
from ruche.storage.store import Store
from ruche.storage.verifying import Result, Verifier
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, profile, session_key

PEOPLE = ("ada-canary", "bob-canary", "eve-canary")


def filled(store: Store) -> dict[str, Conversation]:
    """Three persons of `acme`, one of them with a message that waits, its agent and a draft; and one of `rival`."""
    talks = {}
    for tenant, people in (("acme", PEOPLE), ("rival", ("ada-canary",))):
        for person in people:
            talk = talks[f"{tenant}-{person}"] = Conversation(f"s-{tenant}-{person}", session_key(tenant, person))
            store.append([accepted(f"m-{person}", key=talk.key, session=talk.state.id),
                          talk.turn("canary-said", "canary-reply", answered=(f"m-{person}",),
                                    profile=profile(person, tenant, name="canary"))])
        store.append([AgentPublished(tenant=tenant, at_ms=NOW_MS, agent="desk", version=1, bundle=b"canary",
                                     hash=hashlib.sha256(b"canary").hexdigest()),
                      DraftSaved(tenant=tenant, at_ms=NOW_MS, agent="desk", revision=1, bundle=b"canary"),
                      accepted(f"w-{tenant}", key=session_key(tenant, people[0]), session=f"s-{tenant}-{people[0]}")])
    return talks


def erase(store: Store, tenant: str = "acme") -> list[Erasure]:
    return store.audit.erase_tenant(tenant, reason="contract ended", by="officer", at_ms=NOW_MS)


def is_gone(store: Store, talks: dict[str, Conversation]) -> None:
    view, other = store.tenant("acme"), store.tenant("rival")
    for person in PEOPLE:
        for read in (lambda name=person: view.session_by_id(f"s-acme-{name}"),
                     lambda name=person: view.run(f"s-acme-{name}-t00000")):
            with pytest.raises(Erased):
                read()
        assert view.profile(person) is None
    assert (view.runs().items, view.sessions().items, view.agents(), view.drafts()) == ((), (), [], [])
    assert [one.tenant for one in store.unanswered()] == ["rival"]
    assert [one.tenant for one in store.all_agents()] == ["rival"]
    assert other.session_by_id("s-rival-ada-canary") == talks["rival-ada-canary"].state
    assert other.profile("ada-canary") == profile("ada-canary", "rival", name="canary")
    assert other.verify_session("s-rival-ada-canary").ok


def test_everything_of_the_tenant_is_gone_and_the_other_tenant_is_as_it_was(open_store: Opener) -> None:
    """Security item 43."""
    store = open_store()
    talks = filled(store)
    erase(store)
    is_gone(store, talks)
    store.close()
    is_gone(open_store(), talks)


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "journalled"])
def test_an_erasure_that_a_crash_interrupts_is_finished_at_the_next_start(
        open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, applied: bool) -> None:
    store = open_store()
    talks = filled(store)
    if applied:
        store.apply()
    monkeypatch.setattr(store._feed, "apply_batch", _dies)
    with pytest.raises(KeyboardInterrupt):
        erase(store)
    shutil.copytree(tmp_path / "data", tmp_path / "left")
    monkeypatch.undo()
    is_gone(open_store(tmp_path / "left"), talks)


def _dies() -> int:
    raise KeyboardInterrupt


def test_the_proofs_name_every_key_in_parts_and_the_log_verifies(open_store: Opener, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_KEYS_A_ROW", 2)
    store = open_store(limits=Limits(checkpoint_bytes=1, snapshot_bytes=1))
    filled(store)
    before = store.audit.head("acme")
    keys = {key for person in (*PEOPLE, "") for key in store.audit.key_names("acme", person)}
    store.computed.put("vectors", b"of the agent")
    proofs = erase(store)
    assert len(proofs) == 2
    assert {key for one in proofs for key in one.keys} == keys
    assert all(one.proof.holds(PublicKey.parse(before.keys[0])) for one in proofs)
    assert [one.proof.index for one in proofs] == [before.size, before.size + 1]
    assert store.computed.get("vectors") is None
    store.checkpoint()
    store.close()
    kept = (tmp_path / "data" / "keys" / "keyring").read_bytes()
    assert not [key for key in keys if bytes.fromhex(key) in kept and _wrapped(tmp_path, key)]
    results = verified(tmp_path / "data")
    assert [name for name, one in results.items() if one.status == "fail" and name != "configuration"] == []
    assert results["erasure"].checked >= len(keys)


def verified(directory: Path) -> dict[str, Result]:
    """The checks by name; the runs of these tests name a configuration that is not kept."""
    return {one.name: one for one in Verifier(Evidence(directory, StaticKey())).results()}


def test_agents_of_an_erased_tenant_that_the_journal_still_has_are_no_fault(open_store: Opener,
                                                                           tmp_path: Path) -> None:
    store = open_store()
    store.append([accepted("m0")])
    store.apply()
    store.checkpoint()
    filled(store)
    erase(store)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    found = verified(tmp_path / "copy")
    assert {fault.what for fault in found["configuration"].faults} == {"names an agent version that is not kept"}
    assert [name for name, one in found.items() if one.status == "fail" and name != "configuration"] == []


def _wrapped(tmp_path: Path, key: str) -> bool:
    from ruche.storage.keyfile import read_lines

    path = tmp_path / "data" / "keys" / "keyring"
    return any(line.id.hex() == key and line.wrapped for line in read_lines(path.read_bytes(), path)[0])


def test_why_a_tenant_was_erased_stays_readable(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    (done,) = erase(store)
    collection = next(one for one in store._collections if one.name == "erasures")
    row = store._tables.get(collection, store._keyring.tenant("acme").tag, done.id)
    assert row is not None
    assert b"contract ended" in collection.open("record", row, store._keyring.opener)


def test_a_legal_hold_on_anybody_refuses_it_until_it_is_lifted(open_store: Opener) -> None:
    store = open_store()
    talks = filled(store)
    store.audit.hold("acme", "bob-canary", held=True, reason="case", by="officer", at_ms=NOW_MS)
    with pytest.raises(Conflict):
        erase(store)
    assert store.tenant("acme").profile("ada-canary") is not None
    erase(store, "rival")
    store.audit.hold("acme", "bob-canary", held=False, reason="closed", by="officer", at_ms=NOW_MS)
    erase(store)
    assert store.tenant("acme").session(talks["acme-ada-canary"].key) is None


def test_a_tenant_that_left_nothing_or_was_erased_already_cannot_be_erased(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    with pytest.raises(NotFound):
        erase(store, "nobody")
    store.audit.erase("acme", "ada-canary", reason="asked", by="officer", at_ms=NOW_MS)
    assert len(erase(store)) == 1
    with pytest.raises(NotFound):
        store.append([PersonErased(tenant="acme", at_ms=NOW_MS, interlocutor="bob-canary", reason="x", by="y")])


def test_a_tenant_that_comes_back_begins_anew(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    erase(store)
    back = Conversation("again", session_key("acme", "ada-canary"))
    store.append([accepted("m9", key=back.key, session="again"), back.turn(answered=("m9",)),
                  AgentPublished(tenant="acme", at_ms=NOW_MS, agent="desk", version=1, hash="h", bundle=b"new")])
    for _ in range(2):
        view = store.tenant("acme")
        assert view.session(back.key) == back.state
        assert [one.bundle for one in view.agents()] == [b"new"]
        assert view.verify_session("again").ok
        store.close()
        store = open_store()
