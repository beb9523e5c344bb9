"""Finds an agent's rules, intents, scenarios, transitions and knowledge for what a person said.

Embedding and search run on one service thread: a retrieval is one message there and back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import anyio
import msgspec
import numpy as np

from ruche.actors.remembered import Remembered
from ruche.actors.service import ServiceActor
from ruche.actors.supervised import SupervisedService
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Embedder, Hit, Hits, Vectors
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.errors import ProviderFailed, RucheError, Unavailable
from ruche.storage.index.agent import AgentIndex, Found, Teaching
from ruche.storage.index.approximate import CROSSOVER
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.general import shipped
from ruche.storage.index.kept import KeptHead, read_heads
from ruche.storage.index.passages import passages, vocabulary
from ruche.storage.index.spelling import Spelling
from ruche.storage.index.telling import telling_texts
from ruche.storage.model.bundle import AgentBundle

KEPT_VERSIONS = 2
"""Versions of an agent that stay searchable: the newest, and the one that running turns began with."""

SLICE = 8
"""Texts embedded at once while an agent is prepared; between slices the thread serves conversations."""

QUERY_CHARACTERS = 4_000

IMMEDIATE_CHARACTERS, IMMEDIATE_TEXTS = 400, 5_000
"""Up to here a retrieval with an immediate embedder takes less than half a millisecond, and the trip to the thread,
0.1 ms of CPU, is saved."""


Progress = Callable[[int, int], None]
"""Told how many texts of how many are embedded."""


class Encode(NamedTuple):
    texts: Sequence[str]


class Forget(NamedTuple):
    tenant: str


class Search(NamedTuple):
    tenant: str
    agent: AgentIndex
    text: str
    limit: int
    scopes: Sequence[str] | None


class EmbeddingService(ServiceActor):
    """Owns the embedder and the thread it runs on. Whatever an embedder raises is an answer; the service lives on."""

    registered: ClassVar[bool] = False  # a host's own pykka actors may end all that are registered

    mailbox_size = 1_000

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder
        self._cache = VectorCache()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Search):
            return self._search(message)
        if isinstance(message, Forget):
            return self._cache.forget(message.tenant)
        return self._encode(message.texts)

    def _search(self, search: Search) -> Hits:
        return answer(search, self._cache.row(search.tenant, search.text, self._one))

    def _one(self, text: str) -> Vectors:
        row: Vectors = self._encode((text,))[0]
        return row

    def _encode(self, texts: Sequence[str]) -> Vectors:
        return encoded(self._embedder, texts)


def sentences_of(bundle: AgentBundle) -> list[str]:
    """The rules' own sentences, by id."""
    return [rule.if_ for rule in sorted(bundle.rules, key=lambda rule: rule.id) if rule.enabled]


def answer(search: Search, row: Vectors) -> Hits:
    """Search every kind with one vector."""
    found = search.agent.search(row, search.text, search.limit, search.scopes)
    return Hits(rules=_hits(found["rule"]), intents=_hits(found["intent"]), scenarios=_hits(found["scenario"]),
                transitions=_hits(found["transition"]), knowledge=_hits(found["knowledge"]),
                options=_leading(found["option"]),
                several=search.agent.several)


def encoded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """What an embedder says, or ProviderFailed when it fails or answers nonsense."""
    try:
        rows = embedder.encode(texts)
    except RucheError:
        raise
    except Exception as error:
        raise ProviderFailed(f"the embedder {embedder.name} failed: {type(error).__name__}") from error
    if getattr(rows, "shape", None) != (len(texts), embedder.dimensions):
        raise ProviderFailed(f"the embedder {embedder.name} gave no {len(texts)} vectors of {embedder.dimensions}")
    return rows


class Retriever:
    """`contracts.Retrieval`: one index per tenant, agent and version; the last two versions prepared are kept."""

    def __init__(self, embedder: Embedder, system: ActorSystem | None = None,
                 remembered: Remembered | None = None, *, lanes: int = 1) -> None:
        """Starts the service thread in `system` (the running one when absent), which stops it at its end. Vectors of
        what authors wrote are looked for in `remembered` first, unless the embedder is immediate. With more `lanes`,
        an embedder that may be called so encodes them in as many threads at once: for a process that serves nobody."""
        self.embedder = embedder
        self._lanes = lanes if getattr(embedder, "parallel", False) else 1
        self._service = SupervisedService(EmbeddingService, embedder, system=system)
        self._immediate = bool(getattr(embedder, "immediate", False))
        self._words: frozenset[str] | None = getattr(embedder, "words", None)
        self._remembered = None if self._immediate else remembered
        self._background: Vectors | None = None
        self._indexes: dict[tuple[str, str], OrderedDict[int, AgentIndex]] = {}

    async def prepare(self, bundle: AgentBundle, version: int, progress: Progress | None = None, *,
                      taught: bytes = b"") -> bytes:
        """Embed what the version before did not hold, fit heads to the examples, and build the index.

        Heads in `taught` that were fitted to the same examples are taken as they are; the answer holds all of them.

        The loop and the service are free meanwhile. Cancelled or failed (ProviderFailed, ConfigurationError), it
        leaves the earlier versions as they were.
        """
        found = passages(bundle)
        versions = self._indexes.get((bundle.tenant, bundle.id), OrderedDict())
        known = next(reversed(versions.values())).rows() if versions else {}
        rows = await self._rows([passage.text for passage in found], known, progress)
        teaching = await self._teaching(bundle, read_heads(taught))

        def build() -> AgentIndex:
            return AgentIndex(found, rows, teaching, _spelling(bundle), self._lines(bundle))

        index = await anyio.to_thread.run_sync(build, abandon_on_cancel=True)
        self._keep((bundle.tenant, bundle.id), version, index)
        if len(index) >= CROSSOVER:  # it is searched meanwhile, and ends with the process
            threading.Thread(target=index.settle, name="graph", daemon=True).start()
        if self._remembered is not None:
            await self._remembered.save()
        return index.heads()

    async def retrieve(self, tenant: str, agent: str, version: int, text: str, limit: int = 30,
                       scopes: Sequence[str] | None = None) -> Hits:
        """The best of every kind for a text, which is repaired and embedded once. See `contracts.Retrieval`.

        Raises Unavailable when the version is not prepared, ProviderFailed, MailboxFull, DeadlineExceeded.
        """
        index, text = self._index(tenant, agent, version), text[:QUERY_CHARACTERS]
        if index.spelling is None:
            return await self._search(Search(tenant, index, text, limit, scopes))
        read, repaired = index.spelling.repaired(text, self._words)
        hits = await self._search(Search(tenant, index, read, limit, scopes))
        return msgspec.structs.replace(hits, repaired=repaired) if repaired else hits

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, len(texts) x dimensions, off the loop."""
        rows: Vectors = await self._service.ask_async(Encode(texts))
        return rows

    def prepared(self, tenant: str, agent: str) -> tuple[int, ...]:
        """The versions that can be searched, in the order in which they were prepared."""
        return tuple(self._indexes.get((tenant, agent), ()))

    async def likeness(self, one: str, other: str) -> tuple[float, float | None]:
        """(cosine of two texts, what is usual at least of a question and its answer). Raises ProviderFailed."""
        rows = await self.encode([one, other])
        return round(float(rows[0] @ rows[1]), 4), getattr(self.embedder, "answer_likeness", None)

    async def forget_words(self, tenant: str) -> None:
        """Drop the remembered vectors of what was said to a tenant's agents."""
        await self._service.ask_async(Forget(tenant))

    def snapshot(self) -> dict[str, Any]:
        """Restarts and mailbox of the service."""
        return self._service.snapshot()

    def forget(self, tenant: str, agent: str) -> None:
        """Drop an agent's indexes; an unknown agent is fine."""
        self._indexes.pop((tenant, agent), None)

    async def _search(self, search: Search) -> Hits:
        if self._immediate and len(search.text) <= IMMEDIATE_CHARACTERS and len(search.agent) <= IMMEDIATE_TEXTS:
            return answer(search, encoded(self.embedder, (search.text,))[0])
        hits: Hits = await self._service.ask_async(search)
        return hits

    async def _teaching(self, bundle: AgentBundle, kept: dict[str, KeptHead]) -> Teaching | None:
        """None where nothing is to be told apart but by likeness: then the background is not needed either."""
        several = bundle.agent.several_rules
        examples = any(rule.examples for rule in bundle.rules) or any(intent.examples for intent in bundle.intents)
        if not several and not examples:
            return None
        if self._background is None:
            self._background = await self._rows(BACKGROUND, {}, None)
        general = shipped(self.embedder.name) if several else None
        telling = None if general is None else await self._rows(telling_texts(sentences_of(bundle)), {}, None)
        return Teaching(self.embedder.rule_threshold, self._background, several, general, self.embedder.name, kept,
                        telling)

    def _lines(self, bundle: AgentBundle) -> dict[str, float]:
        """By kind, the score from which something matches; none where rules are meant together."""
        default, own = self.embedder.rule_threshold, bundle.agent
        rules = default if own.rule_threshold is None else own.rule_threshold
        lines = {"intent": rules, "scenario": default if own.scenario_threshold is None else own.scenario_threshold}
        return lines if own.several_rules else {**lines, "rule": rules}

    def _index(self, tenant: str, agent: str, version: int) -> AgentIndex:
        versions = self._indexes.get((tenant, agent))
        index = versions.get(version) if versions else None
        if index is None:
            raise Unavailable(f"version {version} of this agent is not prepared; try again when it is published",
                              retry_after=1.0)
        return index

    def _keep(self, key: tuple[str, str], version: int, index: AgentIndex) -> None:
        versions = self._indexes.setdefault(key, OrderedDict())
        versions[version] = index
        versions.move_to_end(version)
        while len(versions) > KEPT_VERSIONS:
            versions.popitem(last=False)

    async def _rows(self, texts: Sequence[str], known: dict[str, Vectors], progress: Progress | None) -> Vectors:
        rows = dict(known) if self._remembered is None else {**await self._remembered.of(texts), **known}
        new = [text for text in dict.fromkeys(texts) if text not in rows]
        for start in range(0, len(new), SLICE * self._lanes):
            part = new[start:start + SLICE * self._lanes]
            made = await self._made(part)
            rows.update(zip(part, made, strict=True))
            if self._remembered is not None:
                self._remembered.add(part, made)
            if progress is not None:
                progress(start + len(part), len(new))
        if not texts:
            return np.zeros((0, self.embedder.dimensions), dtype=np.float32)
        return np.stack([rows[text] for text in texts])

    async def _made(self, texts: Sequence[str]) -> list[Vectors]:
        """Rows of texts: the first SLICE by the service, each further one by a thread of its own."""
        if len(texts) <= SLICE:
            return list(await self._service.ask_async(Encode(texts), wait=True))
        parts = [texts[start:start + SLICE] for start in range(0, len(texts), SLICE)]
        made: list[Vectors] = [np.zeros(0, dtype=np.float32)] * len(parts)

        async def aside(place: int) -> None:
            made[place] = await anyio.to_thread.run_sync(encoded, self.embedder, parts[place], abandon_on_cancel=True)

        try:
            async with anyio.create_task_group() as group:
                for place in range(1, len(parts)):
                    group.start_soon(aside, place)
                made[0] = await self._service.ask_async(Encode(parts[0]), wait=True)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [row for rows in made for row in rows]


def _spelling(bundle: AgentBundle) -> Spelling | None:
    return Spelling(vocabulary(bundle)) if bundle.agent.repair_spelling else None


def _leading(found: Found) -> tuple[Hit, ...]:
    """The first two options of each field: how far they are apart decides."""
    seen: dict[str, int] = {}
    kept = []
    for hit in _hits(found) if found.ids else ():
        name = hit.id.partition("=")[0]
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= 2:
            kept.append(hit)
    return tuple(kept)


def _hits(found: Found) -> tuple[Hit, ...]:
    return tuple([Hit(id=key, score=score, vector=vector, lexical=lexical)
                  for key, score, vector, lexical in zip(*found, strict=True)])
