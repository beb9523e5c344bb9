"""Personal data in texts: precision, recall and F1 of the engine's own detector, per type of the folder's labels."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled
from ruche.plugins.enforcers.traces import traces
from ruche.plugins.errors import ConfigurationError

TYPES = {
    "PERSON": "name", "ADDRESS": "address", "STREET_ADDRESS": "address", "ZIP_CODE": "address", "LOCATION": "place",
    "GPE": "place", "CITY": "place", "COUNTRY": "place", "ORGANIZATION": "company", "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card", "CREDIT_CARD_NUMBER": "card", "IBAN_CODE": "iban", "IBAN": "iban", "TITLE": "title",
    "PREFIX": "title", "DATE_TIME": "date", "DATE": "date", "DOMAIN_NAME": "url", "URL": "url", "US_SSN": "ssn",
    "SSN": "ssn", "IP_ADDRESS": "ip", "EMAIL_ADDRESS": "email", "EMAIL": "email", "US_DRIVER_LICENSE": "license",
}
SAME = 0.5
"""Share of the union of two spans that they must have in common to be the same find."""


class Labelled(NamedTuple):
    text: str
    spans: tuple[tuple[str, int, int], ...]


def read(folder: Path) -> list[Labelled]:
    """Every row {full_text, spans: [{entity_type, start_position, end_position}]} of the JSON files below the folder.

    Raises ConfigurationError when there is none.
    """
    rows = [row for path in sorted(folder.rglob("*.json")) for row in _rows(path)]
    if not rows:
        raise ConfigurationError(f"{folder} has no JSON list of full_text and spans")
    return [Labelled(row["full_text"], tuple((one["entity_type"], one["start_position"], one["end_position"])
                                             for one in row["spans"])) for row in rows]


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent for all types together, those that are told by their form alone, and each type."""
    rows = sampled(read(folder), limit, seed)
    tally: Counter[tuple[str, str]] = Counter()
    types = sorted({kind for row in rows for kind, _, _ in row.spans})
    for row in rows:
        _count(tally, row, asking)
    metrics: dict[str, Any] = {"n": len(rows), **_scores(tally, types, "")}
    metrics |= _scores(tally, [kind for kind in types if TYPES.get(kind) in _CERTAIN], "by_form ")
    for kind in types:
        metrics |= _scores(tally, [kind], f"{kind} ")
    unknown = [kind for kind in types if kind not in TYPES]
    return {**metrics, "notes": [f"not looked for: {', '.join(unknown)}"] if unknown else []}


_CERTAIN = frozenset({"email", "url", "iban", "card", "ssn", "ip", "phone", "date"})


def _rows(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return [row for row in content if isinstance(row, dict) and "full_text" in row] if isinstance(content, list) else []


def _count(tally: Counter[tuple[str, str]], row: Labelled, asking: Asking) -> None:
    """Labels of one text against finds of one kind; types that share a kind share its finds."""
    begun = time.perf_counter()
    found = traces(row.text)
    asking.times.append(1000.0 * (time.perf_counter() - begun))
    left = list(found)
    for kind, start, end in row.spans:
        alike = [one for one in left if one.kind == TYPES.get(kind) and _same(one.start, one.end, start, end)]
        match = alike[0] if alike else None
        tally["missed" if match is None else "right", kind] += 1
        if match is not None:
            left.remove(match)
    present = {TYPES.get(kind): kind for kind, _, _ in row.spans}
    for one in left:
        tally["wrong", present.get(one.kind) or _TYPE_OF[one.kind]] += 1


_TYPE_OF = {kind: name for name, kind in reversed(TYPES.items())}


def _same(first: int, last: int, start: int, end: int) -> bool:
    common = min(last, end) - max(first, start)
    return common > 0 and common >= SAME * (max(last, end) - min(first, start))


def _scores(tally: Counter[tuple[str, str]], kinds: Sequence[str], prefix: str) -> dict[str, float]:
    right, wrong, missed = (sum(tally[what, kind] for kind in kinds) for what in ("right", "wrong", "missed"))
    precision, recall = right / max(right + wrong, 1), right / max(right + missed, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {f"{prefix}{name}": round(100 * value, 1)
            for name, value in (("precision", precision), ("recall", recall), ("f1", f1))}
