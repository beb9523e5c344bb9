"""A scenario's graph as the policy reads it: its steps with what they say, and how far each is from each other."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.engine.policy.cues import ASKED, STEP_CUES, asks
from ruche.storage.index.words import terms
from ruche.storage.model.scenario import Scenario, Step, Transition

Values = NDArray[np.float64]

FIXED = ("depth", "order", "placeholders", "length", "calls a tool", "is first", *STEP_CUES, "asks a name",
         "asks a number", "ways out", "needs a condition")
"""What is known of a step before anything happens, one column each."""

_SLOT = re.compile(r"\{+%?\s*([^}%]*)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
FAR = -1
"""The distance of what cannot be reached."""


class Way(NamedTuple):
    """An edge; the condition is in the author's words, empty for one that always holds."""

    to: str
    condition: str = ""


class Place(NamedTuple):
    """A step: what it says or asks, whether it calls a tool, and the ways out of it in the author's order."""

    id: str
    text: str
    tool: bool = False
    ways: tuple[Way, ...] = ()


class Chart:
    """Places in the author's order, with what is known of them for good. Immutable once built, apart from distances
    that are remembered when they were asked for."""

    def __init__(self, places: Sequence[Place], first: str) -> None:
        """`first` is where the scenario begins. Ways to places that are not there are left out."""
        self.places = tuple(places)
        self.first = first
        self.place_of = {place.id: number for number, place in enumerate(self.places)}
        self.ways = [[(self.place_of[way.to], way.condition) for way in place.ways if way.to in self.place_of]
                     for place in self.places]
        self.conditions = self._conditions()
        self.words = [set(split(f"{place.id} {place.text}")) for place in self.places]
        self.slots = [[set(split(name)) for name in _SLOT.findall(place.text) if name.strip()] for place in self.places]
        self.asked = [_asked(place) for place in self.places]
        self._distances: dict[int, Values] = {}
        self.depth = self.distances(self.place_of.get(first, 0))
        counts = Counter(word for found in self.words for word in found)
        self._rarity = {word: math.log(1.0 + len(self.places) / count) for word, count in counts.items()}
        self._weights = np.array([math.sqrt(1.0 + sum(self._rarity[word] for word in sorted(found)))
                                  for found in self.words])
        self.fixed = self._fixed()

    def __len__(self) -> int:
        return len(self.places)

    def distances(self, source: int) -> Values:
        """Steps from a place to every other, FAR where no way leads."""
        known = self._distances.get(source)
        if known is None:
            known = np.full(len(self.places), float(FAR))
            known[source], frontier = 0.0, [source]
            for here in frontier:
                for there, _ in self.ways[here]:
                    if known[there] == FAR:
                        known[there] = known[here] + 1.0
                        frontier.append(there)
            self._distances[source] = known
        return known

    def likeness(self, words: Iterable[str], *, conditions: bool = False) -> Values:
        """How much of each place's words are among the given ones, rare words counting more; with those of the
        conditions that lead there, if asked for."""
        asked = set(words)
        scores = np.zeros(len(self.places))
        for number, own in enumerate(self.words):
            shared = asked & (own | self.conditions[number][1] if conditions else own)
            scores[number] = sum(self._rarity.get(word, 0.0) for word in sorted(shared))
        return scores if conditions else scores / self._weights

    def _conditions(self) -> list[tuple[bool, set[str]]]:
        """Of each place: whether a condition leads there, and the words of all that do."""
        found: list[list[str]] = [[] for _ in self.places]
        for ways in self.ways:
            for there, condition in ways:
                if condition:
                    found[there].append(condition)
        return [(bool(texts), set(split(" ".join(texts)))) for texts in found]

    def _fixed(self) -> Values:
        rows = [(self.depth[number], number / len(self.places), min(3, place.text.count("{")),
                 min(len(place.text.split()), 30) / 30, place.tool, place.id == self.first,
                 *(cue.search(place.text) is not None for cue in STEP_CUES.values()),
                 "name" in self.asked[number], "number" in self.asked[number], min(3, len(self.ways[number])),
                 self.conditions[number][0]) for number, place in enumerate(self.places)]
        return np.array(rows, dtype=np.float64)


def chart_of(scenario: Scenario, text: Callable[[str], str]) -> Chart:
    """The chart of a scenario; `text` turns what a step says, or the id of a template, into the text itself."""
    return Chart([_place(step, text) for step in scenario.steps], scenario.first)


def split(text: str) -> list[str]:
    """Stems of the telling words of a text or a name, `HotelName` and `hotel_name` alike."""
    return terms(_CAMEL.sub(" ", text).replace("_", " "))


def _place(step: Step, text: Callable[[str], str]) -> Place:
    said = " ".join(text(part) for part in (step.say, step.ask, step.confirm) if part)
    return Place(step.id, said or step.description, bool(step.tools), tuple(Way(way.to, _condition(way))
                                                                          for way in step.next))


def _condition(way: Transition) -> str:
    return " ".join(part for part in (way.if_, way.intent, way.when) if part)


def _asked(place: Place) -> frozenset[str]:
    """Kinds of answer that a place's question wants."""
    if not asks(place.text):
        return frozenset()
    named = f"{place.text} {place.id}".replace("_", " ")
    return frozenset(kind for kind, cue in ASKED.items() if cue.search(named))
