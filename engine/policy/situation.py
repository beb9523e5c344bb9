"""What a conversation looks like from a scenario, as one row of numbers per step that might come next."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np

from ruche.engine.policy import cues
from ruche.engine.policy.chart import FIXED, Chart, Values, split

MOMENT = ("message length", "message gives details", "message asks", "message thanks", "deeds so far",
          "messages so far", "a tool succeeded", "a tool failed", "the result is good",
          "the deed before last called a tool")
"""What is known of the moment, the same for every step."""

BETWEEN = ("steps ahead", "beyond the furthest", "deeper than here", "the graph leads there", "the only way",
           "its condition fits the result", "its condition fits the answer", "times done", "deeds since it was done",
           "open before it", "done before it", "open and untold before it", "its answer was told",
           "the result fills it", "like the message, beside others", "most like the message", "like the last message",
           "like the result, beside others")
"""What a step and the moment have to do with each other."""

FEATURES = (*FIXED, *MOMENT, *BETWEEN)

_LONG_AGO = 20.0
_OFF_THE_WAY = -9.0


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scenario stands before the next deed."""

    done: tuple[str, ...] = ()
    """Steps carried out, in order; a deed that is no step of the scenario counts under any other name."""
    said: str = ""
    """What was said since the last deed; empty right after a tool ran."""
    heard: tuple[str, ...] = ()
    """What was said before that, oldest first."""
    answer: str = ""
    """`yes` or `no` where somebody else read it from the message already."""
    ran: bool = False
    """True when a tool ran and nothing was done since."""
    result: dict[str, Any] = {}
    """What the last tool gave; empty when it failed or found nothing."""


def features(chart: Chart, moment: Situation) -> Values:
    """len(chart) x len(FEATURES)."""
    return np.hstack((chart.fixed, np.tile(_moment(chart, moment), (len(chart), 1)), _between(chart, moment)))


def _moment(chart: Chart, moment: Situation) -> Values:
    said, named = moment.said, _named(chart, moment)
    good = moment.ran and not cues.refuses(moment.result)
    return np.array((
        min(len(said.split()), 40) / 40, min(cues.details(said), 8), cues.is_question(said), cues.thanks(said),
        min(len(moment.done), 20), min(len(moment.heard) + bool(said), 15), moment.ran and bool(moment.result),
        moment.ran and not moment.result, good,
        chart.places[named[-2]].tool if len(named) > 1 else -1), dtype=np.float64)


def _between(chart: Chart, moment: Situation) -> Values:
    named = _named(chart, moment)
    here = named[-1] if named else None
    return np.column_stack([
        *_position(chart, named, here), *_edges(chart, moment, here), *_history(chart, moment, named),
        *_told(chart, moment, named), _filled(chart, moment), *_likeness(chart, moment)])


def _named(chart: Chart, moment: Situation) -> list[int]:
    return [chart.place_of[name] for name in moment.done if name in chart.place_of]


def _position(chart: Chart, named: list[int], here: int | None) -> list[Values]:
    furthest = max((max(chart.depth[place], 0.0) for place in named), default=0.0)
    on_way = chart.depth >= 0
    ahead = chart.depth if here is None else chart.distances(here)
    own = 0.0 if here is None else max(chart.depth[here], 0.0)
    return [ahead, np.where(on_way, chart.depth - furthest, _OFF_THE_WAY),
            np.where(on_way, chart.depth - own, _OFF_THE_WAY)]


def _edges(chart: Chart, moment: Situation, here: int | None) -> list[Values]:
    ways = [(chart.place_of.get(chart.first, 0), "")] if here is None else chart.ways[here]
    leads, only, result, answer = (np.zeros(len(chart)) for _ in range(4))
    said = moment.answer or cues.answer(moment.said)
    refused = moment.ran and cues.refuses(moment.result)
    targets = {there for there, _ in ways}
    for there, condition in ways:
        leads[there], only[there] = 1.0, len(targets) == 1
        if condition and moment.ran:
            result[there] = 1.0 if cues.unwelcome(condition) == refused else -1.0
        wanted = cues.wanted_answer(condition)
        if wanted and said:
            answer[there] = 1.0 if wanted == said else -1.0
    return [leads, only, result, answer]


def _history(chart: Chart, moment: Situation, named: list[int]) -> list[Values]:
    size = len(chart)
    times, since = np.zeros(size), np.full(size, _LONG_AGO)
    for place, count in Counter(named).items():
        times[place] = min(count, 3)
    for position, name in enumerate(moment.done):
        if name in chart.place_of:
            since[chart.place_of[name]] = len(moment.done) - position
    before = _before(chart)
    done = times > 0
    total = before.sum(axis=1)
    share = np.where(total > 0, (before & done).sum(axis=1) / np.maximum(total, 1), -1.0)
    return [times, since, (before & ~done).sum(axis=1).astype(np.float64), share]


def _before(chart: Chart) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Row by row, the places that are nearer to the start."""
    depth = chart.depth
    return (depth[None, :] >= 0) & (depth[:, None] >= 0) & (depth[None, :] < depth[:, None])


def _told(chart: Chart, moment: Situation, named: list[int]) -> list[Values]:
    everything = " ".join((*moment.heard, moment.said))
    told = {kind: len(cue.findall(everything)) for kind, cue in cues.TOLD.items()}
    done = set(named)
    untold = np.array([number not in done and cues.asks(place.text) and
                       not any(told[kind] for kind in sorted(chart.asked[number]))
                       for number, place in enumerate(chart.places)])
    answered = [max((min(told[kind], 3) for kind in sorted(asked)), default=-1) for asked in chart.asked]
    return [(_before(chart) & untold).sum(axis=1).astype(np.float64), np.array(answered, dtype=np.float64)]


def _filled(chart: Chart, moment: Situation) -> Values:
    """The share of a text's placeholders that the result has a value for; -1 without either."""
    names = [set(split(name)) for name in moment.result] if moment.ran else []
    shares = [-1.0 if not names or not slots else
              sum(any(slot & name for name in names) for slot in slots) / len(slots) for slots in chart.slots]
    return np.array(shares)


def _likeness(chart: Chart, moment: Situation) -> list[Values]:
    last = moment.said or (moment.heard[-1] if moment.heard else "")
    like = chart.likeness(split(moment.said)) if moment.said else np.zeros(len(chart))
    like_last = like if moment.said else chart.likeness(split(last))
    texts = " ".join(value for value in moment.result.values() if isinstance(value, str)) if moment.ran else ""
    result = chart.likeness(split(texts), conditions=True) if texts else np.zeros(len(chart))
    best = like.max(initial=0.0)
    return [_beside(like_last), ((like == best) & (best > 0)).astype(np.float64), like_last, _beside(result)]


def _beside(scores: Values) -> Values:
    best = scores.max(initial=0.0)
    return scores / best if best > 0 else scores
