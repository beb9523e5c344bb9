"""The filters of templates, all bounded: none makes a text much longer than its input, none calls into a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Undefined

from ruche.plugins.dates import date


def shown(value: Any) -> Any:
    """How a value is written into a reply: nothing for None, `5` for 5.0, yes and no for truth values."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(shown(part)) for part in value)
    return value


def _text(value: Any) -> str:
    return str(shown(value))


def _default(value: Any, instead: Any = "") -> Any:
    return instead if isinstance(value, Undefined) or value is None or value == "" else value


def _join(value: Any, separator: str = ", ") -> str:
    if type(value) not in (list, tuple) or len(separator) > 20:
        raise TypeError
    return separator.join(_text(part) for part in value)


def _round(value: Any, digits: int = 0) -> float:
    if not 0 <= digits <= 6:
        raise ValueError
    return round(float(value), digits)


def _money(value: Any, digits: int = 2) -> str:
    if not 0 <= digits <= 6:
        raise ValueError
    return f"{float(value):,.{digits}f}"


def _truncate(value: Any, size: int = 100) -> str:
    text = _text(value)
    return text if len(text) <= size else text[:max(0, size - 1)].rstrip() + "…"


def _length(value: Any) -> int:
    if type(value) not in (str, list, tuple, dict):
        raise TypeError
    return len(value)


def _first(value: Any) -> Any:
    return value[0]


def _last(value: Any) -> Any:
    return value[-1]


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default, "join": _join, "round": _round, "money": _money, "truncate": _truncate, "length": _length,
    "first": _first, "last": _last, "int": lambda value: int(float(value)), "string": _text,
    "upper": lambda value: _text(value).upper(), "lower": lambda value: _text(value).lower(),
    "capitalize": lambda value: _text(value)[:1].upper() + _text(value)[1:],
    "date": date,
    "title": lambda value: _text(value).title(), "trim": lambda value: _text(value).strip(),
}
