"""Checks that what is named exists (fields, tools, templates, intents, scenarios, steps, rules), and ids once only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.kinds import LISTS
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule
from ruche.storage.model.scenario import Requirement, Step
from ruche.storage.model.tool import ToolBinding

_TEMPLATE_ID = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)+")


def check_references(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    look = _Lookup(origins, vocabulary)
    yield from _duplicates(bundle, origins)
    for index, rule in enumerate(bundle.rules):
        yield from look.rule(("rules", index), rule)
    for index, edge in enumerate(bundle.relationships):
        yield from look.end(("relationships", index, "source"), edge.source, vocabulary.places)
        yield from look.end(("relationships", index, "target"), edge.target, frozenset())
    for index, variable in enumerate(bundle.variables):
        if variable.tool is not None:
            yield from look.one(("variables", index, "tool"), "E302", "tool", variable.tool, vocabulary.tools)
    for name in ("greeting", "unmatched", "refusal"):
        yield from look.text(("agent", name), getattr(bundle.agent, name))
    yield from look.text(("agent", "handoff", "text"), bundle.agent.handoff.text)
    for index, field in enumerate(bundle.fields):
        yield from look.text(("fields", index, "ask"), field.ask)
        if field.verify is not None:
            yield from look.one(("fields", index, "verify"), "E302", "tool", field.verify, vocabulary.tools)
    for index, tool in enumerate(bundle.tools):
        yield from look.many(("tools", index, "verifies"), "E301", "field", tool.verifies, vocabulary.fields)
    for number, scenario in enumerate(bundle.scenarios):
        yield from look.needs(("scenarios", number), scenario.needs)
        for index, step in enumerate(scenario.steps):
            yield from look.step(("scenarios", number, "steps", index), step)


def _duplicates(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    for kind in LISTS:
        if kind.key:
            yield from _repeated((kind.name,), kind.key, getattr(bundle, kind.name), origins)
    yield from _repeated(("scenarios",), "id", bundle.scenarios, origins)
    for number, scenario in enumerate(bundle.scenarios):
        yield from _repeated(("scenarios", number, "steps"), "id", scenario.steps, origins)


def _repeated(place: Path, key: str, entries: Sequence[Any], origins: Origins) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = getattr(entry, key)
        if name in seen:
            first = origins.problem((*place, seen[name], key), "", "")
            yield origins.problem((*place, index, key), "E206", f"{key} {name} is taken",
                                  f"first in {first.file} line {first.line}; choose another")
        seen.setdefault(name, index)


class _Lookup:
    """Finds references that lead nowhere, each with the nearest name that exists."""

    def __init__(self, origins: Origins, vocabulary: Vocabulary) -> None:
        self._origins = origins
        self._vocabulary = vocabulary

    def one(self, place: Path, code: str, noun: str, name: str, known: Collection[str]) -> Iterator[Problem]:
        if name not in known:
            yield self._origins.problem(place, code, f"there is no {noun} {name}",
                                        suggest(name, known, f"add the {noun}, or take it out here"))

    def many(self, place: Path, code: str, noun: str, names: Iterable[str],
             known: Collection[str]) -> Iterator[Problem]:
        for index, name in enumerate(names):
            yield from self.one((*place, index), code, noun, name, known)

    def end(self, place: Path, name: str, places: frozenset[str]) -> Iterator[Problem]:
        """An end of a relationship: a rule, a scenario, or one of `places`; never two of them."""
        words = self._vocabulary
        yield from self.one(place, "E306", "rule or scenario", name, words.rules | words.steps.keys() | places)
        if name in words.rules and name in words.steps:
            yield self._origins.problem(place, "E306", f"{name} is a rule and a scenario", "rename one of them")

    def rule(self, place: Path, rule: Rule) -> Iterator[Problem]:
        yield from self.scope(place, rule)
        yield from self.many((*place, "templates"), "E303", "template", rule.templates, self._vocabulary.templates)
        yield from self.many((*place, "requires"), "E301", "name", rule.requires, self._vocabulary.judged)
        yield from self.text((*place, "topic"), rule.topic or None)
        yield from self.bindings(place, rule.tools)

    def scope(self, place: Path, rule: Rule) -> Iterator[Problem]:
        """GLOBAL has no scope_id, SCENARIO names a scenario, STEP names `scenario/step`."""
        here = (*place, "scope_id")
        if rule.scope == "GLOBAL":
            if rule.scope_id is not None:
                yield self._origins.problem(here, "E316", "a GLOBAL rule has no scope_id",
                                            "write scope: {scenario: NAME}")
            return
        if rule.scope_id is None:
            yield self._origins.problem((*place, "scope"), "E316", f"scope {rule.scope} does not say which",
                                        "write scope: {scenario: NAME} or {scenario: NAME, step: NAME}")
            return
        scenario, _, step = rule.scope_id.partition("/")
        steps = self._vocabulary.steps
        yield from self.one(here, "E304", "scenario", scenario, steps.keys())
        if rule.scope == "STEP" and scenario in steps:
            yield from self.one(here, "E305", f"step in {scenario} called", step, steps[scenario])
        elif rule.scope == "SCENARIO" and step:
            yield self._origins.problem(here, "E316", f"{rule.scope_id} names a step", "write scope: step")

    def step(self, place: Path, step: Step) -> Iterator[Problem]:
        words = self._vocabulary
        yield from self.many((*place, "collects"), "E301", "field", step.collects, words.fields)
        yield from self.many((*place, "requires"), "E301", "field, output or variable", step.requires, words.known)
        yield from self.bindings(place, step.tools)
        yield from self.needs(place, step.needs)
        if step.scenario is not None:
            yield from self.one((*place, "scenario"), "E304", "scenario", step.scenario, words.steps.keys())
        for name in ("say", "ask", "confirm"):
            yield from self.text((*place, name), getattr(step, name))
        for index, transition in enumerate(step.next):
            yield from self.many((*place, "next", index, "reopen"), "E301", "field", transition.reopen, words.fields)
            if transition.intent is not None:
                yield from self.one((*place, "next", index, "intent"), "E307", "intent", transition.intent,
                                    words.intents)

    def needs(self, place: Path, needs: Sequence[Requirement]) -> Iterator[Problem]:
        for index, need in enumerate(needs):
            here = (*place, "needs", index)
            yield from self.one((*here, "field"), "E301", "field", need.field, self._vocabulary.fields)
            yield from self.many((*here, "depends_on"), "E301", "field", need.depends_on, self._vocabulary.fields)

    def text(self, place: Path, text: str | None) -> Iterator[Problem]:
        """A text that looks like the id of a template is meant as one."""
        if text is not None and _TEMPLATE_ID.fullmatch(text):
            yield from self.one(place, "E303", "template", text, self._vocabulary.templates)

    def bindings(self, place: Path, bindings: Sequence[ToolBinding]) -> Iterator[Problem]:
        for index, binding in enumerate(bindings):
            here = (*place, "tools", index)
            yield from self.one((*here, "tool"), "E302", "tool", binding.tool, self._vocabulary.tools)
            yield from self.many((*here, "requires"), "E301", "field or variable", binding.requires,
                                 self._vocabulary.known)
            yield from self.many((*here, "depends_on"), "E302", "tool", binding.depends_on, self._vocabulary.tools)
