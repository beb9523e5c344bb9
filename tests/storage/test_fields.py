"""A stored model says how each of its fields is protected, or there is no such class."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest

from ruche.storage.collection import Collection
from ruche.storage.fields import Clear, Hash, Id, Protection, Sealed, SealedSearch, Stored, Token, bucket, declared
from ruche.storage.keyring import Tenant
from ruche.storage.policy import Policies, Policy, PolicyViolation
from ruche.storage.rows import MODELS, SessionRow
from ruche.storage.vault import DataKey
from tests.storage.conftest import Opener
from tests.storage.records import Conversation

ACME = Tenant("acme", b"a" * 32, 1, b"users-of-acme", b"tokens-of-acme")
OTHER = Tenant("other", b"b" * 32, 2, b"users-of-other", b"tokens-of-other")
KEY = DataKey(b"k" * 8, bytes(range(32)), ACME.hash, b"p" * 32)


class Visit(Stored, frozen=True, kw_only=True):
    table: ClassVar[str] = "visits"
    key: ClassVar[str] = "id"

    id: Clear[Id]
    person: Hash[str]
    place: Token[str]
    at_ms: Annotated[int, bucket(60_000)]
    mood: Clear[Literal["good", "bad"]]
    words: Sealed[bytes]
    notes: SealedSearch[bytes]


VISIT = Visit(id=Id("v1"), person="ada", place="garden", at_ms=61_234, mood="good", words=b"words of ada", notes=b"n")


def made(annotation: Any, key: str = "id", lookup: tuple[str, ...] = ()) -> type[Stored]:
    """A model with a key and one field of this annotation."""
    body = {"__annotations__": {"table": ClassVar[str], "key": ClassVar[str], "lookup": ClassVar[tuple[str, ...]],
                                "id": Clear[Id], "thing": annotation}, "table": "things", "key": key,
            "lookup": lookup, "__module__": __name__}
    metaclass: Any = type(Stored)
    model: type[Stored] = metaclass("Thing", (Stored,), body)
    return model


TWICE: Any = Annotated[Sealed[bytes], bucket(5)]


@pytest.mark.parametrize("annotation", [str, bytes, Clear[str], Clear[bytes], Clear[float], Sealed[str], Hash[bytes],
                                        Token[int], Annotated[str, bucket(10)], Annotated[str, "a remark"],
                                        TWICE])
def test_a_field_without_a_fitting_protection_makes_no_class(annotation: Any) -> None:
    with pytest.raises(TypeError, match="thing"):
        made(annotation)


@pytest.mark.parametrize("annotation", [Clear[Id], Clear[int], Clear[bool], Clear[Literal["a", "b"]], Hash[str],
                                        Token[str], Sealed[bytes], SealedSearch[bytes], Annotated[int, bucket(10)]])
def test_a_field_with_a_fitting_protection_makes_a_class(annotation: Any) -> None:
    assert [field.name for field in declared(made(annotation))] == ["id", "thing"]


def test_a_sealed_field_is_no_key_and_no_lookup() -> None:
    with pytest.raises(TypeError, match="key"):
        made(Sealed[bytes], key="thing")
    with pytest.raises(TypeError, match="lookup"):
        made(Sealed[bytes], lookup=("thing",))
    with pytest.raises(TypeError, match="key"):
        made(Clear[int], key="missing")


def test_a_bucket_of_one_is_refused() -> None:
    with pytest.raises(TypeError, match="bucket"):
        bucket(1)


def test_each_field_is_stored_as_it_is_declared() -> None:
    visits = Collection(Visit, 0)
    id_, person, place, at_ms, mood, words, notes = visits.protect(VISIT, ACME, KEY)
    assert (id_, at_ms, mood) == ("v1", 60_000, "good")
    assert isinstance(person, bytes)
    assert len(person) == 32
    assert isinstance(place, int)
    assert b"words" not in words
    assert b"ada" not in words
    assert len(notes) == 38
    shown = visits.reveal((id_, person, place, at_ms, mood, words, notes), ACME, lambda _: KEY)
    assert shown == {"id": "v1", "at_ms": 60_000, "mood": "good", "words": b"words of ada", "notes": b"n"}


def test_a_word_outside_a_closed_vocabulary_is_not_stored_in_clear(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    record = talk.turn()
    with pytest.raises(TypeError, match=r"runs\.risk") as caught:
        store.append([msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, risk="Ada is unwell"))])
    assert "Ada" not in str(caught.value)
    store.append([record])
    assert store.tenant("acme").run(record.run.id) == record.run


def test_tokens_and_hashes_differ_between_tenants_fields_and_tables() -> None:
    visits, things = Collection(Visit, 0), Collection(made(Token[str]), 1)
    place = visits.by_name["place"]
    tokens = {visits.stored(place, "x", ACME), visits.stored(place, "x", OTHER), visits.stored(place, "y", ACME),
              things.stored(things.by_name["thing"], "x", ACME)}
    assert len(tokens) == 4
    person = visits.by_name["person"]
    assert visits.stored(person, "ada", ACME) != visits.stored(person, "ada", OTHER)
    assert visits.stored(place, "x", ACME) == visits.stored(place, "x", ACME)


def test_every_shipped_model_seals_something_and_keeps_no_free_text_clear() -> None:
    for model in MODELS:
        protections = {field.protection for field in declared(model)}
        assert any(one.sealed for one in protections), model
        assert model.table != ""


def test_a_collection_without_a_policy_cannot_be_reached_and_the_try_is_counted() -> None:
    policies = Policies()
    with pytest.raises(PolicyViolation, match="no policy"):
        policies.allow(SessionRow, "reader")
    assert policies.violations == 1
    assert "SessionRow" in policies.recent[0]


def test_a_role_that_the_policy_does_not_list_is_refused() -> None:
    policies = Policies()
    policies.register(Policy(SessionRow, roles=frozenset({"auditor"})))
    assert policies.allow(SessionRow, "auditor").model is SessionRow
    with pytest.raises(PolicyViolation, match="reader"):
        policies.allow(SessionRow, "reader")


def test_a_policy_may_demand_a_protection() -> None:
    Policies().register(Policy(Visit, must=(("words", Protection.SEALED),)))
    with pytest.raises(TypeError, match=r"Visit\.place"):
        Policies().register(Policy(Visit, must=(("place", Protection.SEALED),)))
