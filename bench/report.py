"""How every benchmark prints: one table for people, or with `--json` exactly one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ruche.plugins.errors import ConfigurationError


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1. Raises ValueError when there are no values."""
    if not values:
        raise ValueError("no values to rank")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine(),
            "cores": os.cpu_count(), "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; numbers right, words left."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) if cells else len(column)
              for i, column in enumerate(head)]
    lines = [title, "  ".join(column.rjust(width) for column, width in zip(head, widths, strict=True))]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(lines)


def emit(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the table, or the JSON object; progress belongs on stderr."""
    print(json.dumps({**result, "machine": machine()}) if as_json else text)


def count(text: str) -> int:
    """An option that counts something: a whole number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a whole number from 1 is wanted, not {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    """Several of them, with commas."""
    return [count(part) for part in text.split(",")]


def positive(text: str) -> float:
    """An option that is a time or a rate: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is wanted, not {text!r}")
    return value


Measure = Callable[[argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]]


def measured(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, measure: Measure, *,
             quick: int, rows: str) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options and what was measured. Adds --limit, --embedder, --quick and --json; what cannot be used ends the
    program with the reason. `rows`: what there are so many of."""
    parser.add_argument("--limit", type=int, help=f"at most so many {rows}")
    parser.add_argument("--embedder", default="auto", choices=("auto", "minilm", "hashing"))
    parser.add_argument("--quick", action="store_true", help=f"the hashing embedder and {quick} {rows}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.embedder, options.limit = "hashing", options.limit or quick
    try:
        return options, asyncio.run(measure(options))
    except ConfigurationError as error:
        parser.error(error.message)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
