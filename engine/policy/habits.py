"""How an agent's own conversations went beside what the shipped policy would have expected of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ruche.engine.policy import cues
from ruche.engine.policy.chart import Values
from ruche.engine.policy.situation import Situation

DOUBT = 1.0
"""Conversations that are added on both sides of a comparison: a single one moves little. On visible tasks two logged
dialogues bring 3.6 points at the first place, eight 4.7; half and double of it do as well."""

Counts = Mapping[str, Mapping[str, tuple[float, float]]]
"""A moment's key to the steps that followed: (how often, how often expected)."""


Counted = dict[str, dict[str, tuple[float, float]]]


class Habits:
    """What one scenario's logged conversations did. Immutable."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def weighed(self, steps: Sequence[str], shares: Values, moment: Situation) -> Values:
        """The shares, raised where a step followed more often than was expected; together 1 again."""
        found = self._counts.get(key(moment))
        if not found:
            return shares
        pairs = [found.get(step, (0.0, 0.0)) for step in steps]
        raised = shares * np.array([(seen + DOUBT) / (expected + DOUBT) for seen, expected in pairs])
        result: Values = raised / raised.sum()
        return result


    def reasons(self, step: str, moment: Situation) -> tuple[str, ...]:
        """What speaks for a step that followed more often than was expected."""
        seen, expected = self._counts.get(key(moment), {}).get(step, (0.0, 0.0))
        if seen <= expected:
            return ()
        return (f"{seen:g} logged conversations went there, {expected:g} were expected to",)


def counted(followed: Iterable[tuple[Situation, Mapping[str, float], str]]) -> Counted:
    """Counts from logged decisions: the moment, the shares that the shipped policy gave, and the step that followed.

    A step that was never expected nor taken is left out; expectations are rounded to 1e-3.
    """
    counts: dict[str, dict[str, list[float]]] = {}
    for moment, shares, step in followed:
        own = counts.setdefault(key(moment), {})
        for name, share in {**shares, step: shares.get(step, 0.0)}.items():
            pair = own.setdefault(name, [0.0, 0.0])
            pair[0] += name == step
            pair[1] += share
    return {moment: {step: (seen, round(expected, 3)) for step, (seen, expected) in sorted(own.items())
                     if seen or expected >= 0.01} for moment, own in sorted(counts.items())}


def key(moment: Situation) -> str:
    """The moment as it is counted: the last deed, and what was answered to it or what its tool gave."""
    last = moment.done[-1] if moment.done else ""
    if moment.ran:
        return f"{last}|{'refused' if cues.refuses(moment.result) else 'done'}"
    return f"{last}|{moment.answer or cues.answer(moment.said)}"
