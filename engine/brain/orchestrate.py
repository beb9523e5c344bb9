"""Phase 6: which scenarios begin, go on, rest, return and end, and where each stands; each decision has its reason."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.bindings import is_confirmed
from ruche.engine.brain.desk import Desk
from ruche.engine.brain.entrance import begun
from ruche.engine.brain.foresee import results_of
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge
from ruche.engine.brain.match import Matched
from ruche.engine.brain.names import Names
from ruche.engine.brain.nested import nested
from ruche.engine.brain.onward import gone_on
from ruche.engine.brain.reopen import Ledger
from ruche.engine.brain.results import status_name
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.settle import moves_of
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import Standing, unfinished, walk
from ruche.storage.model.migration import Changes
from ruche.storage.model.turn import ScenarioMove


class Orchestrated(msgspec.Struct, frozen=True, kw_only=True):
    standings: tuple[Standing, ...] = ()
    """All scenarios that this turn touched or found, the one to speak of first; ended ones included."""
    knowledge: Knowledge
    names: Names
    view: View
    sayings: tuple[str, ...] = ()
    """The engine's own sentences that are due, such as `cancelled`; `NAME:FIELD` where one names a field."""
    notes: dict[str, Any] = {}
    served: bool = False
    """The message meant something to a scenario that was in progress."""
    answered: bool = False
    """It answered what the agent had asked."""
    began: float = 0.0
    """What it scored for the scenario that it began or took up again."""

    @property
    def active(self) -> tuple[Standing, ...]:
        return tuple(one for one in self.standings if one.instance.status == "active")

    def positions(self) -> frozenset[str]:
        """Scenarios and steps in whose scope rules may apply now."""
        return frozenset(scope for one in self.standings if one.entered or one.instance.status == "active"
                         for scope in (one.scenario.id, one.step.key, *(step.key for step in one.entered)))

    def moves(self) -> tuple[ScenarioMove, ...]:
        return tuple(move for one in self.standings for move in moves_of(one))


def orchestrate(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved, names: Names,
                matched: Matched, changes: Changes | None = None) -> Orchestrated:
    """A rule that applies answers the message, so that a repeated question is no loop, and may bring a scenario or keep
    one from beginning. `changes`: what another version of the agent did to scenarios in progress."""
    view = View(names=names, threshold=retrieved.scenario_threshold, intent=retrieved.intent,
                intent_score=retrieved.intent_score, answer=sensed.signals.answer,
                scores={hit.id: hit.score for hit in retrieved.hits.transitions}, said=who.text,
                heard=tuple(text for exchange in who.turn.session.history for text in exchange.said))
    desk = Desk(who, sensed, retrieved, knowledge, view)
    desk.words = matched.words
    if who.instances:
        desk.load(changes)
        gone_on(desk, bool(matched.rules))
    if retrieved.hits.scenarios or matched.begins or matched.words:
        begun(desk, matched)
    standings = nested(who, desk.ledger, desk.view, tuple(desk.standings), desk.notes)
    return Orchestrated(standings=standings, knowledge=desk.knowledge, names=desk.ledger.names,
                        view=msgspec.structs.replace(desk.view, names=desk.ledger.names),
                        sayings=tuple(dict.fromkeys(desk.sayings)), notes=desk.notes, served=desk.served,
                        answered=desk.answered, began=desk.began)


def waiting(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved, names: Names,
            changes: Changes | None = None) -> Orchestrated:
    """Everything where it is, while a person is waited for: what is said meanwhile is for them."""
    view = View(names=names, threshold=retrieved.scenario_threshold, intent="", intent_score=0.0, answer="", scores={},
                words=False)
    desk = Desk(who, sensed, retrieved, knowledge, view)
    desk.load(changes)
    return Orchestrated(standings=tuple(desk.standings), knowledge=desk.knowledge, names=desk.ledger.names, view=view,
                        notes=desk.notes)


def follow(who: Identified, before: Orchestrated, knowledge: Knowledge, names: Names, standings: tuple[Standing, ...],
           failed: frozenset[str]) -> Orchestrated:
    """Go on after tools ran: their results may decide where to go. `failed` holds keys of steps whose tools failed."""
    ledger = Ledger(who, knowledge, names)
    view = msgspec.structs.replace(before.view, words=False)
    notes = dict(before.notes)
    moved = []
    for one in standings:
        view = msgspec.structs.replace(view, names=ledger.names, results=_results(who, one, ledger.names))
        if one.instance.status == "active" and (one.step.key in failed or not unfinished(one)):
            one = walk(one, view, ledger.known, who.number, ledger.reopen, blocked=one.step.key in failed,
                       confirmed=is_confirmed(one.step, one.instance.confirmed, who.agent.tools, ledger.names))
        moved.append(one)
    settled = nested(who, ledger, view, tuple(moved), notes, failed)
    return msgspec.structs.replace(before, standings=settled, knowledge=ledger.knowledge, names=ledger.names,
                                   view=msgspec.structs.replace(view, names=ledger.names), notes=notes)


def _results(who: Identified, standing: Standing, names: Names) -> dict[str, dict[str, Any]]:
    """What the tools of the current step gave, for whoever foresees the next one."""
    if standing.scenario.chart is None or not standing.instance.done_tools:
        return {}
    variables = {name: (*who.agent.tools[name].tool.outputs, status_name(name)) for name in standing.instance.done_tools
                 if name in who.agent.tools}
    return {standing.step.key: results_of(standing.step, names, variables)}
