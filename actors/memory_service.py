"""Owns the memories of persons that are held ready, on a thread of its own: fills their indexes and searches them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ruche.actors.service import ServiceActor
from ruche.plugins.contracts import Vectors
from ruche.storage.index.memory import MemoryIndex, Question, Recollection
from ruche.storage.model.memory import Remembered, Utterance

PEOPLE = 512
"""Persons whose memory is held ready; the one asked for least recently goes first and is read again when needed."""

Name = tuple[str, str]
"""Tenant and person."""


class Fill(NamedTuple):
    """`whole`: these are all memories of a person who is not held yet; else they come after those that are."""

    name: Name
    memories: Sequence[Remembered]
    whole: bool = False


class Last(NamedTuple):
    name: Name
    utterances: Sequence[Utterance]


class Who(NamedTuple):
    name: Name


class Search(NamedTuple):
    name: Name
    question: Question
    limit: int
    without: frozenset[str]


class Drop(NamedTuple):
    name: Name


class MemoryService(ServiceActor):
    """Owns the indexes and the thread that fills and searches them."""

    registered: ClassVar[bool] = False  # a host's own pykka actors may end all that are registered

    mailbox_size = 1_000

    def __init__(self, dimensions: int, people: int = PEOPLE) -> None:
        super().__init__()
        self._dimensions, self._people = dimensions, people
        self._indexes: OrderedDict[Name, MemoryIndex] = OrderedDict()

    def on_receive(self, message: Any) -> Any:
        match message:
            case Search():
                return self._search(message)
            case Who():
                return self._who(message)
            case Last():
                return self._new(message)
            case Fill():
                return self._fill(message)
        return self._indexes.pop(message.name, None) is not None

    def _who(self, asked: Who) -> tuple[str, ...] | None:
        """The speakers in a person's memory; None when it is not held here."""
        index = self._indexes.get(asked.name)
        return None if index is None else index.speakers

    def _search(self, search: Search) -> list[Recollection] | None:
        """None when the person's memory is not held here."""
        index = self._indexes.get(search.name)
        if index is None:
            return None
        self._indexes.move_to_end(search.name)
        return index.search(search.question, search.limit, search.without)

    def _new(self, asked: Last) -> tuple[list[Utterance], dict[str, Utterance]] | None:
        """Those that are not known yet, and what was said last in their conversations; None when nothing is held."""
        index = self._indexes.get(asked.name)
        if index is None:
            return None
        new = [one for one in asked.utterances if one.id not in index]
        last = {one.session: before for one in new if (before := index.last(one.session)) is not None}
        return new, last

    def _fill(self, fill: Fill) -> tuple[int, int]:
        """Utterances that are held of all persons now, and the bytes of their vectors."""
        index = MemoryIndex(self._dimensions) if fill.whole else self._indexes.get(fill.name)
        if index is None:
            return self._held()
        self._indexes[fill.name] = index
        self._indexes.move_to_end(fill.name)
        for memory in fill.memories:
            index.add(memory.utterance, unpacked(memory))
        while len(self._indexes) > self._people:
            self._indexes.popitem(last=False)
        return self._held()

    def _held(self) -> tuple[int, int]:
        return sum(map(len, self._indexes.values())), sum(index.size for index in self._indexes.values())


def unpacked(memory: Remembered) -> Vectors:
    """The rows of a kept memory, float32, of length 1 again."""
    rows = np.frombuffer(memory.rows, dtype=np.float16).astype(np.float32).reshape(-1, memory.dimensions)
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled
