"""The memory of one person (or of one conversation), searched: five views of every utterance, and cues.

Words want context, vectors want single sentences: cosine of the best sentence, of the utterance with the one before it
and with both neighbours; BM25 over the same two windows. One index per person, never a shared one with a filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.index.cues import asks_when, moment, named_speakers, named_times, tells_time
from ruche.storage.index.hybrid import scaled
from ruche.storage.index.lexical import QUERY_CHARACTERS, LexicalIndex
from ruche.storage.index.ranking import Scores, rounded, top_places
from ruche.storage.index.vectors import Rows, dots, unit_rows
from ruche.storage.index.words import COMMON, sentences, terms, words
from ruche.storage.model.memory import Utterance

SENTENCES, CHARACTERS = 16, 2_000
"""Of one utterance: sentences with a vector of their own, and what of its text a window holds."""

SENTENCE, PREVIOUS, WINDOW = 0.25, 0.125, 0.125
LEXICAL_PREVIOUS, LEXICAL_WINDOW = 0.25, 0.25
"""Shares of the views, each brought to 0 to 1 per question: half for vectors, half for words."""
SPEAKER, TIME, WHEN = 0.18, 0.2, 0.07
"""What is added for the speaker and the time that a question names, and for telling a time when it asks for one."""
MOST = 1.0 + SPEAKER + TIME + WHEN
ENOUGH = 3.0
"""BM25 that counts as a full match: where nothing reaches it, the best of chance matches must not count as one."""
EMPTY = (0.5, 0.75, 0.9)
"""What the cosine of a sentence with no, one or two telling words is worth: "Thanks, Ada!" answers nothing."""

DAY_MS = 86_400_000
OLD_SHARE = 0.5
"""What decay leaves of a score at most: an old memory is weaker, never lost."""


class Views(NamedTuple):
    """The texts by which one utterance is found by meaning."""

    previous: str
    window: str
    sentences: tuple[str, ...]

    def texts(self) -> tuple[str, ...]:
        """In the order in which their vectors are kept."""
        return (self.previous, self.window, *self.sentences)


class Question(NamedTuple):
    """What is looked for. `asker` and `other` are the speakers whom "I" and "you" mean, empty when nobody is meant.

    The cosines want a question half without its speakers' names (`nameless`): who said it is a cue, and a name makes
    every short sentence of theirs look near.
    """

    text: str
    vector: Rows
    asker: str = ""
    other: str = ""
    now_ms: int = 0
    half_life_days: float | None = None
    """After so many days a memory's score has lost half of what decay may take; None: age does not count."""


class Recollection(NamedTuple):
    """An utterance with its score (0 to 1), the cosine of its best sentence, its BM25, and the cues that it met.

    `passage` is the utterance after the one before it: what a reranker reads. `row` has the float32 vector of
    the sentence.
    """

    utterance: Utterance
    score: float
    vector: float
    lexical: float
    cues: tuple[str, ...]
    passage: str
    row: bytes


def said(utterance: Utterance) -> str:
    """An utterance as it is compared: speakers belong to what was said."""
    return f"{utterance.speaker}: {utterance.text[:CHARACTERS]}"


def views(before: Utterance | None, utterance: Utterance, after: Utterance | None) -> Views:
    """`before` and `after` are the neighbours in the same conversation."""
    own = said(utterance)
    previous = own if before is None else f"{said(before)}\n{own}"
    window = previous if after is None else f"{previous}\n{said(after)}"
    return Views(previous, window, tuple(f"{utterance.speaker}: {part}" for part in _sentences(utterance)))


class MemoryIndex:
    """Utterances with the vectors of their views. Not thread-safe: its owner adds and searches in one thread."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._said: list[Utterance] = []
        self._place: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._before: list[int | None] = []
        self._contexts, self._sentences = _Stack(dimensions), _Stack(dimensions)
        self._starts: list[int] = []
        self._previous, self._window = LexicalIndex(), LexicalIndex()
        self._tells: list[bool] = []
        self._worth: list[float] = []
        self._names: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, id: str) -> bool:
        return id in self._place

    @property
    def size(self) -> int:
        """Bytes of the vectors."""
        return int(self._contexts.rows.nbytes + self._sentences.rows.nbytes)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who said something, in the order in which they began."""
        return tuple(self._names)

    def last(self, session: str) -> Utterance | None:
        """What was said last in a conversation."""
        place = self._last.get(session)
        return None if place is None else self._said[place]

    def add(self, utterance: Utterance, rows: Rows) -> None:
        """Add what was said next in its conversation; one that is here already is left as it is.

        `rows`: unit vectors of its views, in their order. Raises ConfigurationError for rows of another embedder.
        """
        if utterance.id in self._place:
            return
        checked = unit_rows(rows, self._dimensions)
        self._names[utterance.speaker] = None
        place, before = len(self._said), self._last.get(utterance.session)
        self._said.append(utterance)
        self._place[utterance.id] = self._last[utterance.session] = place
        self._before.append(before)
        self._tells.append(tells_time(utterance.text))
        self._contexts.add(checked[:2])
        self._starts.append(len(self._sentences))
        self._sentences.add(checked[2:])
        self._worth += [_worth(part, self._named()) for part in _sentences(utterance)]
        self._read(place, None)
        if before is not None:
            self._read(before, place)

    def search(self, question: Question, limit: int, without: frozenset[str] = frozenset()) -> list[Recollection]:
        """The `limit` best, best first, ties in the order in which they were said. `without`: turns to leave out."""
        if not self._said or limit < 1:
            return []
        vector = np.asarray(question.vector, dtype=np.float32).reshape(self._dimensions)
        near = dots(self._sentences.rows, vector) * np.array(self._worth, dtype=np.float32)
        cosines = np.maximum.reduceat(near, np.array(self._starts, dtype=np.intp))
        asked = self._asked(question.text[:QUERY_CHARACTERS])
        lexical = self._window.weigh(asked)
        found = self._blended(cosines, dots(self._contexts.rows, vector), self._previous.weigh(asked), lexical)
        cues = self._cues(question)
        for weight, met in cues.values():
            found = found + weight * met
        found = rounded(found / MOST * self._fresh(question))
        if without:
            found[[place for place, one in enumerate(self._said) if one.turn in without]] = -1.0
        return [self._recollected(place, found, self._best(place, near), cosines, lexical, cues)
                for place in top_places(found, limit).tolist() if found[place] >= 0.0]

    def _asked(self, text: str) -> list[str]:
        """The question's terms without the speakers' names."""
        named = self._named()
        return [term for term in terms(" ".join(word for word in words(text) if word not in named)) if term]

    def _named(self) -> frozenset[str]:
        return frozenset(word for name in self._names for word in words(name))

    def _blended(self, cosines: Rows, contexts: Rows, previous: Scores, window: Scores) -> Scores:
        total = LEXICAL_PREVIOUS * _matched(previous) + LEXICAL_WINDOW * _matched(window)
        for share, scores in ((SENTENCE, cosines), (PREVIOUS, contexts[0::2]), (WINDOW, contexts[1::2])):
            total += share * scaled(scores, "range")
        return total

    def _cues(self, question: Question) -> dict[str, tuple[float, NDArray[np.bool_]]]:
        """Name of a cue to its weight and the utterances that meet it."""
        found: dict[str, tuple[float, NDArray[np.bool_]]] = {}
        meant = named_speakers(question.text, self.speakers, question.asker, question.other)
        if meant:
            found["speaker"] = SPEAKER, np.array([one.speaker in meant for one in self._said])
        times = named_times(question.text, moment(question.now_ms))
        if times is not None:
            held = [(at := moment(one.at_ms)) is not None and times.hold(at) for one in self._said]
            found["time"] = TIME, np.array(held)
        if asks_when(question.text):
            found["when"] = WHEN, np.array(self._tells)
        return found

    def _fresh(self, question: Question) -> Scores:
        """What decay leaves of each score: 1 for what is new, never less than OLD_SHARE."""
        if question.half_life_days is None or question.now_ms <= 0:
            return np.ones(len(self._said))
        ages = np.array([max(0, question.now_ms - one.at_ms) / DAY_MS for one in self._said])
        return OLD_SHARE + (1.0 - OLD_SHARE) * 0.5 ** (ages / question.half_life_days)

    def _best(self, place: int, near: Rows) -> bytes:
        """The vector of the sentence by which an utterance was found."""
        start, *rest = self._starts[place:place + 2]
        end = rest[0] if rest else len(self._sentences)
        row: bytes = self._sentences.rows[start + int(near[start:end].argmax())].tobytes()
        return row

    def _recollected(self, place: int, found: Scores, row: bytes, cosines: Rows, lexical: Scores,
                     cues: dict[str, tuple[float, NDArray[np.bool_]]]) -> Recollection:
        utterance, before = self._said[place], self._before[place]
        met = tuple(name for name, (_, places) in cues.items() if places[place])
        passage = views(None if before is None else self._said[before], utterance, None).previous
        return Recollection(utterance, float(found[place]), round(float(cosines[place]), 4),
                            round(float(lexical[place]), 4), met, passage, row)

    def _read(self, place: int, after: int | None) -> None:
        """(Re)read the words around one utterance."""
        utterance, before = self._said[place], self._before[place]
        previous = [utterance.text] if before is None else [self._said[before].text, utterance.text]
        if after is None:
            self._previous.add(utterance.id, _wording(previous))
        self._window.add(utterance.id, _wording(previous if after is None else [*previous, self._said[after].text]))


def _wording(texts: Sequence[str]) -> str:
    return "\n".join(text[:CHARACTERS] for text in texts)


def _matched(scores: Scores) -> Scores:
    """BM25 on a scale of 0 to 1."""
    return scores / max(float(scores.max()), ENOUGH)


def _sentences(utterance: Utterance) -> list[str]:
    return sentences(utterance.text[:CHARACTERS])[:SENTENCES] or [""]


def _worth(sentence: str, names: frozenset[str]) -> float:
    telling = sum(1 for word in words(sentence) if word not in COMMON and word not in names)
    return EMPTY[telling] if telling < len(EMPTY) else 1.0


def viewed(utterances: Sequence[Utterance], before: dict[str, Utterance]) -> Iterator[tuple[Utterance, Views]]:
    """Each of a run of new utterances with its views; `before` has what was said last in their conversations."""
    last: dict[str, Utterance] = dict(before)
    for place, utterance in enumerate(utterances):
        after = next((one for one in utterances[place + 1:] if one.session == utterance.session), None)
        yield utterance, views(last.get(utterance.session), utterance, after)
        last[utterance.session] = utterance


class _Stack:
    """Rows of one width that only grow; the matrix doubles when it is full."""

    def __init__(self, dimensions: int) -> None:
        self._matrix: Rows = np.zeros((64, dimensions), dtype=np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Rows:
        return self._matrix[:self._count]

    def add(self, rows: Rows) -> None:
        needed = self._count + len(rows)
        if needed > len(self._matrix):
            larger = np.zeros((max(needed, 2 * len(self._matrix)), self._matrix.shape[1]), dtype=np.float32)
            larger[:self._count] = self.rows
            self._matrix = larger
        self._matrix[self._count:needed] = rows
        self._count = needed
