"""From how many vectors on a tenant's approximate index is faster than exact search, and what it finds of it.

python -m bench.crossover [--rows 5000 10000 20000] [--dimensions 384] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from ruche.storage.index.approximate import TenantVectors, library
from ruche.storage.index.vectors import ExactVectors, Rows

ASKED, NEAR = 60, 0.05


def clustered(count: int, dimensions: int, seed: int = 0) -> Rows:
    """Unit rows around one centre for every fifty of them."""
    choice = np.random.default_rng(seed)
    centres = choice.normal(size=(max(20, count // 50), dimensions))
    rows = centres[choice.integers(len(centres), size=count)] + 0.6 * choice.normal(size=(count, dimensions))
    unit: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def measured(count: int, dimensions: int) -> dict[str, Any]:
    """Both on the same rows and questions, in turns; medians in milliseconds, `recall` of the ten nearest."""
    rows, ids = clustered(count, dimensions), [f"v{number:08d}" for number in range(count)]
    exact, tenant = ExactVectors(dimensions), TenantVectors(dimensions, crossover=1)
    exact.add(ids, rows)
    tenant.add(ids, rows)
    began = time.perf_counter()
    tenant.settle()
    built = time.perf_counter() - began
    waits: dict[str, list[float]] = {"exact": [], "approximate": []}
    same = 0
    for question in _questions(rows):
        said = {}
        for name, index in (("exact", exact), ("approximate", tenant)):
            began = time.perf_counter()
            said[name] = {key for key, _ in index.search(question, 10)}
            waits[name].append((time.perf_counter() - began) * 1000)
        same += len(said["exact"] & said["approximate"])
    return {"rows": count, "exact_p50_ms": round(statistics.median(waits["exact"]), 3),
            "approximate_p50_ms": round(statistics.median(waits["approximate"]), 3),
            "recall_at_10": round(same / ASKED / 10, 3), "build_s": round(built, 1)}


def _questions(rows: Rows) -> Rows:
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
    sizes = chosen.rows or ([2_000, 5_000] if chosen.quick else [5_000, 10_000, 20_000, 40_000])
    found = [measured(size, chosen.dimensions) for size in sizes]
    if chosen.json:
        print(json.dumps({"library": library() is not None, "rows": found}))
        return
    print("without hnswlib both are exact" if library() is None else "")
    for row in found:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
