"""What a reply says, read from its text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.enforcers import VOCABULARY, extract_names
from ruche.plugins.enforcers.names import RISING


@pytest.mark.parametrize(("text", "language", "amount", "currency"), [
    ("I can refund you $1,200.50", "en", 1200.5, "USD"), ("That is fifty-five dollars.", "en", 55, "USD"),
    ("two hundred and fifty euros", "en", 250, "EUR"), ("between twenty and fifty dollars", "en", 50, "USD"),
    ("twelve hundred bucks", "en", 1200, "USD"), ("from $50-100", "en", 100, "USD"), ("5k dollars", "en", 5000, "USD"),
    ("$1.5 million", "en", 1.5e6, "USD"), ("half a million euros", "en", 5e5, "EUR"), ("two grand", "en", 2000, "USD"),
    ("one thousand two hundred dollars and 10 cents", "en", 1200, "USD"), ("50 cents", "en", 0.5, "USD"),
    ("$1.200", "en", 1200, "USD"), ("EUR50", "en", 50, "EUR"), ("US$ 30", "en", 30, "USD"), ("Rs. 500", "en", 500,
    "INR"),
    ("1,20,000 rupees", "en", 120000, "INR"), ("0.125 EUR", "en", 0.125, "EUR"), ("£２０００", "en", 2000, "GBP"),
    ("fіfty dоllars", "en", 50, "USD"), ("$ 5\u200b0", "en", 50, "USD"), ("$9 then $12 then $3", "en", 12, "USD"),
    ("Wir erstatten zweihundertfünfzig Euro", "de", 250, "EUR"), ("fünfundzwanzig Euro", "de", 25, "EUR"),
    ("1.200,50 €", "de", 1200.5, "EUR"), ("dreitausend Franken", "de", 3000, "CHF"),
    ("quatre-vingt-dix euros", "fr", 90, "EUR"), ("soixante-dix-sept euros", "fr", 77, "EUR"),
    ("vingt et un euros", "fr", 21, "EUR"), ("deux cents euros", "fr", 200, "EUR"), ("1 200,50 €", "fr", 1200.5,
    "EUR"),
    ("doscientos cincuenta euros", "es", 250, "EUR"), ("treinta y cinco dólares", "es", 35, "USD"),
    ("mil doscientos euros", "es", 1200, "EUR"), ("$" + "9" * 400, "en", 1e15, "USD"),
])
def test_the_largest_sum_of_money_is_read_however_it_is_written(text: str, language: str, amount: float,
                                                                currency: str) -> None:
    names = extract_names(text, language)
    assert names["amount"] == amount
    assert names["currency"] == currency
    assert names["contains_amount"] is True


@pytest.mark.parametrize("text", [
    "Order 12345 is late.", "Call +49 170 1234567.", "On 10.5.2024 at 10:30.", "Room 12, second floor.", "Two of us.",
    "", "Version 1.2.3", "We have 300 people.", "It takes five days.", "Dollars and cents.",
])
def test_numbers_that_are_no_money_are_no_amount(text: str) -> None:
    names = extract_names(text)
    assert "amount" not in names
    assert names["contains_amount"] is False


@pytest.mark.parametrize(("text", "language", "percent"), [
    ("30% off", "en", 30), ("twenty five percent", "en", 25), ("5 per cent, 7.5 %", "en", 7.5), ("10 Prozent", "de",
    10),
    ("quinze pour cent", "fr", 15), ("veinte por ciento", "es", 20),
])
def test_percentages_are_read_in_figures_and_words(text: str, language: str, percent: float) -> None:
    assert extract_names(text, language)["percent"] == percent


@pytest.mark.parametrize(("text", "language", "flag"), [
    ("You will get a refund.", "en", "contains_refund"), ("We reimburse you.", "en", "contains_refund"),
    ("Wir erstatten das.", "de", "contains_refund"), ("Nous remboursons.", "fr", "contains_refund"),
    ("I promise.", "en", "contains_promise"), ("Rest assured.", "en", "contains_promise"),
    ("That is guaranteed.", "en", "contains_guarantee"), ("I am sorry.", "en", "contains_apology"),
    ("Es tut mir sehr leid.", "de", "contains_apology"), ("Lo siento.", "es", "contains_apology"),
    ("A discount for you.", "en", "contains_discount"), ("See www.example.org", "en", "contains_link"),
    ("Go to example.com now", "en", "contains_link"), ("Write to a.b@example.org", "en", "contains_email"),
    ("Call 030 123 456 78", "en", "contains_phone"), ("Is it you?", "en", "contains_question"),
    ("Rеfund", "en", "contains_refund"), ("re\u200bfund", "en", "contains_refund"),
])
def test_flags_are_raised_by_what_is_said(text: str, language: str, flag: str) -> None:
    assert extract_names(text, language)[flag] is True
    assert extract_names("We are open today.", language)[flag] is False


def test_counts_are_those_of_the_text() -> None:
    names = extract_names("Hello there! It is 1.50 today. Is that fine? $5 or $6!")
    expected = {"word_count": 13, "sentence_count": 4, "question_count": 1, "exclamation_count": 2, "amount_count": 2}
    assert {name: names[name] for name in expected} == expected


HOSTILE = ["1,", "+1 ", "spaces  ", " ", "\n", "!", "*", "# ", "🙂", "\u202e", "\U000e0041", "zwei", "hundert",
"one and ", "a@", "a.",
           "tut mir "]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_makes_reading_slow(piece: str) -> None:
    """Security item 20: our own patterns on 16,000 hostile characters; quadratic ones take seconds here."""
    text = (piece * 16_000)[:16_000]
    began = time.process_time()
    extract_names(text, "de")
    assert time.process_time() - began < 0.5


WORDS = st.sampled_from(["$40", "€1,200", "sorry", "refund", "thirty", "dollars", "percent", "5%", "www.x.org",
"ok", "?", "!",
                         "hundred", "and", "fünf", "Euro", "\u202e", "\u200b", "１", "\n"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=12).map(" ".join), st.sampled_from(["en", "de",
"fr", "es", "xx"]))
def test_any_text_gives_plain_values_of_known_names(text: str, language: str) -> None:
    names = extract_names(text, language)
    assert set(names) <= VOCABULARY
    assert all(type(value) in (bool, int, float, str) for value in names.values())


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=8))
def test_what_rises_never_falls_while_sentences_are_added(first: list[str], more: list[str]) -> None:
    before: dict[str, Any] = extract_names(" ".join(first) + ". ")
    after: dict[str, Any] = extract_names(" ".join(first) + ". " + " ".join(more) + ".")
    assert all(after[name] >= before[name] for name in RISING if name in before)


@pytest.mark.parametrize("text", ["5% hundred", "5% thousand things", "5 % million"])
def test_a_sign_ends_a_number_so_that_no_later_word_takes_it_away(text: str) -> None:
    assert extract_names(text)["percent"] == 5
