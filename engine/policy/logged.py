"""From an agent's recorded turns to its habits: conversations that reached their end teach, the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ruche.engine.policy.chart import Chart, chart_of
from ruche.engine.policy.habits import counted
from ruche.engine.policy.policy import shipped
from ruche.engine.policy.situation import Situation
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run
from ruche.storage.model.scenario import Habit

_HEARD = 10
"""Messages that a moment remembers, as a session does."""


class Followed(NamedTuple):
    """What was done next in a moment of a scenario."""

    scenario: str
    moment: Situation
    step: str


def habits_from(bundle: AgentBundle, runs: Iterable[Run]) -> tuple[Habit, ...]:
    """What the runs of an agent teach about the scenarios that it has now, sorted. `runs` may stand in any order.

    Only moments that were left by words are counted. The same runs give the same habits.
    """
    texts = {template.id: template.text for template in bundle.templates}
    charts = {scenario.id: chart_of(scenario, lambda text: texts.get(text, text)) for scenario in bundle.scenarios}
    worded = {(scenario.id, step.id) for scenario in bundle.scenarios for step in scenario.steps
              if any(way.if_ or way.intent for way in step.next)}
    found = [one for one in followed(runs) if one.moment.done and (one.scenario, one.moment.done[-1]) in worded
             and one.step in charts[one.scenario].place_of]
    return tuple(habit for name in sorted(charts)
                 for habit in _counted(name, charts[name], [one for one in found if one.scenario == name]))


def followed(runs: Iterable[Run]) -> Iterator[Followed]:
    """The step that each message led to, in scenarios that were completed, session by session."""
    sessions: dict[str, list[Run]] = {}
    for run in runs:
        sessions.setdefault(run.session, []).append(run)
    for session in sorted(sessions):
        yield from _of_session(sorted(sessions[session], key=lambda run: run.sequence))


def _of_session(runs: list[Run]) -> Iterator[Followed]:
    done: dict[str, tuple[str, ...]] = {}
    held: dict[str, list[Followed]] = {}
    heard: tuple[str, ...] = ()
    for run in runs:
        said = "\n".join(run.said)
        for move in run.scenarios:
            if move.action == "START":
                done[move.id], held[move.id] = (), []
            before = done.get(move.id, ())
            if before and move.path and move.id in held:
                held[move.id].append(Followed(move.id, Situation(done=before, said=said, heard=heard), move.path[0]))
            done[move.id] = (*before, *move.path)
            if move.action == "COMPLETE":
                yield from held.pop(move.id, [])
            elif move.action == "CANCEL":
                held.pop(move.id, None)
        heard = (*heard, *run.said)[-_HEARD:]


def _counted(name: str, chart: Chart, found: list[Followed]) -> Iterator[Habit]:
    policy = shipped()
    logged = [(one.moment, {each.step: each.share for each in policy.forecast(chart, one.moment).ranked}, one.step)
              for one in found]
    for moment, steps in counted(logged).items():
        for step, (times, expected) in steps.items():
            yield Habit(scenario=name, moment=moment, step=step, times=times, expected=expected)
