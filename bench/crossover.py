"""From how many texts on a graph pays in the search of an agent's knowledge, and whether it finds the same.

python -m bench.crossover [--rows 10000 20000 40000] [--dimensions 384] [--quick] [--json]

The whole search is timed: nearness and words, blended, the best 10 and 30 of all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from ruche.storage.index.agent import AgentIndex, Found
from ruche.storage.index.approximate import hnsw
from ruche.storage.index.passages import Passage
from ruche.storage.index.vectors import Rows

ASKED, NEAR, VOCABULARY, WORDS, TOLD = 60, 0.05, 30_000, 110, 12


def clustered(count: int, dimensions: int, seed: int = 0) -> Rows:
    """Unit rows around one centre for every fifty of them."""
    choice = np.random.default_rng(seed)
    centres = choice.normal(size=(max(20, count // 50), dimensions))
    rows = centres[choice.integers(len(centres), size=count)] + 0.6 * choice.normal(size=(count, dimensions))
    unit: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def sayings(count: int, words: int = TOLD, seed: int = 0) -> list[str]:
    """Texts whose words are as often as words are: the n-th a n-th as often as the first (Zipf's law)."""
    weights = 1 / np.arange(1, VOCABULARY + 1)
    chosen = np.random.default_rng(seed).choice(VOCABULARY, size=(count, words), p=weights / weights.sum())
    return [" ".join(f"w{word}" for word in row) for row in chosen.tolist()]


def agent_index(count: int, dimensions: int, words: int = WORDS) -> AgentIndex:
    """An agent that knows so many texts and nothing else."""
    texts = sayings(count, words)
    return AgentIndex([Passage("knowledge", f"know#{number:08d}", text) for number, text in enumerate(texts)],
                      clustered(count, dimensions))


def measured(count: int, dimensions: int) -> dict[str, Any]:
    """The same questions before and after there is a graph; medians in milliseconds, and the share of the same best."""
    index = agent_index(count, dimensions)
    questions = list(zip(_near(clustered(count, dimensions)), sayings(ASKED, seed=1), strict=True))
    exact, seen = _timed(index, questions)
    began = time.perf_counter()
    index.settle(crossover=1)
    built = time.perf_counter() - began
    graph, found = _timed(index, questions)
    same = sum(len(set(one.ids) & set(other.ids)) / len(one.ids) for one, other in zip(seen, found, strict=True))
    return {"rows": count, "exact_p50_ms": round(exact, 3), "graph_p50_ms": round(graph, 3),
            "same": round(same / len(seen), 4), "build_s": round(built, 1)}


def _timed(index: AgentIndex, questions: list[tuple[Rows, str]]) -> tuple[float, list[Found]]:
    waits, found = list[float](), list[Found]()
    for row, text in questions:
        for limit in (10, 30):
            began = time.perf_counter()
            found.append(index.search(row, text, limit)["knowledge"])
            waits.append((time.perf_counter() - began) * 1000)
    return statistics.median(waits), found


def _near(rows: Rows) -> Rows:
    choice = np.random.default_rng(1)
    asked = rows[choice.integers(len(rows), size=ASKED)] + NEAR * choice.normal(size=(ASKED, rows.shape[1]))
    unit: Rows = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
    return unit


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.crossover", description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sizes = chosen.rows or ([2_000, 5_000] if chosen.quick else [10_000, 20_000, 40_000])
    found = [measured(size, chosen.dimensions) for size in sizes]
    if chosen.json:
        print(json.dumps({"hnswlib": hnsw() is not None, "rows": found}))
        return
    print("without hnswlib both are exact" if hnsw() is None else "")
    for row in found:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
