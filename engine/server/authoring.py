"""Agents that are written over the API: create, change the head, look at the draft, check, publish, retire."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from ruche.engine.authoring.edit import read_part
from ruche.engine.authoring.problem import Problem
from ruche.engine.drafts import Draft
from ruche.engine.observe import log
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.auth import IDENTITY
from ruche.engine.server.context import ENGINE
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.once import answered_once
from ruche.engine.server.parts import author, dumped, expected, tagged, where
from ruche.engine.server.requests import Body, Id, query, read, read_json
from ruche.engine.server.routes import AUTHOR, WRITE, Route
from ruche.plugins.errors import InvalidRequest, Malformed, NotFound
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle


class CreateRequest(Body, frozen=True, kw_only=True):
    """`agent` has the keys of agent.yaml; its rules, scenarios and words follow one by one, or as a whole draft."""

    id: Id
    agent: msgspec.Raw


class PublishRequest(Body, frozen=True, kw_only=True):
    note: Annotated[str, Meta(max_length=1_000)] = ""


class ProblemShown(Shown, kw_only=True):
    """A finding, and how to mend it. For what came over the API `file`, `line` and `column` are those of
    `GET /v1/agents/{agent}/files`, and `path` is the place in what was sent (`rules/3/when`)."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str
    path: str
    source: str


class FilesShown(Shown, kw_only=True):
    """Text by the name that a file has in an agent folder."""

    agent_id: str
    revision: int
    files: dict[str, str]


class Checked(Shown, kw_only=True):
    """`ok` means that it can be published; warnings do not stand in the way."""

    ok: bool
    problems: list[ProblemShown]
    revision: int


class Published(Shown, kw_only=True):
    """The version that new turns use now. `problems` are warnings."""

    agent_id: str
    version: int
    hash: str
    problems: list[ProblemShown]


class DraftShown(Shown, kw_only=True):
    """The whole draft, with the keys that authors write. `version` is the published one, 0 before the first."""

    agent_id: str
    revision: int
    version: int
    changed_by: str
    changed_at: str
    draft: dict[str, Any]


_SOURCE = 200
"""Characters of a line that are shown."""


def whole_bundle(bundle: AgentBundle) -> dict[str, Any]:
    """An agent as it is shown: without sources, and without what headers hold."""
    shown: dict[str, Any] = bundle.model_dump(mode="json", by_alias=True, exclude={"sources", "tenant", "tools"})
    return {**shown, "tools": [dumped(tool) for tool in bundle.tools]}


def _shown(draft: Draft) -> DraftShown:
    return DraftShown(agent_id=draft.bundle.id, revision=draft.revision, version=draft.version, changed_by=draft.by,
                      changed_at=rfc3339(draft.at_ms), draft=whole_bundle(draft.bundle))


def _problems(found: list[Problem]) -> list[ProblemShown]:
    return [ProblemShown(**one.as_dict(), path=one.path, source=one.source[:_SOURCE]) for one in found]


async def create_agent(request: web.Request) -> web.Response:
    """A draft: it serves nobody before it is published."""
    query(request)
    body = await read(request, CreateRequest)
    draft = await request.app[ENGINE].drafts.create(
        request[IDENTITY].tenant, body.id, _under("agent", bytes(body.agent)), author(request))
    _note(request, "agent.created", draft.bundle.id)
    return tagged(answer(_shown(draft), 201), draft)


def _under(key: str, body: bytes) -> Agent:
    try:
        made: Agent = read_part(Agent, body)
    except InvalidRequest as error:
        found = [{"path": f"{key}.{one['path']}".rstrip("."), "message": one["message"]}
                 for one in error.details.get("fields", [])]
        raise InvalidRequest(f"{key}.{error.message}", fields=found) from None
    return made


async def replace_agent(request: web.Request) -> web.Response:
    """The head of the draft: what agent.yaml holds."""
    query(request)
    drafts, place = request.app[ENGINE].drafts, where(request)
    await drafts.writable(*place)
    head = read_part(Agent, await read_json(request))
    draft = await drafts.edit(*place, lambda bundle: bundle.model_copy(update={"agent": head}), author(request),
                              expected(request))
    return tagged(answer(_shown(draft)), draft)


async def retire_agent(request: web.Request) -> web.Response:
    """Nobody is served by it any more. Its versions stay, for the runs that were made with them."""
    query(request)
    tenant, agent = where(request)
    await request.app[ENGINE].drafts.retire(tenant, agent, author(request))
    _note(request, "agent.retired", agent)
    return web.Response(status=204)


async def read_draft(request: web.Request) -> web.Response:
    query(request)
    draft = await request.app[ENGINE].drafts.read(*where(request))
    if not draft.revision:
        raise NotFound("there is no draft")
    return tagged(answer(_shown(draft)), draft)


async def replace_draft(request: web.Request) -> web.Response:
    """The whole draft at once, in the form in which it is shown."""
    query(request)
    drafts, place = request.app[ENGINE].drafts, where(request)
    await drafts.writable(*place)
    bundle = read_part(AgentBundle, _addressed(await read_json(request), *place))
    draft = await drafts.edit(*place, lambda _: bundle, author(request), expected(request))
    return tagged(answer(_shown(draft)), draft)


def _addressed(body: bytes, tenant: str, agent: str) -> bytes:
    """The bundle under the id and tenant that the address and the token say."""
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if not isinstance(sent, dict) or sent.get("id", agent) != agent or sent.get("tenant", tenant) != tenant:
        raise InvalidRequest("id: the draft of another agent", fields=[{"path": "id", "message": "not the address's"}])
    return msgspec.json.encode({**sent, "id": agent, "tenant": tenant})


async def discard_draft(request: web.Request) -> web.Response:
    query(request)
    tenant, agent = where(request)
    await request.app[ENGINE].drafts.discard(tenant, agent, author(request))
    return web.Response(status=204)


async def check_agent(request: web.Request) -> web.Response:
    """The author's check of the draft, or of what is published."""
    query(request)
    drafts, place = request.app[ENGINE].drafts, where(request)
    draft, found = await drafts.read(*place), await drafts.check(*place)
    return tagged(answer(Checked(ok=not any(one.is_error for one in found), problems=_problems(found),
                                 revision=draft.revision)), draft)


async def read_files(request: web.Request) -> web.Response:
    """The draft, or what is published, as an author of a folder would have written it: for reading findings, and for
    taking an agent into a folder. What headers of tools hold is left out."""
    query(request)
    drafts, place = request.app[ENGINE].drafts, where(request)
    draft = await drafts.read(*place)
    return tagged(answer(FilesShown(agent_id=place[1], revision=draft.revision, files=await drafts.files(*place))),
                  draft)


async def publish_agent(request: web.Request) -> web.Response:
    """The draft becomes the version that new turns use; running turns keep theirs. All of it, or nothing."""
    query(request)
    tenant, agent = where(request)
    drafts = request.app[ENGINE].drafts
    await drafts.writable(tenant, agent)
    body = await read(request, PublishRequest) if request.can_read_body else PublishRequest()
    served, problems = await drafts.publish(tenant, agent, author(request), body.note)
    _note(request, "agent.published", agent, version=served.version)
    return answer(Published(agent_id=agent, version=served.version, hash=served.hash, problems=_problems(problems)))


def _note(request: web.Request, event: str, agent: str, **more: Any) -> None:
    log.info(event, request_id=request[REQUEST_ID], tenant=request[IDENTITY].tenant, agent=agent, **more)


_AGENT = "/v1/agents/{agent}"
ROUTES = answered_once((
    Route("POST", "/v1/agents", create_agent, "Begin an agent as a draft", WRITE, body=CreateRequest,
          answer=DraftShown, status=201),
    Route("PUT", _AGENT, replace_agent, "Replace the head of an agent's draft", WRITE, body=Agent, answer=DraftShown),
    Route("DELETE", _AGENT, retire_agent, "Take an agent out of service", WRITE, status=204),
    Route("GET", f"{_AGENT}/draft", read_draft, "Read an agent's draft", AUTHOR, answer=DraftShown),
    Route("PUT", f"{_AGENT}/draft", replace_draft, "Replace the whole draft", WRITE, body=AgentBundle,
          answer=DraftShown),
    Route("DELETE", f"{_AGENT}/draft", discard_draft, "Throw the draft away", WRITE, status=204),
    Route("POST", f"{_AGENT}/check", check_agent, "Check the draft, or what is published", AUTHOR, answer=Checked),
    Route("GET", f"{_AGENT}/files", read_files, "Read an agent as the files of a folder", AUTHOR, answer=FilesShown),
    Route("POST", f"{_AGENT}/publish", publish_agent, "Publish the draft", WRITE, body=PublishRequest,
          answer=Published),
))
