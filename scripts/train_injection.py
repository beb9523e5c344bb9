"""Writes plugins/enforcers/injection.json: the linear head of the injection filter, with its threshold and its rates.

    python scripts/train_injection.py --attack FOLDER... --harmless FOLDER... [--json REPORT]

Attack folders are read as the suite `injection` reads them; of harmless folders every text of three words and more is
taken (JSON, JSON Lines, CSV, text, Markdown), at most 3,000 of each. A folder whose SOURCE.txt names a share-alike or
non-commercial licence for what is in it is refused. Three tenths of every folder, chosen by the seed, are set aside:
on them threshold and rates are measured, with a head that never saw them. The head that is written then learns from
all rows.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import injection_phrases  # noqa: E402

from bench.suites.injection import line, read  # noqa: E402
from ruche.plugins.enforcers.injection import SHIPPED  # noqa: E402
from ruche.plugins.enforcers.ngrams import BITS, SIZE, Features, features  # noqa: E402

ASIDE, MOST, LONGEST = 0.3, 3_000, 4_000
STEPS, RATE, PENALTY = 250, 0.3, 1e-5
ATTACK, OWN, LOOKALIKE, PLAIN = 20.0, 6.0, 8.0, 1.0
"""Weights of a row: an attack of a data set, one of ours, a harmless text of ours or of a folder with long or odd texts
(few rows), one of a folder with many rows."""
ALARMS = 0.0005
"""Share of all harmless rows set aside that may reach the threshold less MARGIN."""
MARGIN = 0.5
"""Rows set aside are like those learnt from; what people really write is stranger."""
_FORBIDDEN = re.compile(r"\b(?:SA|NC|ShareAlike|NonCommercial)\b|share-alike|non-commercial", re.IGNORECASE)


class Row(NamedTuple):
    text: str
    attack: bool
    weight: float
    source: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attack", type=Path, nargs="+", required=True)
    parser.add_argument("--harmless", type=Path, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--json", type=Path, help="where the measured rates go")
    options = parser.parse_args()
    learn, aside = rows(options.attack, options.harmless, options.seed)
    weights, bias = fit(learn)
    report = measured(aside, weights, bias)
    print(json.dumps(report, indent=1))
    weights, bias = fit([*learn, *aside])
    scale = float(np.abs(weights).max()) / 127.0
    options.out.write_text(json.dumps({
        "bits": BITS, "scale": scale, "bias": bias, "threshold": report["threshold"], "line": report["line"],
        "measured": report, "weights": base64.b64encode(np.rint(weights / scale).astype(np.int8).tobytes()).decode(),
    }, indent=0) + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def rows(attacks: Sequence[Path], harmless: Sequence[Path], seed: int) -> tuple[list[Row], list[Row]]:
    """(rows to learn from, rows set aside), every source split alike."""
    source = random.Random(seed)
    learn: list[Row] = []
    aside: list[Row] = []
    groups = [[Row(row.text, True, ATTACK, folder.name) for row in read(permitted(folder)) if row.kind == "attack"]
              for folder in attacks]
    groups += [_harmless(permitted(folder), source) for folder in harmless]
    groups.append([Row(text, True, OWN, "own") for text in injection_phrases.attacks(seed)])
    groups.append([Row(text, False, LOOKALIKE, "own") for text in injection_phrases.harmless(seed)])
    for group in groups:
        unique = list({row.text: row for row in group}.values())
        source.shuffle(unique)
        cut = int((1.0 - ASIDE) * len(unique))
        learn += unique[:cut]
        aside += unique[cut:]
    return learn, aside


def permitted(folder: Path) -> Path:
    """The folder, unless its licence forbids. A clause that names parts which are not in the folder does not count."""
    path = folder / "SOURCE.txt"
    about = path.read_text(encoding="utf-8") if path.is_file() else ""
    licence = re.search(r"^licence:(.*)$", about, re.MULTILINE)
    files = about.partition("files here:")[2].lower()
    for clause in licence[1].split(";") if licence else ():
        subject = clause.split()[0].lower()
        if _FORBIDDEN.search(clause) and (subject in files or ";" not in licence[1]):
            sys.exit(f"{folder} is not used: {clause.strip()}")
    return folder


def _harmless(folder: Path, source: random.Random) -> list[Row]:
    found = list(dict.fromkeys(text[:LONGEST] for path in sorted(folder.rglob("*")) for text in _texts(path)
                               if len(text.split()) >= 3 or not text.isascii()))
    few = len(found) < MOST
    source.shuffle(found)
    return [Row(text, False, LOOKALIKE if few else PLAIN, folder.name) for text in found[:MOST]]


def _texts(path: Path) -> Iterator[str]:
    if path.name in ("SOURCE.txt", "README.md") or path.name.startswith("LICENSE") or not path.is_file():
        return
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            yield from (cell for row in csv.reader(file) for cell in row)
    elif path.suffix == ".json":
        yield from _strings(json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".jsonl":
        for text in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            yield from _strings(row)
            if isinstance(row.get("events"), list):
                yield "\n".join(str(event.get("text", "")) for event in row["events"])
    elif path.suffix in (".txt", ".md"):
        text = path.read_text(encoding="utf-8")
        yield from (text[start:start + 1_500] for start in range(0, len(text), 1_500))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def fit(learn: Sequence[Row]) -> tuple[NDArray[np.float64], float]:
    """Weighted logistic regression by Adam (Kingma and Ba, 2014) over all rows at once, from zero: no chance in it."""
    found = [features(row.text) for row in learn]
    places, starts, owner, share = _sparse(found)
    target = np.array([row.attack for row in learn], dtype=np.float64)
    weight = np.array([row.weight for row in learn])
    weight /= weight.sum()
    state = np.zeros(SIZE + 1)
    mean, square = np.zeros(SIZE + 1), np.zeros(SIZE + 1)
    for step in range(1, STEPS + 1):
        logits = np.add.reduceat(state[places] * share, starts) + state[SIZE]
        slope = (0.5 * (1.0 + np.tanh(0.5 * logits)) - target) * weight
        gradient = np.append(np.bincount(places, slope[owner] * share, SIZE) + PENALTY * state[:SIZE], slope.sum())
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient * gradient
        size = RATE * (1.02 - step / STEPS)
        state -= size * (mean / (1 - 0.9 ** step)) / (np.sqrt(square / (1 - 0.99 ** step)) + 1e-9)
    return state[:SIZE], float(state[SIZE])


def _sparse(found: Sequence[Features]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp],
                                                NDArray[np.float64]]:
    """Feature, start of each row, row of each feature, and the feature's share in its row."""
    lengths = np.array([len(one) for one in found])
    owner = np.repeat(np.arange(len(found)), lengths)
    return np.concatenate(found), np.cumsum(lengths) - lengths, owner, 1.0 / np.sqrt(lengths)[owner]


def measured(aside: Sequence[Row], weights: NDArray[np.float64], bias: float) -> dict[str, Any]:
    """What the head does on rows that it never saw."""
    scored: dict[tuple[bool, str], list[float]] = {}
    for row in aside:
        found = features(row.text)
        score = float(weights[found].sum() / np.sqrt(len(found)) + bias)
        scored.setdefault((row.attack, row.source), []).append(score)
    harmless = sorted((score for (attack, _), scores in scored.items() if not attack for score in scores), reverse=True)
    threshold, bound = round(harmless[int(ALARMS * len(harmless))] + MARGIN, 2), line(harmless) or 0.0
    attacks = [score for (attack, source), scores in scored.items() if attack and source != "own" for score in scores]
    return {
        "threshold": threshold, "line": round(bound, 2), "harmless": len(harmless), "attacks": len(attacks),
        "caught_at_1_per_cent": _share(attacks, bound), "caught_at_threshold": _share(attacks, threshold),
        "false_alarms_at_threshold": _share(harmless, threshold),
        "flagged_by_source": {f"{source} ({'attack' if attack else 'harmless'})": _share(scores, threshold)
                              for (attack, source), scores in sorted(scored.items())}}


def _share(scores: Sequence[float], bound: float) -> float:
    return round(100.0 * sum(score > bound for score in scores) / max(len(scores), 1), 2)


if __name__ == "__main__":
    main()
