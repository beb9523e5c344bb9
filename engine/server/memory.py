"""Memories of persons: texts filed into them, questions put to them, and what was brought in from other programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta

from ruche.engine.filing import Answer, Hit
from ruche.engine.server.answers import Shown, answer, rfc3339
from ruche.engine.server.audit import checked_person
from ruche.engine.server.auth import IDENTITY, Identity
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import Body, Person, query, read, whole
from ruche.engine.server.routes import ADMINISTER, MEMORISE, Handler, Route
from ruche.plugins.errors import Forbidden, NotFound
from ruche.storage.episodes import EpisodeKind, content

Source = Literal["api", "chat", "email", "upload"]
_SHOWN: tuple[tuple[str, EpisodeKind], ...] = (("episodes", "episode"), ("clusters", "cluster"), ("wisdom", "wisdom"),
                                               ("companions", "companion"))


class IndexRequest(Body, frozen=True, kw_only=True):
    """`document_id` names the text within the person's memory: the same name with another text replaces it. `at` is
    when it was said or written; `speaker` by whom."""

    document_id: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    text: Annotated[str, Meta(min_length=1, max_length=50_000)]
    interlocutor_id: Person | None = None
    source: Source = "api"
    speaker: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] = "document"
    at: Annotated[datetime, Meta(tz=True)] | None = None
    metadata: dict[str, Any] = {}


class IndexDone(Shown, kw_only=True):
    """`status`: indexed, updated, or skipped because the same text was there."""

    document_id: str
    status: str
    chunk_ids: list[str]


class QueryRequest(Body, frozen=True, kw_only=True):
    """`sources`: of these only, `chat` being what was said; `since` <= time < `until`."""

    query: Annotated[str, Meta(min_length=1, max_length=2_000)]
    interlocutor_id: Person | None = None
    k: Annotated[int, Meta(ge=1, le=100)] = 24
    rerank: bool = True
    sources: Annotated[list[Source], Meta(max_length=4)] = []
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class ChunkShown(Shown, kw_only=True):
    """`rank` and `original_rank` (the search's) count from 0; `rerank_score` is None where nothing was reranked."""

    chunk_id: str
    document_id: str
    turn_id: str
    text: str
    speaker: str
    source: str
    at: str
    metadata: dict[str, Any]
    score: float
    rerank_score: float | None
    rank: int
    original_rank: int


class QueryTimes(Shown, kw_only=True):
    search: float
    rerank: float


class QueryAnswer(Shown, kw_only=True):
    """`reason`: why nothing is reranked, or why there is no answer (`late`, or an error's code)."""

    items: list[ChunkShown]
    considered: int
    reranked: bool
    reason: str
    timings_ms: QueryTimes


class EpisodeShown(Shown, kw_only=True):
    """As the other program kept it."""

    id: str
    kind: str
    interlocutor_id: str
    at: str
    content: Any


class EpisodePage(Shown, kw_only=True):
    items: list[EpisodeShown]
    next_cursor: str | None


async def index_memory(request: web.Request) -> web.Response:
    query(request)
    sent, identity = await read(request, IndexRequest), request[IDENTITY]
    done = await request.app[ENGINE].memory.index(
        identity.tenant, _person(identity, sent.interlocutor_id), sent.text, sent.document_id, speaker=sent.speaker,
        source=sent.source, at_ms=_ms(sent.at), metadata=sent.metadata)
    return answer(IndexDone(document_id=done.document, status=done.status, chunk_ids=list(done.pieces)),
                  201 if done.status == "indexed" else 200)


async def query_memory(request: web.Request) -> web.Response:
    """Fails open: where there is no answer within a second, it is empty and says why."""
    query(request)
    sent, identity = await read(request, QueryRequest), request[IDENTITY]
    found = await request.app[ENGINE].memory.query(
        identity.tenant, _person(identity, sent.interlocutor_id), sent.query, k=sent.k, rerank=sent.rerank,
        sources=sent.sources, since_ms=_ms(sent.since), until_ms=_ms(sent.until))
    return answer(_answer(found))


async def drop_document(request: web.Request) -> web.Response:
    """404 where nothing is filed under this name."""
    values, identity = query(request, "interlocutor"), request[IDENTITY]
    asked = values.get("interlocutor")
    person = _person(identity, None if asked is None else checked_person(asked))
    gone = await request.app[ENGINE].memory.drop(identity.tenant, person, request.match_info["document"])
    if not gone:
        raise NotFound("there is no such document")
    return web.Response(status=204)


def _lister(kind: EpisodeKind) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        """What `ruche migrate memories` brought in, the newest day first."""
        values = query(request, "interlocutor", "limit", "cursor")
        page = await request.app[ENGINE].memory.episodes(
            request[IDENTITY].tenant, kind, interlocutor=values.get("interlocutor"),
            limit=whole(values, "limit", 20, 1, 100), cursor=values.get("cursor"))
        return answer(EpisodePage(next_cursor=page.next_cursor, items=[
            EpisodeShown(id=one.id, kind=one.kind, interlocutor_id=one.interlocutor, at=rfc3339(one.at_ms),
                         content=content(one)) for one in page.items]))

    handler.__name__ = f"list_{kind}"
    return handler


def _person(identity: Identity, asked: str | None) -> str:
    """Whose memory: the token's own person's, or for channels and admins anybody's of their tenant."""
    if identity.agents is not None:
        raise Forbidden("a token for one public agent has no memory of its own")
    return asked if asked is not None and "admin" in identity.roles else identity.speaks_as(None, asked)


def _answer(found: Answer) -> QueryAnswer:
    return QueryAnswer(
        items=[_chunk(rank, hit) for rank, hit in enumerate(found.hits)], considered=found.considered,
        reranked=any(hit.reranked is not None for hit in found.hits), reason=found.reason,
        timings_ms=QueryTimes(search=found.search_ms, rerank=found.rerank_ms))


def _chunk(rank: int, hit: Hit) -> ChunkShown:
    one = hit.found.utterance
    return ChunkShown(
        chunk_id=one.id, document_id="" if one.turn else one.session, turn_id=one.turn, text=one.text,
        speaker=one.speaker, source=one.source or "chat", at=rfc3339(one.at_ms), metadata=one.metadata,
        score=round(hit.found.score, 4), rerank_score=hit.reranked, rank=rank, original_rank=hit.place)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


ROUTES = (
    *answered_once((Route("POST", "/v1/memory/index", index_memory, "File a text into a person's memory", MEMORISE,
                          body=IndexRequest, answer=IndexDone, status=201),)),
    Route("POST", "/v1/memory/query", query_memory, "Ask a person's memory", MEMORISE, body=QueryRequest,
          answer=QueryAnswer),
    Route("DELETE", "/v1/memory/documents/{document}", drop_document, "Take a text out of a person's memory", MEMORISE,
          status=204, query=("interlocutor",)),
    *(Route("GET", f"/v1/memory/{name}", _lister(kind), f"List {name} that other programs remembered", ADMINISTER,
            answer=EpisodePage, query=("interlocutor", "limit", "cursor")) for name, kind in _SHOWN),
)
