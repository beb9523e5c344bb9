"""What a model that filters rules is told of scenarios: their steps, their ways, and where they stand.

The author's words alone: a text with placeholders stands as it was written, so that no value is in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.parts import CompiledStep
from ruche.engine.brain.retrieve import Retrieved
from ruche.plugins.generators.ways import ScenarioShown, StepShown
from ruche.storage.model.conversation import ScenarioInstance

MOST_IDLE = 3
"""Scenarios that are not in progress and may begin: the likeliest."""
MOST_STEPS = 40
"""Of one scenario: those that were gone through, and the nearest."""
SHOWN = 400
"""Characters of what a step does."""
_PATH = 20


def outlines(who: Identified, retrieved: Retrieved) -> tuple[ScenarioShown, ...]:
    """The scenarios in progress, the one spoken of last first, and the likeliest of the others."""
    scenarios = who.agent.scenarios
    here = {one.scenario: one for one in who.instances
            if one.scenario in scenarios and one.step in scenarios[one.scenario].steps}
    idle = [hit.id for hit in retrieved.hits.scenarios
            if hit.id in scenarios and hit.id not in here and scenarios[hit.id].spec.enabled]
    return (*(_running(scenarios[name], one) for name, one in here.items()),
            *(_idle(scenarios[name]) for name in idle[:MOST_IDLE]))


def _running(scenario: CompiledScenario, instance: ScenarioInstance) -> ScenarioShown:
    path = tuple(visit.step for visit in instance.visits if visit.step in scenario.steps)
    path = tuple(step for place, step in enumerate(path) if place == 0 or step != path[place - 1])[-_PATH:]
    return ScenarioShown(id=scenario.id, about=_about(scenario), at=instance.step, path=path,
                         resting=instance.status == "paused", steps=_steps(scenario, (instance.step, *path[::-1])))


def _idle(scenario: CompiledScenario) -> ScenarioShown:
    return ScenarioShown(id=scenario.id, about=_about(scenario), steps=_steps(scenario, (scenario.first.id,)))


def _about(scenario: CompiledScenario) -> str:
    return ". ".join(text for text in (scenario.spec.entry, scenario.spec.description) if text)[:SHOWN]


def _steps(scenario: CompiledScenario, roots: tuple[str, ...]) -> tuple[StepShown, ...]:
    """The nearest in the author's order."""
    near = set(list(_nearest(scenario, roots))[:MOST_STEPS])
    return tuple(_shown(step, near) for step in scenario.steps.values() if step.id in near)


def _nearest(scenario: CompiledScenario, roots: tuple[str, ...]) -> Iterator[str]:
    """The roots, then what follows them, level by level."""
    found = dict.fromkeys(roots)
    frontier = list(found)
    while frontier:
        yield from frontier
        new = [edge.to for name in frontier for edge in scenario.steps[name].next]
        frontier = [name for name in dict.fromkeys(new) if name not in found]
        found.update(dict.fromkeys(frontier))


def _shown(step: CompiledStep, near: set[str]) -> StepShown:
    return StepShown(id=step.id, does=_does(step),
                     next=tuple((edge.to, edge.spec.if_ or edge.spec.intent or "") for edge in step.next
                                if edge.to in near))


def _does(step: CompiledStep) -> str:
    """The author's description, or what is said and asked at the step."""
    spec = step.spec
    texts = (spec.description, spec.say, spec.ask, spec.confirm, *(f"ask for {field.label}" for field in step.collects))
    return "; ".join(dict.fromkeys(text for text in texts if text))[:SHOWN]
