"""Vectors, BM25 and their blend: the same order always, whatever was added in whatever order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ruche.plugins.embedders import HashingEmbedder
from ruche.storage.errors import ConfigurationError
from ruche.storage.index.agent import AgentIndex
from ruche.storage.index.hybrid import DOCUMENTS, LONG_QUERY, MEMORY, RULES, scaled
from ruche.storage.index.lexical import K1, B, LexicalIndex
from ruche.storage.index.passages import Passage, knowledge_chunks
from ruche.storage.index.ranking import best, rounded, top_places
from ruche.storage.index.vectors import ExactVectors, dots
from ruche.storage.index.words import sentences, terms, words

WORDS = st.sampled_from(["refund", "parcel", "late", "invoice", "card", "blocked", "open", "the", "my"])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)
FLOATS = st.floats(-1, 1, width=32)


def unit(*rows: list[float]) -> np.ndarray:
    matrix = np.array(rows, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def random_rows(count: int, seed: int = 1, dimensions: int = 16) -> np.ndarray:
    return unit(*np.random.default_rng(seed).standard_normal((count, dimensions)))


# --- vectors


def test_the_nearest_vector_comes_first_with_its_cosine() -> None:
    index = ExactVectors(2)
    index.add(["east", "north", "northeast"], unit([1, 0], [0, 1], [1, 1]))
    assert index.search(unit([1, 0])[0], 3) == [("east", 1.0), ("northeast", 0.7071), ("north", 0.0)]


def test_equal_scores_are_ordered_by_id_whatever_the_order_of_adding() -> None:
    row = unit([1, 0])
    for ids in (["b", "c", "a"], ["c", "a", "b"]):
        index = ExactVectors(2)
        index.add(ids, np.repeat(row, 3, axis=0))
        assert [key for key, _ in index.search(row[0], 2)] == ["a", "b"]


def test_a_score_does_not_depend_on_which_other_rows_there_are() -> None:
    rows = random_rows(300, dimensions=384)
    alone = dots(rows[7:8], rows[0])[0]
    assert all(dots(rows[:count], rows[0])[7] == alone for count in (8, 50, 299, 300))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9), st.booleans()), max_size=30))
def test_adding_replacing_and_removing_gives_what_a_rebuilt_index_gives(steps: list[tuple[str, int, bool]]) -> None:
    rows, grown, kept = random_rows(10), ExactVectors(16), dict[str, int]()
    for key, number, add in steps:
        if add:
            grown.add([key], rows[number:number + 1])
            kept[key] = number
        else:
            grown.remove([key, "unknown"])
            kept.pop(key, None)
    rebuilt = ExactVectors(16)
    rebuilt.add(list(kept), rows[list(kept.values())] if kept else rows[:0])
    assert len(grown) == len(kept)
    assert grown.search(rows[0], 5) == rebuilt.search(rows[0], 5)


@pytest.mark.parametrize("bad", [np.ones((1, 3)), np.zeros((1, 2)), np.full((1, 2), np.nan), np.ones(2)])
def test_a_vector_of_another_shape_or_length_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match=r"dimensions|length"):
        ExactVectors(2).add(["a"], bad)


# --- BM25


def test_bm25_is_lucenes_formula() -> None:
    index = LexicalIndex()
    for key, text in {"a": "refund refund parcel", "b": "parcel", "c": "invoice card"}.items():
        index.add(key, text)
    expected = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5)) * 2 / (2 + K1 * (1 - B + B * 3 / 2))
    assert dict(index.search("refund", 3)) == {"a": round(expected, 4)}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.one_of(st.none(), TEXTS)), max_size=25), TEXTS)
def test_growing_bm25_gives_exactly_what_a_rebuilt_index_gives(
        steps: list[tuple[str, str | None]], query: str) -> None:
    grown, kept = LexicalIndex(), dict[str, str]()
    for key, text in steps:
        if text is None:
            grown.remove([key])
            kept.pop(key, None)
        else:
            grown.add(key, text)
            kept[key] = text
        grown.search(query, 3)
    rebuilt = LexicalIndex()
    for key in sorted(kept):
        rebuilt.add(key, kept[key])
    assert grown.search(query, 10) == rebuilt.search(query, 10)


def test_a_query_without_a_known_word_finds_nothing() -> None:
    index = LexicalIndex()
    index.add("a", "refund")
    assert index.search("xyzzy", 5) == []
    assert index.search("", 5) == []
    assert LexicalIndex().search("refund", 5) == []


def test_words_are_folded_across_case_width_and_script() -> None:
    assert words("Straße ＡＢＣ don't 退款 naïve_x") == ["strasse", "abc", "don", "t", "退", "款", "naïve", "x"]
    assert terms("Where are my cards?") == ["card"]
    assert terms("who are you") == ["who", "are", "you"]


def test_sentences_end_at_marks_and_lines() -> None:
    assert sentences("One. Two!\nThree？Four  ") == ["One.", "Two!", "Three？", "Four"]
    assert sentences(" \n ") == []


# --- blending and ranking


@given(arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 50)))
def test_scaled_scores_lie_between_0_and_1_and_keep_their_order(scores: np.ndarray) -> None:
    for scale in ("maximum", "range"):
        result = scaled(scores, scale)  # type: ignore[arg-type]
        assert float(result.min()) >= 0.0
        assert float(result.max()) <= 1.0
        assert all(result[i] <= result[j] for i in range(len(scores)) for j in range(len(scores))
                   if scores[i] <= scores[j])


@pytest.mark.parametrize("blend", [RULES, DOCUMENTS, MEMORY])
def test_equal_lexical_scores_say_nothing(blend: object) -> None:
    cosines = np.array([0.2, 0.7, 0.4])
    for level in (0.0, 3.0):
        scores, lexical = blend(cosines, np.full(3, level))  # type: ignore[operator]
        assert lexical.tolist() == [0.0, 0.0, 0.0]
        assert np.argsort(-scores).tolist() == [1, 2, 0]


def test_a_rule_is_worth_its_cosine_and_a_tenth_of_its_words() -> None:
    scores, _ = RULES(np.array([0.5, 0.5, 1.0]), np.array([0.0, 2.0, 4.0]))
    assert rounded(scores * 1.1).tolist() == [0.5, 0.55, 1.1]
    assert float(scores.max()) == pytest.approx(1.0)


@given(arrays.arrays(np.float32, st.integers(0, 40), elements=FLOATS), st.integers(1, 45))
def test_the_best_places_are_those_of_a_full_sort(scores: np.ndarray, limit: int) -> None:
    steps = np.rint(scores * -10_000).astype(np.int64).tolist()
    expected = sorted(range(len(steps)), key=lambda place: (steps[place], place))[:limit]
    assert top_places(scores, limit).tolist() == expected


@given(st.lists(st.tuples(st.sampled_from([f"{n:02}" for n in range(30)]), st.sampled_from([0.1, 0.10001, 0.5, 0.9])),
                unique_by=lambda item: item[0]), st.integers(0, 10))
def test_a_cut_through_equal_scores_keeps_the_smallest_ids(items: list[tuple[str, float]], limit: int) -> None:
    ids, scores = [key for key, _ in items], np.array([score for _, score in items])
    expected = sorted(((key, round(score, 4)) for key, score in items), key=lambda hit: (-hit[1], hit[0]))
    assert best(scores, ids, limit) == expected[:limit]


def test_a_short_file_under_one_title_is_one_passage_and_others_are_cut_at_headings() -> None:
    titled = "# Cards\n\nOf every kind.\n\n## Lost\n\nBlock it.\n\n## Stolen\n\nCall us."
    assert knowledge_chunks({"cards.md": titled}) == {"cards.md#1": titled}
    assert len(knowledge_chunks({"faq.md": titled.replace("## ", "# ")})) == 3
    assert len(knowledge_chunks({"long.md": titled + "\n\n" + "word " * 500})) > 3
    assert len(knowledge_chunks({"plain.md": "One.\n\nTwo."})) == 1


def test_words_count_for_more_where_a_query_is_longer_than_an_embedder_reads() -> None:
    embedder = HashingEmbedder()
    texts = {"a.md": "alpha beta", "b.md": "gamma delta"}
    agent = AgentIndex([Passage("knowledge", name, text) for name, text in texts.items()],
                       embedder.encode(list(texts.values())))
    vector = embedder.encode(["alpha beta"])[0]
    short, long = "gamma", "gamma " + " ".join(f"w{number}" for number in range(LONG_QUERY))
    assert agent.search(vector, short, 2)["knowledge"].ids == ["a.md", "b.md"]
    scores = [dict(zip(found.ids, found.scores, strict=True))["b.md"]
              for found in (agent.search(vector, text, 2)["knowledge"] for text in (short, long))]
    assert scores[0] < 0.35 < scores[1]
