"""Knowing that somebody is new without asking a table: never wrong about somebody who is not."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruche.storage.model.record import ProfileSaved
from ruche.storage.seats import bits, many_bits
from ruche.storage.sieve import Sieve
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted, profile, session_key

TOKENS = st.integers(-(1 << 63), (1 << 63) - 1)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.one_of(TOKENS, st.binary(min_size=32, max_size=32)), max_size=20), max_size=5))
def test_what_was_added_is_never_taken_for_missing(batches: list[list[int | bytes]]) -> None:
    sieve = Sieve()
    for batch in batches:
        sieve.add(many_bits(batch))
    assert all(sieve.may_hold(bits(value)) for batch in batches for value in batch)


def test_it_grows_without_losing_anything_and_stays_choosy() -> None:
    draw = random.Random(5)
    added = [draw.getrandbits(64) - (1 << 63) for _ in range(150_000)]
    sieve = Sieve()
    for start in range(0, len(added), 10_000):
        sieve.add(many_bits(added[start:start + 10_000]))
    assert all(sieve.may_hold(bits(value)) for value in added)
    wrong = sum(sieve.may_hold(draw.getrandbits(64)) for _ in range(10_000))
    assert wrong < 300, "more than 3 in 100 values that were never added look as if they had been"


def test_a_key_that_was_never_used_is_a_stranger_and_one_that_was_never_is(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    tenant = store.tenant("acme")
    assert tenant.stranger(session_key())
    talk = Conversation()
    store.append([accepted(), talk.turn()])
    assert not tenant.stranger(session_key()), "appended"
    assert tenant.stranger(session_key(person="bob"))
    assert store.tenant("other").stranger(session_key("other")), "another tenant's person of the same name"
    store.apply()
    assert not tenant.stranger(session_key()), "in the tables"
    store.close()
    again = open_store()
    assert not again.tenant("acme").stranger(session_key()), "after a restart"
    assert again.tenant("acme").stranger(session_key(person="bob"))


def test_a_person_with_a_profile_is_no_stranger_to_any_agent(open_store: Opener) -> None:
    store = open_store()
    store.append([ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=profile())])
    assert not store.tenant("acme").stranger(session_key(agent="another"))
    store.apply()
    assert not store.tenant("acme").stranger(session_key(agent="another"))


def test_nobody_is_a_stranger_while_the_user_hash_key_is_being_replaced(open_store: Opener) -> None:
    store = open_store()
    store.append([accepted(), Conversation().turn()])
    store.keys.rotate("users")
    assert not store.tenant("acme").stranger(session_key(person="bob"))
    while store.keys.step() is not None:
        pass
    assert not store.tenant("acme").stranger(session_key())
