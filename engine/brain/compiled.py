"""An agent ready to think with: built once per published version, shared by all its turns, never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ruche.engine.brain.candidates import Place
from ruche.engine.brain.facts import declared, facts_of
from ruche.engine.brain.fields import CompiledField, compile_field
from ruche.engine.brain.graphs import Graphs, telling
from ruche.engine.brain.parts import (
    Check,
    CompiledRule,
    CompiledText,
    CompiledTool,
    SureText,
    bound_tools,
    compile_listed,
    compile_text,
    compile_tool,
    compiled,
    edges,
    instructs,
    phrases_of,
    rivals,
    unique,
)
from ruche.engine.brain.phones import region_of
from ruche.engine.brain.sayings import saying
from ruche.engine.brain.sources import authored
from ruche.engine.brain.terms import Terms
from ruche.plugins.contracts import Enforcer
from ruche.plugins.enforcers import built_in, prepare_rule
from ruche.plugins.enforcers.grounding import known_facts
from ruche.plugins.errors import ConfigurationError
from ruche.storage.index.passages import knowledge_chunks
from ruche.storage.model.agent import Agent, Handoff
from ruche.storage.model.bundle import AgentBundle, canonical_bundle
from ruche.storage.model.field import Variable
from ruche.storage.model.rule import EnforcerUse, Rule

_LIMIT, _MOST = 30, 200
"""Retrieved items per kind, and the most for agents with many scoped rules and transitions."""


class CompiledAgent:
    """Expressions and templates compiled, everything reachable by id.

    `configuration` is the SHA-256 of the bundle's bytes as published, by default of its canonical bytes. Raises
    ConfigurationError, naming the part, for whatever cannot be resolved: an agent that was built can be spoken with.
    """

    def __init__(self, bundle: AgentBundle, version: int, enforcers: Mapping[str, Enforcer] | None = None,
                 configuration: str = "") -> None:
        self.bundle = bundle
        self.version = version
        self.configuration = configuration or hashlib.sha256(canonical_bundle(bundle)).hexdigest()
        self.languages = bundle.agent.languages or ("en",)
        self.judge, self.sensor, self.sifter = bundle.agent.judging, bundle.agent.sensing, bundle.agent.filtering
        self.guided = self.sifter is not None and bundle.agent.models.steps is not False
        self.screened = bundle.agent.screen and _uses_models(bundle.agent)
        self.zone = _zone(bundle.agent.timezone)
        self.month_first = bundle.agent.timezone.startswith(("America/", "US/"))
        self.region = region_of(bundle.agent.timezone, self.languages[0])
        self.fields = {field.name: compile_field(field) for field in unique("field", bundle.fields, "name")}
        self.tools = {tool.id: compile_tool(tool) for tool in unique("tool", bundle.tools)}
        self.templates = {text.id: compile_listed(text) for text in unique("template", bundle.templates)}
        self.fallbacks = tuple(text for text in self.templates.values() if text.mode == "FALLBACK")
        self.confirmation = compile_text("confirmation", saying("confirm", self.languages[0]))
        self.scenarios = Graphs(bundle, self.fields, self.tools, self.text, self.confirmation).compiled()
        self.nests = any(step.spec.scenario is not None for one in self.scenarios.values()
                         for step in one.steps.values())
        self.telling = telling(self.scenarios)
        self.verifiers = {name: self._verifier(field) for name, field in self.fields.items() if field.spec.verify}
        self.proven = tuple(dict.fromkeys((*self.verifiers, *(name for tool in bundle.tools
                                                              for name in tool.verifies if name in self.fields))))
        self.facts = declared(bundle.rules)
        self.choices = any(field.spec.allowed for one in self.scenarios.values() for field in one.collects)
        known = built_in() if enforcers is None else enforcers
        self.rules = self._rules(known)
        self.screens = tuple(_screen(number, use, known) for number, use in enumerate(bundle.agent.screens)) \
            if _uses_models(bundle.agent) else ()
        self.scopes = frozenset(rule.rule.scope_id for rule in self.rules.values() if rule.rule.scope_id is not None)
        self.authored = authored(bundle) if any(map(_needs_data, self.rules.values())) else ""
        for language in self.languages if self.authored else ():
            known_facts(self.authored, language[:2].lower())
        steps = [step.key for one in self.scenarios.values() for step in one.steps.values()]
        self.edges = edges(bundle.relationships, self.rules, self.scenarios, steps)
        self.places = frozenset(self.edges) - self.rules.keys()
        self.passages = knowledge_chunks(bundle.knowledge) if bundle.knowledge else {}
        self.rivals = rivals(self.edges)
        self.weighted = bundle.agent.scoring == "weighted"
        self.terms = Terms(bundle.glossary)
        self.personal = any(field.pii for field in bundle.fields)
        self.worded = bundle.agent.models.generator != "composer"
        self.always = tuple(sorted((rule for rule in self.rules.values() if _always(rule.rule)),
                                   key=lambda rule: (-rule.rule.priority, rule.id)))
        self.conditional = tuple(rule for rule in self.always if rule.when is not None)
        head = bundle.agent
        self.greeting = self.text("greeting", head.greeting or None)
        self.unmatched = self.sure_text("unmatched", head.unmatched, Agent.model_fields["unmatched"].default)
        self.refusal = self.sure_text("refusal", head.refusal, Agent.model_fields["refusal"].default)
        self.handoff = self.sure_text("handoff", head.handoff.text, Handoff().text)
        self.asks = {field.name: self.text(f"field {field.name}", field.ask) for field in bundle.fields}
        self.variables = self._variables()
        self.defaults = {one.name: one.default for one in self.variables if one.default is not None}
        self.shown = tuple(one.name for one in self.variables if one.shown and one.name not in self.fields)
        self.kept_defaults = {name: value for name, value in self.defaults.items()
                              if name in self.fields and self.fields[name].kept}
        self.scoped = self._scoped_parts()
        self.limit = min(_MOST, _LIMIT + self.scoped)
        self.entries = tuple(scope for one in self.scenarios.values() for scope in (one.id, one.first.key))

    @property
    def id(self) -> str:
        return self.bundle.id

    def place(self, today: object) -> Place:
        """Where and on which day (`datetime.date`) a message is read."""
        return Place(today=today, month_first=self.month_first, region=self.region)  # type: ignore[arg-type]

    def text(self, where: str, reference: str | None) -> CompiledText | None:
        """A template by its id, else the text itself."""
        if reference is None:
            return None
        return self.templates.get(reference) or compile_text(where, reference)

    def sure_text(self, where: str, reference: str, otherwise: str) -> SureText:
        """A text that is needed whatever happens. `otherwise` is said where nothing of the author's can be."""
        return SureText(text=self.templates.get(reference) or compile_text(where, reference or otherwise),
                        otherwise=otherwise)

    @property
    def refused(self) -> str:
        """The refusal of a turn that failed, so that there are no values for it."""
        return self.refusal.without_values(self.refusal.text)

    def variant(self, text: CompiledText, language: str) -> CompiledText:
        """The same text in another language: the template `ID.LANGUAGE`, where there is one."""
        if not text.id or text.language in (None, language):
            other = self.templates.get(f"{text.id}.{language}") if text.id else None
            return other or text
        return self.templates.get(f"{text.id}.{language}", text)

    def _verifier(self, field: CompiledField) -> CompiledTool:
        tool = self.tools.get(field.spec.verify or "")
        if tool is None:
            raise ConfigurationError(f"field {field.name}: no tool called {field.spec.verify}; known: "
                                     f"{', '.join(self.tools) or 'none'}")
        if tool.tool.policy not in ("PURE", "IDEMPOTENT"):
            raise ConfigurationError(f"field {field.name}: {field.spec.verify} is {tool.tool.policy}, and a value is "
                                     "verified unasked; take a tool that is PURE or IDEMPOTENT")
        return tool

    def _rules(self, enforcers: Mapping[str, Enforcer]) -> dict[str, CompiledRule]:
        return {rule.id: self._rule(rule, enforcers) for rule in unique("rule", self.bundle.rules)}

    def _rule(self, rule: Rule, enforcers: Mapping[str, Enforcer]) -> CompiledRule:
        where = f"rule {rule.id}"
        bound_tools(rule.tools, self.tools, where)
        self._scoped(rule)
        for name in rule.templates:
            if name not in self.templates:
                known = ", ".join(self.templates) or "none"
                raise ConfigurationError(f"{where}: no template called {name}; known: {known}")
        check = _check(rule, enforcers)
        reads = getattr(check[1], "reads", ()) if check is not None else ()
        return CompiledRule(rule=rule, when=compiled(where, rule.when), then=compile_text(where, rule.then),
                            templates=tuple(self.templates[name] for name in rule.templates), check=check,
                            facts=facts_of(reads, self.facts, figures=self.bundle.agent.extracting),
                            instructs=instructs(rule), topic=self.text(where, rule.topic or None),
                            required=(*(phrases_of(rule, "required") if rule.hard else ()), *rule.must_include),
                            forbidden=(*(phrases_of(rule, "forbidden") if rule.hard else ()), *rule.must_avoid))

    def _scoped(self, rule: Rule) -> None:
        scenario, _, step = (rule.scope_id or "").partition("/")
        found = self.scenarios.get(scenario)
        known = {"GLOBAL": rule.scope_id is None, "SCENARIO": found is not None and not step,
                 "STEP": found is not None and step in found.steps}[rule.scope]
        if not known:
            raise ConfigurationError(f"rule {rule.id}: scope_id {rule.scope_id!r} does not fit scope {rule.scope}; "
                                     "write nothing for GLOBAL, a scenario's id, or SCENARIO/STEP")

    def _variables(self) -> tuple[Variable, ...]:
        for variable in unique("variable", self.bundle.variables, "name"):
            if variable.tool is not None and variable.tool not in self.tools:
                raise ConfigurationError(f"variable {variable.name}: no tool called {variable.tool}")
        return self.bundle.variables

    def _scoped_parts(self) -> int:
        """How many rules or transitions count in some places only."""
        scoped = sum(rule.scope != "GLOBAL" for rule in self.bundle.rules)
        worded = sum(move.spec.if_ is not None for scenario in self.scenarios.values()
                     for step in scenario.steps.values() for move in step.next)
        return max(scoped, worded)


def _uses_models(head: Agent) -> bool:
    """True where a language model may come to read something."""
    return head.models.generator != "composer" or head.judging is not None or head.filtering is not None


def _needs_data(rule: CompiledRule) -> bool:
    return rule.check is not None and getattr(rule.check[2], "needs_data", False)


def _always(rule: Rule) -> bool:
    return rule.hard and rule.enabled and rule.scope == "GLOBAL"


def _screen(number: int, use: EnforcerUse, enforcers: Mapping[str, Enforcer]) -> Check:
    """A screen as the check of a rule that nobody wrote."""
    rule = Rule.model_validate({"id": f"screen {number}", "if": "a model may see a text", "then": "It passes.",
                                "enforce": use})
    enforcer, prepared = prepare_rule(rule, enforcers) or (None, None)
    if enforcer is None:
        raise ConfigurationError(f"screen {number}: name an enforcer")
    return rule, prepared, enforcer


def _check(rule: Rule, enforcers: Mapping[str, Enforcer]) -> Check | None:
    found = prepare_rule(rule, enforcers)
    return None if found is None else (rule, found[1], found[0])


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"timezone {name} is not known; write one like Europe/Paris") from None
