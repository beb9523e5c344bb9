"""Ranks the steps that may come next, says how sure it is, and why.

Trained on graphs of other people's scenarios (scripts/train_policy.py), shipped as a file of numbers, and the same for
every agent until the agent's own conversations are counted in (see habits.py).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ruche.engine.policy.chart import Chart, Values
from ruche.engine.policy.forest import Forest, forest_of
from ruche.engine.policy.habits import Habits
from ruche.engine.policy.situation import FEATURES, Situation, features
from ruche.storage.errors import ConfigurationError

SURE = 0.6
"""Share of decisions as sure as this one that were right on graphs never seen; below it the agent asks."""
REASONS = 3


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A step with its share among the candidates (0 to 1, together 1), and what speaks for it most: the agent's own
    logged conversations, then the features."""

    step: str
    share: float
    why: tuple[str, ...] = ()


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The candidates, likeliest first, ties by the author's order. `confidence` is how often the first is right."""

    ranked: tuple[Ranked, ...]
    confidence: float

    @property
    def sure(self) -> bool:
        return self.confidence >= SURE


class Policy:
    """Scores steps by what a conversation looks like. Deterministic; shared by all sessions."""

    def __init__(self, forest: Forest, shares: tuple[float, ...], rates: tuple[float, ...]) -> None:
        """`rates[n]` is how often the first was right where its share lay between `shares[n - 1]` and `shares[n]`."""
        self._forest, self._shares, self._rates = forest, shares, rates

    def forecast(self, chart: Chart, moment: Situation, allowed: Collection[str] | None = None,
                 habits: Habits | None = None) -> Forecast:
        """The candidates are all steps of the chart, or the `allowed` ones. Empty without a candidate.

        Shares are rounded to 1e-4, so that the last bits of a sum never decide.
        """
        places = [number for number, place in enumerate(chart.places) if allowed is None or place.id in allowed]
        if not places:
            return Forecast(ranked=(), confidence=0.0)
        rows = features(chart, moment)[places]
        shares = _shares(self._forest.scores(rows))
        if habits is not None:
            shares = habits.weighed([chart.places[place].id for place in places], shares, moment)
        order = sorted(range(len(places)), key=lambda one: (-round(float(shares[one]), 4), one))
        first = chart.places[places[order[0]]].id
        learnt = () if habits is None else habits.reasons(first, moment)
        reasons = (*learnt, *self._reasons(rows, order[0]))
        ranked = tuple(Ranked(step=chart.places[places[one]].id, share=round(float(shares[one]), 4),
                              why=reasons if one == order[0] else ()) for one in order)
        return Forecast(ranked=ranked, confidence=self.confidence(ranked[0].share))

    def confidence(self, share: float) -> float:
        """How often a first candidate with this share is right, measured on graphs that were not trained on."""
        return self._rates[bisect_right(self._shares, share)]

    def _reasons(self, rows: Values, first: int) -> tuple[str, ...]:
        """The features that set the first apart from the mean of all, strongest first."""
        parts = self._forest.parts(rows)
        ahead = np.round(parts[first] - parts.mean(axis=0), 4)
        order = sorted(range(len(ahead)), key=lambda one: (-float(ahead[one]), one))
        return tuple(f"{FEATURES[one]} ({rows[first, one]:g})" for one in order[:REASONS] if ahead[one] > 0)


def policy_of(stored: Mapping[str, Any]) -> Policy:
    """A policy from its stored parameters. Raises ConfigurationError when they are of other features or damaged."""
    if tuple(stored.get("names", ())) != FEATURES:
        raise ConfigurationError("the step policy was trained on other features; run scripts/train_policy.py again")
    shares, rates = tuple(stored["confidence"]["shares"]), tuple(stored["confidence"]["rates"])
    if len(rates) != len(shares) + 1:
        raise ConfigurationError("the calibration of the step policy is damaged; install the package again")
    return Policy(forest_of(dict(stored), len(FEATURES)), shares, rates)


@cache
def shipped() -> Policy:
    """The policy that comes with the package, read once."""
    content = Path(__file__).with_name("parameters.json").read_text(encoding="utf-8")
    return policy_of(json.loads(content))


def _shares(scores: Values) -> Values:
    raised = np.exp(scores - scores.max())
    result: Values = raised / raised.sum()
    return result
