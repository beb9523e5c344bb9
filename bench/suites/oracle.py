"""A model that knows a case's label: it answers what is right, and notes what a prompt lacks for a model to see it.

It stands behind a real endpoint (`bench.model_server`), so that the engine's own client asks it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench.model_server import Answer
from bench.suites.cases import Case
from ruche.engine.brain.sense import READ
from ruche.engine.brain.sift import MESSAGE, SHOWN
from ruche.plugins.generators.prompt import as_data
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.scenario import Scenario

Body = dict[str, Any]
WORDS = {"applies", "not_related", "unsure"}
SAID = "As you wish."


class Label(NamedTuple):
    """What is right for a case. `rules` is None where the case does not tell which rules apply."""

    rules: frozenset[str] | None = None
    which: tuple[str, ...] = ()
    """Rules of which the person is to say which one is meant."""
    move: str = ""
    path: tuple[str, ...] = ()
    """Where the scenario goes."""
    at: str = ""
    been: tuple[str, ...] = ()
    """Where it stood, and the steps that it had come through."""
    applied: frozenset[str] = frozenset()
    """Rules that the last reply applied."""


class Oracle:
    """Answers one case. `lacking` has what prompts lacked, `calls` how often which kind was asked."""

    def __init__(self, bundle: AgentBundle, case: Case, label: Label) -> None:
        self._bundle, self._case, self._label = bundle, case, label
        self.lacking: list[str] = []
        self.calls: Counter[str] = Counter()

    def __call__(self, body: Body) -> Answer:
        kind = kind_of(body)
        self.calls[kind] += 1
        check = {"sense": self._sense, "sift": self._sift, "speak": self._speak, "judge": self._judge}[kind]
        self.lacking += [f"{kind}: {one}" for one in check(body)]
        if kind == "judge":
            return Answer(json.dumps({rule: {"verdict": "pass", "reason": ""} for rule in schema_of(body)}))
        return Answer({"sense": _SENSED, "speak": SAID}.get(kind) or self._word(body))

    def _word(self, body: Body) -> str:
        """The label, in the shape that is asked for."""
        asked, label = schema_of(body), self._label
        found: Body = {}
        if "rules" in asked:
            found["rules"] = {name: "unsure" if label.rules is None or name in label.which else
                              "applies" if name in label.rules else "not_related"
                              for name in asked["rules"]["properties"]}
        if "which" in asked:
            found["which"] = list(label.which)
        if "scenarios" in asked:
            found["scenarios"] = {name: {"move": label.move, "path": list(label.path)}
                                  for name in asked["scenarios"]["properties"]}
        return json.dumps(found)

    # --- what a prompt must hold ----------------------------------------------------------------------------------

    def _sense(self, body: Body) -> Iterator[str]:
        if as_data(self._case.message[:READ]) not in body["messages"][1]["content"]:
            yield "the message"

    def _sift(self, body: Body) -> Iterator[str]:
        system, data = (message["content"] for message in body["messages"])
        if block(data, '<data kind="conversation" from="person and agent">') != list(self._heard()):
            yield "the conversation, who said what, in order"
        yield from self._rules(block(system, '<rules from="author">') or [], schema_of(body))
        yield from self._scenarios(block(system, '<scenarios from="author">') or [], schema_of(body))
        yield from self._knowledge(system, block(data, '<data kind="values" from="tools">') or {})

    def _heard(self) -> Iterator[dict[str, str]]:
        for exchange in self._case.exchanges:
            for role, text in (("person", "\n".join(exchange.said)), ("agent", exchange.reply)):
                if text:
                    yield {"role": role, "text": text[:SHOWN]}
        yield {"role": "person", "text": self._case.message[:MESSAGE]}

    def _rules(self, shown: list[Body], schema: Body) -> Iterator[str]:
        found = {one["id"]: one for one in shown}
        rivals = [{edge.source, edge.target} for edge in self._bundle.relationships if edge.kind == "excludes"]
        for rule in self._bundle.rules:
            if rule.hard:
                continue
            one = found.get(rule.id, {})
            if (one.get("if"), one.get("then")) != (rule.if_, rule.then):
                yield f"the condition and the action of {rule.id}"
            if (one.get("ago") == 1) != (rule.id in self._label.applied):
                yield f"when {rule.id} was applied"
            if set(one.get("excludes", ())) != set().union(*(pair for pair in rivals if rule.id in pair)) - {rule.id}:
                yield f"what {rule.id} excludes"
            if set(schema.get("rules", {}).get("properties", {}).get(rule.id, {}).get("enum", ())) != WORDS:
                yield f"the words that may be answered of {rule.id}"

    def _scenarios(self, shown: list[Body], schema: Body) -> Iterator[str]:
        found = {one["id"]: one for one in shown}
        for scenario in self._bundle.scenarios:
            one = found.get(scenario.id, {"steps": []})
            asked = schema.get("scenarios", {}).get("properties", {}).get(scenario.id, {}).get("properties", {})
            if scenario.entry not in one.get("about", ""):
                yield "what the scenario is for"
            if (one.get("at", ""), tuple(one.get("path", ()))) != (self._label.at, self._label.been):
                yield "where the scenario stands and how it came there"
            if not {"stay", "go", *(("leave", "rest") if self._label.at else ())} <= set(
                    asked.get("move", {}).get("enum", ())):
                yield "the moves that may be answered"
            if not {step.id for step in scenario.steps} <= set(asked.get("path", {}).get("items", {}).get("enum", ())):
                yield "the steps that may be answered"
            yield from _steps(scenario, {step["id"]: step for step in one["steps"]})

    def _knowledge(self, system: str, values: Body) -> Iterator[str]:
        told = json.dumps(list(self._heard())) + "".join(rule.if_ for rule in self._bundle.rules)
        terms = block(system, '<terms from="author">') or {}
        for term in self._bundle.glossary:
            if term.term.lower() in told.lower() and terms.get(term.term) != term.definition:
                yield f"what {term.term} means"
        abilities = block(system, '<abilities from="author">') or {}
        for tool in self._bundle.tools:
            if abilities.get(tool.id) != tool.description:
                yield f"that the agent can {tool.id}"
        for variable in self._bundle.variables:
            if values.get(variable.name) != variable.default:
                yield f"the value of {variable.name}"

    def _speak(self, body: Body) -> Iterator[str]:
        system, *history = body["messages"]
        said = [pair for exchange in self._case.exchanges for pair in (
            ("user", "\n".join(exchange.said)), ("assistant", exchange.reply))]
        if [(one["role"], one["content"]) for one in history] != [*said, ("user", self._case.message)]:
            yield "the conversation, who said what, in order"
        for rule in self._bundle.rules:
            if rule.id in (self._label.rules or ()) and rule.then not in system["content"]:
                yield f"the action of {rule.id}"

    def _judge(self, body: Body) -> Iterator[str]:
        rules, data = (message["content"] for message in body["messages"])
        if as_data(self._case.message) not in data or as_data(SAID) not in data:
            yield "the message and the reply"
        for rule in self._bundle.rules:
            if rule.id in schema_of(body) and not (as_data(rule.if_) in rules and as_data(rule.then) in rules):
                yield f"what {rule.id} says"


_SENSED = json.dumps({"language": "en", "intent": "", "values": [], "tone": "neutral"})


def kind_of(body: Body) -> str:
    """What a request is for: to read a message, to filter rules and steps, to speak, or to judge."""
    asked = schema_of(body)
    if not asked:
        return "speak"
    return "sense" if "language" in asked else "sift" if asked.keys() <= {"rules", "which", "scenarios"} else "judge"


def schema_of(body: Body) -> Body:
    """The properties of the answer that is asked for; none where free text is."""
    form: Mapping[str, Any] = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    return dict(form.get("properties", {}))


def block(text: str, label: str) -> Any:
    """The JSON under a label of a prompt; None where there is none."""
    _, found, rest = text.partition(label)
    return json.loads(rest.split("\n</", 1)[0]) if found else None


def _steps(scenario: Scenario, shown: dict[str, Body]) -> Iterator[str]:
    for step in scenario.steps:
        one = shown.get(step.id, {})
        if step.description not in one.get("does", "\0"):
            yield f"what the agent does at {step.id}"
        ways = [(edge["to"], edge.get("if")) for edge in one.get("next", ())]
        if ways != [(edge.to, edge.if_) for edge in step.next]:
            yield f"the ways out of {step.id} with their conditions"

