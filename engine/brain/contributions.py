"""What each part of the turn wants to say: rendered texts with their kind, in the order in which they were decided."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ruche.engine.brain.act import Acted
from ruche.engine.brain.bindings import confirmation_key
from ruche.engine.brain.choice import CHOICE
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.names import Names, holds
from ruche.engine.brain.orchestrate import Orchestrated
from ruche.engine.brain.parts import CompiledRule, CompiledStep, CompiledText, SureText
from ruche.engine.brain.ranked import Applied
from ruche.engine.brain.reasons import reason
from ruche.engine.brain.sayings import saying
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.walk import Standing, asks_freely, holds_back, lacks, missing
from ruche.plugins.sentences import sentences
from ruche.plugins.templates import TemplateError
from ruche.storage.model.conversation import Pending

Kind = Literal["ASK", "INFORM", "CONFIRM", "ACTION_HINT"]
RECENT = 3
"""Turns in which what a rule says counts as said a moment ago."""
PRIORITY = {"CONFIRM": 50, "ASK": 40, "ACTION_HINT": 30, "INFORM": 20}


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    text: str
    priority: int
    scenario: str | None = None
    rule: str | None = None
    exclusive: bool = False
    sayable: bool = False
    """True for a hint that may be said as it stands, where nobody can word it."""
    effect: str = "ANSWER"
    pending: Pending | None = None
    asked: tuple[str, ...] = ()
    """Fields whose values the next message is expected to hold."""
    said: bool = False
    """True where its rule was applied a moment ago, and the message does not clearly ask for it anew."""


class Speaker:
    """Renders texts for one turn; one that cannot be rendered is left out and noted."""

    def __init__(self, who: Identified, language: str, names: Names) -> None:
        self.who, self.language, self.names = who, language, names
        self.notes: list[str] = []
        self.notes_of: dict[str, Any] = {}
        """What the plan notes besides texts that could not be rendered."""

    def render(self, text: CompiledText | None, names: Names | None = None) -> str:
        """The text in the turn's language, empty when there is none or when a value is missing. `names` are others than
        the turn's last."""
        names = self.names if names is None else names
        if text is None:
            return ""
        text = self.who.agent.variant(text, self.language)
        if text.when is not None and not holds(text.when, names)[0]:
            return ""
        try:
            return text.template.render(names).strip()
        except TemplateError as error:
            self.notes.append(f"{text.id or text.template.text[:40]!r}: {error.message}")
            return ""

    def sure(self, sure: SureText) -> str:
        """A text that must not be left out: without its values, what of it needs none, else the engine's own."""
        return self.render(sure.text) or sure.without_values(self.who.agent.variant(sure.text, self.language))

    def own(self, name: str, **values: str) -> str:
        """One of the engine's own sentences in the turn's language."""
        return saying(name, self.language, **values)


def greeting(speaker: Speaker, sensed: Sensed) -> tuple[list[Contribution], list[Contribution]]:
    """(what it states, what it asks), at the session's beginning and whenever somebody only says hello. The question is
    for somebody who has not said yet what it is about."""
    if speaker.who.number and not sensed.signals.hello:
        return [], []
    parts = sentences(speaker.render(speaker.who.agent.greeting))
    stated = "".join(part for part in parts if not _is_question(part)).strip()
    asked = "".join(part for part in parts if _is_question(part)).strip()
    exclusive = speaker.who.agent.greeting is not None and speaker.who.agent.greeting.mode == "EXCLUSIVE"
    return tuple([Contribution(kind="INFORM", text=text, priority=100, exclusive=exclusive)] if text else []
                 for text in (stated, asked))  # type: ignore[return-value]


def _is_question(sentence: str) -> bool:
    return sentence.rstrip().rstrip("\"'”’)]").endswith(("?", "？"))


def own_sentences(speaker: Speaker, names: tuple[str, ...]) -> list[Contribution]:
    parts = [name.partition(":") for name in names]
    return [Contribution(kind="INFORM", text=speaker.own(name, field=field), priority=90) for name, _, field in parts]


def of_rules(speaker: Speaker, rules: tuple[Applied, ...], *, model: bool, clear: float = 0.0) -> list[Contribution]:
    """A rule's templates say it, else its `then`: as it stands, or as an instruction for whoever speaks. A message that
    scores `clear` asks for the rule, whatever was said before."""
    found = []
    recent = "" if "?" in speaker.who.text else "\n".join(
        exchange.reply for exchange in speaker.who.turn.session.history[-RECENT:])
    for one in rules:
        rule = one.rule
        again = bool(recent) and one.score < clear
        priority = rule.rule.priority // 10
        text, template = _first(speaker, rule.templates)
        if template is not None:
            found.append(Contribution(kind="INFORM", text=text, priority=PRIORITY["INFORM"] + priority, rule=rule.id,
                                      exclusive=template.mode == "EXCLUSIVE", effect=rule.rule.effect,
                                      said=again and text in recent))
            continue
        text = speaker.render(rule.then)
        kind: Kind = "ACTION_HINT" if model or rule.instructs else "INFORM"
        if text:
            found.append(Contribution(kind=kind, text=text, priority=PRIORITY[kind] + priority, rule=rule.id,
                                      sayable=not rule.instructs, effect=rule.rule.effect,
                                      said=again and (text in recent or _applied_before(speaker, rule.id))))
    return found


def _applied_before(speaker: Speaker, rule: str) -> bool:
    last = speaker.who.turn.session.rule_last_turn.get(rule)
    return last is not None and speaker.who.number - last <= RECENT


def not_again(found: list[Contribution]) -> list[Contribution]:
    """Without what was said a moment ago, unless nothing else answers: who gets a mere question was not heard."""
    if not any(one.said for one in found):
        return found
    new = [one for one in found if not one.said or one.effect != "ANSWER" or one.kind == "ACTION_HINT"]
    return new if any(one.kind == "INFORM" or one.sayable for one in new) else found


def which_one(speaker: Speaker, unclear: tuple[CompiledRule, ...]) -> list[Contribution]:
    """The question which of these rules is meant."""
    if not unclear:
        return []
    *others, second = (speaker.render(rule.topic) or rule.rule.topic for rule in unclear)
    first = ", ".join(others)
    pending = _pending(speaker, CHOICE, "|".join(rule.id for rule in unclear))
    return [Contribution(kind="ASK", text=speaker.own("which", first=first, second=second), priority=PRIORITY["ASK"],
                         pending=pending)]


def _first(speaker: Speaker, templates: tuple[CompiledText, ...]) -> tuple[str, CompiledText | None]:
    for template in templates:
        suits = template.language in (None, speaker.language)
        text = speaker.render(template) if template.mode != "FALLBACK" and suits else ""
        if text:
            return text, template
    return "", None


def of_steps(speaker: Speaker, orchestrated: Orchestrated, acted: Acted) -> list[Contribution]:
    """What the steps that were carried out in this turn say; a step with tools speaks once they have run."""
    ran = {call.name for call in acted.calls if call.status in ("ok", "cached")}
    known = orchestrated.knowledge.known
    found = []
    for one in orchestrated.standings:
        steps = {step.key: step for step in (*one.left, *one.entered, one.step)}
        for step in steps.values():
            if not _carried_out(step, one, ran, acted) or (one.silent and step is one.step):
                continue
            told = one.told.get(step.key)
            if told is None and holds_back(step, known, speaker.names, one.instance.offered):
                continue
            text = speaker.render(step.say, told)
            if text:
                exclusive = step.say is not None and step.say.mode == "EXCLUSIVE"
                found.append(Contribution(kind="INFORM", text=text, priority=PRIORITY["INFORM"], exclusive=exclusive,
                                          scenario=one.scenario.id, effect=step.spec.effect))
    return found


def _carried_out(step: CompiledStep, standing: Standing, ran: set[str], acted: Acted) -> bool:
    if step.key in acted.failed:
        return False
    tools = [binding.tool for binding in step.spec.tools if binding.when != "AFTER"]
    return any(tool in ran for tool in tools) if tools else step in standing.entered or step.key == standing.unsaid


def question(speaker: Speaker, orchestrated: Orchestrated, acted: Acted) -> list[Contribution]:
    """The one question of this reply: of the first scenario that waits, else of a tool that lacks something."""
    for one in orchestrated.standings:
        asked = _of_standing(speaker, one, orchestrated, acted)
        if asked:
            return asked
    return _of_tools(speaker, orchestrated, acted)


def _of_standing(speaker: Speaker, one: Standing, orchestrated: Orchestrated, acted: Acted) -> list[Contribution]:
    status, step = one.instance.status, one.step
    if one.silent or status not in ("active", "completed"):
        return []
    known = orchestrated.knowledge.known
    needed = missing(step, known, speaker.names, one.instance.offered)
    if needed:
        return [] if status == "completed" else _ask(speaker, one, needed, orchestrated.knowledge.rejected)
    if lacks(step, speaker.names, known):
        return []
    if status == "active" and step.confirm is not None:
        key = confirmation_key(step, speaker.who.agent.tools, speaker.names)
        if key not in one.instance.confirmed:
            text = speaker.render(step.confirm) or speaker.own("confirm")
            pending = _pending(speaker, "confirmation", key, one.scenario.id, step.id)
            return [Contribution(kind="CONFIRM", text=text, priority=PRIORITY["CONFIRM"], scenario=one.scenario.id,
                                 pending=pending, effect=step.spec.effect)]
    free = asks_freely(step) and (one.fresh or one.returned)
    if free or (step.spec.terminal and one.fresh and not step.collects):
        text = speaker.render(step.ask)
        return [Contribution(kind="ASK", text=text, priority=PRIORITY["ASK"], scenario=one.scenario.id,
                             effect=step.spec.effect)] if text else []
    return []


def _ask(speaker: Speaker, one: Standing, needed: tuple[str, ...], rejected: dict[str, str]) -> list[Contribution]:
    """The step's own question while all of its fields are open, else the first open field's."""
    step = one.step
    whole = step.ask is not None and {field.name for field in step.collects} == set(needed)
    text = speaker.render(step.ask) if whole else ""
    asked = needed if text else needed[:1]
    text = text or _field_question(speaker, needed[0])
    wrong = [name for name in needed if name in rejected]
    found = []
    if wrong:
        unusable = _unusable(speaker, wrong[0], rejected[wrong[0]], alone=asked == (wrong[0],))
        found.append(Contribution(kind="INFORM", text=unusable, priority=45, scenario=one.scenario.id))
    pending = _pending(speaker, "field", asked[0], one.scenario.id, step.id)
    found.append(Contribution(kind="ASK", text=text, priority=PRIORITY["ASK"], scenario=one.scenario.id, asked=asked,
                              pending=pending, effect=step.spec.effect))
    return found


def _unusable(speaker: Speaker, name: str, fault: str, *, alone: bool) -> str:
    """That an answer cannot be used, and what is taken instead. The question behind it names the field where it is
    `alone` in it."""
    field = speaker.who.agent.fields[name]
    told = speaker.own("invalid") if alone else speaker.own("invalid_for", field=field.label)
    return f"{told} {reason(field, fault, speaker.language)}".rstrip()


def _of_tools(speaker: Speaker, orchestrated: Orchestrated, acted: Acted) -> list[Contribution]:
    if acted.questions:
        first = acted.questions[0]
        text = speaker.render(first.text) or speaker.own("confirm")
        pending = _pending(speaker, "confirmation", first.subject)
        return [Contribution(kind="CONFIRM", text=text, priority=PRIORITY["CONFIRM"], pending=pending)]
    for name in acted.lacking:
        if name in speaker.who.agent.fields and name not in orchestrated.knowledge.known:
            return [Contribution(kind="ASK", text=_field_question(speaker, name), priority=35, asked=(name,),
                                 pending=_pending(speaker, "field", name))]
    return []


def _field_question(speaker: Speaker, name: str) -> str:
    field = speaker.who.agent.fields[name]
    return speaker.render(speaker.who.agent.asks[name]) or speaker.own("ask", field=field.label)


def _pending(speaker: Speaker, kind: Any, subject: str, scenario: str = "", step: str = "") -> Pending:
    return Pending(kind=kind, subject=subject, scenario=scenario, step=step, turn=speaker.who.number)
