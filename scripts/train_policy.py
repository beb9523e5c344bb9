"""Trains the policy for the next step on task graphs and the dialogues held with them.

    python scripts/train_policy.py --data FOLDER [--out engine/policy/parameters.json] [--hold-out 4] [--seed 7]

With --hold-out whole tasks are set aside, chosen by the seed, and only measured. What is written holds numbers only:
the names of features, thresholds, and values. Folder: see bench/suites/star.py. The same folder gives the same file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.suites.star import CUSTOM, Decision, Task, decisions, read_dialogues, read_tasks
from ruche.engine.policy.chart import Chart, chart_of
from ruche.engine.policy.forest import Forest
from ruche.engine.policy.policy import Policy
from ruche.engine.policy.situation import FEATURES, features

TREES, DEPTH, RATE, BINS, PENALTY, COLUMNS = 250, 3, 0.1, 16, 5.0, 0.5
"""Chosen by cross-validation over twelve visible tasks; half and double of each do no better by more than noise."""
FOLDS = 4
BUCKETS = 8

Values = NDArray[np.float64]


class Rows(NamedTuple):
    """Candidates of all decisions one below the other; `starts` says where each decision begins, `right` which row
    of it was chosen."""

    values: Values
    starts: NDArray[np.intp]
    right: Values


def rows_of(charts: dict[str, Chart], found: Sequence[Decision]) -> Rows:
    parts, right = [], []
    for one in found:
        chart = charts[one.task]
        parts.append(features(chart, one.moment))
        chosen = np.zeros(len(chart))
        chosen[chart.place_of[one.step]] = 1.0
        right.append(chosen)
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    return Rows(np.concatenate(parts), starts, np.concatenate(right))


def fit(rows: Rows, seed: int) -> Forest:
    """Gradient boosting of the listwise softmax loss with second-order leaf values."""
    chance = np.random.default_rng(seed)
    edges = [_edges(rows.values[:, place]) for place in range(rows.values.shape[1])]
    bins = [np.searchsorted(edge, rows.values[:, place], side="left") for place, edge in enumerate(edges)]
    usable = [place for place, edge in enumerate(edges) if len(edge)]
    owner = np.repeat(np.arange(len(rows.starts)), np.diff(np.append(rows.starts, len(rows.values))))
    scores = np.zeros(len(rows.values))
    trees: list[tuple[list[int], list[float], Values]] = []
    for _ in range(TREES):
        raised = np.exp(scores - np.maximum.reduceat(scores, rows.starts)[owner])
        shares = raised / np.add.reduceat(raised, rows.starts)[owner]
        slope, bend = rows.right - shares, np.maximum(shares * (1.0 - shares), 1e-6)
        asked = chance.choice(usable, max(1, int(COLUMNS * len(usable))), replace=False)
        places, cuts, leaf = _grown(bins, [int(place) for place in asked], edges, slope, bend)
        gained = np.bincount(leaf, slope, 1 << DEPTH) / (np.bincount(leaf, bend, 1 << DEPTH) + PENALTY)
        value = np.round(RATE * gained, 5)
        scores += value[leaf]
        trees.append((places, cuts, value))
    return Forest(np.array([tree[0] for tree in trees]), np.array([tree[1] for tree in trees]),
                  np.array([tree[2] for tree in trees]))


def _edges(column: Values) -> Values:
    different = np.unique(column)
    if len(different) <= BINS:
        cuts = (different[1:] + different[:-1]) / 2
    else:
        cuts = np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.unique(np.round(cuts, 4))


def _grown(bins: list[NDArray[np.intp]], asked: list[int], edges: list[Values], slope: Values,
           bend: Values) -> tuple[list[int], list[float], NDArray[np.intp]]:
    leaf = np.zeros(len(slope), dtype=np.intp)
    places: list[int] = []
    cuts: list[float] = []
    for level in range(DEPTH):
        found = [(*_best(leaf, 1 << level, bins[place], len(edges[place]), slope, bend), place) for place in asked]
        _, cut, place = max(found, key=lambda one: (round(one[0], 9), -one[2]))
        leaf = 2 * leaf + (bins[place] > cut)
        places.append(place)
        cuts.append(float(edges[place][cut]))
    return places, cuts, leaf


def _best(leaf: NDArray[np.intp], leaves: int, bins: NDArray[np.intp], cuts: int, slope: Values,
          bend: Values) -> tuple[float, int]:
    """(gain, number of the cut) of the best cut of one feature, the same in every leaf."""
    key = leaf * (cuts + 1) + bins
    slopes = np.bincount(key, slope, leaves * (cuts + 1)).reshape(leaves, -1).cumsum(axis=1)
    bends = np.bincount(key, bend, leaves * (cuts + 1)).reshape(leaves, -1).cumsum(axis=1)
    low, high = slopes[:, :-1], slopes[:, -1:] - slopes[:, :-1]
    gains = (low ** 2 / (bends[:, :-1] + PENALTY) + high ** 2 / (bends[:, -1:] - bends[:, :-1] + PENALTY)).sum(axis=0)
    best = int(gains.argmax())
    return float(gains[best]), best


def judged(forest: Forest, charts: dict[str, Chart], found: Sequence[Decision]) -> list[tuple[float, bool, bool]]:
    """(share of the first, first is right, right one among the first three) of each decision."""
    policy = Policy(forest, (), (0.0,))
    result = []
    for one in found:
        ranked = policy.forecast(charts[one.task], one.moment).ranked
        result.append((ranked[0].share, ranked[0].step == one.step, one.step in [each.step for each in ranked[:3]]))
    return result


def calibrated(outcomes: Sequence[tuple[float, bool, bool]]) -> dict[str, list[float]]:
    """How often the first is right by its share: buckets of equal size, made to rise (pool adjacent violators)."""
    ordered = sorted((share, right) for share, right, _ in outcomes)
    cuts = [round(len(ordered) * number / BUCKETS) for number in range(BUCKETS + 1)]
    pools = [[ordered[low][0], float(sum(right for _, right in ordered[low:high])), float(high - low)]
             for low, high in itertools.pairwise(cuts)]
    merged: list[list[float]] = []
    for pool in pools:
        merged.append(pool)
        while len(merged) > 1 and merged[-2][1] / merged[-2][2] >= merged[-1][1] / merged[-1][2]:
            _, right, count = merged.pop()
            merged[-1][1] += right
            merged[-1][2] += count
    return {"shares": [round(pool[0], 4) for pool in merged[1:]],
            "rates": [round(pool[1] / pool[2], 4) for pool in merged]}


def crossed(tasks: dict[str, Task], charts: dict[str, Chart], found: Sequence[Decision], names: Sequence[str],
            seed: int) -> list[tuple[float, bool, bool]]:
    """Every task judged by a forest that was trained on the other folds' tasks."""
    outcomes: list[tuple[float, bool, bool]] = []
    for fold in range(FOLDS):
        asked = set(names[fold::FOLDS])
        forest = fit(rows_of(charts, _known(found, set(names) - asked)), seed)
        outcomes += judged(forest, charts, [one for one in found if one.task in asked])
    return outcomes


def _known(found: Sequence[Decision], names: set[str]) -> list[Decision]:
    return [one for one in found if one.task in names and one.step != CUSTOM]


def told(outcomes: Sequence[tuple[float, bool, bool]]) -> dict[str, float]:
    """Per cent right among all, and among the surest three in ten."""
    surest = sorted(outcomes, key=lambda one: -one[0])[:max(1, len(outcomes) * 3 // 10)]
    return {"n": len(outcomes), "top1": _share(outcomes, 1), "top3": _share(outcomes, 2),
            "surest_30": _share(surest, 1)}


def _share(outcomes: Sequence[tuple[float, bool, bool]], column: int) -> float:
    return round(100.0 * sum(one[column] for one in outcomes) / max(len(outcomes), 1), 1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write the parameters, trained on all tasks but the held-out ones")
    parser.add_argument("--hold-out", type=int, default=0, help="set so many tasks aside and measure on them")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    tasks = read_tasks(options.data)
    charts = {name: chart_of(task.scenario, str) for name, task in tasks.items()}
    found = decisions(tasks, read_dialogues(options.data))
    names = sorted(tasks)
    random.Random(options.seed).shuffle(names)
    held, kept = names[:options.hold_out], names[options.hold_out:]
    outcomes = crossed(tasks, charts, found, kept, options.seed)
    print(json.dumps({"tasks": len(kept), "cross-validated": told(outcomes)}))
    forest = fit(rows_of(charts, _known(found, set(kept))), options.seed)
    if held:
        unseen = judged(forest, charts, [one for one in found if one.task in held])
        print(json.dumps({"held out": held, "unseen": told(unseen)}))
    if options.out:
        options.out.write_text(stored(forest, calibrated(outcomes)), encoding="utf-8")


def stored(forest: Forest, confidence: dict[str, Any]) -> str:
    """One line per array, so that two versions can be compared."""
    content = {"names": list(FEATURES), "confidence": confidence, "features": forest.features.tolist(),
               "thresholds": forest.thresholds.tolist(), "values": forest.values.tolist()}
    parts = (f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in content.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
