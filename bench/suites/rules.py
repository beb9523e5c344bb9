"""One rule per category: from its name alone, with some examples, with examples of every other rule only, with all,
with typing errors, and out of scope."""

from __future__ import annotations

import csv
import json
import random
import string
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled, share
from ruche.plugins.contracts import Hits
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.selectors import selector_for
from ruche.storage.index.passages import subject

HELD_OUT = 0.2
"""Share of the training rows that is asked when a folder has no test rows (never given to the rules)."""


LOOKED = 30
"""Rules among which the selector chooses."""


class Row(NamedTuple):
    text: str
    category: str


class Rows(NamedTuple):
    """Rows to learn from, rows to ask, and rows that belong to no rule."""

    train: list[Row]
    test: list[Row]
    outside: list[str]


def read(folder: Path, train: Path | None, seed: int) -> Rows:
    """`train.csv` and `test.csv` with `text,category`, or a JSON file of splits with rows of [text, category].

    Raises ConfigurationError when the folder holds neither.
    """
    where = train or folder
    if (where / "train.csv").is_file():
        rows = _csv(where / "train.csv")
        test = _csv(folder / "test.csv") if (folder / "test.csv").is_file() else []
        return _split(rows, test, [], seed)
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "train" in content:
            return _json(content, seed)
    raise ConfigurationError(f"{folder} has no train.csv and no JSON file with `train`")


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Metrics in per cent; see bench.md for their names."""
    rows = read(folder, train, seed)
    asked = sampled(rows.test, limit, seed)
    by_category: dict[str, list[str]] = defaultdict(list)
    for row in sampled(rows.train, None, seed):
        by_category[row.category].append(row.text)
    metrics: dict[str, Any] = {"n": len(asked)}
    named = await _ranked(asking, by_category, 0, asked, 10)
    metrics |= {f"name_only_r{depth}": _recall(named, asked, depth) for depth in (1, 5, 10)}
    for shots in (1, 5, 10):
        found = await _ranked(asking, by_category, shots, asked, LOOKED)
        metrics[f"shot{shots}_accuracy"] = _recall(found, asked, 1)
        metrics[f"shot{shots}_exact"] = _exact(asking, found, asked)
    half = {name: texts if place % 2 else [] for place, (name, texts) in enumerate(sorted(by_category.items()))}
    metrics["half_shot5_accuracy"] = _recall(await _ranked(asking, half, 5, asked, 1), asked, 1)
    full = await asking.publish(rules=_rules(by_category, None))
    found = await asking.ask(full, [row.text for row in asked], 1)
    metrics["full_accuracy"] = _recall(found, asked, 1)
    spoilt = await asking.ask(full, [misspelt(row.text, seed) for row in asked], 1)
    metrics["typo_accuracy"] = _recall(spoilt, asked, 1)
    if rows.outside:
        metrics |= await _outside(asking, full, rows, found, asked)
    return metrics


def misspelt(text: str, seed: int, rate: float = 0.2) -> str:
    """A letter dropped, doubled, swapped or replaced in a fifth of the words of four letters and more."""
    source = random.Random(f"{seed}:{text}")
    return " ".join(_spoilt(word, source) if len(word) > 3 and source.random() < rate else word
                    for word in text.split())


def _spoilt(word: str, source: random.Random) -> str:
    place = source.randrange(1, len(word) - 1)
    return source.choice((
        word[:place] + word[place + 1:], word[:place] + word[place] + word[place:],
        word[:place] + word[place + 1] + word[place] + word[place + 2:],
        word[:place] + source.choice(string.ascii_lowercase) + word[place + 1:]))


async def _ranked(asking: Asking, examples: dict[str, list[str]], shots: int, asked: Sequence[Row],
                  limit: int) -> list[Hits]:
    version = await asking.publish(rules=_rules(examples, shots))
    return await asking.ask(version, [row.text for row in asked], limit)


def _rules(examples: dict[str, list[str]], shots: int | None) -> list[dict[str, Any]]:
    return [{"id": category, "if": subject(category), "then": "answer", "examples": tuple(texts[:shots])}
            for category, texts in sorted(examples.items())]


def _recall(found: Sequence[Hits], asked: Sequence[Row], depth: int) -> float:
    return share(sum(row.category in [hit.id for hit in hits.rules[:depth]]
                     for hits, row in zip(found, asked, strict=True)), len(asked))


def _exact(asking: Asking, found: Sequence[Hits], asked: Sequence[Row]) -> float:
    """The share of messages that match their own rule and no other, at the shipped threshold and after the selector."""
    threshold = asking.retriever.embedder.rule_threshold
    selector, most = selector_for("rule", threshold)
    exact = 0
    for hits, row in zip(found, asked, strict=True):
        matched = [hit for hit in hits.rules if hit.score >= threshold]
        kept = selector.select([hit.score for hit in matched], max_k=most).keep
        exact += [hit.id for hit in matched[:kept]] == [row.category]
    return share(exact, len(asked))


async def _outside(asking: Asking, version: int, rows: Rows, found: Sequence[Hits],
                   asked: Sequence[Row]) -> dict[str, float]:
    """At the engine's own threshold: the asked rows never move it, nor do others of their kind."""
    threshold = asking.retriever.embedder.rule_threshold
    inside = _tops(found)
    outside = _tops(await asking.ask(version, rows.outside, 1))
    kept = sum(score >= threshold and hits.rules[0].id == row.category
               for score, hits, row in zip(inside, found, asked, strict=True))
    return {"in_scope_accuracy": share(kept, len(asked)),
            "oos_recall": share(sum(score < threshold for score in outside), len(outside)),
            "oos_auroc": round(_auroc(inside, outside), 3), "threshold": round(threshold, 4)}


def _tops(found: Sequence[Hits]) -> list[float]:
    return [hits.rules[0].score for hits in found]


def _auroc(inside: Sequence[float], outside: Sequence[float]) -> float:
    wins = sum((one > other) + 0.5 * (one == other) for one in inside for other in outside)
    return wins / max(len(inside) * len(outside), 1)


def _csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["text"], line["category"]) for line in csv.DictReader(file)]


def _json(content: dict[str, Any], seed: int) -> Rows:
    train = [Row(*row) for row in content["train"]]
    test = [Row(*row) for row in content.get("test") or content.get("val") or []]
    outside = [row[0] for row in content.get("oos_test") or content.get("oos_val") or []]
    return _split(train, test, outside, seed)


def _split(train: list[Row], test: list[Row], outside: list[str], seed: int) -> Rows:
    if test:
        return Rows(train, test, outside)
    shuffled = sampled(train, None, seed)
    cut = int(len(shuffled) * HELD_OUT)
    return Rows(shuffled[cut:], shuffled[:cut], outside)
