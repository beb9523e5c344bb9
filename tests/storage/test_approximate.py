"""Of very much knowledge the same is found as by looking at all of it: a graph proposes, exact scores decide."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bench.crossover import agent_index, clustered, sayings
from ruche.storage.index import agent as agent_room
from ruche.storage.index import approximate, proposing
from ruche.storage.index.agent import AgentIndex
from ruche.storage.index.approximate import CROSSOVER, Graph, graph_over
from ruche.storage.index.hybrid import DOCUMENTS
from ruche.storage.index.passages import Passage
from ruche.storage.index.ranking import top_places
from ruche.storage.index.vectors import Rows, dots
from tests.e2e.tree import ROOT

SIZE, WIDTH = 3000, 24
ROWS = clustered(SIZE, WIDTH)
QUESTIONS = [(row, text) for row, text in zip(clustered(40, WIDTH, seed=3), sayings(40, seed=3), strict=True)]


@pytest.fixture(scope="module")
def index() -> AgentIndex:
    return agent_index(SIZE, WIDTH)


def test_with_a_graph_the_same_is_found_with_the_same_scores(index: AgentIndex) -> None:
    before = [index.search(row, text, limit) for row, text in QUESTIONS for limit in (1, 5, 10)]
    assert index.settle(crossover=100) == (approximate.hnsw() is not None)
    after = [index.search(row, text, limit) for row, text in QUESTIONS for limit in (1, 5, 10)]
    assert after == before


def test_a_graph_is_asked_and_mostly_proves_that_it_was_enough(index: AgentIndex,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    if not index.settle(crossover=100):
        return
    proved = []

    def noting(*asked: object) -> object:
        proved.append(proposing.proposed(*asked))  # type: ignore[arg-type]
        return proved[-1]

    monkeypatch.setattr(agent_room, "proposed", noting)
    for row, text in QUESTIONS:
        index.search(row, text, 5)
    assert len(proved) == len(QUESTIONS)
    assert sum(one is not None for one in proved) > len(QUESTIONS) // 2


class Nearest(Graph):
    """Proposes what is nearest indeed, so that the rest can be reasoned about."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def nearest(self, query: Rows, count: int) -> np.ndarray:
        return np.argsort(-dots(self._rows, query))[:count]


def test_what_could_be_beaten_by_something_unseen_is_not_answered() -> None:
    """Every item is as near and as told as every other, but for one that neither side proposes."""
    rows = np.tile(ROWS[:1], (500, 1))
    bm25 = np.ones(500)
    assert proposing.proposed(Nearest(rows), rows, DOCUMENTS, ROWS[0], bm25, 5) is None
    assert proposing.proposed(Nearest(rows[:60]), rows[:60], DOCUMENTS, ROWS[0], bm25[:60], 5) is not None


def test_what_is_proved_is_what_looking_at_everything_gives() -> None:
    choice = np.random.default_rng(8)
    proved = 0
    for _ in range(200):
        bm25 = np.where(choice.random(SIZE) < 0.02, choice.gamma(2.0, 3.0, SIZE), 0.0)
        vector = ROWS[int(choice.integers(SIZE))]
        found = proposing.proposed(Nearest(ROWS), ROWS, DOCUMENTS, vector, bm25, 5)
        if found is not None:
            proved += 1
            scores, _ = DOCUMENTS(dots(ROWS, vector), bm25)
            assert found.places.tolist() == top_places(scores, 5).tolist()
            assert np.array_equal(found.scores, scores[found.places])
    assert proved > 20


def test_below_the_crossover_or_without_the_library_there_is_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    assert graph_over(ROWS[:CROSSOVER - 1]) is None
    monkeypatch.setattr(approximate, "hnsw", lambda: None)
    assert graph_over(ROWS, crossover=1) is None


def test_no_index_is_read_from_a_file_and_nothing_is_unpickled() -> None:
    """Security item 25: the library checks nothing that it reads, and a pickle is code."""
    for room in ("storage", "plugins", "actors", "engine"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in ("pickle", "load_index", "save_index", "__setstate__") if word in text], path


def test_items_with_several_texts_or_without_knowledge_get_no_graph() -> None:
    twice = [Passage("rule", "r", "one"), Passage("rule", "r", "two")]
    assert not AgentIndex(twice, ROWS[:2]).settle(crossover=1)
    split = [Passage("knowledge", "f#1", "one"), Passage("knowledge", "f#1", "two")]
    assert not AgentIndex(split, ROWS[:2]).settle(crossover=1)


def test_an_agent_with_ten_texts_finds_them_however_many_the_others_have() -> None:
    """Each agent of each tenant has an index of its own; a hundred thousand rows elsewhere change nothing."""
    small = AgentIndex([Passage("knowledge", f"mine#{number}", f"mine {number}") for number in range(10)], ROWS[:10])
    before = [small.search(row, text, 10)["knowledge"] for row, text in QUESTIONS]
    large = agent_index(100_000, 8, words=4)
    assert [small.search(row, text, 10)["knowledge"] for row, text in QUESTIONS] == before
    assert all(sorted(found.ids) == [f"mine#{number}" for number in range(10)] for found in before)
    assert {name[:5] for name in large.search(clustered(1, 8)[0], "mine 1", 10)["knowledge"].ids} == {"know#"}


def test_the_same_rows_give_the_same_graph() -> None:
    first, second = graph_over(ROWS, crossover=1), graph_over(ROWS.copy(), crossover=1)
    if first is None or second is None:
        return
    for row, _ in QUESTIONS:
        assert first.nearest(row, 20).tolist() == second.nearest(row, 20).tolist()


def test_searching_from_several_threads_while_the_graph_comes_gives_the_same(index: AgentIndex) -> None:
    expected = [index.search(row, text, 5) for row, text in QUESTIONS]
    wrong = list[int]()

    def look() -> None:
        for _ in range(5):
            wrong.extend(place for place, (row, text) in enumerate(QUESTIONS)
                         if index.search(row, text, 5) != expected[place])

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    index.settle(crossover=100)
    for thread in threads:
        thread.join()
    assert wrong == []
