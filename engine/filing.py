"""Texts filed into a person's memory from outside a conversation, and questions put to that memory.

A document is cut at sentences into pieces that are found like what was said; the same again changes nothing, something
else under the same name takes its place. What is filed is data with a speaker, as everything that is recalled.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import anyio
import msgspec

from ruche.engine.oversight import refuse_leaving
from ruche.plugins.contracts import Asked
from ruche.plugins.errors import DeadlineExceeded, InvalidRequest, RucheError
from ruche.plugins.sentences import sentences
from ruche.storage.index.memory import Recollection
from ruche.storage.model.memory import AGENT, PERSON, Utterance
from ruche.storage.model.record import UtterancesDropped

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.episodes import EpisodeKind
    from ruche.storage.model.record import EpisodeKept
    from ruche.storage.secured import Page

TEXT_CHARACTERS: Final = 50_000
QUESTION_CHARACTERS: Final = 2_000
METADATA_BYTES: Final = 10_240
MOST: Final = 100
"""Memories that one question gives (specification, memory A9: k from 1 to 100)."""
PIECE_CHARACTERS: Final = 1_200
QUERY_SECONDS: Final = 1.0
"""After which a question has no answer (A9)."""
INDEX_SECONDS: Final = 30.0
"""A9 says 2 s; the longest text takes longer on a CPU, and would never be taken."""
_LOOKED_AT: Final = 1_000
"""Candidates where only some of them may be given."""


class Filed(NamedTuple):
    """What became of a document: its pieces by id."""

    document: str
    status: Literal["indexed", "updated", "skipped"]
    pieces: tuple[str, ...]


class Hit(NamedTuple):
    """A memory that answers; `place` is where the search had it, from 0, and `reranked` the reranker's score."""

    found: Recollection
    place: int
    reranked: float | None


class Answer(NamedTuple):
    """`considered` of the search; `reason` why nothing is reranked, or why there is no answer (`late`, or an error's
    code). Times in ms."""

    hits: tuple[Hit, ...]
    considered: int
    reason: str
    search_ms: float
    rerank_ms: float


class Filing:
    """Every method takes the tenant it acts for, and any name of the person."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def index(self, tenant: str, person: str, text: str, document: str, *, speaker: str = "document",
                    source: str = "api", at_ms: int | None = None, metadata: dict[str, Any] | None = None) -> Filed:
        """File a text under a document's name; durable when it returns.

        Raises InvalidRequest, DeadlineExceeded (file it again, in parts), QuotaExceeded, Unavailable while the person
        is being erased, ProviderFailed, StorageFull.
        """
        _check(text, document, speaker, metadata)
        person = self._host.linked.person(tenant, person)
        refuse_leaving(self._host, tenant, person)
        await self._host.quotas.check(tenant)
        at = self._host.hosting.clock_ms() if at_ms is None else at_ms
        stem = self._hash(tenant, person, document)[:24]
        version = self._hash(text, speaker, source, "" if at_ms is None else str(at_ms), metadata or {})[:8]
        made = [Utterance(id=f"{stem}:{version}:{number}", session=document, speaker=speaker, at_ms=at, text=piece,
                          source=source, metadata=metadata or {}) for number, piece in enumerate(pieces(text))]
        ids = tuple(one.id for one in made)
        before = await self._before(tenant, person, stem)
        if before == set(ids):
            return Filed(document, "skipped", ids)
        try:
            with anyio.fail_after(INDEX_SECONDS):
                await self._host.recalling.memories.remember(tenant, person, made)
        except TimeoutError:
            raise DeadlineExceeded(f"the text could not be taken in within {INDEX_SECONDS:.0f} s; file it in "
                                   "parts") from None
        await self._drop(tenant, person, before - set(ids))
        return Filed(document, "updated" if before else "indexed", ids)

    async def drop(self, tenant: str, person: str, document: str) -> int:
        """Take a document out of the memory; how many pieces it had."""
        person = self._host.linked.person(tenant, person)
        gone = await self._before(tenant, person, self._hash(tenant, person, document)[:24])
        await self._drop(tenant, person, gone)
        return len(gone)

    async def query(self, tenant: str, person: str, text: str, *, k: int = 24, rerank: bool = True,
                    sources: Collection[str] = (), since_ms: int | None = None,
                    until_ms: int | None = None) -> Answer:
        """What of the person's memory answers a text, best first. Fails open: without an answer in time there is none.

        `sources`: of these only (`chat` is what was said). Raises InvalidRequest.
        """
        _check_question(text, k)
        begun, host = time.perf_counter(), self._host
        asked = Asked(tenant=tenant, person=host.linked.person(tenant, person), text=text, asker=PERSON, other=AGENT,
                      now_ms=host.hosting.clock_ms())
        some = bool(sources) or since_ms is not None or until_ms is not None
        found: list[Recollection] = []
        try:
            with anyio.fail_after(QUERY_SECONDS):
                found = await host.recalling.memories.candidates(asked, _LOOKED_AT if some else k)
        except (TimeoutError, RucheError) as error:
            reason = error.code if isinstance(error, RucheError) else "late"
            return Answer((), 0, reason, _since(begun), 0.0)
        fitting = [one for one in found if _fits(one.utterance, sources, since_ms, until_ms)][:k]
        searched = _since(begun)
        return await self._ranked(text, fitting, len(found), searched, rerank=rerank)

    async def episodes(self, tenant: str, kind: EpisodeKind, **filters: Any) -> Page[EpisodeKept]:
        """What was brought in from elsewhere, newest first; filters `interlocutor`, `limit`, `cursor`."""
        return await self._host.scribe.read(lambda store: store.tenant(tenant).episodes(kind=kind, **filters))

    async def _ranked(self, text: str, found: Sequence[Recollection], considered: int, searched: float, *,
                      rerank: bool) -> Answer:
        if not rerank or not found:
            return Answer(tuple(Hit(one, place, None) for place, one in enumerate(found)), considered,
                          "" if rerank else "disabled", searched, 0.0)
        begun = time.perf_counter()
        ranked = await self._host.recalling.reranking.rerank(
            text, [one.passage for one in found], len(found), kind="memory", before=[one.score for one in found])
        scores = ranked.scores or (None,) * len(ranked.places)
        hits = tuple(Hit(found[place], place, score) for place, score in zip(ranked.places, scores, strict=True))
        return Answer(hits, considered, ranked.reason or "", searched, _since(begun))

    def _hash(self, *parts: Any) -> str:
        """The same for the same, and tells nothing of anybody."""
        key = self._host.store.derive_key("filed documents")
        return hmac.new(key, msgspec.json.encode(parts, order="deterministic"), hashlib.sha256).hexdigest()

    async def _before(self, tenant: str, person: str, stem: str) -> set[str]:
        """Ids of the document's pieces as they are kept."""
        kept = await self._host.scribe.read(lambda store: store.tenant(tenant).memories(person))
        return {one.utterance.id for one in kept if one.utterance.id.startswith(f"{stem}:")}

    async def _drop(self, tenant: str, person: str, ids: Collection[str]) -> None:
        if ids:
            await self._host.scribe.commit(UtterancesDropped(tenant=tenant, at_ms=self._host.hosting.clock_ms(),
                                                             interlocutor=person, ids=tuple(sorted(ids))))
            await self._host.recalling.memories.forget(tenant, person)


def pieces(text: str) -> list[str]:
    """The text, cut at sentences into pieces of 1,200 characters at most; longer sentences at their blanks. What is
    blank is left out."""
    made = [""]
    for sentence in sentences(text):
        for part in _parts(sentence):
            if made[-1] and len(made[-1]) + len(part) > PIECE_CHARACTERS:
                made.append("")
            made[-1] += part
    return [piece.strip() for piece in made if piece.strip()]


def _parts(sentence: str) -> list[str]:
    made = []
    while len(sentence) > PIECE_CHARACTERS:
        cut = sentence.rfind(" ", 1, PIECE_CHARACTERS) + 1 or PIECE_CHARACTERS
        made.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*made, sentence]


def _fits(one: Utterance, sources: Collection[str], since_ms: int | None, until_ms: int | None) -> bool:
    return ((not sources or (one.source or "chat") in sources) and (since_ms is None or one.at_ms >= since_ms)
            and (until_ms is None or one.at_ms < until_ms))


def _check(text: str, document: str, speaker: str, metadata: dict[str, Any] | None) -> None:
    for path, value, most in (("text", text, TEXT_CHARACTERS), ("document_id", document, 200),
                              ("speaker", speaker, 100)):
        if not 1 <= len(value) <= most or not value.strip():
            _refuse(path, f"1 to {most:,} characters that are not all spaces")
    try:
        size = len(msgspec.json.encode(metadata or {}))
    except (TypeError, ValueError, RecursionError):
        return _refuse("metadata", "plain JSON values")
    if size > METADATA_BYTES:
        _refuse("metadata", "larger than 10 KB")


def _check_question(text: str, k: int) -> None:
    if not 1 <= len(text) <= QUESTION_CHARACTERS or not text.strip():
        _refuse("query", f"1 to {QUESTION_CHARACTERS:,} characters that are not all spaces")
    if not 1 <= k <= MOST:
        _refuse("k", f"a whole number from 1 to {MOST}")


def _refuse(path: str, message: str) -> None:
    raise InvalidRequest(f"{path}: {message}", fields=[{"path": path, "message": message}])


def _since(begun: float) -> float:
    return round(1000.0 * (time.perf_counter() - begun), 2)
