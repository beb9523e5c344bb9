"""Phase 3: values become knowledge once they are valid: of the person, or of this session. Staged, not written."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.candidates import Candidate
from ruche.engine.brain.fields import CompiledField, fault_of
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.sense import Sensed
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.turn import ToolCall

HISTORY = 10
"""Earlier values kept of a field."""


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What is known now, and what of it is new. Every change makes another Knowledge."""

    known: dict[str, FieldValue]
    profile: Profile
    session: dict[str, FieldValue]
    variables: dict[str, Any]
    learned: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    """Fields among `learned` that had another value before."""
    rejected: dict[str, str] = {}
    """Field to why its new value was refused."""
    calls: tuple[ToolCall, ...] = ()
    """Tools that were asked whether values are right."""


def learn(who: Identified, sensed: Sensed) -> Knowledge:
    session = who.turn.session
    before = Knowledge(known=who.known, profile=who.turn.profile, session=session.fields, variables=session.variables)
    return learn_more(who, before, sensed.candidates) if sensed.candidates else before


def learn_more(who: Identified, before: Knowledge, candidates: tuple[Candidate, ...]) -> Knowledge:
    """The knowledge after these candidates, each checked against its field."""
    known, profile, session = dict(before.known), dict(before.profile.fields), dict(before.session)
    learned, corrected, rejected = list(before.learned), list(before.corrected), dict(before.rejected)
    for one in candidates:
        field = who.agent.fields[one.field]
        fault = fault_of(field, one.value) if field.spec.validation != "disabled" else ""
        old = known.get(one.field)
        if fault and field.spec.validation == "strict":
            rejected[one.field] = fault
        elif old is None or old.value != one.value:
            home = profile if field.kept else session
            home[one.field] = known[one.field] = _value(who, field, one, home.get(one.field), doubtful=bool(fault))
            learned.append(one.field)
            if old is not None:
                corrected.append(one.field)
        elif one.field not in learned:
            learned.append(one.field)
    return msgspec.structs.replace(before, known=known, profile=_staged(before.profile, profile), session=session,
                                   learned=tuple(learned), corrected=tuple(corrected), rejected=rejected)


def forget(before: Knowledge, names: tuple[str, ...]) -> Knowledge:
    """The knowledge without these values of the session; the person's own are never forgotten here."""
    gone = [name for name in names if name in before.session]
    if not gone:
        return before
    return msgspec.structs.replace(
        before, session={name: value for name, value in before.session.items() if name not in gone},
        known={name: value for name, value in before.known.items() if name not in gone})


def reopened(before: Knowledge, names: tuple[str, ...]) -> Knowledge:
    """The knowledge in which these are to be asked for anew. What belongs to the person stays in the profile until
    another value is given."""
    after = forget(before, names)
    return msgspec.structs.replace(after, known={name: value for name, value in after.known.items()
                                                 if name not in names})


def remember(before: Knowledge, variables: dict[str, Any]) -> Knowledge:
    """The knowledge with results of tools."""
    return msgspec.structs.replace(before, variables={**before.variables, **variables}) if variables else before


def unlearn(before: Knowledge, names: tuple[str, ...]) -> Knowledge:
    """The knowledge without these results of tools."""
    if not any(name in before.variables for name in names):
        return before
    return msgspec.structs.replace(before, variables={name: value for name, value in before.variables.items()
                                                      if name not in names})


def keep(who: Identified, before: Knowledge, name: str, value: FieldValue | None) -> Knowledge:
    """The knowledge with this value of a field, or without any."""
    field = who.agent.fields[name]
    known, home = dict(before.known), dict(before.profile.fields if field.kept else before.session)
    for values in (known, home):
        values.pop(name, None)
        if value is not None:
            values[name] = value
    if field.kept:
        return msgspec.structs.replace(before, known=known, profile=_staged(before.profile, home))
    return msgspec.structs.replace(before, known=known, session=home)


def earlier(value: FieldValue | None) -> tuple[tuple[Any, int], ...]:
    """The history of the value that takes its place."""
    return () if value is None else ((value.value, value.at_ms), *value.history)[:HISTORY]


def expiry(who: Identified, field: CompiledField) -> int | None:
    """When a value that is learned now is no longer fresh."""
    fresh = field.spec.freshness_seconds
    return None if fresh is None else who.now_ms + fresh * 1000


def _staged(profile: Profile, fields: dict[str, FieldValue]) -> Profile:
    if fields == profile.fields:
        return profile
    return msgspec.structs.replace(profile, fields=fields, version=profile.version + 1)


def _value(who: Identified, field: CompiledField, one: Candidate, old: FieldValue | None, *,
           doubtful: bool) -> FieldValue:
    return FieldValue(value=one.value, source="llm_extracted" if one.by_model else "user_provided", at_ms=who.now_ms,
                      confidence=min(one.confidence, 0.5) if doubtful else one.confidence,
                      expires_ms=expiry(who, field), turn_id=who.turn.turn_id, history=earlier(old))
