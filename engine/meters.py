"""Prometheus metrics of memory and reranking, by the names of the memory specification (A10), on a page of their own.

Labels take values from fixed lists only; nobody's name or text is ever given to this module.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ruche.plugins.breaker import State

_MS: Final = (1, 2, 5, 10, 20, 25, 50, 100, 150, 200, 250, 400, 750, 1_000, 2_500)
_STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}


class MemoryMeters:
    """Fed by the memory service and the reranker, on the loop."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._queries = Counter("memory_query", "Recalls.", ("status",), registry=registry)
        self._latency = Histogram("memory_query_latency_ms", "Time of a recall, by stage.", ("stage", "status"),
                                  buckets=_MS, registry=registry)
        self._learnt = Counter("memory_index", "Utterances learnt.", registry=registry)
        self._unlearnt = Counter("memory_index_errors", "Turns that could not be learnt at once.", registry=registry)
        self._learning = Histogram("memory_index_latency_ms", "Time to learn a turn.", buckets=_MS, registry=registry)
        self._reranks = Histogram("memory_rerank_ms", "Time of a reranking.", ("skipped",), buckets=_MS,
                                  registry=registry)
        self._skipped = Counter("memory_rerank_skipped", "Rerankings that left the order as it was.", ("reason",),
                                registry=registry)
        self._breaker = Gauge("memory_rerank_breaker_state", "0 closed, 1 half-open, 2 open.", registry=registry)
        self._trips = Gauge("memory_rerank_breaker_trips", "How often the breaker opened.", registry=registry)

        self._chunks = Gauge("memory_chunk_count", "Utterances that are held ready.", registry=registry)
        self._bytes = Gauge("memory_index_size_bytes", "Bytes of their vectors.", registry=registry)
        self._unreadable = Counter("memory_decryption_failures", "Memories that could not be read.", ("reason",),
                                   registry=registry)

    def queried(self, stage: str, ms: float, *, ok: bool) -> None:
        """A stage of a recall ended: embedding, search, rerank; `total` counts the recall."""
        status = "ok" if ok else "error"
        self._latency.labels(stage, status).observe(ms)
        if stage == "total":
            self._queries.labels(status).inc()

    def learnt(self, utterances: int, ms: float, *, ok: bool) -> None:
        self._learning.observe(ms)
        self._learnt.inc(utterances)
        if not ok:
            self._unlearnt.inc()

    def holding(self, utterances: int, size: int) -> None:
        self._chunks.set(utterances)
        self._bytes.set(size)

    def unreadable(self, reason: str) -> None:
        """`reason` is the code of an error."""
        self._unreadable.labels(reason).inc()

    def reranked(self, outcome: str, ms: float) -> None:
        """`outcome` is `reranked` or the reason for leaving the order as it was."""
        done = outcome == "reranked"
        self._reranks.labels("false" if done else "true").observe(ms)
        if not done:
            self._skipped.labels(outcome).inc()

    def render(self, breaker: State, trips: int) -> bytes:
        """The text form that Prometheus reads."""
        self._breaker.set(_STATES[breaker])
        self._trips.set(trips)
        return generate_latest(self.registry)
