"""Laws that hold for every selector and every list of scores, and what each one is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.contracts import Selection, Selector
from ruche.plugins.selectors import (
    NAMES,
    AdaptiveK,
    Clustering,
    Elbow,
    Entropy,
    FixedK,
    Kind,
    Topics,
    clusters,
    selector_for,
    vector_clusters,
)

SCORES = st.lists(st.floats(-1, 1).map(lambda score: round(score, 4)), max_size=30).map(lambda s: sorted(s)[::-1])
SELECTORS = st.sampled_from([made() for made in NAMES.values()])
KINDS: tuple[Kind, ...] = ("rule", "scenario", "intent", "knowledge")


def kept(scores: list[float], selection: Selection) -> list[float]:
    places = range(selection.keep) if selection.places is None else selection.places
    return [scores[place] for place in places]


@given(SELECTORS, SCORES, st.integers(0, 5), st.integers(5, 12))
def test_between_min_and_max_are_kept_and_never_more_than_there_are(
        selector: Selector, scores: list[float], min_k: int, max_k: int) -> None:
    selection = selector.select(scores, max_k=max_k, min_k=min_k)
    assert min(min_k, len(scores)) <= selection.keep <= min(max_k, len(scores))
    assert len(kept(scores, selection)) == selection.keep


@given(SELECTORS, SCORES)
def test_the_cutoff_is_the_lowest_kept_score(selector: Selector, scores: list[float]) -> None:
    selection = selector.select(scores)
    assert selection.cutoff == (min(kept(scores, selection)) if scores else 0.0)


@given(SELECTORS, SCORES)
def test_the_best_is_always_kept(selector: Selector, scores: list[float]) -> None:
    if scores:
        assert kept(scores, selector.select(scores))[0] == scores[0]


@given(SELECTORS, SCORES)
def test_selecting_twice_gives_the_same(selector: Selector, scores: list[float]) -> None:
    assert selector.select(scores) == selector.select(list(scores))


@pytest.mark.parametrize("name", sorted(NAMES))
@given(SCORES)
def test_nothing_below_the_least_score_is_kept_beyond_min_k(name: str, scores: list[float]) -> None:
    selection = NAMES[name](min_score=0.4).select(scores, min_k=2)
    above = sum(score >= 0.4 for score in scores)
    assert selection.keep <= max(above, min(2, len(scores)))


@given(SCORES, st.floats(0.5, 5), st.floats(0.5, 5))
def test_adaptive_k_keeps_no_more_as_alpha_grows(scores: list[float], first: float, second: float) -> None:
    low, high = sorted((first, second))
    loose, strict = AdaptiveK(alpha=low, min_score=-1), AdaptiveK(alpha=high, min_score=-1)
    assert strict.select(scores).keep <= loose.select(scores).keep


@given(SCORES)
def test_entropy_lies_between_0_and_1(scores: list[float]) -> None:
    assert 0.0 <= Entropy().entropy(scores) <= 1.0


@given(st.integers(2, 40), st.floats(0, 1))
def test_entropy_of_equal_scores_is_1_however_many_they_are(count: int, score: float) -> None:
    assert Entropy().entropy([score] * count) == pytest.approx(1.0)


@given(SCORES, st.floats(0.01, 0.5), st.integers(1, 4))
def test_clusters_and_noise_share_out_every_place_once(scores: list[float], eps: float, size: int) -> None:
    groups, alone = clusters(scores, eps, size)
    assert sorted([place for group in groups for place in group] + alone) == list(range(len(scores)))
    assert all(len(group) >= 1 for group in groups)


def test_elbow_stops_at_the_first_steep_drop() -> None:
    assert Elbow().select([0.9, 0.85, 0.6, 0.59]).keep == 2
    assert Elbow().select([0.9, 0.85, 0.6, 0.59], min_k=3).keep == 4


def test_adaptive_k_stops_where_the_drop_is_larger_than_usual() -> None:
    assert AdaptiveK().select([0.92, 0.9, 0.61, 0.6, 0.58, 0.57]).keep == 2


def test_of_two_that_are_far_apart_one_is_kept_where_a_lead_is_a_cut() -> None:
    assert AdaptiveK(min_score=0.3).select([0.9, 0.4]).keep == 2
    assert AdaptiveK(min_score=0.3, lead=0.25).select([0.9, 0.4]).keep == 1
    assert AdaptiveK(min_score=0.3, lead=0.25).select([0.9, 0.65]).keep == 2
    assert AdaptiveK(min_score=0.3, lead=0.25).select([0.9, 0.4], min_k=2).keep == 2
    selector, most = selector_for("rule", 0.3)
    assert selector.select([0.9, 0.85, 0.4, 0.39], max_k=most).keep == 2


@given(SCORES, st.floats(0, 1), st.floats(0, 1))
def test_adaptive_k_keeps_no_more_the_smaller_the_lead_that_cuts(scores: list[float], one: float,
                                                                 other: float) -> None:
    fewer, more = (AdaptiveK(lead=lead).select(scores).keep for lead in sorted((one, other)))
    assert fewer <= more <= AdaptiveK().select(scores).keep


def test_one_clear_winner_among_many_counts_as_sure() -> None:
    selector = Entropy(low=1, medium=2, high=3)
    assert selector.select([0.95] + [0.5] * 9).keep == 1
    assert selector.select([0.9, 0.89, 0.88, 0.88]).keep == 3


def test_clustering_takes_the_best_of_each_level_and_what_stands_alone() -> None:
    selection = Clustering(top=2).select([0.95, 0.94, 0.93, 0.92, 0.6, 0.59, 0.58, 0.45])
    assert selection.places == (0, 1, 4, 5, 7)
    assert selection.cutoff == 0.45


def test_fixed_k_takes_the_first() -> None:
    assert FixedK(k=2).select([0.9, 0.8, 0.7]) == Selection(keep=2, cutoff=0.8, method="fixed_k")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_recommended_selector(kind: Kind) -> None:
    selector, max_k = selector_for(kind, 0.4)
    assert isinstance(selector, Selector)
    assert 1 <= selector.select([0.9, 0.5, 0.2], max_k=max_k).keep <= max_k


def unit(*angles: float) -> np.ndarray:
    """Points on a circle, by their angles in degrees."""
    turns = np.radians(np.array(angles, dtype=np.float64))
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def test_topics_are_found_by_meaning_and_the_best_of_each_is_kept() -> None:
    rows = unit(0, 2, 90, 4, 92, 200)
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert vector_clusters(rows, 0.05, 2) == ([[0, 1, 3], [2, 4]], [5])
    assert Topics(eps=0.05, top=1).select(scores, rows).places == (0, 2, 5)
    assert Topics(eps=0.05, top=2).select(scores, rows).places == (0, 1, 2, 4, 5)


def test_topics_need_a_vector_for_each_score() -> None:
    with pytest.raises(ValueError, match="2 scores for 1 vectors"):
        Topics().select([0.5, 0.4], unit(0))


@given(st.lists(st.floats(0, 359), max_size=12), st.floats(0.001, 0.5), st.integers(1, 4))
def test_every_item_is_in_one_topic_or_stands_alone(angles: list[float], eps: float, size: int) -> None:
    rows = unit(*angles) if angles else np.zeros((0, 2), dtype=np.float32)
    groups, alone = vector_clusters(rows, eps, size)
    assert sorted([place for group in groups for place in group] + alone) == list(range(len(angles)))
    assert all(len(group) >= min(size, 1) for group in groups)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 359)), max_size=12), st.integers(0, 6), st.integers(0, 6))
def test_topics_keep_at_least_min_and_at_most_max_of_what_is_there(items: list[tuple[float, float]], most: int,
                                                                   least: int) -> None:
    ranked = sorted(items, reverse=True)
    rows = unit(*(angle for _, angle in ranked)) if ranked else np.zeros((0, 2), dtype=np.float32)
    kept = Topics().select([score for score, _ in ranked], rows, max_k=most, min_k=least)
    assert min(least, most, len(ranked)) <= kept.keep <= min(most, len(ranked))
    assert kept.places is None or list(kept.places) == sorted(set(kept.places))
