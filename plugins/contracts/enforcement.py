"""Judging a draft against one rule."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from ruche.storage.model.conversation import Struct
from ruche.storage.model.rule import Rule


class Verdict(Struct, frozen=True, kw_only=True):
    """What an enforcer says of one rule. A hard rule in `error` counts as failed. `span`: offsets in the text."""

    outcome: Literal["pass", "fail", "not_applicable", "error"]
    reason: str = ""
    span: tuple[int, int] | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """The text under judgement with everything an enforcer may look at.

    `names` holds the values an expression may use: bare names (reply over session over profile) and the namespaces
    `reply`, `session`, `profile`. `whole` is False while only a prefix of the reply exists.
    """

    text: str
    question: str
    names: dict[str, Any]
    language: str = "en"
    whole: bool = True
    authored: str = ""
    """Everything that the author wrote, knowledge included: the same object in every turn of an agent version. Empty
    unless an enforcer in force says `needs_data = True`, as `found` is."""
    found: str = ""
    """What this turn knows besides: variables, fields and what tools gave back, as JSON."""
    likeness: tuple[float, float | None] | None = None
    """How alike question and reply are (cosine), and what is usual at least for the embedder, None where that is not
    known. Absent unless an enforcer in force says `needs_likeness = True`."""
    answers: bool = True
    """False for replies that refuse, ask, pass on, or say that nothing fits."""


@runtime_checkable
class Enforcer(Protocol):
    """Judges a draft against one rule. Synchronous, without side effects, fast (about 1 ms)."""

    @property
    def name(self) -> str:
        """The word an author writes after `use:`."""

    @property
    def monotone(self) -> bool:
        """True when a text that fails keeps failing however it goes on, so that prefixes can be judged."""

    def prepare(self, rule: Rule) -> Any:
        """Compile the rule's options once; raises ConfigurationError with what to write instead."""

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Verdict: ...
