"""Tool calls in the evidence: whether what was begun for a turn that ended has its outcome on record."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ruche.storage.errors import IntegrityError
from ruche.storage.evidence import Evidence, Fault
from ruche.storage.looking import Seen
from ruche.storage.model.record import EffectReserved, EffectSettled

_effect = msgspec.msgpack.Decoder(EffectReserved | EffectSettled).decode
_CUT_SHORT = ("failed", "interrupted", "superseded")
"""Turns that a crash, an error or another message ended: what they had begun is unknown, and says so."""


def unsettled(evidence: Evidence, seen: Iterable[Seen]) -> list[Fault]:
    """Calls that were reserved and never settled although their turn came to an end, and does not call them unknown."""
    tables, effects = evidence.tables, evidence.by_name["effects"]
    if tables is None or evidence.keyring is None:
        return []
    runs = {(one.entry.tag, one.id): one for one in seen if one.run is not None}
    turn, faults = effects.columns.index("turn"), list[Fault]()
    for (tag, _), values in tables.effects.items():
        try:
            opened = evidence.open(effects, values)
        except IntegrityError as error:
            faults.append(Fault(f"a tool call does not open: {error.message}", "tables.duckdb", id=values[turn]))
            continue
        record = None if opened is None else _effect(opened)
        run = runs.get((tag, values[turn]))
        if isinstance(record, EffectReserved) and run is not None and run.run is not None and (
                run.run.status not in _CUT_SHORT and (record.key, "unknown") not in run.run.tools):
            faults.append(Fault(f"began the call of {record.tool}, and its outcome is not on record",
                                run.file, run.entry.place.place, run.id))
    return faults
