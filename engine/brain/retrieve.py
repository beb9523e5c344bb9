"""Phase 4: which rules, intents, scenarios and transitions the message resembles: one call, and the intent it shows.

Retrieval serves quality and fails open: without it the turn goes on with what is certain.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.calls import asked
from ruche.engine.brain.fields import told
from ruche.engine.brain.identify import Identified
from ruche.plugins.contracts import Hit, Hits, Retrieval
from ruche.plugins.selectors import selector_for
from ruche.plugins.tape import Tape

SECONDS = 5.0
"""After which the turn goes on without hits."""


class Retrieved(msgspec.Struct, frozen=True, kw_only=True):
    hits: Hits
    threshold: float
    """Score that a rule must reach."""
    scenario_threshold: float
    intent: str = ""
    intent_score: float = 0.0
    rivals: tuple[str, ...] = ()
    """Further intents that do about as well, best first."""
    fault: str = ""
    """Why there are no hits, when retrieval failed."""
    ranked: tuple[int, ...] = ()
    """The places that the search gave to the passages of knowledge, in the order of a reranker."""
    unranked: str = ""
    """Why they stand as the search had them."""
    rule_ranks: dict[str, float] = {}
    """What orders the rules that a reranker put into another order, by id: the same scores, given out anew."""
    rules_unranked: str = ""
    """Why a reranker that was asked left the rules as the search had them."""
    cut: dict[str, Any] = {}
    """How many passages of knowledge were worth keeping, and which were not."""


async def retrieve(who: Identified, retrieval: Retrieval, default_threshold: float, tape: Tape) -> Retrieved:
    agent = who.agent
    head = agent.bundle.agent
    default = tape.ask_now("threshold", None, lambda: default_threshold, float)
    threshold = default if head.rule_threshold is None else head.rule_threshold
    request = (who.turn.tenant, agent.id, agent.version, agent.terms.spelled(who.text), agent.limit, _scopes(who))
    hits, fault = await asked(tape, "retrieve", request, lambda: retrieval.retrieve(*request), Hits, SECONDS)
    hits = hits or Hits()
    intents = _clear(hits.intents, threshold)
    return Retrieved(
        hits=hits, threshold=threshold, fault=fault, intent=intents[0].id if intents else "",
        rivals=tuple(hit.id for hit in intents[1:]),
        scenario_threshold=default if head.scenario_threshold is None else head.scenario_threshold,
        intent_score=intents[0].score if intents else 0.0)


def _clear(intents: tuple[Hit, ...], threshold: float) -> tuple[Hit, ...]:
    """The intents before the first steep drop; none where the best does not reach the threshold."""
    if not intents or intents[0].score < threshold:
        return ()
    selector, most = selector_for("intent", threshold)
    return intents[:selector.select([hit.score for hit in intents], max_k=most).keep]


def _scopes(who: Identified) -> tuple[str, ...] | None:
    """Scenarios in progress with all their steps, the entries of the others, and fields with values to choose from;
    None when nothing is scoped."""
    agent = who.agent
    choices = tuple(f"field/{name}" for name in choosable(who))
    if not agent.scoped:
        return choices or None
    running = [scope for one in who.instances if one.scenario in agent.scenarios
               for scope in agent.scenarios[one.scenario].scopes]
    return tuple(dict.fromkeys((*running, *agent.entries, *choices)))


def choosable(who: Identified) -> tuple[str, ...]:
    """Unknown fields with listed values that the scenarios in progress collect, or any scenario while none is."""
    if not who.agent.choices:
        return ()
    scenarios = who.agent.scenarios
    running = [scenarios[one.scenario] for one in who.instances if one.status == "active" and one.scenario in scenarios]
    return tuple(dict.fromkeys(field.name for scenario in running or scenarios.values() for field in scenario.collects
                               if field.spec.allowed and not told(who.known.get(field.name))))
