"""What is wrong with an agent folder: where, a stable code, what it is, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding. `file` is relative to the agent folder; `line` and `column` count from 1.

    Codes are stable: E is an error (the folder is not published), W a warning; 1xx files and YAML, 2xx keys and
    values, 3xx references, 4xx expressions and templates, 5xx scenarios, 6xx rules, 7xx test conversations.
    """

    file: str
    line: int
    column: int
    code: str
    what: str
    instead: str = ""
    source: str = ""
    path: str = ""
    """The place within the agent, such as `rules/3/when`, for one that came over the API."""

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def __str__(self) -> str:
        """`file:line:column code what is wrong (what to write instead)`."""
        return f"{self.file}:{self.line}:{self.column} {self.code} {self.what}" + (
            f" ({self.instead})" if self.instead else "")

    def excerpt(self) -> str:
        """The source line with a caret below the column; empty where there is no line to show."""
        if not self.source.strip():
            return ""
        return f"    {self.source.rstrip()}\n    {' ' * (self.column - 1)}^"

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "column": self.column, "code": self.code, "message": self.what,
                "hint": self.instead}


def suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean X?` for the nearest known word, else `otherwise`, else the known words (at most eight)."""
    candidates = sorted(known)
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    if otherwise or not candidates:
        return otherwise
    return "known: " + ", ".join(candidates[:8]) + (", ..." if len(candidates) > 8 else "")
