"""How every benchmark prints: one table for people, or with `--json` exactly one JSON object."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any


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


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
