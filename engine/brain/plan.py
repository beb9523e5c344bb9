"""Phase 8: what the reply is to contain and what kind of reply it is, decided by declared effects, never by words."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.act import Acted
from ruche.engine.brain.contributions import (
    PRIORITY,
    Contribution,
    Speaker,
    greeting,
    not_again,
    of_rules,
    of_steps,
    own_sentences,
    question,
    which_one,
)
from ruche.engine.brain.doubt import AHEAD
from ruche.engine.brain.heed import OFFERED
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.match import Matched, in_force
from ruche.engine.brain.orchestrate import Orchestrated
from ruche.engine.brain.parts import CompiledRule
from ruche.engine.brain.quote import of_knowledge
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.signals import words_of
from ruche.plugins.generators.composer import compose
from ruche.storage.model.conversation import Pending
from ruche.storage.model.handoff import is_away
from ruche.storage.model.turn import ResponseType

HANDOFF = "handoff"
"""Subject of the question whether a person shall take over."""
REPEAT = 3
"""Words up to which a question asks no more than to hear the last one again: `what was that?`."""
OFFER_AFTER = 2
"""Unmatched turns in a row after which a person is offered."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    contributions: tuple[Contribution, ...]
    response_type: ResponseType
    plan: dict[str, Any]
    """The plain form that generators get."""
    pending: Pending | None = None
    asked: tuple[str, ...] = ()
    always: tuple[CompiledRule, ...] = ()
    """GLOBAL hard rules that hold in this turn."""
    unmatched: bool = False
    handoff: bool = False
    categories: tuple[str, ...] = ()
    notes: dict[str, Any] = {}

    @property
    def exclusive(self) -> bool:
        """True when part of the reply is to be said word for word, so that no generator may touch it."""
        return any(one.exclusive for one in self.contributions)

    @property
    def binding(self) -> bool:
        """True when the reply asks for a yes to what a tool is to do: it must show that as it is."""
        return any(one.kind == "CONFIRM" and one.pending is not None and one.pending.subject != HANDOFF
                   for one in self.contributions)

    @property
    def unaided(self) -> dict[str, Any]:
        """The plan for the composer, where a generator was to speak and does not: sentences that were to be worded
        anew are said as the author wrote them."""
        if not any(one.sayable and one.kind == "ACTION_HINT" for one in self.contributions):
            return self.plan
        return {**self.plan, "contributions": [_said_plainly(one) for one in self.contributions]}


def plan(who: Identified, sensed: Sensed, matched: Matched, orchestrated: Orchestrated, acted: Acted,
         retrieved: Retrieved | None = None) -> Planned:
    """`retrieved` has the passages of the agent's knowledge that may answer what nothing else does."""
    speaker = Speaker(who, sensed.language, acted.names)
    model = who.agent.bundle.agent.models.generator != "composer"
    handed = _handed_over(speaker, sensed)
    unmatched = False
    if handed:
        found = handed
    else:
        clear = matched.notes.get("threshold", 0.0) + AHEAD
        found = [*of_rules(speaker, matched.rules, model=model, clear=clear), *of_steps(speaker, orchestrated, acted),
                 *own_sentences(speaker, (*orchestrated.sayings, *acted.sayings)),
                 *(which_one(speaker, matched.unclear) or question(speaker, orchestrated, acted))]
        found = not_again(found) or ([_offer(speaker)] if OFFERED in matched.notes else [])
        knows = bool(who.agent.passages or who.agent.terms)
        if knows and retrieved is not None and _unanswered(matched, orchestrated, sensed):
            found = [*of_knowledge(speaker, retrieved), *found]
        stated, asked = greeting(speaker, sensed)
        found = [*_polite(speaker, sensed, found), *found]
        greets = (stated or asked) if sensed.signals.hello else found and asked
        unmatched = not (_says(found, model=model) or greets)
        if unmatched:
            found = [*found, *_unmatched(speaker, sensed, orchestrated)]
        if not matched.rules and _overheard(speaker, sensed, found, orchestrated):
            unmatched, found = True, [*found, _not_known(speaker)]
        found = [*stated, *found] if _says(found, model=model) else [*stated, *asked, *found]
    return _planned(speaker, found, orchestrated, acted, matched, sensed.tone, model=model,
                    unmatched=unmatched)


def _unanswered(matched: Matched, orchestrated: Orchestrated, sensed: Sensed) -> bool:
    """True when no rule matched, and the message neither told, moved nor signalled anything."""
    signals = sensed.signals
    return not (matched.rules or matched.unclear or orchestrated.knowledge.learned or orchestrated.sayings
                or signals.answer or signals.hello or signals.back
                or any(one.entered or one.instance.status not in ("active", "paused")
                       for one in orchestrated.standings))


def _polite(speaker: Speaker, sensed: Sensed, found: list[Contribution]) -> list[Contribution]:
    """A word back to somebody who thanks or takes leave, where nothing else is said to them."""
    signals = sensed.signals
    said = "bye" if signals.bye else "welcome" if signals.thanks else _acknowledged(speaker, sensed, found)
    confirmed = signals.answer and speaker.who.turn.session.pending is not None
    if not said or confirmed or any(one.kind in ("INFORM", "ACTION_HINT") for one in found):
        return []
    return own_sentences(speaker, (said,))


def _acknowledged(speaker: Speaker, sensed: Sensed, found: list[Contribution]) -> str:
    """What a mere yes or no gets that nobody asked for."""
    session, answer = speaker.who.turn.session, sensed.signals.answer
    mere = answer and not found and session.history and session.pending is None and not speaker.who.instances
    if not mere or len(words_of(speaker.who.text)) > REPEAT:
        return ""
    return "else" if answer == "yes" else "fine"


def _says(found: list[Contribution], *, model: bool) -> bool:
    """True when these make a reply, or decide what kind of reply it is."""
    return _speaks(found, model=model) or any(one.effect != "ANSWER" for one in found)


def _speaks(found: list[Contribution], *, model: bool) -> bool:
    """True when somebody who hears these needs no further question."""
    if not found or model or any(one.kind != "ACTION_HINT" for one in found):
        return bool(found)
    return bool(compose({"contributions": [_contribution(one) for one in found]}))


def _handed_over(speaker: Speaker, sensed: Sensed) -> list[Contribution]:
    """The person who was offered and accepted, or who has taken over already."""
    session, handoff = speaker.who.turn.session, speaker.who.agent.bundle.agent.handoff
    accepted = (session.pending is not None and session.pending.subject == HANDOFF and sensed.signals.answer == "yes")
    if not handoff.enabled or not (accepted or is_away(session, speaker.who.now_ms)):
        return []
    return [Contribution(kind="INFORM", text=speaker.sure(speaker.who.agent.handoff), priority=PRIORITY["INFORM"],
                         effect="HANDOFF")]


def _unmatched(speaker: Speaker, sensed: Sensed, orchestrated: Orchestrated) -> list[Contribution]:
    """Nothing answers: say so, and from the second time on offer a person; an answer that was taken is thanked for."""
    session, agent = speaker.who.turn.session, speaker.who.agent.bundle.agent
    moved = any(one.actions for one in orchestrated.standings)
    if moved or (orchestrated.knowledge.learned and "?" not in speaker.who.text):
        return own_sentences(speaker, ("noted",))
    if session.pending is not None and session.pending.subject == HANDOFF and sensed.signals.answer == "no":
        return own_sentences(speaker, ("declined",))
    found = [_not_known(speaker)]
    if agent.handoff.enabled and session.unmatched_streak + 1 >= OFFER_AFTER:
        found.append(_offer(speaker))
    return found


def _offer(speaker: Speaker) -> Contribution:
    pending = Pending(kind="confirmation", subject=HANDOFF, turn=speaker.who.number)
    return Contribution(kind="CONFIRM", text=speaker.own("person"), priority=PRIORITY["CONFIRM"], pending=pending)


def _not_known(speaker: Speaker) -> Contribution:
    return Contribution(kind="INFORM", text=speaker.sure(speaker.who.agent.unmatched), priority=10)


def _overheard(speaker: Speaker, sensed: Sensed, found: list[Contribution], orchestrated: Orchestrated) -> bool:
    """True when somebody asked something and would be answered by the agent's own last question alone."""
    signals = sensed.signals
    return (speaker.who.text.rstrip().endswith("?") and bool(found) and not orchestrated.served
            and not orchestrated.began and not orchestrated.knowledge.learned and not (signals.hello or signals.answer)
            and all(one.kind in ("ASK", "CONFIRM") and one.scenario is not None for one in found)
            and len(words_of(speaker.who.text)) > REPEAT)


def _planned(speaker: Speaker, found: list[Contribution], orchestrated: Orchestrated, acted: Acted, matched: Matched,
             tone: str, *, model: bool, unmatched: bool) -> Planned:
    contributions = tuple(sorted(found, key=lambda one: -one.priority))
    effect = _effect(contributions)
    handed = effect == "HANDOFF" and speaker.who.agent.bundle.agent.handoff.enabled
    if handed:  # whoever takes over asks what is still to be asked
        contributions = tuple(one for one in contributions if one.kind not in ("ASK", "CONFIRM"))
    passing = speaker.sure(speaker.who.agent.handoff) if handed else ""
    if handed and all(one.text != passing for one in contributions):
        contributions = (*contributions, Contribution(kind="INFORM", text=passing, priority=PRIORITY["INFORM"]))
    unmatched = unmatched and any(one.priority == 10 for one in contributions)
    asking = next((one for one in contributions if one.pending is not None), None)
    response_type = _response_type(contributions, effect)
    always = in_force(speaker.who, speaker.names)
    return Planned(
        always=always,
        contributions=contributions, response_type=response_type, pending=asking.pending if asking else None,
        asked=asking.asked if asking else (), unmatched=unmatched, handoff=handed,
        categories=_categories(contributions, acted, unmatched=unmatched),
        notes={**speaker.notes_of, **({"unrendered": [*speaker.notes]} if speaker.notes else {})},
        plan=_plain(speaker, contributions, response_type, matched, orchestrated, tone, always, model=model))


def _effect(contributions: tuple[Contribution, ...]) -> str:
    effects = {one.effect for one in contributions}
    return next((effect for effect in ("HANDOFF", "ESCALATE", "REFUSE") if effect in effects), "ANSWER")


def _response_type(contributions: tuple[Contribution, ...], effect: str) -> ResponseType:
    kinds = {one.kind for one in contributions}
    if effect != "ANSWER":
        return effect  # type: ignore[return-value]
    if "CONFIRM" in kinds:
        return "CONFIRM"
    if "ASK" in kinds:
        return "MIXED" if kinds & {"INFORM", "ACTION_HINT"} else "ASK"
    return "ANSWER"


def _categories(contributions: tuple[Contribution, ...], acted: Acted, *, unmatched: bool) -> tuple[str, ...]:
    found = []
    if any(one.kind in ("ASK", "CONFIRM") for one in contributions):
        found.append("AWAITING_USER_INPUT")
    if unmatched:
        found.append("OUT_OF_SCOPE")
    if any(call.status in ("error", "timeout", "unknown") for call in acted.calls):
        found.append("SYSTEM_ERROR")
    return tuple(found)


def _contribution(one: Contribution) -> dict[str, Any]:
    plain = {"kind": one.kind, "text": one.text, "priority": one.priority, "scenario": one.scenario}
    return {**plain, "said": True} if one.said else plain


def _said_plainly(one: Contribution) -> dict[str, Any]:
    if one.kind != "ACTION_HINT" or not one.sayable:
        return _contribution(one)
    lower = one.priority - PRIORITY["ACTION_HINT"] + PRIORITY["INFORM"]
    return {**_contribution(one), "kind": "INFORM", "priority": lower}


def _plain(speaker: Speaker, contributions: tuple[Contribution, ...], response_type: str, matched: Matched,
           orchestrated: Orchestrated, tone: str, always: tuple[CompiledRule, ...], *, model: bool) -> dict[str, Any]:
    """Fields appear as known or unknown, never with their values: what is to be said is in the texts already."""
    agent = speaker.who.agent
    bound = {rule.id: rule for rule in (*always, *(one.rule for one in matched.rules))}
    known = orchestrated.knowledge.known
    plain = {
        "response_type": response_type,
        "contributions": [_contribution(one) for one in contributions],
        "must_include": [text for rule in bound.values() for text in rule.required],
        "must_avoid": [text for rule in bound.values() for text in rule.forbidden],
        "variables": {name: "known" if name in known else "unknown" for name in agent.fields} if model else {},
        "unmatched": speaker.sure(agent.unmatched),
    }
    if plain["must_avoid"] and not model:
        plain["refusal"] = speaker.sure(agent.refusal)
    if model and tone:
        plain["tone"] = tone
    return plain
