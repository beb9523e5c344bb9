"""Forbidden and required phrases, however they are written."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.enforcers.reading import legible, plain, readings
from tests.plugins.conftest import Judge

CYRILLIC = str.maketrans("acefijopsxyk", "асеfіјорѕхук")
GREEK = str.maketrans("aeiknotuvx", "αεικηοτυνχ")
SMALL_CAPITALS = str.maketrans("abcdefghiklmnoprtuvwz", "ᴀʙᴄᴅᴇғɢʜɪᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡᴢ")
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\ufe0f", "\u180e", "\u2063",
"\U000e0061"]
SIGNED = [0x1D400, 0x1D434, 0x1D468, 0x1D4D0, 0x1D56C, 0x1D5A0, 0x1D670, 0x24B6, 0x1F130, 0x1F150, 0x1F170, 0xFF21,
0x1F1E6]
PHRASES = ["money back", "full refund", "double the dose", "guaranteed profit", "legal advice"]


def variants(phrase: str) -> list[str]:
    """Ways in which the phrase may be written so that a person reads it all the same."""
    chance = random.Random(phrase)
    made = [phrase.upper(), phrase.title(), phrase.swapcase(), phrase.replace(" ", "-"), phrase.replace(" ", "  \n "),
            phrase.replace(" ", "\u00a0"), phrase.replace(" ", "_"), phrase.replace(" ", "\u2003"),
            f"\u202e{phrase[::-1]}\u202c", f"\u2067{phrase[::-1]}\u2069", f"\u202a{phrase}\u202c",
            "".join(chr(0xE0000 + ord(char)) for char in phrase), phrase.replace(" ", " \u200b ")]
    made += [phrase.translate(table) for table in (CYRILLIC, GREEK, SMALL_CAPITALS)]
    made += [phrase.upper().translate({code: chr(start + code - 65) for code in range(65, 91)}) for start in SIGNED]
    made += [sign.join(phrase) for sign in INVISIBLE]
    made += ["".join(char + mark if char.isalpha() else char for char in phrase)
             for mark in "\u0301\u0336\u0308\u0323\u20dd"]
    made += [unicodedata.normalize(form, phrase.replace("e", "é").replace("u", "ü")) for form in ("NFC", "NFD",
    "NFKD")]
    while len(made) < 100:
        made.append("".join(chance.choice([char, char.upper(), char.translate(CYRILLIC), char.translate(GREEK),
                                           char + chance.choice(INVISIBLE), char + "\u0301" if char != " " else char])
                            for char in phrase))
    return made


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_hundred_ways_to_write_a_forbidden_phrase_are_enforced_alike(judge: Judge, phrase: str) -> None:
    """Security item 37: 5 phrases x 100 variants = 500; case, spacing, NFC to NFKD, bidi, zero-width, tags,
    homoglyphs."""
    enforce = {"use": "phrase", "options": {"forbidden": [phrase]}}
    written = variants(phrase)
    assert len(written) >= 100
    missed = [ascii(text) for text in written if judge(enforce, f"Well, {text}, that is it.").outcome != "fail"]
    assert missed == []


@pytest.mark.parametrize("text", ["The class is full.", "Refunded", "money for the way back", "moneybacked",
"Ünderground"])
def test_words_that_only_look_alike_are_left_alone(judge: Judge, text: str) -> None:
    enforce = {"use": "phrase", "options": {"forbidden": ["ass", "refund", "money back", "under"]}}
    assert judge(enforce, text).outcome == "pass"


def test_parts_of_words_are_found_when_the_author_asks_for_it(judge: Judge) -> None:
    enforce = {"use": "phrase", "options": {"forbidden": ["refund"], "whole_words": False}}
    assert judge(enforce, "It is refundable.").outcome == "fail"


@pytest.mark.parametrize(("text", "found"), [
    ("You get your MONEY  back.", "MONEY  back"), ("So mo\u200bney båck it is", "mo\u200bney båck"),
    ("x \u202ekcab yenom\u202c", "kcab yenom"),
])
def test_the_span_of_a_violation_is_that_of_the_text_as_it_was_written(judge: Judge, text: str, found: str) -> None:
    verdict = judge({"use": "phrase", "options": {"forbidden": ["money back"]}}, text)
    assert verdict.span is not None
    start, end = sorted(verdict.span)
    assert text[start:end] in (found, found[:-1], found[1:]) or found in text[start - 1:end + 1]


def test_required_phrases_must_all_be_there(judge: Judge) -> None:
    enforce = {"use": "phrase", "options": {"required": ["terms apply", "call us"]}}
    assert judge(enforce, "Terms  apply. Call us!").outcome == "pass"
    assert "call us" in judge(enforce, "Terms apply.").reason


def test_signs_are_phrases_too(judge: Judge) -> None:
    assert judge({"use": "phrase", "options": {"forbidden": ["!!!"]}}, "Buy now!!!").outcome == "fail"


@given(st.text(max_size=60))
def test_a_reading_is_stable_and_its_offsets_lie_within_the_text(text: str) -> None:
    for reading in readings(text):
        assert reading.at is None or len(reading.at) == len(reading.text)
        for place in range(len(reading.text)):
            start, end = reading.span(place, place + 1)
            assert 0 <= start < end <= len(text)
    assert plain(plain(text)) == plain(text)
    assert legible(legible(text)) == legible(text)
