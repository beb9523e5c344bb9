"""Phase 2: what the message shows by itself: language, signals, and values for fields. Nothing is remembered.

No model is asked here; where an agent has one to read messages, `consult.py` adds what it says.
"""

from __future__ import annotations

import msgspec

from ruche.engine.brain.extract import Candidate, Source, Wanted, extract
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.language import detect
from ruche.engine.brain.signals import Signals, read_signals, words_of
from ruche.storage.model.turn import Usage

READ = 2_000
"""Characters of a message in which values are looked for."""


class Sensed(msgspec.Struct, frozen=True, kw_only=True):
    language: str
    signals: Signals
    source: Source | None
    """The message as finders read it; None when the agent has no fields."""
    candidates: tuple[Candidate, ...] = ()
    asked: tuple[str, ...] = ()
    """Fields that the last reply asked for."""
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
    if not agent.fields:
        return Sensed(language=language, signals=signals, source=None)
    source = Source(text=who.text[:READ], lower=lower[:READ], words=words, answer=signals.answer,
                    place=agent.place(who.local.date()), statement=_statement(who, signals))
    wanted = wanted_of(who, signals, lower)
    return Sensed(language=language, signals=signals, source=source, candidates=extract(source, wanted),
                  asked=tuple(field.name for field in wanted.asked))


def sense_for(sensed: Sensed, fields: tuple[CompiledField, ...]) -> tuple[Candidate, ...]:
    """What the same message holds for the fields of a scenario that began in this turn."""
    if sensed.source is None or not fields:
        return ()
    taken = [(one.start, one.end) for one in sensed.candidates]
    return tuple(one for one in extract(sensed.source, Wanted(open=fields))
                 if all(one.end <= start or one.start >= end for start, end in taken))


def without(sensed: Sensed, candidates: tuple[Candidate, ...]) -> Sensed:
    """What was sensed, but for these candidates."""
    return msgspec.structs.replace(sensed, candidates=tuple(one for one in sensed.candidates if one not in candidates))


def _statement(who: Identified, signals: Signals) -> bool:
    return not (who.text.rstrip().endswith("?") or signals.cancel or signals.back or signals.hello or
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
    again = _again(who, running, lower) if signals.correction else [
        name for name in known if name not in asked and _named(agent.fields[name], lower)]
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


def _named(field: CompiledField, lower: str) -> bool:
    return field.label in lower or (len(field.name) > 3 and field.name in lower)


def _mentioned_first(fields: list[CompiledField], lower: str) -> tuple[CompiledField, ...]:
    return tuple(sorted(fields, key=lambda field: not _named(field, lower)))
