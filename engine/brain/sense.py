"""Phase 2: what the message shows by itself: language, signals, and values for fields. Nothing is remembered.

No model is asked here; where an agent has one to read messages, `consult.py` adds what it says.
"""

from __future__ import annotations

import re

import msgspec

from ruche.engine.brain.candidates import Candidate, Source, Wanted
from ruche.engine.brain.extract import extract
from ruche.engine.brain.fields import CompiledField, told
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.instead import instead
from ruche.engine.brain.language import detect
from ruche.engine.brain.signals import Signals, read_signals, words_of
from ruche.engine.brain.strings import says_name
from ruche.storage.model.turn import Usage

_PLAIN_TO_SEE = ("date", "time", "email", "phone")
"""Types whose values are unmistakable, so that another value means a change wherever nothing else was asked for."""
READ = 2_000
"""Characters of a message in which values are looked for."""


_CLAUSE = re.compile(r"[.,;:!?]")
"""Ends the yes with which a longer answer to a question of confirmation begins."""


class Sensed(msgspec.Struct, frozen=True, kw_only=True):
    language: str
    signals: Signals
    source: Source | None
    """The message as finders read it; None when the agent has no fields."""
    candidates: tuple[Candidate, ...] = ()
    asked: tuple[str, ...] = ()
    """Fields that the last reply asked for."""
    chosen: tuple[Candidate, ...] = ()
    """Listed values that the message means, for fields of scenarios that have not begun."""
    intent: str = ""
    """The intent that a model read in the message."""
    tone: str = ""
    """How the person sounds to a model."""
    fault: str = ""
    """Why no model could read the message, where one should."""
    usage: Usage = Usage()


def sense(who: Identified, language: str | None = None) -> Sensed:
    """`language` is given when it is known better than by the words alone."""
    agent = who.agent
    lower = who.text.lower()
    words = words_of(lower)
    language = language or detect(who.text, words, agent.languages, who.turn.session.language)
    signals = read_signals(words, language, _own_cancel(who))
    if not signals.answer and _confirming(who):
        opening = read_signals(words_of(_CLAUSE.split(lower, maxsplit=1)[0]), language)
        signals = msgspec.structs.replace(signals, answer=opening.answer)
    if not agent.fields:
        return Sensed(language=language, signals=signals, source=None)
    source = Source(text=who.text[:READ], lower=lower[:READ], words=words, answer=signals.answer,
                    place=agent.place(who.local.date()), statement=_statement(who, signals))
    wanted, denied = wanted_of(who, signals, lower), _denied(who, signals)
    candidates = extract(source, wanted)
    if denied and not candidates:
        candidates = instead(who, source, wanted.open, language)
    return Sensed(language=language, signals=signals, source=source, candidates=candidates,
                  asked=() if denied else tuple(field.name for field in wanted.asked))


def _confirming(who: Identified) -> bool:
    pending = who.turn.session.pending
    return pending is not None and pending.kind == "confirmation"


def _denied(who: Identified, signals: Signals) -> bool:
    """A no to a question of confirmation may bring what is right instead."""
    return signals.answer == "no" and _confirming(who)


def sense_for(sensed: Sensed, fields: tuple[CompiledField, ...]) -> tuple[Candidate, ...]:
    """What the same message holds for the fields of a scenario that began in this turn."""
    if sensed.source is None or not fields:
        return ()
    taken = [(one.start, one.end) for one in sensed.candidates]
    found = tuple(one for one in extract(sensed.source, Wanted(open=fields))
                  if all(one.end <= start or one.start >= end for start, end in taken))
    said, wanted = {one.field for one in found}, {field.name for field in fields}
    return (*found, *(one for one in sensed.chosen if one.field in wanted - said))


def without(sensed: Sensed, candidates: tuple[Candidate, ...]) -> Sensed:
    """What was sensed, but for these candidates."""
    return msgspec.structs.replace(sensed, candidates=tuple(one for one in sensed.candidates if one not in candidates))


def _statement(who: Identified, signals: Signals) -> bool:
    return not (who.text.rstrip().endswith("?") or signals.says_nothing or
                (signals.answer and len(who.text.split()) <= 2))


def _own_cancel(who: Identified) -> frozenset[str]:
    focus = who.instances[0] if who.instances else None
    scenario = who.agent.scenarios.get(focus.scenario) if focus else None
    return scenario.cancel if scenario else frozenset()


def wanted_of(who: Identified, signals: Signals, lower: str) -> Wanted:
    """Known fields are open again only when the message corrects something or names them."""
    agent, known = who.agent, who.known
    asked = tuple(dict.fromkeys(name for one in who.instances if one.status == "active" for name in one.asked
                                if name in agent.fields))
    pending = who.turn.session.pending
    if pending is not None and pending.kind == "field" and pending.subject in agent.fields:
        asked = tuple(dict.fromkeys((*asked, pending.subject)))
    running = [name for one in who.instances if one.status == "active" and one.scenario in agent.scenarios
               for name in (field.name for field in agent.scenarios[one.scenario].collects)]
    denied = _denied(who, signals)
    again = _again(who, running, lower) if signals.correction or denied else [
        name for name, value in known.items()
        if name not in asked and (_named(agent.fields[name], lower) or (name in running and not told(value)))]
    if denied or not asked or signals.answer == "no":
        kinds = (*_PLAIN_TO_SEE, "number") if denied else _PLAIN_TO_SEE
        again += [name for name in running if name in known and name not in again
                  and (agent.fields[name].kind in kinds or agent.fields[name].place) and name not in _reopened(who)]
    if denied:
        asked = tuple(name for name in again if agent.fields[name].kind == "number" and name in running)[:1]
    opened = dict.fromkeys([*again, *(name for name in running if name not in known)])
    others = (field for name, field in agent.fields.items()
              if name not in known and name not in asked and name not in opened)
    return Wanted(asked=_mentioned_first([agent.fields[name] for name in asked], lower),
                  open=tuple(agent.fields[name] for name in opened if name not in asked), others=tuple(others))


def _again(who: Identified, running: list[str], lower: str) -> list[str]:
    """Known fields that a correction may mean: those it names, else what was learned last."""
    candidates = [name for name in dict.fromkeys((*running, *who.known)) if name in who.known]
    named = [name for name in candidates if _named(who.agent.fields[name], lower)]
    return named or sorted((name for name in candidates if name in running), key=lambda name: -who.known[name].at_ms)


def _reopened(who: Identified) -> set[str]:
    """Fields that a way out of a current step opens by itself, when the message is about that way."""
    scenarios = who.agent.scenarios
    steps = (scenarios[one.scenario].steps.get(one.step) for one in who.instances if one.scenario in scenarios)
    return {name for step in steps if step is not None for edge in step.next for name in edge.spec.reopen}


def _named(field: CompiledField, lower: str) -> bool:
    return field.label in lower or (len(field.name) > 3 and field.name in lower) or (field.person and says_name(lower))


def _mentioned_first(fields: list[CompiledField], lower: str) -> tuple[CompiledField, ...]:
    return tuple(sorted(fields, key=lambda field: not _named(field, lower)))
