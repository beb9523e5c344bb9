"""The rest of phase 2 where a model reads messages: one call for language, intent, tone and values of fields.

It serves quality and fails open: without a usable answer what was sensed without it stands. What is certain without a
model is never replaced by what a model says, and a model's value is checked like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ruche.engine.brain.calls import Budget, asked
from ruche.engine.brain.candidates import Candidate
from ruche.engine.brain.doubt import LIKELY
from ruche.engine.brain.endpoint import Endpoint, spent
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import READ, Sensed, sense, wanted_of
from ruche.engine.brain.sight import seeing
from ruche.engine.brain.typed import typed_text
from ruche.plugins.contracts import Generated
from ruche.plugins.generators.sensor import (
    MAX_TOKENS,
    Findings,
    FoundValue,
    Reading,
    read_findings,
    sensor_messages,
    sensor_schema,
)
from ruche.plugins.tape import Tape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.turn import Usage

SECONDS = 8.0
CONFIDENCE = 0.8
"""Of what a model says: above what is merely likely, below what is unmistakable."""
_ASKED = 1_000
"""Characters of the last reply that the model sees."""


async def consult(who: Identified, sensed: Sensed, use: ModelUse, generators: Callable[[ModelUse], Any], tape: Tape,
                  budget: Budget) -> Sensed:
    """What was sensed, with what a model reads besides."""
    wanted = wanted_of(who, sensed.signals, who.text.lower())
    fields = {field.name: field for field in (*wanted.asked, *wanted.open, *wanted.others) if field.kind != "json"}
    task = _task(who, sensed, tuple(fields.values()))
    chat = sensor_messages(task)
    made, fault = await asked(tape, "sensor", chat, lambda: Endpoint(use, generators).complete(
        chat, sensor_schema(task), MAX_TOKENS), Generated, budget.of(SECONDS))
    if made is None:
        return msgspec.structs.replace(sensed, fault=fault)
    found = read_findings(made.text, task)
    if found is None:
        return msgspec.structs.replace(sensed, fault="the model's answer cannot be read", usage=spent(made))
    return _merged(who, sensed, found, fields, spent(made))


def intended(retrieved: Retrieved, sensed: Sensed) -> Retrieved:
    """What was retrieved, with the intent that a model read in the message."""
    if not sensed.intent or sensed.intent == retrieved.intent:
        return retrieved
    return msgspec.structs.replace(retrieved, intent=sensed.intent, intent_score=CONFIDENCE)


def _task(who: Identified, sensed: Sensed, fields: tuple[CompiledField, ...]) -> Reading:
    bundle, history = who.agent.bundle, who.turn.session.history
    return Reading(
        message=who.text[:READ], question=seeing(who)(history[-1].reply)[:_ASKED] if history else "",
        today=who.local.date().isoformat(), languages=who.agent.languages,
        intents=tuple((intent.id, intent.description or "; ".join(intent.examples[:3])) for intent in bundle.intents),
        fields=tuple({"name": field.name, "type": field.kind, "description": field.spec.description or field.label,
                      "allowed": list(field.spec.allowed)} for field in fields),
        asked=tuple(name for name in sensed.asked if any(field.name == name for field in fields)))


def _merged(who: Identified, sensed: Sensed, found: Findings, fields: dict[str, CompiledField],
            usage: Usage) -> Sensed:
    if found.language and found.language != sensed.language:
        sensed = sense(who, found.language)
    certain = [one for one in sensed.candidates if not _is_guess(one, who)]
    added = [one for value in found.values if (one := _candidate(who, fields[value.field], value, certain)) is not None]
    named = {one.field for one in added}
    kept = [one for one in sensed.candidates if one.field not in named
            and not (_is_guess(one, who) and any(one.start < other.end and one.end > other.start for other in added))]
    return msgspec.structs.replace(sensed, candidates=(*kept, *added), intent=found.intent, tone=found.tone,
                                   usage=usage)


def _is_guess(one: Candidate, who: Identified) -> bool:
    """Free text that was taken because it was asked for."""
    return one.confidence <= LIKELY and who.agent.fields[one.field].kind == "string"


def _candidate(who: Identified, field: CompiledField, found: FoundValue, certain: list[Candidate]) -> Candidate | None:
    """The model's value as its field's type has it; None when it has none, or what is certain stands against it."""
    value = typed_text(field, found.value, found.quote, who.agent.place(who.local.date()))
    span = _span(who.text, found)
    if value is None or any(one.field == field.name or (one.start < span[1] and one.end > span[0]) for one in certain):
        return None
    return Candidate(field=field.name, value=value, confidence=CONFIDENCE, start=span[0], end=span[1], by_model=True)


def _span(text: str, found: FoundValue) -> tuple[int, int]:
    """Where the value stands in the message; (0, 0) when it is put otherwise there."""
    inside = found.quote.find(found.value)
    start = text.find(found.quote) + inside
    return (start, start + len(found.value)) if inside >= 0 else (0, 0)
