"""The accumulation window of the conversation specification, section 3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.accumulate import CHANNEL_BASE_MS, base_ms, learned, window_ms
from ruche.storage.model.conversation import Message

PLAIN = "my parcel has not arrived yet"


@pytest.mark.parametrize(("channel", "expected"), [
    ("whatsapp", 1200), ("telegram", 1000), ("sms", 800), ("slack", 800), ("teams", 800), ("web", 600),
    ("carrier-pigeon", 800),
])
def test_a_plain_sentence_waits_for_the_base_of_its_channel(channel: str, expected: int) -> None:
    assert window_ms(PLAIN, base=base_ms(channel)) == expected


@pytest.mark.parametrize("channel", ["email", "voice", "api"])
def test_a_channel_with_base_zero_never_waits(channel: str) -> None:
    assert window_ms("hello", base=base_ms(channel), hint_ms=1000, cadence_ms=[900] * 9) == 0


@pytest.mark.parametrize(("text", "added"), [
    ("hello", 500), ("Good morning,", 500), ("hi there!", 200),
    ("I wanted to ask...", 400), ("three things:", 400), ("first of all,", 400), ("so the thing is -", 400),
    ("it is about my order", 600), ("look at ticket number", 600),
    ("my parcel", 200), ("parcel", 200),
    (PLAIN, 0),
])
def test_the_shape_of_a_message_lengthens_the_window(text: str, added: int) -> None:
    assert window_ms(text, base=600) == 600 + added


@pytest.mark.parametrize("text", ["Where is my parcel?", "It has not arrived yet.", "tell me where it is please",
                                  "that was all, thanks"])
def test_an_explicit_ending_shortens_the_window_by_300(text: str) -> None:
    assert window_ms(text, base=1000) == 700


def test_an_explicit_ending_never_goes_below_200() -> None:
    assert window_ms("Where is my parcel?", base=300) == 200


def test_five_gaps_blend_the_learned_cadence_in_and_four_do_not() -> None:
    assert window_ms(PLAIN, base=1000, cadence_ms=[2000] * 5) == 1400
    assert window_ms(PLAIN, base=1000, cadence_ms=[2000] * 4) == 1000


def test_the_cadence_is_the_mean_of_median_and_95th_percentile() -> None:
    gaps = [100, 200, 300, 400, 500]  # median 300, 95th percentile 480
    assert window_ms(PLAIN, base=1000, cadence_ms=gaps) == round(0.6 * 1000 + 0.4 * 390)


def test_the_hint_of_the_previous_turn_is_added() -> None:
    assert window_ms(PLAIN, base=600, hint_ms=1000) == 1600


def test_each_further_message_shortens_the_window_to_four_fifths() -> None:
    assert [window_ms(PLAIN, base=1000, messages_in_turn=n) for n in (1, 2, 3)] == [1000, 800, 640]


@given(st.text(max_size=60), st.sampled_from(sorted(CHANNEL_BASE_MS)), st.integers(1, 200),
       st.sampled_from([0, 500, 1000]), st.lists(st.integers(0, 100_000), max_size=50))
def test_a_window_is_nothing_or_between_200_and_3000(text: str, channel: str, count: int, hint: int,
                                                     cadence: list[int]) -> None:
    window = window_ms(text, base=base_ms(channel), messages_in_turn=count, hint_ms=hint, cadence_ms=cadence)
    assert window == 0 if base_ms(channel) == 0 else 200 <= window <= 3000


def _said(*times: int) -> list[Message]:
    return [Message(id=str(at), text="x", at_ms=at) for at in times]


def test_gaps_of_a_burst_are_learned_and_only_the_last_fifty_are_kept() -> None:
    assert learned((7,), _said(1000, 1300, 2000)) == (7, 300, 700)
    assert learned((7,), _said(1000)) == (7,)
    kept = learned(tuple(range(50)), _said(0, 111))
    assert len(kept) == 50
    assert kept[-1] == 111
    assert kept[0] == 1


def test_a_clock_that_went_back_gives_no_negative_gap() -> None:
    assert learned((), _said(5000, 4000)) == (0,)
