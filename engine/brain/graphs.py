"""The compiled scenarios of an agent: every step with the fields, tools and texts that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.parts import (
    CompiledStep,
    CompiledText,
    CompiledTool,
    Demand,
    bound_tools,
    compile_transition,
    compiled,
    unique,
)
from ruche.engine.brain.results import outcome_name, status_name
from ruche.engine.brain.signals import phrase
from ruche.engine.policy.chart import Chart, chart_of
from ruche.engine.policy.habits import Habits
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.scenario import Requirement, Scenario, Step


class CompiledScenario(msgspec.Struct, frozen=True, kw_only=True):
    spec: Scenario
    steps: dict[str, CompiledStep]
    cancel: frozenset[str]
    collects: tuple[CompiledField, ...]
    """Every field that a step collects, in the order of the steps."""
    extracts: tuple[CompiledField, ...]
    """Fields that are taken out of what was said before the scenario began."""
    scopes: tuple[str, ...]
    """Where its rules and transitions may live: its id and `scenario/step` of all its steps."""
    chart: Chart | None = None
    """None where no step is foreseen."""
    habits: Habits | None = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def first(self) -> CompiledStep:
        return self.steps[self.spec.first]


class Graphs:
    """Compiles the scenarios of one bundle. `text` finds a template or compiles a text in place; `asking` confirms what
    cannot be undone and has no question of its own."""

    def __init__(self, bundle: AgentBundle, fields: Mapping[str, CompiledField], tools: Mapping[str, CompiledTool],
                 text: Callable[[str, str | None], CompiledText | None], asking: CompiledText) -> None:
        self._bundle, self._fields, self._tools, self._text, self._asking = bundle, fields, tools, text, asking

    def compiled(self) -> dict[str, CompiledScenario]:
        """By id. Raises ConfigurationError for what cannot be resolved."""
        made = {scenario.id: self._scenario(scenario) for scenario in unique("scenario", self._bundle.scenarios)}
        self._called(made)
        return made

    def _scenario(self, spec: Scenario) -> CompiledScenario:
        steps = {step.id: self._step(spec, step) for step in unique(f"scenario {spec.id}: step", spec.steps)}
        for name in (spec.first, *(move.to for step in steps.values() for move in step.next)):
            if name not in steps:
                raise ConfigurationError(f"scenario {spec.id}: no step called {name}; known: {', '.join(steps)}")
        for step in steps.values():
            for move in step.next:
                self._fields_of(f"scenario {spec.id}, step {step.id}", move.spec.reopen)
        chart, habits = self._foresight(spec)
        collected = {field.name: field for step in steps.values() for field in step.collects}
        extracts = {one.field.name: one.field for step in steps.values() for one in step.demands
                    if one.spec.fallback == "EXTRACT"}
        return CompiledScenario(
            spec=spec, steps=steps, cancel=frozenset(map(phrase, spec.cancel)),
            collects=tuple(collected.values()), extracts=tuple(extracts.values()),
            scopes=(spec.id, *(step.key for step in steps.values())), chart=chart, habits=habits)

    def _foresight(self, spec: Scenario) -> tuple[Chart | None, Habits | None]:
        """Only where some step's way out is a matter of words."""
        worded = any(move.if_ or move.intent for step in spec.steps for move in step.next)
        if not (self._bundle.agent.foresight and worded):
            return None, None
        counts: dict[str, dict[str, tuple[float, float]]] = {}
        for habit in self._bundle.habits:
            if habit.scenario == spec.id:
                counts.setdefault(habit.moment, {})[habit.step] = (habit.times, habit.expected)
        texts = {template.id: template.text for template in self._bundle.templates}
        return chart_of(spec, lambda text: texts.get(text, text)), Habits(counts) if counts else None

    @staticmethod
    def _called(made: dict[str, CompiledScenario]) -> None:
        for scenario in made.values():
            for step in scenario.steps.values():
                if step.spec.scenario is not None and step.spec.scenario not in made:
                    raise ConfigurationError(f"scenario {scenario.id}, step {step.id}: no scenario called "
                                             f"{step.spec.scenario}; known: {', '.join(made)}")

    def _step(self, scenario: Scenario, spec: Step) -> CompiledStep:
        where = f"scenario {scenario.id}, step {spec.id}"
        bound_tools(spec.tools, self._tools, where)
        return CompiledStep(
            key=f"{scenario.id}/{spec.id}", spec=spec, say=self._text(where, spec.say), ask=self._text(where, spec.ask),
            confirm=self._confirmation(where, spec), when=compiled(where, spec.when),
            collects=self._fields_of(where, spec.collects),
            requires=tuple(self._fields[name] for name in spec.requires if name in self._fields),
            awaits=self._values_of(where, spec.requires), needs=self._needs(spec),
            demands=tuple(self._demands(where, (*scenario.needs, *spec.needs))),
            next=tuple(compile_transition(scenario.id, spec.id, move) for move in spec.next))

    def _confirmation(self, where: str, spec: Step) -> CompiledText | None:
        """The step's own question, else its first tool's; what cannot be undone is never done unasked."""
        tools = [self._tools[binding.tool] for binding in spec.tools]
        asked = [tool.confirm for tool in tools if tool.confirm is not None]
        if spec.confirm or asked:
            return self._text(where, spec.confirm) or asked[0]
        irreversible = any(tool.tool.policy == "IRREVERSIBLE" for tool in tools)
        return self._asking if irreversible else None

    def _needs(self, spec: Step) -> tuple[CompiledField, ...]:
        """Required parameters that are fields by name, and have no expression of their own."""
        tools = [self._tools[binding.tool] for binding in spec.tools]
        names = [*(name for tool in tools for name in tool.required if name not in tool.arguments),
                 *(name for binding in spec.tools for name in binding.requires)]
        return tuple(self._fields[name] for name in dict.fromkeys(names) if name in self._fields)

    def _demands(self, where: str, needs: tuple[Requirement, ...]) -> Iterator[Demand]:
        for one in sorted(needs, key=lambda need: need.order):
            self._fields_of(where, one.depends_on)
            yield Demand(field=self._fields_of(where, (one.field,))[0], spec=one, when=compiled(where, one.when))

    def _fields_of(self, where: str, names: tuple[str, ...]) -> tuple[CompiledField, ...]:
        for name in names:
            if name not in self._fields:
                known = ", ".join(self._fields) or "none"
                raise ConfigurationError(f"{where}: no field called {name}; known: {known}")
        return tuple(self._fields[name] for name in names)

    def _values_of(self, where: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those that are no fields but outputs of tools, how a tool ended, or variables."""
        outputs = {name for tool in self._tools.values() for name in (*tool.tool.outputs, status_name(tool.tool.id))}
        outputs |= {outcome_name(step.scenario) for scenario in self._bundle.scenarios for step in scenario.steps
                    if step.scenario is not None}
        known = {*outputs, *(variable.name for variable in self._bundle.variables)}
        for name in names:
            if name not in self._fields and name not in known:
                raise ConfigurationError(f"{where}: nothing is called {name}; known: "
                                         f"{', '.join(sorted({*self._fields, *known})) or 'none'}")
        return tuple(name for name in names if name not in self._fields)


def telling(scenarios: Mapping[str, CompiledScenario]) -> dict[str, str]:
    """Field to scenario, for fields that one scenario alone collects: their values tell what a message is about."""
    homes: dict[str, list[str]] = {}
    for scenario in scenarios.values():
        for field in scenario.collects:
            homes.setdefault(field.name, []).append(scenario.id)
    return {name: found[0] for name, found in homes.items() if len(found) == 1}
