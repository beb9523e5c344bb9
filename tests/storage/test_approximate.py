"""Many vectors of a tenant are found as exactly as few: the graph proposes, exact cosines decide."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.crossover import clustered
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.index import approximate
from ruche.storage.index.approximate import TenantVectors
from ruche.storage.index.vectors import ExactVectors

SIZE, WIDTH = 1200, 24
ROWS = clustered(SIZE, WIDTH)
IDS = [f"v{number:05d}" for number in range(SIZE)]
QUESTIONS = clustered(40, WIDTH, seed=3)


def indexes(crossover: int = 100) -> tuple[TenantVectors, ExactVectors]:
    tenant, exact = TenantVectors(WIDTH, crossover=crossover), ExactVectors(WIDTH)
    tenant.add(IDS, ROWS)
    exact.add(IDS, ROWS)
    return tenant, exact


def recall(tenant: TenantVectors, exact: ExactVectors) -> float:
    found = [len({key for key, _ in tenant.search(one, 10)} & {key for key, _ in exact.search(one, 10)})
             for one in QUESTIONS]
    return sum(found) / (10 * len(QUESTIONS))


def test_above_the_crossover_the_graph_finds_what_exact_search_finds_with_the_same_scores() -> None:
    tenant, exact = indexes()
    assert not tenant.approximate
    tenant.settle()
    assert tenant.approximate == (approximate.library() is not None)
    assert recall(tenant, exact) > 0.97
    for question in QUESTIONS:
        scores = dict(exact.search(question, SIZE))
        assert all(scores[key] == score for key, score in tenant.search(question, 10))


def test_below_the_crossover_or_without_the_library_search_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, exact = indexes(crossover=SIZE + 1)
    assert not tenant.settle()
    without, _ = indexes()
    monkeypatch.setattr(approximate, "library", lambda: None)
    assert not without.settle()
    for question in QUESTIONS:
        assert tenant.search(question, 10) == without.search(question, 10) == exact.search(question, 10)


def test_a_tenant_with_ten_rows_finds_them_however_many_the_others_have() -> None:
    large, small = TenantVectors(WIDTH), TenantVectors(WIDTH)
    large.add([f"o{number:06d}" for number in range(100_000)], clustered(100_000, WIDTH, seed=5))
    small.add(IDS[:10], ROWS[:10])
    exact = ExactVectors(WIDTH)
    exact.add(IDS[:10], ROWS[:10])
    for question in QUESTIONS:
        assert small.search(question, 10) == exact.search(question, 10)
    assert {key for key, _ in large.search(ROWS[0], 10)}.isdisjoint(IDS)


def test_the_same_rows_give_the_same_graph_whatever_order_they_came_in() -> None:
    first, _ = indexes()
    second = TenantVectors(WIDTH, crossover=100)
    for place in np.random.default_rng(2).permutation(SIZE):
        second.add([IDS[place]], ROWS[place:place + 1])
    first.settle()
    second.settle()
    assert [first.search(one, 10) for one in QUESTIONS] == [second.search(one, 10) for one in QUESTIONS]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "settle"]), st.integers(0, 299)), max_size=30))
def test_what_was_added_is_found_at_once_and_what_was_removed_never_again(steps: list[tuple[str, int]]) -> None:
    tenant, known = TenantVectors(WIDTH, crossover=60), dict[str, int]()
    tenant.add(IDS[:80], ROWS[:80])
    known.update({key: place for place, key in enumerate(IDS[:80])})
    tenant.settle()
    for what, place in steps:
        if what == "settle":
            tenant.settle()
        elif what == "remove":
            tenant.remove([IDS[place]])
            known.pop(IDS[place], None)
        else:
            tenant.add([IDS[place]], ROWS[SIZE - 1 - place:SIZE - place])
            known[IDS[place]] = SIZE - 1 - place
    assert len(tenant) == len(known)
    for key, place in known.items():
        (found, score), *_ = tenant.search(ROWS[place], 1)
        assert score == pytest.approx(1.0, abs=1e-4)
        assert np.allclose(ROWS[known[found]], ROWS[place], atol=1e-3), key
    assert {key for key, _ in tenant.search(ROWS[0], 500)} <= known.keys()


def test_a_snapshot_answers_as_before_and_holds_nothing_that_was_removed() -> None:
    tenant, _ = indexes()
    tenant.settle()
    state = tenant.state()
    assert state is not None
    again = TenantVectors.restore(state, crossover=100)
    assert again.approximate == tenant.approximate
    assert [again.search(one, 10) for one in QUESTIONS] == [tenant.search(one, 10) for one in QUESTIONS]
    again.add(["fresh"], QUESTIONS[:1])
    assert again.search(QUESTIONS[0], 1)[0][0] == "fresh"
    tenant.remove(IDS[:3])
    if tenant.approximate:
        assert tenant.state() is None
    tenant.settle()
    later = tenant.state()
    assert later is not None
    assert ROWS[0].tobytes() not in later
    assert ROWS[5].tobytes() in later


@pytest.mark.parametrize("state", [b"", b"\x00", b"\x93\x01\x02\x03", b"garbage"])
def test_bytes_that_are_no_state_are_refused(state: bytes) -> None:
    """Security item 25: what the library is given was sealed by us, and is taken apart by us first."""
    with pytest.raises(IntegrityError):
        TenantVectors.restore(state)


def test_vectors_of_a_wrong_width_or_length_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        TenantVectors(WIDTH).add(["a"], np.ones((1, WIDTH + 1), dtype=np.float32))
    with pytest.raises(ConfigurationError):
        TenantVectors(WIDTH).add(["a"], np.ones((1, WIDTH), dtype=np.float32))


def test_searching_while_others_add_and_build_gives_no_error() -> None:
    tenant, faults = TenantVectors(WIDTH, crossover=100), list[BaseException]()
    tenant.add(IDS[:400], ROWS[:400])
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                for question in QUESTIONS:
                    assert len(tenant.search(question, 5)) == 5
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(400, SIZE, 100):
        tenant.add(IDS[start:start + 100], ROWS[start:start + 100])
        tenant.settle()
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(tenant) == SIZE
