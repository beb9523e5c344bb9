"""Long documents: nDCG and recall of the first ten, each document at the rank of its best passage."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled
from ruche.plugins.contracts import Hit
from ruche.plugins.errors import ConfigurationError

DEPTH, PASSAGES = 10, 200
"""Documents that count, and passages that are read to find them."""


class Library(NamedTuple):
    """Document id to text; query id to text; query id to grades by document."""

    documents: dict[str, str]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


def read(folder: Path) -> Library:
    """`documents.jsonl` with `queries.jsonl` and `qrels.tsv`, or with a `tasks*.json` of `required_documents`.

    Raises ConfigurationError when the folder holds neither.
    """
    if not (folder / "documents.jsonl").is_file():
        raise ConfigurationError(f"{folder} has no documents.jsonl")
    documents = {row["id"]: f"# {row.get('title', '')}\n\n{row.get('text') or row.get('content') or ''}"
                 for row in _lines(folder / "documents.jsonl")}
    if (folder / "qrels.tsv").is_file():
        return Library(documents, {row["id"]: row["text"] for row in _lines(folder / "queries.jsonl")},
                       _grades(folder / "qrels.tsv"))
    for path in sorted(folder.glob("tasks*.json")):
        tasks = json.loads(path.read_text(encoding="utf-8"))
        return Library(documents, {task["id"]: task["user_scenario"]["instructions"] for task in tasks},
                       {task["id"]: dict.fromkeys(task["required_documents"], 1) for task in tasks})
    raise ConfigurationError(f"{folder} has neither qrels.tsv nor tasks*.json")


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """`ndcg_at_10` and `recall_at_10` in per cent."""
    library = read(folder)
    version = await asking.publish(knowledge=library.documents)
    names = sampled(sorted(name for name in library.queries if library.grades.get(name)), limit, seed)
    found = await asking.ask(version, [library.queries[name] for name in names], PASSAGES)
    ranked = [_documents(hits.knowledge) for hits in found]
    grades = [library.grades[name] for name in names]
    return {"n": len(names), "ndcg_at_10": _mean([_ndcg(*pair) for pair in zip(ranked, grades, strict=True)]),
            "recall_at_10": _mean([_recall(*pair) for pair in zip(ranked, grades, strict=True)])}


def _documents(hits: Sequence[Hit]) -> list[str]:
    return list(dict.fromkeys(hit.id.rsplit("#", 1)[0] for hit in hits))[:DEPTH]


def _ndcg(ranked: Sequence[str], grades: dict[str, int]) -> float:
    ideal = sorted(grades.values(), reverse=True)[:DEPTH]
    return _gain([grades.get(name, 0) for name in ranked]) / (_gain(ideal) or 1.0)


def _gain(grades: Sequence[int]) -> float:
    return math.fsum(grade / math.log2(place + 2) for place, grade in enumerate(grades))


def _recall(ranked: Sequence[str], grades: dict[str, int]) -> float:
    relevant = {name for name, grade in grades.items() if grade > 0}
    return len(relevant & set(ranked)) / max(len(relevant), 1)


def _mean(values: Sequence[float]) -> float:
    return round(100.0 * math.fsum(values) / max(len(values), 1), 1)


def _grades(path: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            query, document, grade = line.split("\t")
            grades[query][document] = int(grade)
    return grades


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
