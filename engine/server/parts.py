"""The parts of an agent over HTTP, one set of routes per kind: list, read, create, replace, delete; rules in bulk.

Reads show the draft, or where there is none what is published. Writes go to the draft: nothing that serves changes
before it is published. `If-Match` with an answer's ETag refuses a write to what somebody changed meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from ruche.engine.authoring.edit import PARTS, Part, add, find, merge, read_part, remove, replace
from ruche.engine.drafts import Author, Draft
from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, cursor_after, name_after, query, read, read_json, whole
from ruche.engine.server.routes import AUTHOR, WRITE, Handler, Route
from ruche.plugins.errors import ConfigurationError, InvalidRequest, Malformed
from ruche.plugins.templates import TemplateError, compile_template
from ruche.storage.model.rule import Rule
from ruche.storage.model.wording import Template

MOST_AT_ONCE = 1_000
_ETAG = re.compile(r'"([0-9]{1,12})"')


class PartPage(Shown, kw_only=True):
    """Parts by their names; `revision` is the draft's, 0 where what is published is shown."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    revision: int


class BulkRequest(Body, frozen=True, kw_only=True):
    """Rules to create, or to put in the place of those of the same id. All are taken, or none."""

    items: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class BulkDone(Shown, kw_only=True):
    created: int
    replaced: int
    revision: int


class PreviewRequest(Body, frozen=True, kw_only=True):
    """Values by name; those of a namespace as an object: `{"profile": {"first_name": "Ada"}}`."""

    values: dict[str, Any] = {}


class Preview(Shown, kw_only=True):
    """`text` is None where a value is missing; `reads` lists the names that the template reads."""

    text: str | None
    reads: list[str]
    problem: str


def where(request: web.Request) -> tuple[str, str]:
    """Tenant and agent that a request is about."""
    return request[IDENTITY].tenant, request.match_info["agent"]


def author(request: web.Request) -> Author:
    identity = request[IDENTITY]
    return Author(identity.subject, "admin" in identity.roles)


def expected(request: web.Request) -> int | None:
    """The revision that the caller has seen. Raises InvalidRequest."""
    given = request.headers.get("If-Match")
    if given is None:
        return None
    match = _ETAG.fullmatch(given)
    if match is None:
        raise InvalidRequest('If-Match: the ETag of an earlier answer, such as "3"')
    return int(match[1])


def tagged(response: web.Response, draft: Draft) -> web.Response:
    response.headers["ETag"] = f'"{draft.revision}"'
    return response


def dumped(item: Any) -> dict[str, Any]:
    """A part with the keys that authors write. Values of a tool's headers stay here: they may be secrets."""
    shown: dict[str, Any] = item.model_dump(mode="json", by_alias=True)
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(sorted(shown["headers"]), "")
    return shown


def _page(part: Part, draft: Draft, limit: int, after: str) -> PartPage:
    items: Sequence[Any] = sorted(part.of(draft.bundle), key=part.id_of)
    left = [item for item in items if part.id_of(item) > after]
    more = len(left) > limit
    return PartPage(items=[dumped(item) for item in left[:limit]], revision=draft.revision,
                    next_cursor=cursor_after(part.id_of(left[limit - 1])) if more else None)


def _lister(part: Part) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        values = query(request, "limit", "cursor")
        draft = await request.app[ENGINE].drafts.read(*where(request))
        return tagged(answer(_page(part, draft, whole(values, "limit", 20, 1, 100), name_after(values.get("cursor")))),
                      draft)

    return _named(handler, f"list_{part.name}")


def _reader(part: Part) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        query(request)
        draft = await request.app[ENGINE].drafts.read(*where(request))
        return tagged(answer(dumped(find(draft.bundle, part, request.match_info["id"]))), draft)

    return _named(handler, f"read_{part.noun}")


def _creator(part: Part) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        """The same again changes nothing and is answered the same."""
        query(request)
        drafts, place = request.app[ENGINE].drafts, where(request)
        await drafts.writable(*place)
        item = read_part(part.model, await read_json(request))
        draft = await drafts.edit(*place, lambda bundle: add(bundle, part, item), author(request), expected(request))
        return tagged(answer(dumped(item), 201), draft)

    return _named(handler, f"create_{part.noun}")


def _replacer(part: Part) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        query(request)
        drafts, place, name = request.app[ENGINE].drafts, where(request), request.match_info["id"]
        find((await drafts.writable(*place)).bundle, part, name)
        item = read_part(part.model, await _with_name(request, part, name))
        draft = await drafts.edit(*place, lambda bundle: replace(bundle, part, name, item), author(request),
                                  expected(request))
        return tagged(answer(dumped(item)), draft)

    return _named(handler, f"replace_{part.noun}")


def _remover(part: Part) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        query(request)
        name = request.match_info["id"]
        draft = await request.app[ENGINE].drafts.edit(
            *where(request), lambda bundle: remove(bundle, part, name), author(request), expected(request))
        return tagged(web.Response(status=204), draft)

    return _named(handler, f"delete_{part.noun}")


async def _with_name(request: web.Request, part: Part, id: str) -> bytes:
    """The body, with its name from the address where it does not say it itself."""
    body = await read_json(request)
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if isinstance(sent, dict) and part.key:
        sent.setdefault(part.key, id)
    return msgspec.json.encode(sent)


def _named(handler: Handler, name: str) -> Handler:
    handler.__name__ = name
    return handler


async def write_rules(request: web.Request) -> web.Response:
    """Many rules at once, whole or not at all."""
    query(request)
    drafts, place, rules = request.app[ENGINE].drafts, where(request), PARTS[0]
    await drafts.writable(*place)
    sent = await read(request, BulkRequest)
    items = [_rule(number, bytes(one)) for number, one in enumerate(sent.items)]
    counted = [0, 0]

    def change(bundle: Any) -> Any:
        merged, *counted[:] = merge(bundle, rules, items)
        return merged

    draft = await drafts.edit(*place, change, author(request), expected(request))
    return tagged(answer(BulkDone(created=counted[0], replaced=counted[1], revision=draft.revision)), draft)


def _rule(number: int, body: bytes) -> Any:
    try:
        return read_part(Rule, body)
    except InvalidRequest as error:
        found = [{"path": f"items.{number}.{one['path']}".rstrip("."), "message": one["message"]}
                 for one in error.details.get("fields", [])]
        raise InvalidRequest(f"items.{number}: {error.message}", fields=found) from None


async def preview_template(request: web.Request) -> web.Response:
    """What a template says with these values."""
    query(request)
    draft = await request.app[ENGINE].drafts.read(*where(request))
    template: Template = find(draft.bundle, next(part for part in PARTS if part.name == "templates"),
                              request.match_info["id"])
    values = (await read(request, PreviewRequest)).values
    try:
        compiled = compile_template(template.text)
    except ConfigurationError as error:
        return answer(Preview(text=None, reads=[], problem=error.message))
    try:
        return answer(Preview(text=compiled.render(values), reads=sorted(compiled.names), problem=""))
    except TemplateError as error:
        return answer(Preview(text=None, reads=sorted(compiled.names), problem=error.message))


def _routes(part: Part) -> tuple[Route, ...]:
    many = f"/v1/agents/{{agent}}/{part.name}"
    one, noun = f"{many}/{{id}}", f"{'an' if part.noun[0] in 'aeiou' else 'a'} {part.noun}"
    return (
        Route("GET", many, _lister(part), f"List an agent's {part.name}", AUTHOR, answer=PartPage,
              query=("limit", "cursor")),
        Route("POST", many, _creator(part), f"Add {noun} to the draft", WRITE, body=part.model,
              answer=part.model, status=201),
        Route("GET", one, _reader(part), f"Read {noun}", AUTHOR, answer=part.model),
        Route("PUT", one, _replacer(part), f"Replace {noun} in the draft", WRITE, body=part.model,
              answer=part.model),
        Route("DELETE", one, _remover(part), f"Take {noun} out of the draft", WRITE, status=204),
    )


ROUTES = answered_once((
    *(route for part in PARTS for route in _routes(part)),
    Route("POST", "/v1/agents/{agent}/rules/bulk", write_rules, "Create or replace many rules of the draft at once",
          WRITE, body=BulkRequest, answer=BulkDone),
    Route("POST", "/v1/agents/{agent}/templates/{id}/preview", preview_template, "Show what a template says", AUTHOR,
          body=PreviewRequest, answer=Preview),
))
