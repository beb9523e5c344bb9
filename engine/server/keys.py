"""The keys that everything is sealed under: their state, and rotations that go on while the engine serves.

The root key is changed where it is kept: `ruche keys rotate root`.
"""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Person, query, read
from ruche.engine.server.routes import ADMINISTER, Route
from ruche.storage.keys import KeyStatus


class RotationRequest(Body, frozen=True, kw_only=True):
    """What gets a new key: the token's tenant, one of its persons or all of them, the journal, or user hashes."""

    level: Literal["tenant", "person", "journal", "users"]
    interlocutor_id: Person | None = None


class LevelShown(Shown, kw_only=True):
    """`older` keys only open what they sealed; `spent` is the largest share of a key's nonces, 0 to 1."""

    level: str
    keys: int
    older: int
    spent: float


class KeysShown(Shown, kw_only=True):
    levels: list[LevelShown]
    under_way: list[str]


async def show_keys(request: web.Request) -> web.Response:
    """Keys by level, and rotations that are not finished."""
    query(request)
    return answer(_shown(await request.app[ENGINE].keys()))


async def rotate_keys(request: web.Request) -> web.Response:
    """Begins a rotation; it goes on by itself, also after a restart."""
    query(request)
    sent, identity = await read(request, RotationRequest), request[IDENTITY]
    return answer(_shown(await request.app[ENGINE].rotate_keys(sent.level, identity.tenant, sent.interlocutor_id)), 202)


def _shown(found: KeyStatus) -> KeysShown:
    return KeysShown(levels=[LevelShown(level=one.level, keys=one.keys, older=one.older, spent=one.spent)
                             for one in found.levels], under_way=list(found.under_way))


ROUTES = answered_once((
    Route("GET", "/v1/admin/keys", show_keys, "Keys by level, and rotations under way", ADMINISTER, answer=KeysShown),
    Route("POST", "/v1/admin/keys", rotate_keys, "Begin a rotation of keys", ADMINISTER, body=RotationRequest,
          answer=KeysShown, status=202),
))
