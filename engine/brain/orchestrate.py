"""Phase 6: which scenarios begin, go on, rest, return and end, and where each stands; each decision has its reason."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.bindings import confirmation_key
from ruche.engine.brain.compiled import CompiledScenario
from ruche.engine.brain.correct import previous, rerouted, step_back
from ruche.engine.brain.doubt import AHEAD
from ruche.engine.brain.foresee import results_of
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, forget, learn_more, reopened
from ruche.engine.brain.names import Names, names_of
from ruche.engine.brain.parts import CompiledTransition
from ruche.engine.brain.reopen import Ledger
from ruche.engine.brain.results import status_name
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed, sense_for
from ruche.engine.brain.settle import ended, moves_of, settled
from ruche.engine.brain.transitions import View, choose
from ruche.engine.brain.walk import (
    Known,
    Standing,
    asks_freely,
    begin,
    enter,
    not_wanted,
    remembering,
    unfinished,
    waits,
    walk,
)
from ruche.storage.model.conversation import Pending, ScenarioInstance, StepVisit
from ruche.storage.model.turn import ScenarioMove

MAX_SCENARIOS = 5
EVIDENCE, MOST_EVIDENCE = 0.05, 0.2
"""What each value for a field that only one scenario collects adds to that scenario's score."""
AGAIN, WITHIN = 2, 10
"""A question repeated this often within so many turns is a loop."""
ASKED_AGAIN = "asked again"


class Orchestrated(msgspec.Struct, frozen=True, kw_only=True):
    standings: tuple[Standing, ...] = ()
    """All scenarios that this turn touched or found, the one to speak of first; ended ones included."""
    knowledge: Knowledge
    names: Names
    view: View
    sayings: tuple[str, ...] = ()
    """The engine's own sentences that are due: `cancelled`, `declined`, `corrected`."""
    notes: dict[str, Any] = {}

    @property
    def active(self) -> tuple[Standing, ...]:
        return tuple(one for one in self.standings if one.instance.status == "active")

    def positions(self) -> frozenset[str]:
        """Scenarios and steps in whose scope rules may apply now."""
        return frozenset(scope for one in self.standings if one.entered or one.instance.status == "active"
                         for scope in (one.scenario.id, one.step.key, *(step.key for step in one.entered)))

    def moves(self) -> tuple[ScenarioMove, ...]:
        return tuple(move for one in self.standings for move in moves_of(one))


def orchestrate(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved, names: Names, *,
                answered: bool) -> Orchestrated:
    """`answered` tells that a rule has an answer to the message, so that a repeated question is no loop."""
    view = View(names=names, threshold=retrieved.scenario_threshold, intent=retrieved.intent,
                intent_score=retrieved.intent_score, answer=sensed.signals.answer,
                scores={hit.id: hit.score for hit in retrieved.hits.transitions}, said=who.text,
                heard=tuple(text for exchange in who.turn.session.history for text in exchange.said))
    desk = _Desk(who, sensed, retrieved, knowledge, view)
    if who.instances:
        desk.load()
        desk.go_on(answered)
    if retrieved.hits.scenarios:
        desk.begin()
    return desk.result()


def follow(who: Identified, before: Orchestrated, knowledge: Knowledge, names: Names, standings: tuple[Standing, ...],
           failed: frozenset[str]) -> Orchestrated:
    """Go on after tools ran: their results may decide where to go. `failed` holds keys of steps whose tools failed."""
    ledger = Ledger(who, knowledge, names)
    view = msgspec.structs.replace(before.view, words=False)
    moved = []
    for one in standings:
        view = msgspec.structs.replace(view, names=ledger.names, results=_results(who, one, ledger.names))
        if one.instance.status == "active" and (one.step.key in failed or not unfinished(one)):
            one = walk(one, view, ledger.knowledge.known, who.number, ledger.reopen, blocked=one.step.key in failed,
                       confirmed=_is_confirmed(who, one, ledger.names))
        moved.append(one)
    return msgspec.structs.replace(
        before, standings=settled(tuple(moved), ledger.knowledge.known, who.number, failed), knowledge=ledger.knowledge,
        names=ledger.names, view=msgspec.structs.replace(view, names=ledger.names))


class _Desk:
    """One turn's work on scenarios. Holds the standings while they are moved; handed on frozen by `result`."""

    def __init__(self, who: Identified, sensed: Sensed, retrieved: Retrieved, knowledge: Knowledge, view: View) -> None:
        self._who, self._sensed, self._retrieved = who, sensed, retrieved
        self._knowledge, self._view = knowledge, view
        self._standings: list[Standing] = []
        self._sayings: list[str] = []
        self._notes: dict[str, Any] = {}
        self._answered = False
        """True when the message answers what was asked."""
        self._served = False
        """True once the message meant something to a scenario in progress."""

    def load(self) -> None:
        """Scenarios in progress; what is gone from the agent ends."""
        for instance in self._who.instances:
            scenario = self._who.agent.scenarios.get(instance.scenario)
            if scenario is None or instance.step not in scenario.steps:
                self._notes.setdefault("gone", []).append(f"{instance.scenario}/{instance.step}")
                continue
            standing = Standing(scenario=scenario, instance=instance)
            self._standings.append(msgspec.structs.replace(standing, silent=not_wanted(standing.step, self._view)))

    def go_on(self, answered: bool) -> None:
        signals, learned = self._sensed.signals, self._knowledge.learned
        focus = next((place for place, one in enumerate(self._standings) if one.instance.status == "active"), None)
        active = [one.scenario for one in self._standings if one.instance.status == "active"]
        told = {field.name for scenario in active for field in scenario.collects}
        self._answered = any(name in self._sensed.asked for name in learned)
        self._served = self._answered or any(name in told for name in learned)
        if focus is not None and signals.cancel and not self._served:
            self._end(focus, "CANCEL", "cancelled on request", "cancelled")
        elif focus is not None and signals.back and self._go_back(focus):
            self._served = True
        else:
            for place, one in enumerate(self._standings):
                if one.instance.status == "active":
                    self._standings[place] = self._onward(one, place == focus, answered)

    def begin(self) -> None:
        """The likeliest scenario that is not in progress begins, or returns when it was resting."""
        needed = self._view.threshold if not self._served else self._claim()
        active = {one.scenario.id for one in self._standings if one.instance.status != "paused"}
        for score, name, told in self._likely():
            scenario = self._who.agent.scenarios.get(name)
            if score < needed:
                break
            if scenario is None or not scenario.spec.enabled or name in active:
                continue
            values = f" with {told} of its fields named" if told else ""
            self._take_up(scenario, f"the message scored {score:.4f}{values}, at least {needed:g}")
            break

    def _claim(self) -> float:
        """What a new scenario must score to claim a message that has served one in progress: clearly more than that."""
        running = {one.scenario.id for one in self._standings if one.instance.status == "active"}
        own = max((hit.score for hit in self._retrieved.hits.scenarios if hit.id in running), default=0.0)
        return round(max(self._view.threshold, own) + (2 * AHEAD if self._answered else AHEAD), 4)

    def _likely(self) -> list[tuple[float, str, int]]:
        """(score, scenario, fields that only it collects and that the message named), likeliest first."""
        telling = self._who.agent.telling
        named = [telling[field] for field in self._knowledge.learned if field in telling]
        found = [(round(hit.score + min(EVIDENCE * named.count(hit.id), MOST_EVIDENCE), 4), hit.id, named.count(hit.id))
                 for hit in self._retrieved.hits.scenarios]
        return sorted(found, key=lambda one: (-one[0], one[1]))

    def result(self) -> Orchestrated:
        knowledge, names = self._knowledge, self._view.names
        standings = settled(tuple(self._standings), knowledge.known, self._who.number)
        return Orchestrated(standings=standings, knowledge=knowledge, names=names, view=self._view,
                            sayings=tuple(self._sayings), notes=self._notes)

    # --- one scenario in progress

    def _onward(self, standing: Standing, focus: bool, answered: bool) -> Standing:
        view = self._view if focus else msgspec.structs.replace(self._view, answer="")
        known, turn = self._knowledge.known, self._who.number
        before = standing
        corrected = tuple(name for name in self._knowledge.corrected if name not in self._sensed.asked)
        if corrected:
            standing = rerouted(standing, corrected, view, known, turn)
            if any(field.name in corrected for field in standing.scenario.collects):
                self._served = True
                self._say("corrected")
        standing = self._confirmed(standing, focus and not corrected)
        if standing.instance.status != "active":
            return standing
        view, known = msgspec.structs.replace(view, names=self._view.names), self._knowledge.known
        words = standing.instance.step == before.instance.step and not corrected
        standing = walk(standing, msgspec.structs.replace(view, words=words), known, turn, self._reopen,
                        confirmed=_is_confirmed(self._who, standing, view.names), blocked=_stuck(standing, view.names))
        if standing.instance.step != before.instance.step:
            self._served = True
            return msgspec.structs.replace(standing, actions=(*standing.actions, ("CONTINUE", "")))
        return self._stayed(standing, answered)

    def _stayed(self, standing: Standing, answered: bool) -> Standing:
        """Still at the same step: ask again, unless that was done too often."""
        confirmed = _is_confirmed(self._who, standing, self._view.names)
        asks = waits(standing, self._knowledge.known, confirmed) or asks_freely(standing.step)
        if standing.silent or not asks:
            return standing
        why = standing.choices[-1].why if standing.choices else "waits for an answer"
        standing = msgspec.structs.replace(standing, returned=True, actions=(*standing.actions, ("CONTINUE", why)))
        if self._served or answered or self._knowledge.learned:
            return standing
        turn, visits = self._who.number, standing.instance.visits
        again = sum(visit.step == standing.instance.step and visit.reason == ASKED_AGAIN and turn - visit.turn < WITHIN
                    for visit in visits)
        if again >= AGAIN:
            return ended(standing, "PAUSE", f"asked {again + 1} times without an answer")
        visit = StepVisit(step=standing.instance.step, turn=turn, reason=ASKED_AGAIN)
        return msgspec.structs.replace(standing, instance=msgspec.structs.replace(
            standing.instance, visits=(*visits, visit)[-50:]))

    def _confirmed(self, standing: Standing, focus: bool) -> Standing:
        """A yes confirms exactly what was asked about; a no takes the edge for it, or ends the scenario."""
        pending = self._who.turn.session.pending
        if not focus or not _awaited(pending, standing.instance):
            return standing
        answer = self._sensed.signals.answer
        key = confirmation_key(standing.step, self._who.agent.tools, self._view.names)
        if answer == "yes" and pending is not None and pending.subject == key:
            self._served = True
            confirmed = (*standing.instance.confirmed, key)
            return msgspec.structs.replace(standing,
                                           instance=msgspec.structs.replace(standing.instance, confirmed=confirmed))
        if answer != "no":
            return standing
        self._served = True
        return self._declined(standing)

    def _declined(self, standing: Standing) -> Standing:
        choice = choose(standing.step, msgspec.structs.replace(self._view, satisfied=False))
        if choice.taken is not None:
            target = standing.scenario.steps[choice.taken.to]
            if choice.taken.spec.reopen:
                standing = remembering(standing, self._view.names)
                self._reopen(choice.taken, self._view, self._knowledge.known)
            moved = enter(standing, target, self._who.number, choice.why)
            return msgspec.structs.replace(moved, choices=(*moved.choices, choice), left=standing.left)
        self._say("declined")
        return ended(standing, "CANCEL", "the confirmation was declined")

    def _go_back(self, place: int) -> bool:
        standing = self._standings[place]
        step = previous(standing)
        if step is None:
            self._notes["back"] = "there is no step to go back to"
            return False
        names = tuple(field.name for field in step.collects)
        self._standings[place] = step_back(standing, step, self._who.number)
        self._know(reopened(self._knowledge, names))
        return True

    def _reopen(self, edge: CompiledTransition, view: View, known: Known) -> tuple[View, Known]:
        """Fields are open again. A message that leads here by its words may hold their new values already."""
        given = self._knowledge.learned if edge.by_words else ()
        gone = tuple(name for name in edge.spec.reopen if name not in given)
        knowledge = reopened(self._knowledge, gone)
        if edge.by_words:
            fields = tuple(self._who.agent.fields[name] for name in gone)
            knowledge = learn_more(self._who, knowledge, sense_for(self._sensed, fields))
        self._know(knowledge)
        return msgspec.structs.replace(view, names=self._view.names), knowledge.known

    # --- beginnings and ends

    def _take_up(self, scenario: CompiledScenario, why: str) -> None:
        resting = next((place for place, one in enumerate(self._standings) if one.scenario.id == scenario.id), None)
        if resting is not None:
            standing = self._standings.pop(resting)
            self._standings.insert(0, _returned(standing, why, self._who.number))
            return
        if sum(one.instance.status in ("active", "paused") for one in self._standings) >= MAX_SCENARIOS:
            self._notes["full"] = f"{scenario.id} did not begin: {MAX_SCENARIOS} scenarios are in progress"
            return
        self._fresh_case(scenario)
        known, turn = self._knowledge.known, self._who.number
        standing = begin(scenario, msgspec.structs.replace(self._view, words=False), known, turn, why)
        confirmed = _is_confirmed(self._who, standing, self._view.names)
        words = standing.step.spec.can_skip or not waits(standing, known, confirmed)
        view = msgspec.structs.replace(self._view, words=words)
        self._standings.insert(0, walk(standing, view, known, turn, self._reopen, confirmed=confirmed))

    def _fresh_case(self, scenario: CompiledScenario) -> None:
        """A new case begins without the values of the last one, and with what this message says."""
        shared = {field.name for one in self._standings if one.instance.status in ("active", "paused")
                  for field in one.scenario.collects}
        old = tuple(field.name for field in scenario.collects if field.spec.scope == "CASE"
                    and field.name not in self._knowledge.learned and field.name not in shared)
        knowledge = forget(self._knowledge, old)
        wanted = tuple(field for field in scenario.collects if field.name not in knowledge.known)
        knowledge = learn_more(self._who, knowledge, sense_for(self._sensed, wanted))
        if knowledge is not self._knowledge:
            self._know(knowledge)

    def _end(self, place: int, action: str, why: str, saying: str) -> None:
        self._standings[place] = ended(self._standings[place], action, why)
        self._served = True
        self._say(saying)

    def _say(self, saying: str) -> None:
        if saying not in self._sayings:
            self._sayings.append(saying)

    def _know(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        names = names_of(self._who, knowledge, self._sensed.language, self._retrieved.intent)
        self._view = msgspec.structs.replace(self._view, names=names)


def _results(who: Identified, standing: Standing, names: Names) -> dict[str, dict[str, Any]]:
    """What the tools of the current step gave, for whoever foresees the next one."""
    if standing.scenario.chart is None or not standing.instance.done_tools:
        return {}
    variables = {name: (*who.agent.tools[name].tool.outputs, status_name(name)) for name in standing.instance.done_tools
                 if name in who.agent.tools}
    return {standing.step.key: results_of(standing.step, names, variables)}


def _awaited(pending: Pending | None, instance: ScenarioInstance) -> bool:
    return (pending is not None and pending.kind == "confirmation" and pending.scenario == instance.scenario
            and pending.step == instance.step)


def _is_confirmed(who: Identified, standing: Standing, names: Names) -> bool:
    if standing.step.confirm is None:
        return True
    if not standing.instance.confirmed:
        return False
    return confirmation_key(standing.step, who.agent.tools, names) in standing.instance.confirmed


def _stuck(standing: Standing, names: Names) -> bool:
    """True while nobody knows whether a tool of the step did its work: what would follow from it is not claimed."""
    return any(names["session"].get(status_name(tool)) == "unknown" for tool in standing.instance.done_tools)


def _returned(standing: Standing, why: str, turn: int) -> Standing:
    instance = msgspec.structs.replace(standing.instance, status="active", last_turn=turn)
    return msgspec.structs.replace(standing, instance=instance, returned=True,
                                   actions=(*standing.actions, ("RESUME", why)))
