"""How many of a ranked list are worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ruche.storage.model.conversation import Struct


class Selection(Struct, frozen=True, kw_only=True):
    """How many of a ranked list to keep, and why. `cutoff` is the lowest kept score."""

    keep: int
    cutoff: float
    method: str
    places: tuple[int, ...] | None = None
    """The places of the kept ones, ascending, when they are not simply the first `keep`."""


@runtime_checkable
class Selector(Protocol):
    """Cuts a list of scores (descending) to those worth keeping."""

    def select(self, scores: Sequence[float], *, max_k: int = 20, min_k: int = 1) -> Selection: ...
