"""Runs of a tenant and their advisories: reading them, and proving that a session's chain is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

import msgspec

from ruche.storage.errors import Erased, IntegrityError
from ruche.storage.model.record import AdvisoryAdded
from ruche.storage.model.run import KEYED, Run, digest, genesis
from ruche.storage.rows import AdvisoryRow, RunRow
from ruche.storage.secured import Door, Filter, Page, Row
from ruche.storage.sessions import Sessions

_run = msgspec.json.Decoder(Run).decode
_advisory = msgspec.msgpack.Decoder(AdvisoryAdded).decode


class Verification(NamedTuple):
    """What verifying a session's chain showed: `problems` is empty when the chain is whole."""

    session_id: str
    runs: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


FindHeads = Callable[[str], dict[int, str]]
"""Session id -> of every dropped day the place of its last run in the chain, and that run's hash or nothing."""


class Runs:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str, sessions: Sessions, heads: FindHeads) -> None:
        self._runs, self._advisories = door.handle(tenant, RunRow), door.handle(tenant, AdvisoryRow)
        self._tenant, self._sessions, self._heads = tenant, sessions, heads
        self.bytes, self.content_key = door.meter(tenant, RunRow), door.content_key(tenant)

    def get(self, run_id: str) -> Run | None:
        row = self._runs.get(run_id)
        return None if row is None else _run(row["body"])

    def between(self, session_id: str, first: str, last: str) -> dict[str, Run]:
        """Runs of a session by id, from id `first` to `last`; those of an erased person are not in it."""
        rows = self._runs.find(Filter("session", "=", session_id), Filter("id", ">=", first), Filter("id", "<=", last),
                               limit=1_000_000)
        return {row["id"]: _run(row["body"]) for row in rows}

    def canonical(self, run_id: str) -> bytes | None:
        """The run's bytes as they were hashed."""
        row = self._runs.get(run_id)
        return None if row is None else row["body"]

    def page(self, *, session: str | None, agent: str | None, risk: str | None, status: str | None,
             since_ms: int | None, until_ms: int | None, limit: int, cursor: str | None,
             oldest_first: bool) -> Page[Run]:
        """`since_ms` is included, `until_ms` is not."""
        filters = [Filter(name, "=", value) for name, value in
                   (("session", session), ("agent", agent), ("risk", risk), ("status", status)) if value is not None]
        if since_ms is not None:
            filters.append(Filter("created_ms", ">=", since_ms))
        if until_ms is not None:
            filters.append(Filter("created_ms", "<", until_ms))
        order = ("sequence", "id") if session is not None else ("created_ms", "id")
        rows, following = self._runs.page(*filters, order=order, descending=not oldest_first, cursor=cursor,
                                          limit=limit)
        return Page(tuple([_run(row["body"]) for row in rows]), following)

    def advisories(self, run_id: str) -> list[AdvisoryAdded]:
        """In the order in which they were added."""
        rows = self._advisories.find(Filter("run", "=", run_id), order=("number",))
        return [_advisory(row["record"]) for row in rows]

    def verify(self, session_id: str) -> Verification:
        """Recompute the session's chain from the stored bytes: 0 to n without a gap, each pointing at the last.

        Where days were dropped for their age it goes on from their heads; of an erased person the gaps show.
        """
        try:
            rows = self._runs.find(Filter("session", "=", session_id), order=("sequence", "id"), limit=1_000_000,
                                   erased=True)
        except IntegrityError as error:
            return Verification(session_id, 0, (error.message,))
        hashes = self._heads(session_id)
        problems = _gaps(rows, hashes)
        if any("body" not in row for row in rows):
            return Verification(session_id, len(rows), tuple(problems))
        for row in rows:
            run = _run(row["body"])
            first = genesis(self._tenant, run.session, run.engine) if run.sequence == 0 else None
            key = self.content_key if run.hashes.version == KEYED else b""
            problems += _differences(row, run, first or hashes.get(run.sequence - 1), key)
            hashes[run.sequence] = hashlib.sha256(row["body"]).hexdigest()
        try:
            state = self._sessions.by_id(session_id)
        except Erased:
            return Verification(session_id, len(rows))
        if state is not None and state.previous_run != (hashes[max(hashes)] if hashes else ""):
            problems.append("the session's last run is not the one that its state names")
        return Verification(session_id, len(rows), tuple(problems))


def _gaps(rows: Sequence[Row], heads: Container[int]) -> list[str]:
    """Which runs stand after a gap that no dropped day accounts for; told without reading them."""
    found, before = [], -1
    for row in rows:
        number = row["sequence"]
        if number <= before or (number != before + 1 and number - 1 not in heads):
            found.append(f"run {row['id']}: sequence {number} where {before + 1} was expected")
        before = number
    return found


def _differences(row: Row, run: Run, before: str | None, key: bytes) -> list[str]:
    """What is wrong with one run. `before` is the hash of the one before it, empty or None where nobody knows it; `key`
    is what its hashes are keyed with."""
    named = (row["id"], row["session"], row["sequence"], row["created_ms"], row["risk"], row["status"])
    found = []
    if before and run.previous != before:
        found.append(f"run {run.id}: does not point back at the run before it")
    if named != (run.id, run.session, run.sequence, run.created_ms, run.risk, run.status):
        found.append(f"run {run.id}: its index entry says otherwise than its bytes")
    return found + [f"run {run.id}: its {name} is not the one that was hashed" for name, kept, value in (
        ("evaluation", run.hashes.evaluation, run.enforcement), ("reply", run.hashes.output, run.reply))
        if kept and kept != digest(value, key)]
