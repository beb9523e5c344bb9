"""Where a text holds personal data: numbers by form and checksum, names and addresses by the words around them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.enforcers.traces import MAX_TEXT, traces


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start:one.end]) for one in traces(text)]


@pytest.mark.parametrize(("text", "expected"), [
    ("Write to jo@desk.example, or call +49 30 901820.", [("email", "jo@desk.example"), ("phone", "+49 30 901820")]),
    ("Call me on 030 4411 229 please", [("phone", "030 4411 229")]),
    ("Fax: 212-555-0147x22", [("phone", "212-555-0147x22")]),
    ("card 4111111111111111, not 4111111111111112", [("card", "4111111111111111")]),
    ("to DE89 3704 0044 0532 0130 00 today", [("iban", "DE89 3704 0044 0532 0130 00")]),
    ("SSN 219-09-9999 and not 000-12-3456", [("ssn", "219-09-9999")]),
    ("from 10.20.30.40 but not 10.20.30.400", [("ip", "10.20.30.40")]),
    ("see https://desk.example/a?b=1.", [("url", "https://desk.example/a?b=1")]),
    ("born on 3 May 1980 or 1980-05-03", [("date", "3 May 1980"), ("date", "1980-05-03")]),
    ("Mrs. Okonkwo will see you", [("title", "Mrs."), ("name", "Okonkwo")]),
    ("My name is Wilhelmina Praetorius.", [("name", "Wilhelmina Praetorius")]),
    ("This is Anna's parcel", [("name", "Anna")]),
    ("She grew up in Tromsø.", [("place", "Tromsø")]), ("We fly to Switzerland", [("place", "Switzerland")]),
    ("They live at 12 Harbour Street", [("address", "12 Harbour Street")]),
    ("I work for Bright Lamps Ltd", [("company", "Bright Lamps Ltd")]),
    ("My driver's license number is X4471123", [("license", "X4471123")]),
    ("Order 12345 of 2 lamps for 30 EUR, thank you!", [])])
def test_what_is_personal_is_found_with_its_kind_and_its_place(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@given(st.text(max_size=200))
def test_spans_lie_in_the_text_in_order_and_never_overlap(text: str) -> None:
    spans = [(one.start, one.end) for one in traces(text)]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("piece", ["a b ", "Anna ", "(", "12 Main ", "A'", "name is ", ", A", "St 1 ", "::1"])
def test_long_texts_of_one_piece_are_read_to_their_limit(piece: str) -> None:
    assert all(one.end <= MAX_TEXT for one in traces(piece * MAX_TEXT))


def test_only_the_kinds_that_are_wanted_are_told() -> None:
    text = "Anna: jo@desk.example"
    assert [one.kind for one in traces(text, frozenset({"email"}))] == ["email"]
    assert [one.kind for one in traces(text)] == ["name", "email"]


@pytest.mark.parametrize("piece", ["1 ", "1-", "1.2"])
def test_a_text_of_more_digits_than_can_be_looked_at_is_never_taken_for_clean(piece: str) -> None:
    with pytest.raises(ValueError, match="too many digits"):
        traces(piece * MAX_TEXT)
