"""Which worded way out of a step to take where no condition decides: what the policy foresees, when it is sure enough.

It chooses among the author's own ways only, and only once the step has what it waited for. Unsure, the scenario stays,
and the step asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.names import holds
from ruche.engine.brain.parts import CompiledStep, CompiledTransition
from ruche.engine.brain.transitions import Choice, View
from ruche.engine.policy.policy import SURE, Forecast, shipped
from ruche.engine.policy.situation import Situation
from ruche.storage.model.conversation import ScenarioInstance


def foreseen(scenario: CompiledScenario, instance: ScenarioInstance, view: View, undecided: Choice) -> Choice:
    """The way that is foreseen, or `undecided` with the reason why none is taken."""
    step = scenario.steps[instance.step]
    ran = step.key in view.results
    if scenario.chart is None or not view.satisfied or not (ran or (view.words and view.said)):
        return undecided
    ways = {way.to: way for way in reversed(tuple(_open(step, view)))}
    if not ways:
        return undecided
    moment = Situation(done=tuple(visit.step for visit in instance.visits), said="" if ran else view.said,
                       heard=(*view.heard, view.said) if ran else view.heard, answer="" if ran else view.answer,
                       ran=ran, result=view.results.get(step.key, {}))
    return _decided(ways, shipped().forecast(scenario.chart, moment, habits=scenario.habits), undecided)


def results_of(step: CompiledStep, names: dict[str, Any], variables: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """What the tools of a step left in `names`; `variables` lists those of each tool."""
    return {name: names[name] for binding in step.spec.tools for name in variables.get(binding.tool, ())
            if name in names}


def _open(step: CompiledStep, view: View) -> Iterator[CompiledTransition]:
    """Worded ways that nothing certain forbids: their expression holds, and they want no other answer."""
    for way in step.next:
        refused = way.when is not None and not holds(way.when, view.names)[0]
        contrary = bool(way.polarity and view.answer and way.polarity != view.answer)
        if way.by_words and not refused and not contrary:
            yield way


def _decided(ways: dict[str, CompiledTransition], forecast: Forecast, undecided: Choice) -> Choice:
    first = forecast.ranked[0]
    shares = {one.step: one.share for one in forecast.ranked}
    sure, known = forecast.sure, first.step in ways
    why = (f"foreseen, right {forecast.confidence:.0%} of the time: {', '.join(first.why)}" if sure and known else
           f"{undecided.why}; {first.step} is likeliest, right {forecast.confidence:.0%} of the time"
           + ("" if known else ", and no way leads there") + ("" if sure else f", less than {SURE:.0%}"))
    considered = tuple({"to": to, "holds": sure and to == first.step, "score": shares.get(to, 0.0), "why": "foreseen"}
                       for to in ways)
    return msgspec.structs.replace(undecided, taken=ways[first.step] if sure and known else None, why=why,
                                   considered=(*undecided.considered, *considered))
