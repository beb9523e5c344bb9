"""Checks the facts that a rule has a model look for in replies: their names, who reads them, and who uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.engine.brain.facts import declared
from ruche.plugins.enforcers import VOCABULARY as REPLY
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import compile_expression
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import EnforcerUse, Rule

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_SPACES = frozenset({"reply", "session", "profile", "now", "agent"})


def check_facts(place: Path, rule: Rule, bundle: AgentBundle, vocabulary: Vocabulary,
                origins: Origins) -> Iterator[Problem]:
    if not rule.extract:
        return
    described = declared(bundle.rules)
    for name, told in rule.extract.items():
        yield from _check_name((*place, "extract", name), name, vocabulary, origins)
        if described[name] != told:
            yield origins.problem((*place, "extract", name), "E326", f"{name} is described in two ways",
                                  "describe it alike in every rule, or give it another name")
    unused = sorted(rule.extract.keys() - _read(rule))
    if unused:
        yield origins.problem((*place, "extract"), "W609", f"rule {rule.id} looks for {unused[0]} but does not use it",
                              f"write enforce: reply.{unused[0]} ...", at_key=True)
    if rule.hard and rule.enabled and bundle.agent.judging is None:
        yield origins.problem((*place, "extract"), "E601", f"nothing can read replies for the hard rule {rule.id}",
                              "give the agent a judge under models: in agent.yaml", at_key=True)


def _check_name(place: Path, name: str, vocabulary: Vocabulary, origins: Origins) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield origins.problem(place, "E326", f"{name} cannot be a name", "write small letters, digits and _",
                              at_key=True)
    elif name in REPLY | _SPACES | vocabulary.known:
        yield origins.problem(place, "E326", f"{name} is the name of something else", "give it another name",
                              at_key=True)


def _read(rule: Rule) -> frozenset[str]:
    """The names that its expression reads, without their namespace."""
    text = rule.enforce.options.get("expression") if isinstance(rule.enforce, EnforcerUse) else rule.enforce
    try:
        return frozenset(name.rpartition(".")[2] for name in compile_expression(str(text)).names)
    except ConfigurationError:  # check_texts reports it with its place
        return frozenset(rule.extract)
