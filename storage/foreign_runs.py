"""Reads a flat folder of run artifacts, DIR/{run_id}.json, and makes runs of them that fit the day segments.

The document is kept whole inside the run with the hash that it had; what this engine needs besides is drawn from it.
What the document leaves out is not made up: without a risk the run is UNKNOWN.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from ruche.storage.errors import ConfigurationError, Erased
from ruche.storage.migrate import Item, Problem, State, read_document
from ruche.storage.model.conversation import SessionKey, SessionState
from ruche.storage.model.ids import make_id
from ruche.storage.model.record import AdvisoryAdded, AnyRecord, TurnCommitted
from ruche.storage.model.run import IMPORTED, Run, chain_link, digest, hashed
from ruche.storage.model.turn import Enforcement, ResponseType, Risk, Status, Violation
from ruche.storage.payload import stream_digest
from ruche.storage.tenant import TenantStore
from ruche.storage.times import BadTime, milliseconds

_NAME: Final = re.compile(r"(run[_-])?[0-9a-fA-F][0-9a-fA-F-]{6,63}|[0-9a-hjkmnp-tv-z]{26}")
_RISKS: Final = ("GREEN", "YELLOW", "RED", "UNKNOWN", "ERROR")
_OUTCOMES: Final[dict[str, tuple[Literal["OK", "BLOCKED", "ERROR"], Status, ResponseType]]] = {
    "OK": ("OK", "complete", "ANSWER"), "BLOCKED": ("BLOCKED", "blocked", "REFUSE"),
    "ERROR": ("ERROR", "failed", "REFUSE")}


class RunFolder:
    """One folder, read for one tenant, oldest run first. Runs of one session or mode form a chain."""

    def __init__(self, directory: Path, tenant: str, *, person: str = "import", assume_utc: bool = False) -> None:
        """`person` is whose runs they are, so that they can be erased. Raises ConfigurationError without any file."""
        if not directory.is_dir() or next(directory.glob("*.json"), None) is None:
            raise ConfigurationError(f"{directory}: there are no run files ({{run_id}}.json) in this folder")
        self._directory, self._tenant, self._person, self._assume_utc = directory, tenant, person, assume_utc
        self._states: dict[str, SessionState] = {}

    def items(self) -> Iterator[Item | Problem]:
        """First what cannot be taken, then the runs by time and id. Files of the store itself (_index.json) are not
        runs."""
        found: list[tuple[int, Path]] = []
        for path in sorted(self._directory.glob("*.json")):
            if path.name.startswith(("_", ".")):
                continue
            checked = self._checked(path)
            if isinstance(checked, Problem):
                yield checked
            else:
                found.append((checked, path))
        for _, path in sorted(found):
            document = read_document(path)
            if not isinstance(document, Problem):
                yield Item(path, "run", path.stem, document, tuple(_remarks(document)))

    def state(self, view: TenantStore, item: Item) -> State:
        """An erased run is here: it is not brought back."""
        try:
            kept = view.run(item.name)
        except Erased:
            return "same"
        if kept is None:
            return "new"
        return "same" if kept.decisions.get("source_hash") == stream_digest(item.document) else "other"

    def records(self, view: TenantStore | None, item: Item) -> Sequence[AnyRecord]:
        document = item.document
        created = milliseconds(document["created_at_utc"], assume_utc=self._assume_utc)
        before = self._state(view, document, created)
        after = msgspec.structs.replace(before, turn_count=before.turn_count + 1, closed_ms=created,
                                        last_activity_ms=max(created, before.last_activity_ms))
        run = _run(document, item, before, after, created)
        after = msgspec.structs.replace(after, previous_run=digest(run))
        self._states[str(before.key)] = after
        return [TurnCommitted(tenant=self._tenant, at_ms=created, session=after, run=run, answered=()),
                *_advisories(self._tenant, document, run.id, created)]

    def _checked(self, path: Path) -> int | Problem:
        document = read_document(path)
        if isinstance(document, Problem):
            return document
        if not _NAME.fullmatch(path.stem):
            return Problem(path.name, "its name is no random id, and ids are kept in clear; rename it")
        if document.get("run_id") != path.stem:
            return Problem(path.name, "its run_id is not the name of the file")
        if document.get("status", "OK") not in _OUTCOMES:
            return Problem(path.name, f"its status is none of {', '.join(_OUTCOMES)}")
        try:
            return milliseconds(document.get("created_at_utc"), assume_utc=self._assume_utc)
        except BadTime as error:
            return Problem(path.name, str(error))

    def _state(self, view: TenantStore | None, document: dict[str, Any], created: int) -> SessionState:
        """The session that the run belongs to, as it is after the run before it."""
        session = _text(document, "workflow_session_id", "session_id") or _mode(document)
        key = SessionKey(tenant=self._tenant, agent=_text(document, "tool_id") or "import", interlocutor=self._person,
                         channel=f"import/{session}")
        known = self._states.get(str(key)) or (view.session(key) if view is not None else None)
        state = known or SessionState(id=make_id(created, os.urandom(10)), key=key, created_ms=created,
                                      last_activity_ms=created)
        return state if view is None else msgspec.structs.replace(state, content_key=view.content_key)


def _run(document: dict[str, Any], item: Item, before: SessionState, after: SessionState, created: int) -> Run:
    outcome, status, response = _OUTCOMES[document.get("status", "OK")]
    reason = _text(_part(document, "decision"), "block_reason", "reason")
    engine = _text(document, "engine_version", "engine_id")
    enforcement = Enforcement(risk=_risk(document), violations=tuple(
        Violation(rule=str(rule), lane="deterministic", severity="hard", reason=reason or "recorded by the source")
        for rule in _rules(document)))
    reply, link = _reply(document), f"{IMPORTED} {engine}".strip()
    return Run(
        id=item.name, sequence=before.turn_count, previous=chain_link(before, link), tenant=before.key.tenant,
        agent=before.key.agent, agent_version=0, session=before.id, interlocutor=before.key.interlocutor,
        channel=before.key.channel, request_id=_text(document, "request_id"), created_ms=created, engine=link,
        outcome=outcome, status=status, response_type=response, risk=_risk(document), language="", message_ids=(),
        said=(), reply=reply, enforcement=enforcement, error=" ".join(map(str, _list(document, "errors"))),
        decisions={"source": document, "source_hash": stream_digest(document), "remarks": list(item.remarks)},
        hashes=hashed(before, after, asked=document.get("request_summary", {}), enforcement=enforcement, reply=reply,
                      configuration=digest([_text(document, name) for name in (
                          "engine_version", "toolchain_version", "post_processor_version", "config_fingerprint")])))


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """What is odd about a run and does not keep it from being brought in."""
    said, feasibility = _text(_part(document, "hashes"), "feasibility_sha256"), document.get("feasibility")
    if _risk(document) == "UNKNOWN":
        yield "has no risk level; it counts as UNKNOWN"
    if not said:
        yield "has no evaluation hash"
    elif feasibility is not None and said != stream_digest(feasibility):
        yield "its evaluation is not what its hash says; it was changed after it was written, or hashed otherwise"


def _risk(document: dict[str, Any]) -> Risk:
    for part in (_part(document, "decision"), _part(document, "feasibility")):
        level = _text(part, "risk_level", "risk_bucket").upper()
        if level in _RISKS:
            return level  # type: ignore[return-value]
    return "UNKNOWN"


def _rules(document: dict[str, Any]) -> list[Any]:
    return _list(_part(document, "feasibility"), "rules_triggered")


def _reply(document: dict[str, Any]) -> str:
    return _text(_part(document, "outputs"), "gcode_text", "text", "reply")


def _mode(document: dict[str, Any]) -> str:
    return _text(document, "mode", "workflow_mode", "event_type") or "runs"


def _advisories(tenant: str, document: dict[str, Any], run_id: str, at_ms: int) -> Iterator[AdvisoryAdded]:
    """Its explanation, and a note for each advisory that it names; both by the import, which approves nothing."""
    bodies: list[tuple[str, dict[str, Any]]] = []
    if _text(document, "explanation_summary"):
        bodies.append(("explanation", {"note": _text(document, "explanation_summary"),
                                       "status": _text(document, "explanation_status")}))
    bodies += [("note", {"note": "an advisory of the source", "advisory": one})
               for one in _list(document, "advisory_inputs")]
    for kind, body in bodies:
        yield AdvisoryAdded(tenant=tenant, at_ms=at_ms, id=make_id(at_ms, os.urandom(10)), run_id=run_id, kind=kind,
                            author="system:import", body=body)


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _text(document: dict[str, Any], *names: str) -> str:
    """The first of the fields that is text, else nothing."""
    return next((found for name in names if isinstance(found := document.get(name), str) and found), "")


