"""Checks rules among themselves: hard ones that nothing can judge, ones that cannot fire, relationships that clash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.facts import check_facts
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.possible import can_be_true
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.rivals import check_rivals
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.plugins.enforcers import prepare_rule
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import compile_expression
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import EnforcerUse, Rule

_DIRECTED = (("depends_on", "implies"), ("specializes",))
"""Kinds that may not lead back to where they came from, together."""


def check_constraints(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    for index, rule in enumerate(bundle.rules):
        place: Path = ("rules", index)
        yield from _check_judged(place, rule, bundle, origins)
        yield from check_facts(place, rule, bundle, vocabulary, origins)
        yield from _check_fires(place, rule, bundle, vocabulary, origins)
        yield from _check_kept(place, rule, vocabulary, origins)
        yield from _check_certain(place, rule, bundle, vocabulary, origins)
        if isinstance(rule.enforce, EnforcerUse):
            yield from _check_enforcer((*place, "enforce"), rule, rule.enforce, vocabulary, origins)
    for index, use in enumerate(bundle.agent.screens):
        screen = Rule.model_validate({"id": f"screen {index}", "if": "-", "then": "-", "enforce": use})
        yield from _check_enforcer(("agent", "screens", index), screen, use, vocabulary, origins)
    yield from check_rivals(bundle, origins)
    yield from _check_fallback(bundle, origins)
    yield from _check_same_condition(bundle, origins)
    yield from _check_relationships(bundle, origins)


def _check_judged(place: Path, rule: Rule, bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    if rule.hard and rule.enabled and rule.enforce is None and bundle.agent.judging is None:
        yield origins.problem((*place, "hard"), "E601", f"nothing can judge the hard rule {rule.id}",
                              "write enforce: with an expression or {use: phrase, ...}, or give the agent a judge "
                              "under models: in agent.yaml")
    if rule.requires and rule.enforce is None:
        yield origins.problem((*place, "requires"), "W609", f"rule {rule.id} requires names but enforces nothing",
                              "write enforce: ...", at_key=True)


def _check_certain(place: Path, rule: Rule, bundle: AgentBundle, vocabulary: Vocabulary,
                   origins: Origins) -> Iterator[Problem]:
    """What the reply does not name is harmless; what the conversation does not know yet may make a rule idle."""
    text = rule.enforce.options.get("expression") if isinstance(rule.enforce, EnforcerUse) else rule.enforce
    if not rule.hard or not rule.enabled or not isinstance(text, str):
        return
    given = {variable.name for variable in bundle.variables if variable.default is not None}
    required = {_bare(name) for name in rule.requires}
    reads = {_bare(name) for name in _names(text) if not name.startswith("reply.")}
    open_ = sorted(reads & vocabulary.known - given - required)
    if open_:
        names = ", ".join(open_)
        verb = "have" if open_[1:] else "has"
        yield origins.problem((*place, "enforce"), "W603",
                              f"the hard rule {rule.id} does not hold while {names} {verb} no value",
                              f"give {names} a default in variables.yaml, or write requires: [{names}] where no reply "
                              "may be sent without")


def _names(text: str) -> frozenset[str]:
    try:
        return compile_expression(text).names
    except ConfigurationError:  # check_texts reports it with its place
        return frozenset()


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _check_kept(place: Path, rule: Rule, vocabulary: Vocabulary, origins: Origins) -> Iterator[Problem]:
    if rule.enabled and isinstance(rule.enforce, str) and _never(rule.enforce, vocabulary):
        yield origins.problem((*place, "enforce"), "W612", f"no reply can keep rule {rule.id}: {rule.enforce}",
                              "mend the expression")


def _check_fires(place: Path, rule: Rule, bundle: AgentBundle, vocabulary: Vocabulary,
                 origins: Origins) -> Iterator[Problem]:
    if rule.when is not None and _never(rule.when, vocabulary):
        yield origins.problem((*place, "when"), "W605", f"rule {rule.id} can never fire: {rule.when} is never true",
                              "mend the expression, or write enabled: false")
    scenario_id = (rule.scope_id or "").partition("/")[0]
    disabled = {scenario.id for scenario in bundle.scenarios if not scenario.enabled}
    if rule.enabled and rule.scope != "GLOBAL" and scenario_id in disabled:
        yield origins.problem((*place, "scope"), "W605", f"rule {rule.id} can never fire: {scenario_id} is not enabled",
                              "enable the scenario, or write enabled: false")


def _never(text: str, vocabulary: Vocabulary) -> bool:
    """Whether an expression is false whatever the values are."""
    try:
        expression = compile_expression(text)
        return not (can_be_true([expression.tree], vocabulary.limits) if expression.names else expression.evaluate({}))
    except Exception:  # whatever it is, check_texts reports it with its place
        return False


def _check_enforcer(at: Path, rule: Rule, use: EnforcerUse, vocabulary: Vocabulary,
                    origins: Origins) -> Iterator[Problem]:
    enforcers = vocabulary.installed.enforcers
    if use.use not in enforcers:
        yield origins.problem((*at, "use"), "E310", f"there is no enforcer {use.use}",
                              suggest(use.use, enforcers.keys()))
        return
    try:
        prepare_rule(rule, enforcers)
    except ConfigurationError as error:
        said, _, instead = error.message.removeprefix(f"rule {rule.id}: ").partition("; ")
        yield origins.problem(at, "E317", f"{use.use} cannot be used so: {said}", instead)


def _check_fallback(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    hard = next((index for index, rule in enumerate(bundle.rules) if rule.hard and rule.enabled), None)
    if hard is not None and not any(template.mode == "FALLBACK" for template in bundle.templates):
        yield origins.problem(("rules", hard, "hard"), "W602",
                              "a reply that breaks a hard rule has no fallback to take its place",
                              "add a template with mode: fallback")


def _check_same_condition(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    seen: dict[tuple[Any, ...], Rule] = {}
    for index, rule in enumerate(bundle.rules):
        condition = (" ".join(rule.if_.lower().split()), rule.when, rule.scope, rule.scope_id)
        other = seen.setdefault(condition, rule)
        if other is not rule and rule.enabled and other.enabled and rule.effect != other.effect:
            yield origins.problem(("rules", index, "if"), "W608",
                                  f"rules {other.id} and {rule.id} hold at once, one {other.effect}, one {rule.effect}",
                                  "give one of them a when, or relate them by excludes")


def _check_relationships(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    kinds: dict[tuple[str, str], set[str]] = {}
    for index, edge in enumerate(bundle.relationships):
        place: Path = ("relationships", index)
        if edge.source == edge.target:
            yield origins.problem((*place, "target"), "E607", f"{edge.source} is related to itself",
                                  "name another rule")
        pair = kinds.setdefault((edge.source, edge.target), set())
        pair.add(edge.kind)
        if "excludes" in pair and pair & {"depends_on", "implies"}:
            yield origins.problem((*place, "kind"), "E606", f"{edge.source} both needs and excludes {edge.target}",
                                  "keep one of the two")
    for kinds_ in _DIRECTED:
        yield from _check_cycles(kinds_, bundle, origins)
    yield from _check_rivals(bundle, origins)


def _check_rivals(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    """Two rules that exclude each other are asked about by their topics, where nothing else tells them apart."""
    excluded = {(edge.source, edge.target) for edge in bundle.relationships if edge.kind == "excludes"}
    rules = {rule.id: (index, rule) for index, rule in enumerate(bundle.rules) if rule.enabled}
    for source, target in sorted(excluded):
        if source < target and (target, source) in excluded and source in rules and target in rules:
            (_, one), (_, other) = rules[source], rules[target]
            nameless = [rules[rule.id][0] for rule in (one, other) if not rule.topic]
            if nameless and one.priority == other.priority:
                yield origins.problem(("rules", min(nameless), "id"), "W611",
                                      f"{source} and {target} exclude each other, and nothing tells which is meant",
                                      "give both a topic to ask by, or different priorities")


def _check_cycles(kinds: tuple[str, ...], bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    edges: dict[str, list[tuple[str, int]]] = {}
    for index, edge in enumerate(bundle.relationships):
        if edge.kind in kinds and edge.source != edge.target:
            edges.setdefault(edge.source, []).append((edge.target, index))
    done: set[str] = set()
    for start in edges:
        yield from _walk(" and ".join(kinds), start, edges, done, origins)


def _walk(kind: str, start: str, edges: Mapping[str, list[tuple[str, int]]], done: set[str],
          origins: Origins) -> Iterator[Problem]:
    """Depth first without recursion; `trail` holds the rules between the start and here, with their open edges."""
    trail: dict[str, Iterator[tuple[str, int]]] = {} if start in done else {start: iter(edges[start])}
    while trail:
        here = next(reversed(trail))
        target, index = next(trail[here], (None, -1))
        if target is None:
            trail.popitem()
            done.add(here)
        elif target in trail:
            circle = [*list(trail)[list(trail).index(target):], target]
            yield origins.problem(("relationships", index), "E604", f"{kind} go in a circle: {' -> '.join(circle)}",
                                  "take one of these relationships out")
        elif target not in done:
            trail[target] = iter(edges.get(target, ()))
