"""What is kept of a person: shown with personal data covered, set right by colleagues, handed out whole.

Who covers what: an admin sees every value, an operator those of fields that hold no personal data.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ruche.engine.persons import Persons
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.audit import person_of
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.requests import Body, query, read, whole
from ruche.engine.server.routes import ADMINISTER, OVERSEE, Route
from ruche.storage.model.conversation import FieldValue, Profile


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
    Route("POST", "/v1/interlocutors/{id}/export", export_person, "Hand out everything about a person", ADMINISTER,
          media="application/zip"),
)
