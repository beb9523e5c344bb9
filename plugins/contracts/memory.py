"""What persons said before, as the brain asks for it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ruche.storage.model.conversation import Struct


class Asked(Struct, frozen=True, kw_only=True):
    """What is looked for in one person's memory. `asker` and `other` are the speakers whom "I" and "you" mean."""

    tenant: str
    person: str
    text: str
    asker: str = ""
    other: str = ""
    now_ms: int = 0
    half_life_days: float | None = None
    """After so many days age has taken half of what it may take of a score; None: age does not count."""
    least: float | None = None
    """Cosine of the best sentence, below which a memory without telling words in common is not cited; None: what suits
    the embedder."""
    without: tuple[str, ...] = ()
    """Turns that are left out: they are known anyhow."""


class Recollected(Struct, frozen=True, kw_only=True):
    """Something that was said. Scores are rounded to 1e-4; `score` is the search's, 0 to 1, `reranked` the reranker's.

    `place` is where the search put it, from 0; `cues` names what else spoke for it: speaker, time, when.
    """

    id: str
    turn: str
    speaker: str
    at_ms: int
    text: str
    score: float
    vector: float = 0.0
    lexical: float = 0.0
    cues: tuple[str, ...] = ()
    place: int = 0
    reranked: float | None = None


class Recalled(Struct, frozen=True, kw_only=True):
    """What was found, best first; `cited` names those worth telling. `reason` says why nothing was reranked."""

    memories: tuple[Recollected, ...] = ()
    cited: tuple[str, ...] = ()
    considered: int = 0
    reason: str = ""
    method: str = ""
    """How those worth telling were chosen."""
    repeated: tuple[str, ...] = ()
    """What was left out because another one that is cited says the same."""


@runtime_checkable
class Memory(Protocol):
    """What persons said before, as the brain sees it; never of two persons at once."""

    async def recall(self, asked: Asked) -> Recalled:
        """Nothing for somebody of whom nothing is known."""
