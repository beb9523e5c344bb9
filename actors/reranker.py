"""Reorders candidates by a reranker on its own thread, within a budget, and never at the price of the turn.

Whatever goes wrong, the answer is the order that came in, with the reason: answer quality fails open.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pykka

from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import Reranker
from ruche.plugins.errors import DeadlineExceeded, MailboxFull, ProviderFailed, RucheError
from ruche.storage.index.hybrid import scaled

BUDGET_SECONDS = 0.25
"""Specification (memory, A8): after 250 ms the retrieval's own order stands."""

Reason = Literal["disabled", "held", "few", "cold", "open", "busy", "late", "failed"]
"""`held`: the search's own scores hold what this reranker would say. `cold`: the passages are being learnt for later.
"""

Kind = Literal["memory", "documents", "rules"]
KINDS: tuple[Kind, ...] = ("memory", "documents", "rules")
"""What is reordered by default."""
HELD: frozenset[Kind] = frozenset(("memory", "rules"))
"""Where comparing sentences says nothing new: the search compared them. On one-line rules no reranker without training
beat the cosine."""

OWN = 0.5
"""Share of the search's own score beside the reranker's, each brought to 0 to 1 over the candidates."""


class Reranked(NamedTuple):
    """Places in the list that came in, best first. `scores` belong to them, None when the order is the one before."""

    places: tuple[int, ...]
    scores: tuple[float, ...] | None
    reason: Reason | None


class Job(NamedTuple):
    query: str
    passages: Sequence[str]
    space: str = ""


class Learn(NamedTuple):
    """Passages to be encoded when nothing else is to do, one at a time."""

    passages: Sequence[str]
    space: str


class Cold(RucheError):
    """The reranker would have to encode these passages first."""


class RerankingService(ServiceActor):
    """Owns the reranker and its thread. A job whose deadline passed while it waited is dropped unrun."""

    registered: ClassVar[bool] = False  # a host's own pykka actors may end all that are registered

    mailbox_size = 16

    def __init__(self, reranker: Reranker) -> None:
        super().__init__()
        self._reranker = reranker

    def on_receive(self, message: Any) -> Sequence[float]:
        if isinstance(message, Learn):
            return self._learn(message)
        try:
            return _checked(self._reranker, self._scored(message), message)
        except RucheError:
            raise
        except Exception as error:
            raise ProviderFailed(f"the reranker {self._reranker.name} failed: {type(error).__name__}") from error

    def _scored(self, job: Job) -> Sequence[float]:
        """Raises Cold, and has the passages learnt, where they would take too long now."""
        if not isinstance(self._reranker, Learner):
            return self._reranker.score(job.query, job.passages)
        unknown = self._reranker.unknown(job.passages, job.space)
        if unknown:
            self.actor_ref.tell(Learn(tuple(unknown), job.space))
            raise Cold("the passages are being learnt")
        return self._reranker.score(job.query, job.passages, job.space)

    def _learn(self, learn: Learn) -> Sequence[float]:
        if learn.passages and isinstance(self._reranker, Learner):
            self._reranker.learn(learn.passages[0], learn.space)
            self.actor_ref.tell(Learn(learn.passages[1:], learn.space))
        return ()


class BatchingService(RerankingService):
    """For a reranker that does several requests in one batch: those that wait are scored together."""

    batch = 8

    def on_receive_many(self, messages: Sequence[Any]) -> Sequence[Any]:
        """One answer a message; when the batch fails each is tried by itself, so that nobody pays for another's."""
        many = getattr(self._reranker, "score_many")  # noqa: B009 - a reranker that batches has it
        try:
            found = many([(job.query, job.passages) for job in messages])
            return [_checked(self._reranker, scores, job) for scores, job in zip(found, messages, strict=True)]
        except Exception:
            return [self._alone(message) for message in messages]

    def _alone(self, message: Any) -> Any:
        try:
            return self.on_receive(message)
        except RucheError as error:
            return error


def _checked(reranker: Reranker, scores: Sequence[float], job: Job) -> Sequence[float]:
    values = [float(score) for score in scores]
    if len(values) != len(job.passages) or not all(map(math.isfinite, values)):
        raise ProviderFailed(f"the reranker {reranker.name} gave no finite score for each passage")
    return values


@runtime_checkable
class Learner(Protocol):
    """A reranker that is quick with passages that it knows; each space (a tenant) has its own."""

    def score(self, query: str, passages: Sequence[str], space: str = "") -> Sequence[float]: ...

    def unknown(self, passages: Sequence[str], space: str) -> list[str]: ...

    def learn(self, passage: str, space: str) -> None: ...


class Reranking:
    """The reranker as the brain and memory see it. `None` for the reranker means that there is none."""

    def __init__(self, reranker: Reranker | None, *, enabled: bool = True, budget: float = BUDGET_SECONDS,
                 kinds: Collection[str] = KINDS, breaker: Breaker | None = None, system: ActorSystem | None = None,
                 heard: Callable[[str, float], None] = lambda outcome, ms: None) -> None:
        """Starts the service thread in `system` (the running one when absent) unless there is nothing to run.

        `kinds` are reordered, others keep their order. `heard` is told how each call ended, and after how many ms.
        """
        running = system or ActorSystem.running()
        service = BatchingService if getattr(reranker, "batches", False) else RerankingService
        self._service = running.spawn(service, reranker) if reranker is not None and enabled else None
        self.reranker = reranker if enabled else None
        self._budget, self._kinds, self._heard = budget, frozenset(kinds), heard
        self._holding = bool(getattr(reranker, "sentences", False))
        self.breaker = breaker or Breaker()
        self.outcomes: Counter[str] = Counter()
        """How many calls ended how: `reranked`, or one of the reasons."""

    def serves(self, kind: Kind) -> bool:
        """False where every call would leave the order as it is."""
        return self._service is not None and kind in self._kinds and not self._is_held(kind)

    async def warm(self) -> None:
        """Score a pair, so that the first turn does not pay for what is done once. Raises ProviderFailed."""
        if self._service is not None:
            with suppress(Cold):
                await self._service.ask_async(Job("a question", ("an answer", "another answer")))

    async def rerank(self, query: str, passages: Sequence[str], keep: int = 8, *, kind: Kind = "documents",
                     before: Sequence[float] | None = None, space: str = "") -> Reranked:
        """The best `keep` places; as many on every path. Takes at most the budget and never raises for the model.

        With `before`, the scores of the search, the order is that of both together; else of the reranker alone. What a
        reranker remembers of passages it remembers in their `space`.
        """
        begun = time.perf_counter()
        scores, reason = await self._scores(Job(query, passages, space), kind)
        outcome = reason or "reranked"
        self.outcomes[outcome] += 1
        self._heard(outcome, 1000.0 * (time.perf_counter() - begun))
        if scores is None:
            return Reranked(tuple(range(min(keep, len(passages)))), None, reason)
        weights = scores if before is None else _together(scores, before)
        order = sorted(range(len(scores)), key=lambda place: (-round(weights[place], 4), place))[:keep]
        return Reranked(tuple(order), tuple(round(scores[place], 4) for place in order), None)

    def _is_held(self, kind: Kind) -> bool:
        return self._holding and kind in HELD

    async def _scores(self, job: Job, kind: Kind) -> tuple[Sequence[float] | None, Reason | None]:
        if self._service is None or kind not in self._kinds:
            return None, "disabled"
        if self._is_held(kind):
            return None, "held"
        if len(job.passages) < 2:
            return None, "few"
        if not self.breaker.allow():
            return None, "open"
        settled = False
        try:
            scores: Sequence[float] = await self._service.ask_async(job, timeout=self._budget)
            self.breaker.succeeded()
            settled = True
            return scores, None
        except Cold:
            return None, "cold"
        except MailboxFull:
            return None, "busy"
        except (RucheError, pykka.ActorDeadError) as error:
            self.breaker.failed()
            settled = True
            return None, "late" if isinstance(error, DeadlineExceeded) else "failed"
        finally:
            if not settled:
                self.breaker.abandoned()


def _together(scores: Sequence[float], before: Sequence[float]) -> list[float]:
    both: list[float] = (OWN * scaled(np.asarray(before), "range")
                         + (1.0 - OWN) * scaled_logits(scores)).tolist()
    return both


def scaled_logits(scores: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """From worst (0) to best (1) whatever their sign: logits are often below 0 altogether."""
    values = np.asarray(scores, dtype=np.float64)
    return scaled(values - values.min(), "range")
