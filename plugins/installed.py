"""What this installation offers to agents: the enforcers and generators that they may name, built in and plugged in.

One that cannot be loaded costs itself only: it stays under its name and refuses every rule that asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ruche.plugins.contracts import Draft, Enforcer, Verdict
from ruche.plugins.enforcers import built_in
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.registry import Registry
from ruche.storage.model.rule import Rule

GENERATORS = ("composer", "openai")
"""The built-in ones."""


KINDS = ("enforcer", "embedder", "generator", "reranker", "decider")
"""Of entry points."""


def examined(registry: Registry | None = None) -> tuple[list[str], list[str]]:
    """(`kind:name` of all plugins that are installed, why some cannot be used). Imports every one of them."""
    registry = registry or Registry()
    found = registry.points()
    faults = list(Installed(registry).notices)
    for point in found:
        kind, _, name = point.partition(":")
        if kind not in KINDS or not name:
            faults.append(f"the entry point {point} is of no kind: write KIND:NAME, with one of {', '.join(KINDS)}")
        elif kind != "enforcer":
            try:
                registry.load(kind, name)
            except ConfigurationError as error:
                faults.append(error.message)
    return found, faults


class Installed:
    """Looked up once, at the start. Raises ConfigurationError when two parts have one name.

    `enforcers` are a host program's own. `any_generator`: the host makes generators itself, so any name is good.
    """

    def __init__(self, registry: Registry | None = None, enforcers: Mapping[str, Enforcer] | None = None, *,
                 any_generator: bool = False) -> None:
        self._registry = registry or Registry()
        self._any_generator = any_generator
        self._registry.refuse_taken("enforcer", built_in())
        self._registry.refuse_taken("generator", GENERATORS)
        self.enforcers: dict[str, Enforcer] = {**built_in(), **self._plugged()}
        """By the word that an author writes after `use:`."""
        for name, enforcer in (enforcers or {}).items():
            if name in self.enforcers:
                raise ConfigurationError(f"the host's enforcer {name} ({type(enforcer).__name__}) has the name of "
                                         f"{type(self.enforcers[name]).__name__}; give it another name")
            self.enforcers[name] = enforcer

    @property
    def notices(self) -> tuple[str, ...]:
        """Why plugins that are installed cannot be used."""
        return tuple(one.why for one in self.enforcers.values() if isinstance(one, Unusable))

    def generators(self) -> list[str]:
        """The names that `models.generator` may have."""
        return sorted({*GENERATORS, *self._registry.names("generator")})

    def generator_fault(self, name: str) -> str:
        """Why an agent cannot speak with this generator; empty when it can."""
        if self._any_generator or name in GENERATORS:
            return ""
        try:
            self._registry.load("generator", name)
        except ConfigurationError as error:
            return error.message
        return ""

    def _plugged(self) -> dict[str, Enforcer]:
        return {name: self._made(name) for name in self._registry.names("enforcer")}

    def _made(self, name: str) -> Enforcer:
        try:
            made: Enforcer = self._registry.create("enforcer", name)
        except ConfigurationError as error:
            return Unusable(name, error.message)
        if not isinstance(made, Enforcer):
            return Unusable(name, f"the plugin {name} is not an enforcer: it lacks name, monotone, prepare or check")
        return made


class Unusable:
    """Stands where an enforcer would be that cannot be loaded; no rule can be prepared with it."""

    monotone = False

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why

    def prepare(self, rule: Rule) -> NoReturn:
        raise ConfigurationError(f"rule {rule.id}: {self.why}")

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Verdict:
        return Verdict(outcome="error", reason=self.why)
