"""Scenarios in progress with a message: each goes on, back, rests or ends, and stays where nothing tells its way."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.bindings import confirmation_key, is_confirmed
from ruche.engine.brain.correct import previous, rerouted, step_back
from ruche.engine.brain.desk import Desk
from ruche.engine.brain.guided import led, unheeded
from ruche.engine.brain.learn import reopened
from ruche.engine.brain.names import Names
from ruche.engine.brain.relocate import ASKED_AGAIN, circling, put_aside, relocated
from ruche.engine.brain.results import status_name
from ruche.engine.brain.settle import ended
from ruche.engine.brain.transitions import View, choose
from ruche.engine.brain.walk import Standing, asks_freely, enter, remembering, waits, walk
from ruche.storage.model.conversation import Pending, ScenarioInstance, StepVisit

AGAIN, WITHIN = 2, 10
"""A question repeated this often within so many turns is a loop."""


def gone_on(desk: Desk, answered: bool) -> None:
    """Every active scenario, the one spoken of last first. `answered`: a rule has an answer to the message."""
    signals, learned, standings = desk.sensed.signals, desk.knowledge.learned, desk.standings
    focus = next((place for place, one in enumerate(standings) if one.instance.status == "active"), None)
    told = {field.name for one in standings if one.instance.status == "active" for field in one.scenario.collects}
    desk.answered = any(name in desk.sensed.asked for name in learned)
    desk.served = desk.answered or any(name in told for name in learned)
    if focus is not None and signals.cancel and not desk.served:
        desk.end(focus, "CANCEL", "cancelled on request", "cancelled")
    elif focus is not None and signals.pause and not desk.served:
        desk.end(focus, "PAUSE", "rests on request", "paused")
    elif focus is not None and signals.bye and not desk.served:
        desk.end(focus, "PAUSE", "rests: the person takes leave", "bye")
    elif focus is None and signals.resume and standings:
        standings[0] = resumed(standings[0], "taken up again on request", desk.who.number)
        desk.served = True
    elif focus is not None and signals.back and not _led(desk, focus) and _go_back(desk, focus):
        desk.served = True
    elif focus is None and standings and _gives(desk, standings[0]):
        again = resumed(standings[0], "what it waits for was said", desk.who.number)
        standings[0] = _onward(desk, again, True, answered)
        desk.served = True
    else:
        for place, one in enumerate(standings):
            if one.instance.status == "active" and not _put_off(desk, place):
                standings[place] = _onward(desk, one, place == focus, answered)
        return
    for one in standings:
        if one.scenario.id in desk.words:
            unheeded(desk, one.scenario.id, "the person's own words decide")


def _led(desk: Desk, place: int) -> bool:
    """True where a model says which step comes next."""
    word = desk.words.get(desk.standings[place].scenario.id)
    return word is not None and word.move == "go"


def _put_off(desk: Desk, place: int) -> bool:
    """True where a model says that the scenario is over or has to wait, and no confirmation is being answered. One that
    has something to undo only rests: that is undone for the person's own words alone."""
    instance = desk.standings[place].instance
    word = desk.words.get(instance.scenario)
    answering = desk.sensed.signals.answer and _awaited(desk.who.turn.session.pending, instance)
    if word is None or word.move not in ("leave", "rest") or answering:
        return False
    if word.move == "rest":
        desk.end(place, "PAUSE", "the model says that something else comes first", "paused")
    elif instance.held:
        desk.end(place, "PAUSE", "the model says that it is over; what was done stays done", "paused")
    else:
        desk.end(place, "CANCEL", "the model says that it is settled or no longer wanted", "cancelled")
    return True


def taken_up(desk: Desk, standing: Standing, why: str, path: tuple[str, ...]) -> Standing:
    """A scenario that rested, in progress again, where a model says if it may be."""
    standing = resumed(standing, why, desk.who.number)
    view = msgspec.structs.replace(desk.view, words=False)
    moved = led(desk, standing, path, view) if path else None
    return standing if moved is None else walk(moved, view, desk.known, desk.who.number, desk.reopen)


def _gives(desk: Desk, standing: Standing) -> bool:
    """True when the message holds what a scenario that rests had asked for."""
    wanted = {field.name for field in standing.step.collects}
    return standing.instance.status == "paused" and any(name in wanted for name in desk.knowledge.learned)


def resumed(standing: Standing, why: str, turn: int) -> Standing:
    """A scenario that rested, in progress again; its question is asked anew."""
    instance = msgspec.structs.replace(standing.instance, status="active", last_turn=turn)
    return msgspec.structs.replace(standing, instance=instance, returned=True,
                                   actions=(*standing.actions, ("RESUME", why)))


def _onward(desk: Desk, standing: Standing, focus: bool, answered: bool) -> Standing:
    view = desk.view if focus else msgspec.structs.replace(desk.view, answer="")
    turn = desk.who.number
    standing = before = _offered(standing, desk)
    corrected = tuple(name for name in desk.knowledge.corrected if name not in desk.sensed.asked)
    if corrected:
        standing = rerouted(standing, corrected, view, desk.known, turn)
        if any(field.name in corrected for field in standing.scenario.collects):
            desk.served = True
            desk.say("corrected")
    standing = _confirmed(desk, standing, focus and not corrected)
    if standing.instance.status != "active":
        return standing
    view = msgspec.structs.replace(view, names=desk.ledger.names)
    words = standing.instance.step == before.instance.step and not corrected and not before.entered
    if standing.scenario.id in desk.words and words:
        standing, words = _by_word(desk, standing, view)
    elif standing.scenario.id in desk.words:
        unheeded(desk, standing.scenario.id, "an answer that is certain decides")
    standing = walk(standing, msgspec.structs.replace(view, words=words, names=desk.ledger.names), desk.known, turn,
                    desk.reopen, confirmed=_is_confirmed(desk, standing), blocked=_stuck(standing, view.names))
    if standing.instance.step != before.instance.step:
        desk.served = True
        going = msgspec.structs.replace(standing, actions=(*standing.actions, ("CONTINUE", "")))
        return circling(desk, going) if not desk.knowledge.learned else going
    return _stayed(desk, standing, answered)


def _by_word(desk: Desk, standing: Standing, view: View) -> tuple[Standing, bool]:
    """(the scenario where a model says, whether its words decide after all). To stay means to ask again where the step
    asks what no field holds."""
    word = desk.words[standing.scenario.id]
    if word.move != "go":
        return (msgspec.structs.replace(standing, returned=True) if asks_freely(standing.step) else standing), False
    moved = led(desk, standing, word.path, view, confirmed=_is_confirmed(desk, standing),
                blocked=_stuck(standing, view.names))
    return (standing, True) if moved is None else (moved, False)


def _offered(standing: Standing, desk: Desk) -> Standing:
    """What is good to know and was asked for in the last reply is not asked for again."""
    step, asked = standing.step, standing.instance.asked
    soft = {one.field.name for one in step.demands if one.spec.level == "SOFT"} if step.demands and asked else set()
    new = tuple(name for name in asked if name in soft and name not in desk.known
                and name not in standing.instance.offered)
    if not new:
        return standing
    instance = msgspec.structs.replace(standing.instance, offered=(*standing.instance.offered, *new))
    return msgspec.structs.replace(standing, instance=instance)


def _stayed(desk: Desk, standing: Standing, answered: bool) -> Standing:
    """Still at the same step: ask again, unless that was done too often."""
    asks = waits(standing, desk.known, desk.ledger.names, _is_confirmed(desk, standing)) or asks_freely(standing.step)
    if standing.silent or not asks:
        return standing
    why = standing.choices[-1].why if standing.choices else "waits for an answer"
    standing = msgspec.structs.replace(standing, returned=True, actions=(*standing.actions, ("CONTINUE", why)))
    if desk.served or answered or desk.knowledge.learned or desk.sensed.signals.thanks:
        return standing
    turn, visits = desk.who.number, standing.instance.visits
    again = sum(visit.step == standing.instance.step and visit.reason == ASKED_AGAIN and turn - visit.turn < WITHIN
                for visit in visits)
    if again >= AGAIN:
        why = f"asked {again + 1} times without an answer"
        return relocated(desk, standing, why) or put_aside(desk, standing, why)
    visit = StepVisit(step=standing.instance.step, turn=turn, reason=ASKED_AGAIN)
    return msgspec.structs.replace(standing, instance=msgspec.structs.replace(
        standing.instance, visits=(*visits, visit)[-50:]))


def _confirmed(desk: Desk, standing: Standing, focus: bool) -> Standing:
    """A yes confirms exactly what was asked about; a no takes the edge for it, or ends the scenario."""
    pending = desk.who.turn.session.pending
    if not focus or not _awaited(pending, standing.instance):
        return standing
    answer = desk.sensed.signals.answer
    key = confirmation_key(standing.step, desk.who.agent.tools, desk.ledger.names)
    if answer == "yes" and pending is not None and pending.subject == key:
        desk.served = True
        confirmed = (*standing.instance.confirmed, key)
        return msgspec.structs.replace(standing,
                                       instance=msgspec.structs.replace(standing.instance, confirmed=confirmed))
    if answer != "no":
        return standing
    desk.served = True
    said = any(field.name in desk.knowledge.learned for field in standing.scenario.collects)
    return standing if said else _declined(desk, standing)  # a no with a value is about that value


def _declined(desk: Desk, standing: Standing) -> Standing:
    choice = choose(standing.step, msgspec.structs.replace(desk.view, satisfied=False))
    if choice.taken is not None:
        target = standing.scenario.steps[choice.taken.to]
        if choice.taken.spec.reopen:
            standing = remembering(standing, desk.ledger.names)
            desk.reopen(choice.taken, desk.view, desk.known)
        moved = enter(standing, target, desk.who.number, choice.why)
        return msgspec.structs.replace(moved, choices=(*moved.choices, choice), left=standing.left)
    desk.say("declined")
    return ended(standing, "CANCEL", "the confirmation was declined")


def _go_back(desk: Desk, place: int) -> bool:
    standing = desk.standings[place]
    step = previous(standing)
    if step is None:
        desk.notes["back"] = "there is no step to go back to"
        return False
    names = tuple(field.name for field in step.collects)
    desk.standings[place] = step_back(standing, step, desk.who.number)
    desk.ledger.know(reopened(desk.knowledge, names))
    return True


def _awaited(pending: Pending | None, instance: ScenarioInstance) -> bool:
    return (pending is not None and pending.kind == "confirmation" and pending.scenario == instance.scenario
            and pending.step == instance.step)


def _is_confirmed(desk: Desk, standing: Standing) -> bool:
    return is_confirmed(standing.step, standing.instance.confirmed, desk.who.agent.tools, desk.ledger.names)


def _stuck(standing: Standing, names: Names) -> bool:
    """True while nobody knows whether a tool of the step did its work: what would follow from it is not claimed."""
    return any(names["session"].get(status_name(tool)) == "unknown" for tool in standing.instance.done_tools)
