"""Values for fields out of what the person said earlier: only what is unmistakable, the latest first."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.candidates import Candidate, Source, Wanted
from ruche.engine.brain.extract import extract
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, learn_more
from ruche.engine.brain.sense import READ
from ruche.engine.brain.signals import words_of

SURE = 0.85
"""Confidence from which a value is used without asking (specification section 5)."""


def recalled(who: Identified, knowledge: Knowledge, fields: tuple[CompiledField, ...]) -> Knowledge:
    """The knowledge with values of these fields from earlier messages of the session, where they are unknown."""
    found: list[Candidate] = []
    for exchange in reversed(who.turn.session.history):
        for text in reversed(exchange.said):
            known = {*knowledge.known, *(one.field for one in found)}
            wanted = tuple(field for field in fields if field.name not in known)
            if not wanted:
                break
            found.extend(one for one in extract(_source(who, text[:READ]), Wanted(open=wanted))
                         if one.confidence >= SURE)
    if not found:
        return knowledge
    again = learn_more(who, knowledge, tuple(found))
    return msgspec.structs.replace(again, learned=knowledge.learned, corrected=knowledge.corrected)


def _source(who: Identified, text: str) -> Source:
    lower = text.lower()
    return Source(text=text, lower=lower, words=words_of(lower), answer="", statement=not text.rstrip().endswith("?"),
                  place=who.agent.place(who.local.date()))
