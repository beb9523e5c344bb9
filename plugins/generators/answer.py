"""Reading what a model answers when it was asked for JSON: the whole answer is one object, or it is nothing."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_ANSWER = 65_536
"""Characters of an answer that is read."""
_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n```", re.DOTALL)


def one_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, at most with one fence around it; None for anything else.

    Text before or after the object, or a key that is there twice, makes it nothing: somebody else's words may be in it.
    """
    text = text.strip()
    if len(text) > MAX_ANSWER:
        return None
    fenced = _FENCED.fullmatch(text)
    try:
        found = json.loads(fenced[1] if fenced else text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
