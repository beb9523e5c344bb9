"""Fields of a profile go by their own age, from whatever the profile is when they do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ruche.storage.expiry import expired, trimmed, without
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.record import FieldsExpired, ProfileSaved
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation

DAY = 86_400_000


def value(text: str, days: int, *history: int) -> FieldValue:
    """A value that is so many days old, with earlier ones."""
    return FieldValue(value=text, source="user_provided", at_ms=NOW_MS - days * DAY,
                      history=tuple((f"before {one}", NOW_MS - one * DAY) for one in history))


def person(name: str = "ada", tenant: str = "acme", /, **fields: FieldValue) -> Profile:
    return Profile(interlocutor=name, tenant=tenant, fields=fields)


def test_a_field_that_is_older_than_its_days_goes_and_the_others_stay(open_store: Opener) -> None:
    store = open_store()
    store.append([ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=person(
        phone=value("old", 31), city=value("young", 29), name=value("kept for ever", 900)))])
    (stale,) = store.audit.stale_fields({"acme": {"phone": 30, "city": 30}}, NOW_MS)
    assert (stale.interlocutor, set(stale.fields)) == ("ada", {"phone"})
    store.append([stale])
    for _ in range(2):
        kept = store.tenant("acme").profile("ada")
        assert kept is not None
        assert set(kept.fields) == {"city", "name"}
        assert store.audit.stale_fields({"acme": {"phone": 30, "city": 30}}, NOW_MS) == []
        store.close()
        store = open_store()


def test_earlier_values_of_a_young_field_go_as_well(open_store: Opener) -> None:
    store = open_store()
    store.append([ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=person(city=value("now", 1, 10, 40)))])
    store.append(store.audit.stale_fields({"acme": {"city": 30}}, NOW_MS))
    kept = store.tenant("acme").profile("ada")
    assert kept is not None
    assert kept.fields["city"].history == (("before 10", NOW_MS - 10 * DAY),)


def test_what_was_learned_meanwhile_stays(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=person(phone=value("old", 31)))])
    (stale,) = store.audit.stale_fields({"acme": {"phone": 30}}, NOW_MS)
    fresh = person(phone=value("said again", 0), city=value("Bern", 0))
    store.append([talk.turn(profile=fresh), stale])
    assert store.tenant("acme").profile("ada") == fresh
    newer = person(phone=value("old", 31), city=value("Bern", 0))
    store.append([talk.turn(profile=newer), stale])
    kept = store.tenant("acme").profile("ada")
    assert kept is not None
    assert set(kept.fields) == {"city"}


def test_held_and_erased_persons_and_other_tenants_are_left_alone(open_store: Opener) -> None:
    store = open_store()
    for name, tenant in (("ada", "acme"), ("bob", "acme"), ("eve", "acme"), ("ada", "other")):
        store.append([ProfileSaved(tenant=tenant, at_ms=NOW_MS, profile=person(name, tenant, x=value("old", 99)))])
    store.audit.hold("acme", "bob", held=True, reason="case", by="counsel", at_ms=NOW_MS)
    store.audit.erase("acme", "eve", reason="asked", by="officer", at_ms=NOW_MS)
    found = store.audit.stale_fields({"acme": {"x": 30}, "nobody": {"x": 1}}, NOW_MS)
    assert [(one.tenant, one.interlocutor) for one in found] == [("acme", "ada")]


def test_an_unknown_person_has_nothing_that_could_go(open_store: Opener) -> None:
    store = open_store()
    store.append([FieldsExpired(tenant="acme", at_ms=NOW_MS, interlocutor="nobody", fields={"x": NOW_MS})])
    assert store.tenant("acme").profile("nobody") is None


ages = st.integers(0, 60)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(ages, st.lists(ages, max_size=3))),
       st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50)))
def test_nothing_too_old_is_left_and_nothing_young_goes(fields: dict[str, tuple[int, list[int]]],
                                                        days: dict[str, int]) -> None:
    before = person(**{name: value(name, age, *history) for name, (age, history) in fields.items()})
    limits = expired(before, days, NOW_MS)
    after = without(before, limits)
    assert expired(after, days, NOW_MS) == {}
    assert (after is before) == (not limits)
    for name, (age, history) in fields.items():
        kept = days.get(name, 10**6)
        assert (name in after.fields) == (age < kept)
        if name in after.fields:
            assert [at_ms for _, at_ms in after.fields[name].history] == [
                NOW_MS - one * DAY for one in history if one < kept]


def test_a_value_without_anything_old_is_itself() -> None:
    young = value("x", 1, 2, 3)
    assert trimmed(young, NOW_MS - 30 * DAY) is young
