"""What is kept of a person: shown with personal data covered, set right by colleagues, handed out whole.

Who covers what: an admin sees every value, an operator those of fields that hold no personal data.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ruche.engine.observe import fingerprint, log
from ruche.engine.persons import Persons
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.audit import checked_person, person_of
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Person, query, read, whole
from ruche.engine.server.routes import ADMINISTER, OVERSEE, Route
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.record import IdentityLinked


class FieldShown(Shown, kw_only=True):
    """One value. `masked`: it is there and not shown. `origin` and `turn_id` tell what it came from."""

    value: Any
    masked: bool
    source: str
    origin: str
    at: str
    turn_id: str
    confidence: float
    verified: bool
    verified_by: str
    verified_at: str | None
    expires_at: str | None
    earlier: int


class PersonShown(Shown, kw_only=True):
    interlocutor_id: str
    version: int
    fields: dict[str, FieldShown]


class MemoryShown(Shown, kw_only=True):
    """Something that was said, as it is remembered. `speaker` is `user` or `agent`."""

    id: str
    turn_id: str
    speaker: str
    at: str
    text: str


class MemoriesShown(Shown, kw_only=True):
    items: list[MemoryShown]


class IdentityRequest(Body, frozen=True, kw_only=True):
    """Another name that the person comes by: a token's subject, or a `channel_user_id`."""

    identity: Person


class IdentityShown(Shown, kw_only=True):
    identity: str
    interlocutor_id: str
    linked_at: str
    linked_by: str


class IdentitiesShown(Shown, kw_only=True):
    items: list[IdentityShown]


class AmendRequest(Body, frozen=True, kw_only=True):
    """Values to enter as right, by field; null takes one out."""

    fields: dict[str, Any]


async def read_person(request: web.Request) -> web.Response:
    query(request)
    people, identity = request.app[ENGINE].people, request[IDENTITY]
    profile = await people.profile(identity.tenant, person_of(request))
    return answer(_shown(profile, people, admin="admin" in identity.roles))


async def amend_person(request: web.Request) -> web.Response:
    """All of the values or none."""
    query(request)
    people, identity = request.app[ENGINE].people, request[IDENTITY]
    sent = await read(request, AmendRequest)
    profile = await people.amend(identity.tenant, person_of(request), sent.fields, by=identity.subject)
    return answer(_shown(profile, people, admin="admin" in identity.roles))


async def list_memories(request: web.Request) -> web.Response:
    """What agents that remember have kept, newest first."""
    values = query(request, "limit")
    found = await request.app[ENGINE].people.memories(request[IDENTITY].tenant, person_of(request),
                                                      whole(values, "limit", 20, 1, 100))
    return answer(MemoriesShown(items=[MemoryShown(id=one.id, turn_id=one.turn, speaker=one.speaker,
                                                   at=rfc3339(one.at_ms), text=one.text) for one in found]))


async def list_identities(request: web.Request) -> web.Response:
    """By name."""
    query(request)
    found = await request.app[ENGINE].people.identities(request[IDENTITY].tenant, person_of(request))
    return answer(IdentitiesShown(items=[_identity(one) for one in found]))


async def link_identity(request: web.Request) -> web.Response:
    """The name's conversations end; from then on it speaks as the person. The same again changes nothing."""
    query(request)
    sent, identity = await read(request, IdentityRequest), request[IDENTITY]
    made = await request.app[ENGINE].people.link(identity.tenant, person_of(request), sent.identity,
                                                 by=identity.subject)
    log.info("identity.linked", request_id=request[REQUEST_ID], tenant=identity.tenant,
             subject=fingerprint(identity.subject))
    return answer(_identity(made), 201)


async def unlink_identity(request: web.Request) -> web.Response:
    """What was kept under the name is as it was; what was said by it meanwhile stays the person's."""
    query(request)
    identity = request[IDENTITY]
    await request.app[ENGINE].people.unlink(identity.tenant, person_of(request),
                                            checked_person(request.match_info["identity"]), by=identity.subject)
    log.info("identity.unlinked", request_id=request[REQUEST_ID], tenant=identity.tenant,
             subject=fingerprint(identity.subject))
    return web.Response(status=204)


def _identity(one: IdentityLinked) -> IdentityShown:
    return IdentityShown(identity=one.identity, interlocutor_id=one.interlocutor, linked_at=rfc3339(one.at_ms),
                         linked_by=one.by)


async def export_person(request: web.Request) -> web.Response:
    """Everything that is held about the person; it is not sealed any more."""
    query(request)
    body = await request.app[ENGINE].people.export(request[IDENTITY].tenant, person_of(request))
    return web.Response(body=body, content_type="application/zip",
                        headers={"Content-Disposition": 'attachment; filename="person.zip"'})


def _shown(profile: Profile, people: Persons, *, admin: bool) -> PersonShown:
    return PersonShown(interlocutor_id=profile.interlocutor, version=profile.version, fields={
        name: _field(value, masked=not admin and people.personal(profile.tenant, name))
        for name, value in sorted(profile.fields.items())})


def _field(value: FieldValue, *, masked: bool) -> FieldShown:
    return FieldShown(
        value=None if masked else value.value, masked=masked, source=value.source, origin=value.origin,
        at=rfc3339(value.at_ms), turn_id=value.turn_id, confidence=value.confidence, verified=value.verified,
        verified_by=value.verified_by,
        verified_at=None if value.verified_ms is None else rfc3339(value.verified_ms),
        expires_at=None if value.expires_ms is None else rfc3339(value.expires_ms), earlier=len(value.history))


ROUTES = (
    Route("GET", "/v1/interlocutors/{id}", read_person, "What is known of a person", OVERSEE, answer=PersonShown),
    Route("PATCH", "/v1/interlocutors/{id}", amend_person, "Enter or take out values of a person", OVERSEE,
          body=AmendRequest, answer=PersonShown),
    Route("GET", "/v1/interlocutors/{id}/memories", list_memories, "What is remembered of a person", ADMINISTER,
          answer=MemoriesShown, query=("limit",)),
    Route("GET", "/v1/interlocutors/{id}/identities", list_identities, "The other names that a person comes by",
          OVERSEE, answer=IdentitiesShown),
    *answered_once((Route("POST", "/v1/interlocutors/{id}/identities", link_identity, "Link another name to a person",
                          ADMINISTER, body=IdentityRequest, answer=IdentityShown, status=201),)),
    Route("DELETE", "/v1/interlocutors/{id}/identities/{identity}", unlink_identity, "Unlink a name from a person",
          ADMINISTER, status=204),
    Route("POST", "/v1/interlocutors/{id}/export", export_person, "Hand out everything about a person", ADMINISTER,
          media="application/zip"),
)
