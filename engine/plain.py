"""Plain data: what can be kept as it is, and comes back from disk as it was."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


def unkeepable(value: object, depth: int) -> str:
    """Why something, nested `depth` deep at most, cannot be kept as it is; empty when it can. Without its words, which
    may be a person's."""
    match value:
        case None | bool():
            return ""
        case str():
            return "" if is_utf8(value) else "half of a surrogate pair, which is no text"
        case int():
            return "" if -(1 << 63) <= value < 1 << 63 else "a whole number of more than 64 bits"
        case float():
            return "" if isfinite(value) else "a number that is not finite"
        case dict() | list() | tuple():
            return _inside(value, depth - 1)
    return f"a {type(value).__name__}, which is not plain data (text, numbers, booleans, lists, objects)"


def _inside(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> str:
    if depth < 0:
        return "nested too deep"
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            return "a name that is not text"
        value = [*value, *value.values()]
    return next(filter(None, (unkeepable(one, depth) for one in value)), "")


def is_utf8(text: str) -> bool:
    """Whether it can be written down at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_bytes(value: Any) -> int:
    """The length of plain data as JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
