"""What people review: runs by risk and age that nobody has looked at, verdicts on them, and why a run came out so.

An explanation is drawn from the run's own record, without a model: the same run gives the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from ruche.engine.oversight import advise
from ruche.plugins.errors import Erased, InvalidRequest
from ruche.storage.advisories import fold
from ruche.storage.model.record import AdvisoryAdded
from ruche.storage.model.run import Run
from ruche.storage.store import Store

if TYPE_CHECKING:
    from ruche.engine.host import Host

Verdict = Literal["approve", "reject", "rate"]

RISKS = ("RED", "UNKNOWN", "ERROR", "YELLOW")
"""What is to be reviewed, the gravest first."""
EXPLAINER = "system:record"
KINDS: dict[Verdict, str] = {"approve": "promote", "reject": "reject", "rate": "review"}
_LOOKED_AT = 500
"""Runs that one question looks at."""


class Queue(NamedTuple):
    runs: tuple[Run, ...]
    next_cursor: str | None


class Reviews:
    """The reviews of a running engine. Every method takes the tenant it acts for."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def queue(self, tenant: str, *, limit: int = 20, cursor: str | None = None) -> Queue:
        """Runs that nobody has reviewed: the gravest first, of one risk the oldest. A page may be short of `limit` and
        still have a successor. Raises InvalidRequest for a cursor of another making."""
        return await self._host.scribe.read(lambda store: open_runs(store, tenant, limit=limit, cursor=cursor))

    async def review(self, tenant: str, run_id: str, verdict: Verdict, *, by: str, note: str,
                     rating: int | None = None) -> AdvisoryAdded:
        """What a person says of a run; the same again gives the one that is there. Raises NotFound, Erased, Conflict
        (promoted already), NotAllowed (their own explanation)."""
        return await advise(self._host, tenant, run_id, kind=KINDS[verdict], author=f"human:{by}", note=note,
                            rating=rating)

    async def explain(self, tenant: str, run_id: str) -> AdvisoryAdded:
        """Why the run came out so, kept with it. Raises NotFound, Erased."""
        run = await self._host.scribe.read(lambda store: store.tenant(tenant).run(run_id))
        note = "\n".join(told(run)) if run is not None else ""
        return await advise(self._host, tenant, run_id, kind="explanation", author=EXPLAINER, note=note)


def told(run: Run) -> Iterator[str]:
    """The run in sentences: what applied, where scenarios went, what tools did, what was judged. Nothing that was said
    is repeated."""
    yield f"Version {run.agent_version} of {run.agent} answered with {run.response_type}; the turn is {run.status}."
    for rule in run.rules:
        yield f"Rule {rule.id} applied: {rule.why}."
    for move in run.scenarios:
        skipped = f", past {', '.join(move.skipped)}" if move.skipped else ""
        yield f"Scenario {move.id} {move.action.lower()}s at {move.step}{skipped}: {move.why}."
    for call in run.tools:
        yield f"Tool {call.name} ended {call.status}{f': {call.error}' if call.error else ''}."
    yield from _judged(run)


def _judged(run: Run) -> Iterator[str]:
    enforcement = run.enforcement
    for violation in enforcement.violations:
        yield f"The {violation.severity} rule {violation.rule} was broken ({violation.lane}): {violation.reason}."
    if enforcement.regenerated:
        yield f"The reply was written anew {enforcement.regenerated} time(s)."
    if enforcement.fallback:
        yield f"Instead of the reply, '{enforcement.fallback}' was said."
    kept = [rule for rule, outcome in enforcement.checked if outcome == "pass"]
    if kept:
        yield f"Kept: {', '.join(kept)}."
    yield f"The risk is {run.risk}."


def open_runs(store: Store, tenant: str, *, limit: int = 20, cursor: str | None = None) -> Queue:
    """As `Reviews.queue`, of a store."""
    risk, _, rest = (cursor or f"{RISKS[0]}|").partition("|")
    if risk not in RISKS:
        raise InvalidRequest("cursor: not one of this list")
    view, found, looked, place = store.tenant(tenant), list[Run](), 0, rest or None
    for name in RISKS[RISKS.index(risk):]:
        while True:
            page = view.runs(risk=name, oldest_first=True, limit=limit - len(found), cursor=place)
            found.extend(run for run in page.items if _is_open(store, tenant, run))
            looked, place = looked + len(page.items), page.next_cursor
            if place is None:
                break
            if len(found) >= limit or looked >= _LOOKED_AT:
                return Queue(tuple(found), f"{name}|{place}")
        if len(found) >= limit and name != RISKS[-1]:
            return Queue(tuple(found), f"{RISKS[RISKS.index(name) + 1]}|")
    return Queue(tuple(found), None)


def _is_open(store: Store, tenant: str, run: Run) -> bool:
    try:
        return fold(store.tenant(tenant).advisories(run.id)).review == "NEW"
    except Erased:
        return False
