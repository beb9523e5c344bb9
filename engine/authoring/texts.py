"""Checks every expression and every text with placeholders: that it parses, and that the names it reads exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ruche.engine.authoring.comparisons import check_comparisons
from ruche.engine.authoring.document import Path
from ruche.engine.authoring.operands import check_operands
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.possible import can_be_true
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.plugins.enforcers import VOCABULARY
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import compile_expression
from ruche.plugins.templates import compile_template
from ruche.storage.model.bundle import AgentBundle

_PLACE = re.compile(r"^(column|line) \d+: ")
Text = tuple[Path, str]


def check_texts(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    for place, text in _expressions(bundle):
        yield from _check_expression(place, text, origins, vocabulary)
    for place, text in _texts(bundle):
        yield from _check_text(place, text, origins, vocabulary)


def _expressions(bundle: AgentBundle) -> Iterator[Text]:
    for index, rule in enumerate(bundle.rules):
        yield from _given(("rules", index, "when"), rule.when)
        if isinstance(rule.enforce, str):
            yield ("rules", index, "enforce"), rule.enforce
    for index, template in enumerate(bundle.templates):
        yield from _given(("templates", index, "when"), template.when)
    for index, tool in enumerate(bundle.tools):
        for name, text in tool.arguments.items():
            yield ("tools", index, "arguments", name), text
    for number, scenario in enumerate(bundle.scenarios):
        for index, need in enumerate(scenario.needs):
            yield from _given(("scenarios", number, "needs", index, "when"), need.when)
        for index, step in enumerate(scenario.steps):
            place: Path = ("scenarios", number, "steps", index)
            yield from _given((*place, "when"), step.when)
            for order, need in enumerate(step.needs):
                yield from _given((*place, "needs", order, "when"), need.when)
            for order, transition in enumerate(step.next):
                yield from _given((*place, "next", order, "when"), transition.when)


def _texts(bundle: AgentBundle) -> Iterator[Text]:
    agent = bundle.agent
    for name in ("greeting", "unmatched", "refusal"):
        yield from _given(("agent", name), getattr(agent, name))
    yield ("agent", "handoff", "text"), agent.handoff.text
    for index, rule in enumerate(bundle.rules):
        yield ("rules", index, "then"), rule.then
        yield from _given(("rules", index, "topic"), rule.topic or None)
    for index, template in enumerate(bundle.templates):
        yield ("templates", index, "text"), template.text
    for index, field in enumerate(bundle.fields):
        yield from _given(("fields", index, "ask"), field.ask)
    for index, tool in enumerate(bundle.tools):
        yield from _given(("tools", index, "confirm"), tool.confirm)
    for number, scenario in enumerate(bundle.scenarios):
        for index, step in enumerate(scenario.steps):
            for name in ("say", "ask", "confirm"):
                yield from _given(("scenarios", number, "steps", index, name), getattr(step, name))


def _given(place: Path, text: str | None) -> Iterator[Text]:
    if text is not None:
        yield place, text


def _check_expression(place: Path, text: str, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    try:
        expression = compile_expression(text)
    except ConfigurationError as error:
        yield _refused(place, "E401", f"{place[-1]} is not an expression", error, origins)
        return
    known = vocabulary.judged if place[-1] == "enforce" else vocabulary.readable
    for name in sorted(expression.names - known):
        yield _unknown(place, "E402", name, text, origins, known)
    yield from check_comparisons(place, expression.tree, vocabulary.fields_by_name, origins)
    if place[-1] == "when" and place[0] != "rules" and not can_be_true([expression.tree], vocabulary.limits):
        yield origins.problem(place, "W408", f"this is never true: {text}", "mend the expression, or take it out")
    yield from check_operands(place, expression.tree, vocabulary.fields_by_name, origins)


def _check_text(place: Path, text: str, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    try:
        template = compile_template(text)
    except ConfigurationError as error:
        yield _refused(place, "E403", f"{place[-1]} is not a text with placeholders", error, origins)
        return
    for name in sorted(template.names):
        if name not in vocabulary.readable:
            yield _unknown(place, "E404", name, text, origins, vocabulary.readable)


def _refused(place: Path, code: str, what: str, error: ConfigurationError, origins: Origins) -> Problem:
    column = int(error.details.get("column") or 1)
    reason = _PLACE.sub("", error.message)
    said, _, instead = reason.partition("; ")
    return origins.problem(place, code, f"{what}: {said}", instead, offset=column - 1)


def _unknown(place: Path, code: str, name: str, text: str, origins: Origins, among: frozenset[str]) -> Problem:
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    known = among if "." in name else {other for other in among if "." not in other}
    instead = "only enforce reads the reply" if name.removeprefix("reply.") in VOCABULARY else suggest(name, known)
    return origins.problem(place, code, f"{name} is not known here", instead,
                           offset=found.start() if found else 0)
