"""Setting a scenario right that has lost its place: where else in it the message belongs, if that is clear.

Where the agent asks in vain, or goes in circles, a step nearby or one that is reachable from anywhere may be meant.
Nothing lies behind a checkpoint, and where no step clearly fits the scenario rests.
"""

from __future__ import annotations

import msgspec

from ruche.engine.brain.desk import Desk
from ruche.engine.brain.settle import ended
from ruche.engine.brain.transitions import choose
from ruche.engine.brain.walk import Standing, enter, open_way, within_steps

ASKED_AGAIN = "asked again"
HOPS = 3
"""Steps this near are looked at."""
CIRCLE, WITHIN = 3, 10
"""A step that is entered this often within so many turns, without anything new being said, is a circle."""
MOST = 3
"""A scenario that was set right this often rests instead."""


def relocated(desk: Desk, standing: Standing, why: str) -> Standing | None:
    """The scenario at the step that the message clearly belongs to, None when there is none."""
    if standing.instance.relocated >= MOST:
        return None
    here, near = standing.instance.step, within_steps(standing.scenario, standing.instance.step, HOPS)
    edges = tuple(edge for step in standing.scenario.steps.values() for edge in step.next
                  if edge.by_words and not edge.polarity and edge.to != here and step.id != here
                  and (edge.to in near or standing.scenario.steps[edge.to].spec.reachable_from_anywhere)
                  and open_way(standing, edge.to))
    choice = choose(standing.step, msgspec.structs.replace(desk.view, words=True), edges)
    if choice.taken is None:
        return None
    reason = f"{why}; set right: {choice.why}"
    moved = enter(standing, standing.scenario.steps[choice.taken.to], desk.who.number, reason)
    instance = msgspec.structs.replace(moved.instance, relocated=moved.instance.relocated + 1)
    return msgspec.structs.replace(moved, instance=instance, left=standing.left, choices=(*standing.choices, choice),
                                   actions=(*standing.actions, ("CONTINUE", reason)))


def circling(desk: Desk, standing: Standing) -> Standing:
    """The scenario as it is, or resting when it went in a circle again and again."""
    step, turn = standing.instance.step, desk.who.number
    visits = {visit.turn for visit in standing.instance.visits
              if visit.step == step and visit.reason != ASKED_AGAIN and turn - visit.turn < WITHIN}
    if len(visits) < CIRCLE or desk.answered or desk.sensed.signals.answer:
        return standing
    why = f"came to {step} {len(visits)} times within {WITHIN} turns"
    return relocated(desk, standing, why) or put_aside(desk, standing, why)


def put_aside(desk: Desk, standing: Standing, why: str) -> Standing:
    """The scenario resting, and the person told so."""
    desk.say("stuck")
    return ended(standing, "PAUSE", why)
