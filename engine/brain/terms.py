"""The agent's own words: what else they are called, what they mean, and which of them a message uses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ruche.storage.model.wording import GlossaryTerm

MOST = 10
"""Terms of one turn that a language model is told the meaning of."""


class Terms:
    """A glossary, compiled. An empty one finds nothing and changes nothing."""

    def __init__(self, glossary: Sequence[GlossaryTerm]) -> None:
        self._meant = {name.lower(): term for term in glossary for name in (*term.aliases, term.term)}
        self._any = _either(self._meant)
        self._alias = _either([alias.lower() for term in glossary for alias in term.aliases])

    def __bool__(self) -> bool:
        return self._any is not None

    def spelled(self, text: str) -> str:
        """The text with each term beside what it was called instead, so that it is found by either."""
        if self._alias is None:
            return text
        return self._alias.sub(lambda found: f"{found[0]} ({self._meant[found[0].lower()].term})", text)

    def used(self, text: str) -> list[GlossaryTerm]:
        """The terms that a text uses, in its order, each once."""
        if self._any is None:
            return []
        found = dict.fromkeys(self._meant[match[0].lower()].term for match in self._any.finditer(text))
        return [self._meant[name.lower()] for name in found][:MOST]


def _either(names: Sequence[str] | dict[str, GlossaryTerm]) -> re.Pattern[str] | None:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)") if longest_first else None
