"""What is remembered of conversations: one utterance with who said it and when."""

from __future__ import annotations

from typing import Any

from ruche.storage.model.conversation import Struct

PERSON, AGENT = "user", "agent"
"""The speakers of a conversation with an agent."""


class Utterance(Struct, frozen=True, kw_only=True):
    """Something that was said. `id` is unique within one memory; `session` is the conversation in which it stands."""

    id: str
    session: str
    speaker: str
    """The name by which a question may mean them."""
    at_ms: int
    """Milliseconds since 1970 UTC; 0 when the time is not known."""
    text: str
    turn: str = ""
    """The turn in which it was said, empty when there was none."""
    source: str = ""
    """Where it came from, of what was filed and not said."""
    metadata: dict[str, Any] = {}


class Remembered(Struct, frozen=True, kw_only=True):
    """An utterance as it is kept: with the vectors that it is found by, in half precision, rows of `dimensions`.

    The first row is of the utterance with the one before it, the second of those two with the one after it; then come
    its sentences. `embedder` names the model: vectors of another are worthless and made anew.
    """

    utterance: Utterance
    embedder: str
    dimensions: int
    rows: bytes
