"""The next action: every deed of a recorded operator against the step that the engine's policy ranks first.

The conversation is as it was recorded up to that deed; graphs become scenarios (`star.py`). Deeds that no graph names
count as misses.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled, share
from bench.suites.star import Decision, decisions, read_dialogues, read_tasks
from ruche.engine.policy.chart import Chart, chart_of
from ruche.engine.policy.policy import shipped
from ruche.plugins.errors import ConfigurationError


class Outcome(NamedTuple):
    """The place of the operator's deed in the ranking (0 is first, None is not there), and whether it was sure."""

    happy: bool
    place: int | None
    sure: bool


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent. `unsure_share` are decisions where the engine would ask instead of acting."""
    tasks = read_tasks(folder)
    charts = {name: chart_of(task.scenario, str) for name, task in tasks.items()}
    found = decisions(tasks, read_dialogues(folder))
    if not found:
        raise ConfigurationError(f"{folder} has no dialogue about one of its tasks")
    outcomes = [_outcome(charts[one.task], one, asking) for one in sampled(found, limit, seed)]
    apart = {name: [one for one in outcomes if one.happy is happy]
             for name, happy in (("happy", True), ("unhappy", False))}
    sure = [one for one in outcomes if one.sure]
    metrics = {"n": len(outcomes), **_right(outcomes, "next_action"),
               **_right(apart["happy"], "happy"), **_right(apart["unhappy"], "unhappy"),
               "unsure_share": share(len(outcomes) - len(sure), len(outcomes)),
               "accuracy_when_sure": share(sum(one.place == 0 for one in sure), len(sure)),
               "in_the_graph": share(sum(one.place is not None for one in outcomes), len(outcomes))}
    return {**metrics, "notes": ["The shipped policy ranks. Graphs that it was trained on flatter it: "
                                 "`scripts/train_policy.py --data DIR` prints the figures on tasks held out."]}


def _outcome(chart: Chart, decision: Decision, asking: Asking) -> Outcome:
    begun = time.perf_counter()
    forecast = shipped().forecast(chart, decision.moment)
    asking.times.append(1000.0 * (time.perf_counter() - begun))
    places = [one.step for one in forecast.ranked]
    return Outcome(decision.happy, places.index(decision.step) if decision.step in places else None, forecast.sure)


def _right(outcomes: Sequence[Outcome], name: str) -> dict[str, float]:
    places = [one.place for one in outcomes if one.place is not None]
    return {f"{name}_top1": share(sum(place == 0 for place in places), len(outcomes)),
            f"{name}_top3": share(sum(place < 3 for place in places), len(outcomes))}
