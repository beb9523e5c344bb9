"""Checks each scenario as a graph: where it begins, where its transitions lead, and that every walk can end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.scenario import Scenario, Step


def check_scenarios(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    risky = {tool.id for tool in bundle.tools if tool.policy == "IRREVERSIBLE" and tool.confirm is None}
    yield from _check_nesting(bundle, origins)
    for number, scenario in enumerate(bundle.scenarios):
        place: Path = ("scenarios", number)
        if not scenario.steps:
            yield origins.problem((*place, "steps"), "E505", f"scenario {scenario.id} has no steps", "write steps: ...")
            continue
        yield from _check_graph(place, scenario, origins)
        for index, step in enumerate(scenario.steps):
            yield from _check_step((*place, "steps", index), scenario, step, risky, origins, vocabulary)


def _check_nesting(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    """A scenario must not go through itself, however many others lie between."""
    inner = {scenario.id: [step.scenario for step in scenario.steps if step.scenario is not None]
             for scenario in bundle.scenarios}
    for number, scenario in enumerate(bundle.scenarios):
        for index, step in enumerate(scenario.steps):
            if step.scenario is not None and scenario.id in _reach(inner, [step.scenario]):
                yield origins.problem(("scenarios", number, "steps", index, "scenario"), "E511",
                                      f"{scenario.id} goes through itself by way of {step.scenario}",
                                      "take one of these steps out")


def _check_graph(place: Path, scenario: Scenario, origins: Origins) -> Iterator[Problem]:
    position = {step.id: index for index, step in enumerate(scenario.steps)}
    if scenario.first not in position:
        yield origins.problem((*place, "start"), "E504", f"there is no step {scenario.first}",
                              suggest(scenario.first, position))
        return
    for index, step in enumerate(scenario.steps):
        for order, transition in enumerate(step.next):
            if transition.to not in position:
                yield origins.problem((*place, "steps", index, "next", order, "to"), "E501",
                                      f"{step.id} leads to {transition.to}, which is no step here",
                                      suggest(transition.to, position))
    forward = {step.id: [transition.to for transition in step.next] for step in scenario.steps}
    reached = _reach(forward, [scenario.first, *(s.id for s in scenario.steps if s.reachable_from_anywhere)])
    for step_id, index in position.items():
        if step_id not in reached:
            yield origins.problem((*place, "steps", index, "id"), "E502", f"no way leads to step {step_id}",
                                  "add a transition to it, or take it out")
    yield from _check_exits(place, scenario, forward, reached, position, origins)


def _check_exits(place: Path, scenario: Scenario, forward: Mapping[str, list[str]], reached: set[str],
                 position: Mapping[str, int], origins: Origins) -> Iterator[Problem]:
    """A walk must be able to end: at a step without transitions (or at one that does not exist: reported already)."""
    backward: dict[str, list[str]] = defaultdict(list)
    ends = []
    for step_id, targets in forward.items():
        if not targets or any(target not in position for target in targets):
            ends.append(step_id)
        for target in targets:
            backward[target].append(step_id)
    stuck = [step.id for step in scenario.steps if step.id in reached and step.id not in _reach(backward, ends)]
    if stuck:
        yield origins.problem((*place, "steps", position[stuck[0]], "next"), "E503",
                              f"from {', '.join(stuck)} the scenario can never end",
                              "add a transition to a step without next", at_key=True)


def _reach(edges: Mapping[str, Iterable[str]], start: Iterable[str]) -> set[str]:
    reached = set(start)
    waiting = list(reached)
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _check_step(place: Path, scenario: Scenario, step: Step, risky: set[str], origins: Origins,
                vocabulary: Vocabulary) -> Iterator[Problem]:
    silent = not (step.say or step.ask or step.collects or step.tools or step.confirm or step.scenario or step.needs
                  or step.next)
    if silent and step.effect == "ANSWER":
        yield origins.problem((*place, "id"), "W506", f"step {step.id} says nothing, does nothing and leads nowhere",
                              "write say: ..., or take it out")
    if step.confirm and not step.tools:
        yield origins.problem((*place, "confirm"), "W509", f"step {step.id} confirms, but has no tool to confirm",
                              "write tools: ..., or use ask")
    for index, binding in enumerate(step.tools):
        if binding.tool in risky and not step.confirm:
            yield origins.problem((*place, "tools", index, "tool"), "W510",
                                  f"{binding.tool} cannot be undone, and nobody is asked first",
                                  "write confirm: with a question")
    gathered = {name for other in scenario.steps for name in other.collects}
    gathered |= {need.field for needs in (scenario.needs, *(one.needs for one in scenario.steps)) for need in needs}
    gathered |= vocabulary.filled
    for index, name in enumerate(step.requires):
        if name in vocabulary.fields and name not in gathered:
            yield origins.problem((*place, "requires", index), "W508", f"no step of {scenario.id} collects {name}",
                                  f"write collects: {name} in a step before")
    for order, transition in enumerate(step.next):
        for index, name in enumerate(transition.reopen):
            if name in vocabulary.fields and name not in gathered:
                yield origins.problem((*place, "next", order, "reopen", index), "W508",
                                      f"no step of {scenario.id} collects {name}", f"write collects: {name} in a step")
