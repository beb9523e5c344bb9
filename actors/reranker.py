"""Reorders candidates by a reranker on its own thread, within a budget, and never at the price of the turn.

Whatever goes wrong, the answer is the order that came in, with the reason: answer quality fails open.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import pykka

from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import Reranker
from ruche.plugins.errors import DeadlineExceeded, MailboxFull, ProviderFailed, RucheError

BUDGET_SECONDS = 0.25
"""Specification (memory, A8): after 250 ms the retrieval's own order stands."""

Reason = Literal["disabled", "few", "open", "busy", "late", "failed"]


class Reranked(NamedTuple):
    """Places in the list that came in, best first. `scores` belong to them, None when the order is the one before."""

    places: tuple[int, ...]
    scores: tuple[float, ...] | None
    reason: Reason | None


class Job(NamedTuple):
    query: str
    passages: Sequence[str]


class RerankingService(ServiceActor):
    """Owns the reranker and its thread. A job whose deadline passed while it waited is dropped unrun."""

    registered: ClassVar[bool] = False  # a host's own pykka actors may end all that are registered

    mailbox_size = 16

    def __init__(self, reranker: Reranker) -> None:
        super().__init__()
        self._reranker = reranker

    def on_receive(self, message: Any) -> Sequence[float]:
        try:
            scores = [float(score) for score in self._reranker.score(message.query, message.passages)]
        except RucheError:
            raise
        except Exception as error:
            raise ProviderFailed(f"the reranker {self._reranker.name} failed: {type(error).__name__}") from error
        if len(scores) != len(message.passages) or not all(map(math.isfinite, scores)):
            raise ProviderFailed(f"the reranker {self._reranker.name} gave no finite score for each passage")
        return scores


class Reranking:
    """The reranker as the brain and memory see it. `None` for the reranker means that there is none."""

    def __init__(self, reranker: Reranker | None, *, enabled: bool = True, budget: float = BUDGET_SECONDS,
                 breaker: Breaker | None = None, system: ActorSystem | None = None) -> None:
        """Starts the service thread in `system` (the running one when absent) unless there is nothing to run."""
        running = system or ActorSystem.running()
        self._service = running.spawn(RerankingService, reranker) if reranker is not None and enabled else None
        self._budget = budget
        self.breaker = breaker or Breaker()
        self.outcomes: Counter[str] = Counter()
        """How many calls ended how: `reranked`, or one of the reasons."""

    async def rerank(self, query: str, passages: Sequence[str], keep: int = 8) -> Reranked:
        """The best `keep` places; as many on every path. Takes at most the budget and never raises for the model."""
        scores, reason = await self._scores(query, passages)
        self.outcomes[reason or "reranked"] += 1
        if scores is None:
            return Reranked(tuple(range(min(keep, len(passages)))), None, reason)
        order = sorted(range(len(scores)), key=lambda place: (-round(scores[place], 4), place))[:keep]
        return Reranked(tuple(order), tuple(round(scores[place], 4) for place in order), None)

    async def _scores(self, query: str, passages: Sequence[str]) -> tuple[Sequence[float] | None, Reason | None]:
        if self._service is None:
            return None, "disabled"
        if len(passages) < 2:
            return None, "few"
        if not self.breaker.allow():
            return None, "open"
        settled = False
        try:
            scores: Sequence[float] = await self._service.ask_async(Job(query, passages), timeout=self._budget)
            self.breaker.succeeded()
            settled = True
            return scores, None
        except MailboxFull:
            return None, "busy"
        except (RucheError, pykka.ActorDeadError) as error:
            self.breaker.failed()
            settled = True
            return None, "late" if isinstance(error, DeadlineExceeded) else "failed"
        finally:
            if not settled:
                self.breaker.abandoned()
