"""What tools say of fields: values that they supply, and which values are proven. Both are checked like any other.

What a person said stands: a tool fills what nobody told, and renews what a tool filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ruche.engine.brain.fields import CompiledField, fault_of, told
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, earlier, expiry, keep
from ruche.engine.brain.typed import typed_value
from ruche.storage.model.conversation import FieldValue

UNREADABLE = "is no value of the field's type"


def fill(who: Identified, before: Knowledge, values: Mapping[str, Any], tool: str) -> Knowledge:
    """The knowledge with the values that a tool gave for fields."""
    for name, value in values.items():
        before = _filled(who, before, who.agent.fields[name], value, tool)
    return before


def emptied(who: Identified, before: Knowledge, names: Iterable[str]) -> Knowledge:
    """The knowledge without what a tool had filled."""
    for name in names:
        value = before.known.get(name)
        if value is not None and value.source == "tool_result":
            before = keep(who, before, name, None)
    return before


def prove(who: Identified, before: Knowledge, names: Iterable[str], tool: str) -> Knowledge:
    """The knowledge in which the values of these fields are proven by a tool."""
    for name in names:
        value = before.known.get(name)
        if value is not None:
            proven = msgspec.structs.replace(value, verified=True, verified_by=f"tool:{tool}", verified_ms=who.now_ms)
            before = keep(who, before, name, proven)
    return before


def says_right(result: Any) -> bool | None:
    """What a tool says of a value: a truth value, or `valid` in an object; None where it says nothing of the kind."""
    said = result.get("valid") if isinstance(result, dict) else result
    return said if isinstance(said, bool) else None


def _filled(who: Identified, before: Knowledge, field: CompiledField, given: Any, tool: str) -> Knowledge:
    old = before.known.get(field.name)
    if given is None or told(old):
        return before
    value = typed_value(field, given, who.agent.place(who.local.date()))
    fault = UNREADABLE if value is None else fault_of(field, value)
    if value is None or (fault and field.spec.validation == "strict"):
        return msgspec.structs.replace(before, rejected={**before.rejected, field.name: fault})
    if old is not None and old.value == value:
        new = msgspec.structs.replace(old, at_ms=who.now_ms, expires_ms=expiry(who, field))
    else:
        new = FieldValue(value=value, source="tool_result", origin=f"tool:{tool}", at_ms=who.now_ms,
                         confidence=0.5 if fault else 1.0, expires_ms=expiry(who, field), turn_id=who.turn.turn_id,
                         history=earlier(old))
    return keep(who, before, field.name, new)
