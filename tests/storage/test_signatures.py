"""Checkpoints are signed by a key that lasts, is vouched for when it is renewed, and are read by other verifiers."""

from __future__ import annotations

import base64
import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage.checkpoints import Checkpoint, PublicKey, Signer, read_checkpoint, read_note
from ruche.storage.errors import IntegrityError, StorageFull
from ruche.storage.evidence import Evidence
from ruche.storage.log import tenant_name
from ruche.storage.notary import Notary, read_history, read_notes
from ruche.storage.platform import Disk
from ruche.storage.proofs import Head
from ruche.storage.verifying import verify
from tests.storage.conftest import Opener
from tests.storage.records import Conversation, StaticKey


def key_of(head: Head) -> PublicKey:
    return PublicKey.parse(head.keys[-1])


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
