"""What callers may send. Unknown fields are refused, everything has a limit."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from ruche.engine.server.errors import UnsupportedMedia
from ruche.engine.server.limits import check_depth
from ruche.engine.server.wording import worded
from ruche.plugins.errors import DeadlineExceeded, InvalidRequest, Malformed
from ruche.storage.secured import BadCursor

Id = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_.@:-]*$")]
Person = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, Meta(min_length=1, max_length=10_000)]
_READ_SECONDS = 30.0
_FIELD_NAME = re.compile(r"`([A-Za-z_][A-Za-z0-9_]{0,39})`")
_PATH = re.compile(r" - at `\$\.?([A-Za-z0-9_.\[\]]{0,100})`")


class Body(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of what is sent."""


class ChatRequest(Body, frozen=True, kw_only=True):
    """One message to an agent. `tenant_id` and `channel_user_id` may repeat what the token says."""

    agent_id: Id
    message: Text
    channel: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "web"
    channel_user_id: Person | None = None
    session_id: Id | None = None
    new_session: bool = False
    metadata: dict[str, Any] = {}
    tenant_id: Id | None = None


class AnonymousRequest(Body, frozen=True, kw_only=True):
    agent_id: Id
    tenant_id: Id = "default"


class ConsoleRequest(Body, frozen=True, kw_only=True):
    code: Annotated[str, Meta(min_length=1, max_length=200)]


Sent = TypeVar("Sent", bound=Body)
_decoders: dict[type[Body], msgspec.json.Decoder[Any]] = {}


async def read(request: web.Request, kind: type[Sent]) -> Sent:
    """The body as `kind`. Raises Malformed (not JSON), InvalidRequest (with the field's path), UnsupportedMedia."""
    body = await read_json(request)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        sent: Sent = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON") from None
    return sent


async def read_json(request: web.Request) -> bytes:
    """The body as it came, said to be JSON and not nested too deeply. Raises UnsupportedMedia, Malformed."""
    if request.content_type != "application/json":
        raise UnsupportedMedia("send Content-Type: application/json")
    body = await receive(request)
    check_depth(body)
    return body


async def receive(request: web.Request) -> bytes:
    """The body as it came. Raises DeadlineExceeded for one that does not arrive."""
    if request.content.is_eof():
        return await request.read()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise DeadlineExceeded(f"the body did not arrive within {_READ_SECONDS:.0f} s") from None


def invalid(reason: str) -> InvalidRequest:
    """A 422 that names the field and what it must be. Nothing of what was sent is repeated but a plain field name."""
    path, where = _PATH.search(reason), ""
    said = _PATH.sub("", reason)
    text = worded(said)
    if said.startswith("Object "):  # it contains a field that it should not, or misses one
        name = _FIELD_NAME.search(said)
        where = name[1] if name else ""
    joined = ".".join(part for part in (path[1] if path else "", where) if part)
    return InvalidRequest(f"{joined or 'body'}: {text}", fields=[{"path": joined, "message": text}])


def query(request: web.Request, *known: str) -> dict[str, str]:
    """The query parameters. Raises InvalidRequest for a name that the route does not know or that comes twice."""
    given = request.query
    for name in given:
        if name not in known:
            raise InvalidRequest(f"unknown query parameter; this address knows {', '.join(known) or 'none'}")
        if len(given.getall(name)) > 1:
            raise InvalidRequest(f"{name}: given twice")
    return dict(given)


def whole(values: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number from the query, within limits; InvalidRequest."""
    text = values.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not least <= int(text) <= most:
        raise InvalidRequest(f"{name}: a whole number from {least} to {most}",
                             fields=[{"path": name, "message": f"a whole number from {least} to {most}"}])
    return int(text)


def cursor_after(name: str) -> str:
    """The opaque place behind an item of a list that is in the order of names."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_after(cursor: str | None) -> str:
    """The inverse, empty without one. Raises BadCursor."""
    if cursor is None:
        return ""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except ValueError:
        raise BadCursor("the cursor is not one that this list gave; start again without it") from None
