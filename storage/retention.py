"""Lets go of what is older than it may be: whole days of runs, of which the heads stay, and rows by their age."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from ruche.storage import vault
from ruche.storage.collection import Collection
from ruche.storage.datafiles import DataFiles
from ruche.storage.entries import Entry, entry
from ruche.storage.errors import ConfigurationError, Erased
from ruche.storage.heads import COLUMN, Heads, SessionHead
from ruche.storage.rows import ErasureRow, EventsRow, RunRow, SessionRow

_DAY_MS: Final = 86_400_000
_AGED: Final = ("runs", "sessions", "idempotency", "effects", "dead_letters", "episodes", "utterances", "deliveries")

Rules = Mapping[str, int]
"""Days that each collection is kept: of runs with their advisories, sessions (closed ones, with their events),
idempotency, effects, dead_letters, episodes, utterances, deliveries. What is not named is kept for ever."""


class Dropped(NamedTuple):
    """What a sweep let go: days of runs, days that a legal hold kept, and rows by collection."""

    days: tuple[str, ...]
    held: tuple[str, ...]
    rows: dict[str, int]


class Retention:
    """One sweep, under the store's lock, with everything applied. `held` are key ids of persons under a legal hold."""

    def __init__(self, files: DataFiles, rules: Rules, held: frozenset[bytes]) -> None:
        check_rules(rules)
        self._files, self._rules, self._held = files, rules, held
        self._by_model = {one.model: one for one in files.collections}
        self._by_number = {one.number: one for one in files.collections}

    def sweep(self, now_ms: int) -> Dropped:
        """Raises OSError, Unavailable; the next sweep goes on."""
        horizons = {name: now_ms - days * _DAY_MS for name, days in self._rules.items()}
        days, kept = self._sweep_days(horizons.pop("runs", 0))
        rows: dict[str, int] = {}
        for name, before in horizons.items():
            collection = next(one for one in self._files.collections if one.name == name)
            if collection.model is SessionRow:
                rows["events"] = self._files.tables.sweeping.sessions(collection, self._by_model[EventsRow], before,
                                                                    self._held)
            rows[name] = self._files.tables.sweeping.older(collection, before, self._held)
        return Dropped(tuple(days), tuple(kept), rows)

    def _sweep_days(self, before_ms: int) -> tuple[list[str], list[str]]:
        """Days that end before the time, but for those that hold something of somebody under a legal hold."""
        dropped, kept = [], []
        for day in self._files.days.days():
            if (day + 1) * _DAY_MS > before_ms:
                continue
            found = list(self._files.days.of_day(day))
            name = self._files.days.path(day).stem
            if self._held and any(self._is_held(one) for one in found):
                kept.append(name)
                continue
            self._files.days.drop(day, self._heads(found))
            self._files.tables.sweeping.days([day])
            dropped.append(name)
        return dropped, kept

    def _is_held(self, one: Entry) -> bool:
        return one.values is not None and vault.key_id(one.values[-1]) in self._held

    def _heads(self, found: list[Entry]) -> Heads:
        erasures = self._by_model[ErasureRow].number
        return Heads(
            tuple((one.sequence, one.tag, one.number, one.leaf) for one in found),
            tuple(self._session_heads(found)),
            tuple((one.sequence, entry(one.tag, self._by_number[one.number], one.values)) for one in found
                  if one.number == erasures and one.values is not None),
            tuple(one.part for one in found) if any(one.part for one in found) else ())

    def _session_heads(self, found: list[Entry]) -> list[SessionHead]:
        """Of every session the last run of the day."""
        collection = self._by_model[RunRow]
        session, sequence = collection.columns.index("session"), collection.columns.index("sequence")
        last: dict[tuple[int, str], Entry] = {}
        for one in found:
            if one.number == collection.number and one.values is not None:
                before = last.get((one.tag, one.values[session]))
                if before is None or before.values is None or before.values[sequence] < one.values[sequence]:
                    last[one.tag, one.values[session]] = one
        return [SessionHead(tag, name, one.values[sequence], self._sealed_hash(collection, name, one))
                for (tag, name), one in last.items() if one.values is not None]

    def _sealed_hash(self, collection: Collection, session: str, one: Entry) -> bytes:
        """What the next run points back to, for those who may read the session; empty when nobody may."""
        opener = self._files.keyring.opener
        try:
            body = collection.open("body", one.values or (), opener)
            key = opener(vault.key_id((one.values or ())[-1]))
        except Erased:
            return b""
        return key.seal(hashlib.sha256(body).digest(), COLUMN, session.encode())


def check_rules(rules: Rules) -> None:
    """Raises ConfigurationError for a collection that has no age, or a number of days that is not positive."""
    for name, days in rules.items():
        if name not in _AGED or days < 1:
            raise ConfigurationError(f"retention of {name!r} for {days} days: name one of {', '.join(_AGED)}, and at "
                                     "least 1 day")
