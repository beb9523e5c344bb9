"""The compiled parts of an agent: what a turn needs of a rule, a step, a tool or a text, ready to use."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from ruche.engine.brain.fields import CompiledField
from ruche.plugins.contracts import Enforcer
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import Expression, compile_expression
from ruche.plugins.templates import Template as Rendered
from ruche.plugins.templates import compile_template
from ruche.storage.model.rule import EnforcerUse, Relationship, Rule
from ruche.storage.model.scenario import Requirement, Step, Transition
from ruche.storage.model.tool import Tool, ToolBinding
from ruche.storage.model.wording import Template

T = TypeVar("T")

Check = tuple[Rule, Any, Enforcer]
"""A rule, what its enforcer prepared from it, and the enforcer."""


class CompiledText(msgspec.Struct, frozen=True, kw_only=True):
    """A text with placeholders; `id` is empty when it was written in place."""

    template: Rendered
    id: str = ""
    mode: Literal["SUGGEST", "EXCLUSIVE", "FALLBACK"] = "SUGGEST"
    when: Expression | None = None
    language: str | None = None


class SureText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that something is said for even where its values are missing."""

    text: CompiledText
    otherwise: str

    def without_values(self, variant: CompiledText) -> str:
        """What can be said of it (of this variant) when nothing is known."""
        return variant.template.plain().strip() or self.otherwise


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    when: Expression | None
    then: CompiledText
    templates: tuple[CompiledText, ...]
    check: Check | None
    """None when the rule has no `enforce`."""
    instructs: bool
    """True when `then` tells the agent what to do, False when it is what the agent says."""
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    """Phrases that a reply must and must not hold, for whoever writes it."""
    facts: frozenset[str] = frozenset()
    """What of the reply it reads that a model may have to look for."""
    topic: CompiledText | None = None
    """What the rule is about, where the person is asked which of two is meant."""

    @property
    def id(self) -> str:
        return self.rule.id


class CompiledTransition(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """`scenario/step>to`, as the retriever names it."""
    to: str
    spec: Transition
    when: Expression | None
    polarity: Literal["yes", "no", ""]
    """The answer that `if` asks for in so many words."""

    @property
    def conditional(self) -> bool:
        return self.when is not None or self.by_words

    @property
    def by_words(self) -> bool:
        return self.spec.if_ is not None or self.spec.intent is not None


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A field that a step needs to know, and what to do while it does not."""

    field: CompiledField
    spec: Requirement
    when: Expression | None


class CompiledStep(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    """`scenario/step`."""
    spec: Step
    say: CompiledText | None
    ask: CompiledText | None
    confirm: CompiledText | None
    when: Expression | None
    collects: tuple[CompiledField, ...]
    requires: tuple[CompiledField, ...]
    awaits: tuple[str, ...]
    """Outputs and variables that it requires: nobody can be asked for them."""
    needs: tuple[CompiledField, ...]
    """Fields that its tools cannot be called without."""
    demands: tuple[Demand, ...]
    """In the order in which they are asked for; those of the scenario first."""
    next: tuple[CompiledTransition, ...]

    @property
    def id(self) -> str:
        return self.spec.id


class CompiledTool(msgspec.Struct, frozen=True, kw_only=True):
    tool: Tool
    arguments: dict[str, Expression]
    parameters: tuple[str, ...]
    required: tuple[str, ...]
    confirm: CompiledText | None


_ORDERS = re.compile(
    r"(?i)^\s*(?:then\s+)?(?:tell|say|ask|inform|explain|reply|answer|respond|mention|remind|assure|"
    r"let|offer|apologi[sz]e|never|do not|don't|always|use|give|avoid|refuse|suggest|recommend|direct|point|"
    r"confirm|check|make sure|be|keep|escalate|hand|transfer|provide|collect|verify|stay|"
    r"the (?:agent|reply|assistant))\b")
_YES = re.compile(r"(?i)\b(yes|agree[sd]?|accept(s|ed)?|confirm(s|ed)?|approve[sd]?|wants? to (go on|proceed))\b")
_NO = re.compile(r"(?i)\b(no|not|n't|declines?|declined|refuses?|refused|disagrees?|rejects?|rejected|denies)\b")


def compiled(where: str, text: str | None) -> Expression | None:
    """Raises ConfigurationError that names the place in front of the expression's own fault."""
    return None if text is None else expression(where, text)


def expression(where: str, text: str) -> Expression:
    """Like `compiled`, for a text that is there."""
    try:
        return compile_expression(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", **error.details) from None


def compile_text(where: str, text: str) -> CompiledText:
    """Text that an author wrote in place."""
    return CompiledText(template=_template(where, text))


def compile_listed(spec: Template) -> CompiledText:
    """A text from the agent's templates."""
    where = f"template {spec.id}"
    return CompiledText(template=_template(where, spec.text), id=spec.id, mode=spec.mode,
                        when=compiled(where, spec.when), language=spec.language)


def compile_transition(scenario: str, step: str, spec: Transition) -> CompiledTransition:
    where = f"scenario {scenario}, step {step}, transition to {spec.to}"
    return CompiledTransition(id=f"{scenario}/{step}>{spec.to}", to=spec.to, spec=spec,
                              when=compiled(where, spec.when), polarity=_polarity(spec.if_ or ""))


def compile_tool(spec: Tool) -> CompiledTool:
    properties = tuple(spec.parameters.get("properties", {}))
    required = tuple(spec.parameters.get("required", ()))
    where = f"tool {spec.id}"
    arguments = {name: expression(f"{where}, argument {name}", text) for name, text in spec.arguments.items()}
    names = dict.fromkeys((*properties, *required, *arguments))
    return CompiledTool(tool=spec, arguments=arguments, parameters=tuple(names), required=required,
                        confirm=compile_text(where, spec.confirm) if spec.confirm else None)


def edges(relationships: tuple[Relationship, ...], rules: Collection[str], scenarios: Collection[str],
          steps: Collection[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Source to (kind, target), sorted. A source is a rule, a scenario or a step (`scenario/step`), a target a rule or
    a scenario. Raises ConfigurationError for one that is not there, or that may be either."""
    found: dict[str, list[tuple[str, str]]] = {}
    for edge in relationships:
        for end, known in ((edge.source, (rules, scenarios, steps)), (edge.target, (rules, scenarios))):
            if sum(end in names for names in known) != 1:
                why = "is a rule and a scenario" if end in rules else "is no rule, scenario or step that could be there"
                raise ConfigurationError(f"relationship {edge.source} {edge.kind} {edge.target}: {end} {why}")
        found.setdefault(edge.source, []).append((edge.kind, edge.target))
    return {source: tuple(sorted(targets)) for source, targets in found.items()}


def rivals(found: Mapping[str, tuple[tuple[str, str], ...]]) -> frozenset[frozenset[str]]:
    """The pairs of rules that exclude each other, so that neither comes before the other."""
    excluded = {(source, target) for source, targets in found.items() for kind, target in targets
                if kind == "excludes" and source != target}
    return frozenset(frozenset(pair) for pair in excluded if pair[::-1] in excluded)


def bound_tools(bindings: tuple[ToolBinding, ...], tools: Mapping[str, Any], where: str) -> None:
    """Raises ConfigurationError when a binding names a tool that is not there."""
    for binding in bindings:
        for name in (binding.tool, *binding.depends_on):
            if name not in tools:
                raise ConfigurationError(f"{where}: no tool called {name}; known: {', '.join(tools) or 'none'}")


def _template(where: str, text: str) -> Rendered:
    try:
        return compile_template(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", **error.details) from None


def instructs(rule: Rule) -> bool:
    """A constraint instructs; any other `then` unless it reads like something to say."""
    return (rule.hard and rule.effect == "ANSWER") or _ORDERS.match(rule.then) is not None


def phrases_of(rule: Rule, option: str) -> tuple[str, ...]:
    """The texts under an option of the phrase enforcer."""
    if not isinstance(rule.enforce, EnforcerUse) or rule.enforce.use != "phrase":
        return ()
    value = rule.enforce.options.get(option, ())
    return (value,) if isinstance(value, str) else tuple(str(text) for text in value)


def _polarity(text: str) -> Literal["yes", "no", ""]:
    if _NO.search(text):
        return "no"
    return "yes" if _YES.search(text) else ""


def unique(kind: str, items: tuple[T, ...], key: str = "id") -> tuple[T, ...]:
    """The items. Raises ConfigurationError when two have one name."""
    seen: set[str] = set()
    for item in items:
        name = getattr(item, key)
        if name in seen:
            raise ConfigurationError(f"{kind} {name} is there twice; give one of them another name")
        seen.add(name)
    return items
