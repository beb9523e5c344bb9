"""Sealed blobs open in their own place with their own key, and nowhere else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import vault
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.keyring import Keyring
from ruche.storage.vault import OVERHEAD, Column, DataKey, Place, Vault

PLACE = Place(tenant="acme", person="ada", table="sessions", row="s1", column="state", schema=1)
KEY = DataKey(b"k" * 8, bytes(range(32)), b"t" * 32, b"p" * 32)
COLUMN = Column.of("sessions", "state", 1)


@pytest.fixture
def chest(tmp_path: Path) -> Vault:
    return Vault(Keyring(tmp_path / "keyring", os.urandom(32)))


def test_what_is_sealed_opens_in_its_place(chest: Vault) -> None:
    blob = chest.seal(b"secret words", PLACE)
    assert b"secret" not in blob
    assert chest.open_sealed(blob, PLACE) == b"secret words"


def test_a_blob_is_version_key_id_nonce_ciphertext_and_tag() -> None:
    blob = KEY.seal(b"12345", COLUMN, b"row")
    assert len(blob) == OVERHEAD + 5
    assert blob[:1] == b"\x01"
    assert vault.key_id(blob) == b"k" * 8


@pytest.mark.parametrize("elsewhere", [{"tenant": "other"}, {"person": "bob"}, {"table": "people"}, {"row": "s2"},
                                       {"column": "profile"}, {"schema": 2}])
def test_a_blob_moved_elsewhere_does_not_open(chest: Vault, elsewhere: dict[str, str | int]) -> None:
    """Security item 5: associated data binds tenant, person, table, row, column and version."""
    place = Place(**{**{name: getattr(PLACE, name) for name in PLACE.__struct_fields__}, **elsewhere})
    blob = chest.seal(b"secret words", PLACE)
    chest.seal(b"makes the other key", place)
    with pytest.raises(IntegrityError):
        chest.open_sealed(blob, place)


@given(st.binary(max_size=200), st.data())
def test_any_flipped_bit_is_noticed(data: bytes, draw: st.DataObject) -> None:
    blob = bytearray(KEY.seal(data, COLUMN, b"row"))
    place = draw.draw(st.integers(0, len(blob) * 8 - 1))
    blob[place // 8] ^= 1 << place % 8
    with pytest.raises(IntegrityError):
        KEY.open(bytes(blob), COLUMN, b"row")


@given(st.binary(max_size=OVERHEAD + 20))
def test_bytes_that_are_no_blob_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        KEY.open(data, COLUMN, b"row")


@given(st.tuples(st.text(max_size=4), st.text(max_size=4)), st.tuples(st.text(max_size=4), st.text(max_size=4)))
def test_no_two_places_share_their_associated_data(one: tuple[str, str], two: tuple[str, str]) -> None:
    same = Column.of(*one, 1).place == Column.of(*two, 1).place
    assert same == (one == two)


@given(st.lists(st.tuples(st.binary(max_size=50), st.binary(min_size=1, max_size=5)), max_size=70))
def test_a_batch_seals_like_one_by_one(rows: list[tuple[bytes, bytes]]) -> None:
    blobs = KEY.seal_batch(rows, COLUMN)
    assert [KEY.open(blob, COLUMN, row) for blob, (_, row) in zip(blobs, rows, strict=True)] == [d for d, _ in rows]


def test_no_nonce_is_drawn_twice_by_threads() -> None:
    """Security item 41: a nonce is never used again."""
    drawn: list[bytes] = []
    threads = [threading.Thread(target=lambda: drawn.extend([vault.nonce() for _ in range(20_000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == len(set(drawn)) == 80_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_draws_other_nonces() -> None:
    """Security item 41: also across a fork."""
    vault.nonce()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(vault.nonce() for _ in range(300)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 3600)
    ours = {vault.nonce() for _ in range(300)}
    assert len(theirs) == 3600
    assert ours.isdisjoint(theirs[at:at + 12] for at in range(0, 3600, 12))


def test_a_person_is_hashed_apart_in_every_tenant(chest: Vault) -> None:
    assert len(chest.hmac_user("acme", "ada")) == 32
    assert chest.hmac_user("acme", "ada") == chest.hmac_user("acme", "ada")
    assert chest.hmac_user("acme", "ada") != chest.hmac_user("other", "ada")


@pytest.mark.parametrize("key", [b"", b"short", bytes(31), bytes(33), bytes(32), b"\xff" * 32])
def test_a_key_of_wrong_length_or_a_placeholder_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="root key"):
        vault.check_key(key, "here")


def test_keys_for_different_purposes_differ() -> None:
    assert vault.derive(b"x" * 32, "one") != vault.derive(b"x" * 32, "two")
    assert len(vault.derive(b"x" * 32, "one")) == 32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_random_bytes_are_as_many_as_asked_for_and_others_in_a_forked_child() -> None:
    assert [len(vault.random_bytes(count)) for count in (1, 10, 16, 17, 100)] == [1, 10, 16, 17, 100]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(vault.random_bytes(16) for _ in range(300)))
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 300 * 16)
    theirs = {told[at:at + 16] for at in range(0, len(told), 16)}
    ours = {vault.random_bytes(16) for _ in range(300)}
    assert len(theirs) == len(ours) == 300
    assert not theirs & ours
