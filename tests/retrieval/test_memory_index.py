"""Searching what was said: whose words, when, in which neighbourhood, and never by the noise of a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.storage.errors import ConfigurationError
from ruche.storage.index.cues import (
    Months,
    asks_when,
    named_speakers,
    named_times,
    nameless,
    tells_time,
)
from ruche.storage.index.memory import MemoryIndex, Question, viewed
from ruche.storage.model.memory import Utterance

EMBEDDER = HashingEmbedder()
DAY = 86_400_000
MARCH = round(1000 * datetime(2026, 3, 10, tzinfo=UTC).timestamp())


def said(*lines: tuple[str, str], session: str = "s", at_ms: int = MARCH) -> list[Utterance]:
    return [Utterance(id=f"{session}:{number}", session=session, speaker=speaker, at_ms=at_ms, text=text,
                      turn=f"{session}-turn-{number}") for number, (speaker, text) in enumerate(lines)]


def indexed(*conversations: Sequence[Utterance]) -> MemoryIndex:
    index = MemoryIndex(EMBEDDER.dimensions)
    for utterances in conversations:
        for utterance, seen in viewed(utterances, {}):
            index.add(utterance, EMBEDDER.encode(seen.texts()))
    return index


def asked(index: MemoryIndex, text: str, limit: int = 5, **more: Any) -> list[str]:
    question = Question(text, EMBEDDER.encode((nameless(text, index.speakers),))[0], **more)
    return [one.utterance.id for one in index.search(question, limit)]


TALK = said(("Nora", "I planted three plum trees behind the house."), ("Felix", "Lovely! I bought a red bicycle."),
            ("Nora", "Thanks, Felix! Is it fast?"), ("Felix", "Very fast, and my sister wants one now."))


def test_the_utterance_that_answers_comes_first() -> None:
    assert asked(indexed(TALK), "Which trees did Nora plant?")[0] == "s:0"
    assert asked(indexed(TALK), "What did Felix buy?")[0] == "s:1"


def test_an_answer_without_a_word_of_the_question_is_found_by_what_was_said_before_it() -> None:
    talk = said(("Nora", "What is your puppy called?"), ("Felix", "Pumpkin."), ("Nora", "The bus was late."),
                ("Felix", "Mine too."), ("Nora", "Good night."))
    assert "s:1" in asked(indexed(talk), "What is the name of the puppy?", limit=2)


def test_windows_end_with_their_conversation() -> None:
    first, second = said(("Nora", "The boiler broke."), session="a"), said(("Felix", "Good morning."), session="b")
    index = indexed(first, second)
    found = index.search(Question("boiler", EMBEDDER.encode(("boiler",))[0]), 2)
    assert [one.passage for one in found] == ["Nora: The boiler broke.", "Felix: Good morning."]
    assert found[1].lexical == 0.0


def test_a_name_alone_moves_nobody_forward() -> None:
    talk = said(("Nora", "Thanks, Felix!"), ("Felix", "I study eels in the delta."), ("Nora", "Hey Felix!"))
    assert asked(indexed(talk), "What does Felix study?")[0] == "s:1"


@pytest.mark.parametrize(("question", "cue", "right", "wrong"), [
    ("What did Nora plant?", "speaker", ("Nora", "Plum trees.", 0), ("Felix", "Plum trees.", 0)),
    ("What was planted in March?", "time", ("Nora", "Plum trees.", 0), ("Nora", "Plum trees.", 90))])
def test_what_a_question_says_of_speaker_and_time_counts(question: str, cue: str, right: tuple[str, str, int],
                                                         wrong: tuple[str, str, int]) -> None:
    index = indexed(*(said((speaker, text), session=name, at_ms=MARCH + days * DAY)
                      for name, (speaker, text, days) in (("wrong", wrong), ("right", right))))
    found = index.search(Question(question, EMBEDDER.encode((question,))[0]), 2)
    assert [one.utterance.session for one in found] == ["right", "wrong"]
    assert [cue in one.cues for one in found] == [True, False]


def test_who_asks_for_a_time_gets_what_tells_one_first_among_equals() -> None:
    index = indexed(said(("Nora", "tea")), said(("Nora", "Yesterday"), session="t"), said(("Nora", "eat"), session="u"))
    found = index.search(Question("When?", EMBEDDER.encode(("",))[0]), 3)
    assert (found[0].utterance.session, found[0].cues) == ("t", ("when",))


def test_old_memories_fade_only_where_that_is_wanted_and_never_by_more_than_half() -> None:
    old, new = said(("Nora", "I like plums.")), said(("Nora", "I like plums."), session="t", at_ms=MARCH + 400 * DAY)
    index, vector = indexed(old, new, TALK_ELSEWHERE), EMBEDDER.encode(("plums",))[0]
    now = MARCH + 400 * DAY
    plain = {one.utterance.id: one.score for one in index.search(Question("plums", vector, now_ms=now), 9)}
    faded = {one.utterance.id: one.score
             for one in index.search(Question("plums", vector, now_ms=now, half_life_days=30.0), 9)}
    assert plain["s:0"] == plain["t:0"] == faded["t:0"]
    assert 0.5 * plain["s:0"] <= faded["s:0"] + 1e-4 < 0.51 * plain["s:0"]


TALK_ELSEWHERE = said(("Felix", "The harbour was closed."), ("Nora", "Again?"), session="elsewhere")


def test_turns_that_are_known_anyhow_are_left_out() -> None:
    index = indexed(TALK)
    question = Question("plum trees", EMBEDDER.encode(("plum trees",))[0])
    found = index.search(question, 9, frozenset({"s-turn-0"}))
    assert {one.utterance.id for one in found} == {"s:1", "s:2", "s:3"}


def test_what_is_added_twice_is_there_once() -> None:
    index = indexed(TALK, TALK)
    assert len(index) == len(TALK)
    assert sorted(asked(index, "trees", limit=99)) == sorted(one.id for one in TALK)


def test_vectors_of_another_embedder_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="rebuild the index"):
        MemoryIndex(384).add(TALK[0], EMBEDDER.encode(["a", "b", "c"]))


LINES = st.lists(st.tuples(st.sampled_from(["Nora", "Felix", ""]), st.text(max_size=60)), min_size=1, max_size=8)


@given(LINES, st.text(max_size=60), st.integers(0, 12))
def test_any_text_is_searched_without_harm_and_in_one_order(lines: list[tuple[str, str]], text: str,
                                                            limit: int) -> None:
    index = indexed(said(*lines))
    question = Question(text, EMBEDDER.encode((text,))[0])
    found = index.search(question, limit)
    assert found == index.search(question, limit)
    assert len(found) == min(limit, len(lines))
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 for score in scores)


@given(LINES, st.integers(1, 8))
def test_learning_in_parts_finds_what_learning_at_once_finds(lines: list[tuple[str, str]], cut: int) -> None:
    talk = said(*lines)
    rows = {one.id: EMBEDDER.encode(seen.texts()) for one, seen in viewed(talk, {})}
    whole, parts = MemoryIndex(EMBEDDER.dimensions), MemoryIndex(EMBEDDER.dimensions)
    for one in talk:
        whole.add(one, rows[one.id])
    for part in (talk[:cut], talk[cut:]):
        for one in part:
            parts.add(one, rows[one.id])
        parts.search(Question("a word", EMBEDDER.encode(("a word",))[0]), 3)
    question = Question("a b c", EMBEDDER.encode(("a b c",))[0])
    assert parts.search(question, 9) == whole.search(question, 9)


@pytest.mark.parametrize(("text", "months"), [
    ("What happened in July?", {7}), ("Where was she in May 2023?", {5}), ("May I ask what he may do?", set()),
    ("Between Jan and Sept", {1, 9}), ("nothing of the kind", set())])
def test_months_are_read_and_the_verb_may_is_not_one(text: str, months: set[int]) -> None:
    found = named_times(text)
    assert (set(found.months) if isinstance(found, Months) else set()) == months


def test_a_year_narrows_a_month() -> None:
    times = named_times("in July 2023")
    assert times is not None
    assert times.hold(datetime(2023, 7, 3, tzinfo=UTC))
    assert not times.hold(datetime(2024, 7, 3, tzinfo=UTC))


@pytest.mark.parametrize(("text", "inside", "outside"), [
    ("what did I say yesterday?", (11, 17), (11, 18)), ("the plan from last week", (11, 10), (11, 16)),
    ("my order of last month", (10, 31), (11, 1))])
def test_relative_times_need_to_know_what_day_it_is(text: str, inside: tuple[int, int],
                                                    outside: tuple[int, int]) -> None:
    times = named_times(text, datetime(2026, 11, 18, 9, 0, tzinfo=UTC))
    assert times is not None
    assert times.hold(datetime(2026, *inside, 12, tzinfo=UTC))
    assert not times.hold(datetime(2026, *outside, 12, tzinfo=UTC))
    assert named_times(text) is None


def test_speakers_are_meant_by_name_or_as_the_one_who_asks_and_the_one_who_is_asked() -> None:
    pair = ("Nora Berg", "Felix")
    assert named_speakers("where does nora live?", pair) == {"Nora Berg"}
    assert named_speakers("what was my number?", pair, asker="Felix", other="Nora Berg") == {"Felix"}
    assert named_speakers("what did you recommend?", pair, asker="Felix", other="Nora Berg") == {"Nora Berg"}
    assert named_speakers("the weather", pair, asker="Felix", other="Nora Berg") == frozenset()


def test_a_question_loses_its_names_but_never_everything() -> None:
    assert nameless("What is Nora's new job?", ("Nora", "Felix")) == "What is new job?"
    assert nameless("Nora?", ("Nora",)) == "Nora?"
    assert nameless("What is new?", ()) == "What is new?"


def test_a_question_for_a_time_and_a_text_that_tells_one_are_told_from_others() -> None:
    assert asks_when("When did they meet?")
    assert asks_when("how long has he been ill")
    assert not asks_when("Where did they meet?")
    assert tells_time("We met two weeks ago.")
    assert not tells_time("We met at the harbour.")


def test_scores_do_not_depend_on_the_scale_of_a_chance_match() -> None:
    """One common word in common is little, even where nothing else matches better."""
    talk = said(*[("Nora", f"something about topic {number}") for number in range(20)])
    found = indexed(talk).search(Question("something else", EMBEDDER.encode(("zzz",))[0]), 1)
    assert found[0].lexical < 0.5
    assert found[0].score < 0.6
    assert np.isfinite(found[0].score)
