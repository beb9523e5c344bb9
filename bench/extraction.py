"""How much of what replies say is found for expressions: recall per name over written replies.

    python -m bench.extraction [--data FILE.jsonl] [--json]

FILE has lines {"text", "language", "names": {name: value}}; a flag that is not listed should not be found. Without it,
the replies in bench/extraction.jsonl, which were written for this: plain ones, and some that are put in hard ways.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.report import emit, table
from ruche.plugins.enforcers import extract_names

WRITTEN = Path(__file__).with_name("extraction.jsonl")
MEASURED = ("amount", "percent", "currency")
"""Names that hold values; beside them every flag `contains_*` is measured but those that follow from these."""
_DERIVED = frozenset({"contains_amount", "contains_percent"})


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def measure(replies: list[dict[str, Any]]) -> dict[str, Any]:
    """Per name: expected, found as expected, found otherwise, found where nothing was expected; and what was missed."""
    counts: dict[str, Counter[str]] = {}
    missed, spent = list[dict[str, Any]](), 0.0
    for reply in replies:
        began = time.perf_counter()
        found = extract_names(reply["text"], reply["language"])
        spent += time.perf_counter() - began
        for name in sorted({*MEASURED, *(one for one in found if one.startswith("contains_")), *reply["names"]}):
            if name not in _DERIVED:
                outcome = _outcome(reply["names"].get(name), found.get(name))
                counts.setdefault(name, Counter())[outcome] += 1
                if outcome in ("missed", "wrong"):
                    missed.append({"text": reply["text"], "name": name, "expected": reply["names"][name],
                                   "found": found.get(name)})
    rows = [{"name": name, "expected": count["right"] + count["missed"] + count["wrong"], "right": count["right"],
             "wrong": count["wrong"], "extra": count["extra"]} for name, count in sorted(counts.items())]
    expected, right = sum(row["expected"] for row in rows), sum(row["right"] for row in rows)
    return {"replies": len(replies), "rows": rows, "recall": round(right / max(expected, 1), 4),
            "extra": sum(row["extra"] for row in rows), "missed": missed,
            "us_per_reply": round(1e6 * spent / max(len(replies), 1), 1)}


def _outcome(expected: Any, found: Any) -> str:
    if not expected:
        return "extra" if found else "right nothing"
    if found == expected or (isinstance(expected, float) and found is not None and abs(found - expected) < 1e-9):
        return "right"
    return "wrong" if found else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=WRITTEN)
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = measure(read(chosen.data))
    title = (f"{result['replies']} replies, recall {result['recall']:.3f}, {result['extra']} found where nothing was "
             f"expected, {result['us_per_reply']} us a reply")
    text = table(title, ["name", "expected", "right", "wrong", "extra"],
                 [[row["name"], row["expected"], row["right"], row["wrong"], row["extra"]] for row in result["rows"]])
    told = [f"  missed {one['name']} = {one['expected']} (found {one['found']}): {one['text']}"
            for one in result["missed"]]
    emit(result, "\n".join([text, *told]), as_json=chosen.json)


if __name__ == "__main__":
    main()
