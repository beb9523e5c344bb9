"""Values for fields are found by type, never guessed, and checked before they are known."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.candidates import Candidate, Place, Source, Wanted
from ruche.engine.brain.dates import find_dates
from ruche.engine.brain.extract import extract
from ruche.engine.brain.fields import CompiledField, compile_field, fault_of
from ruche.engine.brain.numbers import find_numbers
from ruche.engine.brain.signals import read_signals, words_of
from ruche.engine.brain.spelling import distance
from ruche.engine.brain.times import find_times
from ruche.storage.model.field import InterlocutorField

FRIDAY = date(2026, 11, 20)
FIELDS = {field.name: compile_field(field) for field in (
    InterlocutorField(name="email", type="email"), InterlocutorField(name="phone", type="phone"),
    InterlocutorField(name="check_in", type="date"), InterlocutorField(name="check_out", type="date"),
    InterlocutorField(name="pickup_time", type="time"), InterlocutorField(name="budget", type="money"),
    InterlocutorField(name="party_size", type="number", examples=("a table for 4 people",)),
    InterlocutorField(name="smoker", type="boolean"), InterlocutorField(name="full_name"),
    InterlocutorField(name="room", allowed=("single", "double", "suite", "sea view")),
    InterlocutorField(name="order_id", pattern=r"[A-Z]{2}-\d{4}"))}


def found(text: str, asked: tuple[str, ...] = (), opened: tuple[str, ...] = ()) -> dict[str, Any]:
    """Field to value, with every other field of FIELDS unknown."""
    return {one.field: one.value for one in candidates(text, asked, opened)}


def candidates(text: str, asked: tuple[str, ...] = (), opened: tuple[str, ...] = ()) -> tuple[Candidate, ...]:
    def pick(names: tuple[str, ...]) -> tuple[CompiledField, ...]:
        return tuple(FIELDS[name] for name in names)

    words = words_of(text.lower())
    source = Source(text=text, lower=text.lower(), words=words, answer=read_signals(words, "en").answer,
                    statement=not text.endswith("?"), place=Place(today=FRIDAY, month_first=False, region="GB"))
    rest = tuple(name for name in FIELDS if name not in (*asked, *opened))
    return extract(source, Wanted(asked=pick(asked), open=pick(opened), others=pick(rest)))


@pytest.mark.parametrize(("text", "day"), [
    ("on 3/5/2027", "2027-05-03"), ("2026-12-01", "2026-12-01"), ("01.12.2026", "2026-12-01"),
    ("3 may", "2027-05-03"), ("may 3rd, 2028", "2028-05-03"), ("the 3rd of may", "2027-05-03"),
    ("le 14 juillet", "2027-07-14"), ("am 3. mai 2027", "2027-05-03"), ("today", "2026-11-20"),
    ("tomorrow", "2026-11-21"), ("the day after tomorrow", "2026-11-22"), ("yesterday", "2026-11-19"),
    ("on monday", "2026-11-23"), ("next friday", "2026-11-27"), ("friday", "2026-11-20"), ("last monday", "2026-11-16"),
    ("in two weeks", "2026-12-04"), ("in a month", "2026-12-20"), ("5 days ago", "2026-11-15"),
    ("next week", "2026-11-27"),
    ("monday next week", "2026-11-23"), ("next week on friday", "2026-11-27"),
    ("the 5th", "2026-12-05"), ("29 february", "2028-02-29")])
def test_a_date_is_read_relative_to_the_given_day(text: str, day: str) -> None:
    assert [value for _, _, value in find_dates(text, FRIDAY, month_first=False)] == [day]


@pytest.mark.parametrize("text", ["may 10th to 26th", "from may 10 until the 26th", "10 may - 26 may"])
def test_a_range_of_days_is_two_dates(text: str) -> None:
    assert [value for _, _, value in find_dates(text, FRIDAY, month_first=False)] == ["2027-05-10", "2027-05-26"]


def test_a_range_of_bare_days_begins_with_the_next_such_day_and_may_cross_a_month() -> None:
    assert [day for _, _, day in find_dates("25th-4th", FRIDAY, month_first=False)] == ["2026-11-25", "2026-12-04"]


def test_an_american_agent_reads_the_month_first() -> None:
    assert find_dates("3/5", FRIDAY, month_first=True)[0][2] == "2027-03-05"
    assert find_dates("25/5", FRIDAY, month_first=True)[0][2] == "2027-05-25"


@pytest.mark.parametrize("text", ["31 february", "2026-13-01", "i may go", "version 2.5", "from 3-4", "00/00",
                                  "99/99/99"])
def test_what_is_no_date_is_not_read_as_one(text: str) -> None:
    assert find_dates(text, FRIDAY, month_first=False) == []


@pytest.mark.parametrize(("text", "time"), [
    ("14:30", "14:30"), ("2:30 pm", "14:30"), ("2pm", "14:00"), ("12 am", "00:00"), ("12 pm", "12:00"),
    ("noon", "12:00"), ("midnight", "00:00"), ("half past 7", "07:30"), ("quarter to five pm", "16:45"),
    ("seven o'clock", "07:00"), ("14h30", "14:30"), ("18 uhr", "18:00"), ("can I come at 10 for a filling", "10:00"),
    ("tomorrow at ten thirty", "10:30"), ("um 7 geweckt werden", "07:00"), ("nein, um halb acht", "07:30"),
    ("viertel vor neun", "08:45"), ("a las ocho y media", "08:30"), ("à huit heures", "08:00"),
    ("at 8 tonight", "20:00"), ("um 7 uhr abends", "19:00"), ("half past seven in the evening", "19:30")])
def test_a_time_of_day_is_read(text: str, time: str) -> None:
    assert [value for _, _, value in find_times(text)] == [time]


@pytest.mark.parametrize("text", ["at 10 downing street", "i pay at 5 dollars", "um 10 euro teurer", "at 1,000",
                                  "at 20.11.2026", "at last", "at one thousand"])
def test_what_is_no_time_of_day_is_not_read_as_one(text: str) -> None:
    assert find_times(text) == []


@pytest.mark.parametrize(("text", "numbers"), [
    ("einen tisch für zwei", [2]), ("une table pour deux", [2]), ("eine person", [1]), ("un", [1])])
def test_a_word_that_is_an_article_too_counts_only_where_nothing_else_does(text: str, numbers: list[float]) -> None:
    assert [value for _, _, value in find_numbers(text)] == numbers


@pytest.mark.parametrize("text", ["born 1 May 1980", "call me at 020 7946 0123", "it is 2026-11-20"])
def test_part_of_a_date_or_of_a_telephone_number_is_no_code(text: str) -> None:
    code = compile_field(InterlocutorField(name="last_digits", pattern="[0-9]{4}"))
    source = Source(text=text, lower=text.lower(), words=words_of(text.lower()), answer="", statement=True,
                    place=Place(today=FRIDAY, region="GB"))
    assert extract(source, Wanted(asked=(code,))) == ()
    assert extract(msgspec.structs.replace(source, text="1980, please", lower="1980, please"),
                   Wanted(asked=(code,)))[0].value == "1980"


def test_a_time_is_not_taken_for_the_number_that_was_asked_for() -> None:
    room = compile_field(InterlocutorField(name="room", type="number"))
    moment = compile_field(InterlocutorField(name="moment", type="time"))
    text = "at half past seven, room 311"
    source = Source(text=text, lower=text, words=words_of(text), answer="", statement=True, place=Place(today=FRIDAY))
    assert {one.field: one.value for one in extract(source, Wanted(asked=(room,), open=(moment,)))} == {
        "moment": "07:30", "room": 311}


def test_the_words_of_an_example_announce_a_number_on_their_own_side_only() -> None:
    people = compile_field(InterlocutorField(name="people", type="number", examples=("for four",)))
    assert (people.cues_before, people.cues_after) == (frozenset({"for"}), frozenset())

    def read(text: str) -> list[Any]:
        source = Source(text=text, lower=text, words=words_of(text), answer="", statement=True,
                        place=Place(today=FRIDAY))
        return [one.value for one in extract(source, Wanted(open=(people,)))]

    assert (read("a table for 4"), read("gate 7 for everybody"), read("4 people")) == ([4], [], [4])


@pytest.mark.parametrize(("text", "number"), [
    ("4", 4), ("twenty-five", 25), ("two hundred and six", 206), ("a dozen", 12), ("1,234.50", 1234.5), ("12,5", 12.5),
    ("1.234,56", 1234.56), ("5k", 5000), ("three million", 3_000_000), ("a couple", 2), ("zwölf", 12), ("-3", -3)])
def test_a_number_is_read_from_digits_and_words(text: str, number: float) -> None:
    assert [value for _, _, value in find_numbers(text)] == [number]


@given(st.integers(min_value=0, max_value=999_999))
def test_every_whole_number_with_separators_is_read_back(number: int) -> None:
    assert [value for _, _, value in find_numbers(f"about {number:,} of them")] == [number]


def test_one_message_fills_fields_of_several_types_and_no_character_twice() -> None:
    text = "Two people from december 3 to december 7, a suite at 7pm, $120, mail Bob@Example.COM, AB-1234"
    assert found(text, opened=("party_size",)) == {
        "party_size": 2, "check_in": "2026-12-03", "check_out": "2026-12-07", "room": "suite", "pickup_time": "19:00",
        "budget": {"amount": 120, "currency": "USD"}, "email": "Bob@example.com", "order_id": "AB-1234"}
    spans = sorted((one.start, one.end) for one in candidates(text))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_single_date_is_not_shared_out_where_two_fields_could_take_it() -> None:
    assert "check_in" not in found("december 3")
    assert found("december 3", opened=("check_in", "check_out")) == {"check_in": "2026-12-03"}


def test_telephone_numbers_become_international_ones() -> None:
    assert found("call me at 020 7031 3000 please")["phone"] == "+442070313000"
    assert found("+1 650-253-0000")["phone"] == "+16502530000"
    assert "phone" not in found("my order is 12345678901234")


@pytest.mark.parametrize(("said", "room"), [("a suite", "suite"), ("doubel", "double"), ("Sea  View", "sea view"),
                                            ("see view", "sea view"), ("something", None)])
def test_an_allowed_value_is_forgiven_a_small_slip_only_when_it_was_asked_for(said: str, room: str | None) -> None:
    assert found(said, asked=("room",)).get("room") == room


def test_a_slip_is_not_forgiven_in_passing() -> None:
    assert "room" not in found("my doubel order")


@pytest.mark.parametrize(("said", "name"), [
    ("It's Ada Lovelace, thanks", "Ada Lovelace"), ("ada lovelace", "ada lovelace"), ("My name is Ada", "Ada"),
    ("Hi, my name is Ada.", "Ada"), ("Ich heiße Änne Öz", "Änne Öz")])
def test_a_name_that_was_asked_for_is_taken_without_its_lead_in(said: str, name: str) -> None:
    assert found(said, asked=("full_name",))["full_name"] == name


@pytest.mark.parametrize(("said", "name"), [
    ("My name is Alexis. I want to reserve a room.", "Alexis"),
    ("My name is john and I need to see my doctor", "john"),
    ("Angela is my name and I want to check my balance", "Angela"),
    ("I need a table, my name's Omar Sy please", "Omar Sy"),
    ("Could you help? My name is Dr. Rosa de Luca, from Bern", "Dr. Rosa de Luca")])
def test_a_name_is_heard_wherever_it_is_introduced(said: str, name: str) -> None:
    assert found(said)["full_name"] == name


@pytest.mark.parametrize(("said", "name"), [
    ("I'm Angela and I'd like to book a hotel", "Angela"), ("Hi, this is Ben, I want to know where my ride is", "Ben"),
    ("Hello! I am Lena Brandt from Ulm.", "Lena Brandt")])
def test_a_hint_gives_a_name_that_is_still_wanted(said: str, name: str) -> None:
    assert found(said, opened=("full_name",))["full_name"] == name
    assert "full_name" not in found(said)


@pytest.mark.parametrize("said", ["I am looking for a hotel", "it's Not there", "this is a test", "I'm here"])
def test_a_hint_without_a_written_name_gives_none(said: str) -> None:
    assert "full_name" not in found(said, opened=("full_name",))


@pytest.mark.parametrize("said", ["why do you need that?", "what is your name?", "Not at the moment.",
                                  "I want the Hyatt", "I've changed my mind and want to stay somewhere else"])
def test_what_is_no_name_is_not_taken_for_one(said: str) -> None:
    assert found(said, asked=("full_name",)) == {}


def test_yes_and_no_answer_a_boolean_that_was_asked_for_and_no_other() -> None:
    assert found("yes please", asked=("smoker",)) == {"smoker": True}
    assert found("no", asked=("smoker",)) == {"smoker": False}
    assert "smoker" not in found("yes please")


def test_a_bare_number_is_an_hour_or_a_number_only_where_it_was_asked_for() -> None:
    assert found("7", asked=("pickup_time",)) == {"pickup_time": "07:00"}
    assert found("7", asked=("party_size",)) == {"party_size": 7}
    assert found("7") == {}
    assert found("a table for 7 people") == {"party_size": 7}


@given(st.text(max_size=300), st.sampled_from(sorted(FIELDS)))
def test_no_text_breaks_a_finder(text: str, asked: str) -> None:
    for one in candidates(text, asked=(asked,)):
        assert one.field in FIELDS


@pytest.mark.parametrize(("spec", "value", "fault"), [
    ({"pattern": r"\d+"}, "12", False), ({"pattern": r"\d+"}, "1a", True), ({"allowed": ("a", "b")}, "c", True),
    ({"type": "number", "minimum": 1}, 0, True), ({"type": "number", "maximum": 5}, 5, False),
    ({"type": "money", "maximum": 50}, {"amount": 51, "currency": "EUR"}, True), ({}, "x" * 501, True)])
def test_a_value_is_checked_against_its_field(spec: dict[str, Any], value: Any, fault: bool) -> None:
    assert bool(fault_of(compile_field(InterlocutorField(name="it", **spec)), value)) is fault


@given(st.text("abcdef", max_size=8), st.text("abcdef", max_size=8))
def test_the_distance_between_words_is_symmetric_and_zero_only_for_equals(left: str, right: str) -> None:
    there, back = distance(left, right, 8), distance(right, left, 8)
    assert there == back
    assert (there == 0) is (left == right)


@pytest.mark.parametrize("text", ["a checkup please", "check up", "one check-up"])
def test_a_value_with_a_hyphen_is_known_without_it(text: str) -> None:
    field = compile_field(InterlocutorField(name="treatment", allowed=("check-up", "filling")))
    source = Source(text=text, lower=text, words=words_of(text), answer="", statement=True, place=Place(today=FRIDAY))
    assert [one.value for one in extract(source, Wanted(open=(field,)))] == ["check-up"]
