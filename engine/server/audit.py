"""What auditors and those who answer for the engine do: prove, add to runs, erase persons, hold what must stay."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Id, Person, query, read, whole
from ruche.engine.server.routes import ADMINISTER, AUDIT, EXAMINE, OVERSEE, Route
from ruche.plugins.errors import InvalidRequest
from ruche.storage.advisories import State, fold
from ruche.storage.auditor import Erasure
from ruche.storage.model.record import AdvisoryAdded
from ruche.storage.proofs import Head, Proof

Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class AdvisoryRequest(Body, frozen=True, kw_only=True):
    """What is added to a run. `subject` is the id of the advisory that this one is about."""

    kind: Literal["note", "review", "promote", "reject", "unreject", "override", "retract"]
    note: Annotated[str, Meta(min_length=1, max_length=4000)]
    subject: Id | None = None


class HoldRequest(Body, frozen=True, kw_only=True):
    held: bool
    reason: Reason


class AdvisoryShown(Shown, kw_only=True):
    id: str
    run_id: str
    kind: str
    author: str
    at: str
    note: str
    subject: str | None
    body: dict[str, Any]


class OverrideShown(Shown, kw_only=True):
    id: str
    author: str
    reason: str
    policy: str


class StateShown(Shown, kw_only=True):
    """What the advisories of a run come to."""

    explanation: str
    explained_by: str
    review: str
    reviewed_by: str
    override: OverrideShown | None
    approved: bool
    notes: int


class AdvisoriesShown(Shown, kw_only=True):
    items: list[AdvisoryShown]
    state: StateShown


class ErasureShown(Shown, kw_only=True):
    """Proof of an erasure: the destroyed keys by their ids, and that the audit log has it. From `complete_at` on no
    backup of the keyring may be left that holds them. `also` proves the same of the person's other names."""

    id: str
    keys: list[str]
    erased_at: str
    complete_at: str
    proof: Proof
    also: list[ErasureShown] = []


def advisory_shown(one: AdvisoryAdded) -> AdvisoryShown:
    return AdvisoryShown(id=one.id, run_id=one.run_id, kind=one.kind, author=one.author, at=rfc3339(one.at_ms),
                         note=str(one.body.get("note", "")), subject=one.body.get("subject"), body=one.body)


def _state(state: State) -> StateShown:
    return StateShown(explanation=state.explanation, explained_by=state.explained_by, review=state.review,
                      reviewed_by=state.reviewed_by, approved=state.approved, notes=state.notes,
                      override=OverrideShown(**state.override._asdict()) if state.override else None)


async def read_head(request: web.Request) -> web.Response:
    """With `since`, also the proof that the log of so many entries is its beginning."""
    values = query(request, "since")
    since = whole(values, "since", 0, 0, 10**15)
    return answer(await request.app[ENGINE].audit_head(request[IDENTITY].tenant, since))


async def read_proof(request: web.Request) -> web.Response:
    query(request)
    return answer(await request.app[ENGINE].audit_proof(request[IDENTITY].tenant, request.match_info["id"]))


async def list_advisories(request: web.Request) -> web.Response:
    """In the order in which they were added, and what they come to."""
    query(request)
    added = await request.app[ENGINE].advisories(request[IDENTITY].tenant, request.match_info["id"])
    return answer(AdvisoriesShown(items=[advisory_shown(one) for one in added], state=_state(fold(added))))


async def add_advisory(request: web.Request) -> web.Response:
    """The same again gives the one that is there."""
    query(request)
    sent, identity = await read(request, AdvisoryRequest), request[IDENTITY]
    added = await request.app[ENGINE].advise(identity.tenant, request.match_info["id"], kind=sent.kind,
                                             author=f"human:{identity.subject}", note=sent.note,
                                             subject=sent.subject or "")
    return answer(advisory_shown(added), 201)


async def erase_interlocutor(request: web.Request) -> web.Response:
    """Ends the person's sessions and destroys their keys; returns when nothing of theirs can be read any more."""
    values, identity = query(request, "reason"), request[IDENTITY]
    done = await request.app[ENGINE].erase(identity.tenant, person_of(request), reason=_reason(values),
                                           by=identity.subject)
    return answer(_erasure(done))


def _erasure(done: Erasure) -> ErasureShown:
    return ErasureShown(id=done.id, keys=list(done.keys), erased_at=rfc3339(done.at_ms),
                        complete_at=rfc3339(done.complete_ms), proof=done.proof,
                        also=[_erasure(one) for one in done.also])


async def hold_interlocutor(request: web.Request) -> web.Response:
    """Places or lifts a legal hold."""
    query(request)
    sent, identity = await read(request, HoldRequest), request[IDENTITY]
    await request.app[ENGINE].hold(identity.tenant, person_of(request), held=sent.held, reason=sent.reason,
                                   by=identity.subject)
    return web.Response(status=204)


def person_of(request: web.Request) -> str:
    """The person whom the path names. Raises InvalidRequest."""
    return checked_person(request.match_info["id"])


def checked_person(name: str) -> str:
    """A person's name. Raises InvalidRequest."""
    return _checked(name, Person, "interlocutor")


def _reason(values: dict[str, str]) -> str:
    return _checked(values.get("reason", "asked for"), Reason, "reason")


def _checked(value: str, kind: Any, name: str) -> str:
    try:
        return str(msgspec.convert(value, kind))
    except msgspec.ValidationError:
        message = "a name of 1 to 200 characters" if name == "interlocutor" else "1 to 500 characters"
        raise InvalidRequest(f"{name}: {message}", fields=[{"path": name, "message": message}]) from None


ROUTES = answered_once((
    Route("GET", "/v1/audit/head", read_head, "Where the audit log stands, signed", AUDIT, answer=Head,
          query=("since",)),
    Route("GET", "/v1/audit/proof/{id}", read_proof, "Prove that a run is in the audit log", AUDIT, answer=Proof),
    Route("GET", "/v1/runs/{id}/advisories", list_advisories, "What was added to a run", EXAMINE,
          answer=AdvisoriesShown),
    Route("POST", "/v1/runs/{id}/advisories", add_advisory, "Add an advisory to a run", OVERSEE, body=AdvisoryRequest,
          answer=AdvisoryShown, status=201),
    Route("DELETE", "/v1/interlocutors/{id}", erase_interlocutor, "Erase a person for ever", ADMINISTER,
          answer=ErasureShown, query=("reason",)),
    Route("POST", "/v1/interlocutors/{id}/hold", hold_interlocutor, "Place or lift a legal hold", ADMINISTER,
          body=HoldRequest, status=204),
))
