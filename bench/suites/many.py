"""Several rules at once: intents with descriptions, sentences that carry any number of them, in folds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled, share
from ruche.engine.brain.match import MAX_RULES
from ruche.plugins.contracts import Hits
from ruche.plugins.errors import ConfigurationError
from ruche.storage.index.passages import subject

ASKED = 4
"""Folds that are asked and never learnt from."""


class Row(NamedTuple):
    text: str
    intents: frozenset[str]


class Domain(NamedTuple):
    """Intents with what they mean, and the folds of one domain."""

    intents: dict[str, str]
    folds: list[list[Row]]


def read(folder: Path) -> list[Domain]:
    """The domains of a folder with `ontology.json` and `DOMAIN/fold*.json`, here or in `data/`.

    Raises ConfigurationError when there is no such thing, or fewer folds than are needed.
    """
    root = next((place for place in (folder, folder / "data") if (place / "ontology.json").is_file()), None)
    if root is None:
        raise ConfigurationError(f"{folder} has no ontology.json")
    intents = json.loads((root / "ontology.json").read_text(encoding="utf-8"))["intents"]
    found = [_domain(place, intents) for place in sorted(root.iterdir()) if list(place.glob("fold*.json"))]
    if not found or any(len(domain.folds) < 3 for domain in found):
        raise ConfigurationError(f"{root} has no folder with at least three fold*.json")
    return found


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Metrics in per cent with no example, with one fold and with all but the asked ones; averaged over domains."""
    found = [await _measured(asking, domain, limit, seed) for domain in read(folder)]
    names = [name for name in found[0] if name != "n"]
    return {"n": sum(one["n"] for one in found),
            **{name: round(sum(one[name] for one in found) / len(found), 1) for name in names}}


async def _measured(asking: Asking, domain: Domain, limit: int | None, seed: int) -> dict[str, float]:
    order = sampled(domain.folds, None, seed)
    held = min(ASKED, len(order) // 3)
    asked = sampled([row for fold in order[:held] for row in fold], limit, seed)
    learnt = [row for fold in order[held:] for row in fold]
    metrics: dict[str, float] = {"n": len(asked)}
    for name, rows in (("zero", []), ("one_fold", order[held]), ("all_folds", learnt)):
        version = await asking.publish(agent={"name": "Measured", "several_rules": True},
                                       rules=_rules(domain.intents, rows))
        found = await asking.ask(version, [row.text for row in asked], MAX_RULES)
        threshold = asking.retriever.embedder.rule_threshold
        metrics |= {f"{name}_{key}": value for key, value in _judged([_fired(hits, threshold) for hits in found],
                                                                   asked).items()}
    return metrics


def _rules(intents: dict[str, str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"id": name, "if": meaning, "then": "answer",
             "examples": tuple(row.text for row in rows if name in row.intents)}
            for name, meaning in sorted(intents.items())]


def _fired(hits: Hits, threshold: float) -> frozenset[str]:
    return frozenset(hit.id for hit in hits.rules if hit.score >= threshold)


def _judged(found: Sequence[frozenset[str]], asked: Sequence[Row]) -> dict[str, float]:
    pairs = [(got, row.intents) for got, row in zip(found, asked, strict=True)]
    both = sum(len(got & wanted) for got, wanted in pairs)
    empty = [not got for got, wanted in pairs if not wanted]
    return {"micro_f1": share(2 * both, sum(len(got) + len(wanted) for got, wanted in pairs)),
            "exact_set": share(sum(got == wanted for got, wanted in pairs), len(pairs)),
            "empty_set_accuracy": share(sum(empty), len(empty))}


def _domain(place: Path, intents: dict[str, dict[str, Any]]) -> Domain:
    known = {name: about.get("description") or subject(name) for name, about in intents.items()
             if {"general", place.name} & set(about.get("domain") or (place.name,))}
    files = sorted(place.glob("fold*.json"), key=lambda path: int(re.sub(r"\D", "", path.stem) or 0))
    return Domain(known, [[Row(row["text"], frozenset(row.get("intents", ())) & known.keys())
                           for row in json.loads(path.read_text(encoding="utf-8"))] for path in files])
