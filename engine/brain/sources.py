"""What a reply may draw on: what the author wrote, and what a turn came to know. For enforcers that compare the two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ruche.storage.model.bundle import AgentBundle

_PARTS = {"agent", "rules", "scenarios", "templates", "fields", "glossary", "intents", "knowledge"}
_ENGINES = frozenset({"turn", "language", "channel", "intent"})
"""Names of the session that the engine gives; they are no data."""
_CLOCK = ("date", "weekday", "part_of_day")
_TIME = ("hour", "minute", "time")
"""Known only where the author's texts read them: else any small number would have a source once an hour."""


def authored(bundle: AgentBundle) -> str:
    """Every text of the bundle, one a line."""
    return "\n".join(_texts(bundle.model_dump(mode="json", include=_PARTS)))


def found_of(written: str, names: dict[str, Any], results: list[Any]) -> str:
    """Fields, variables, tool results and the date as JSON. `written`: the author's texts; empty where no rule of the
    agent compares replies with them, and then so is this."""
    if not written:
        return ""
    now = names["now"]
    clock = (*_CLOCK, *(name for name in _TIME if f"now.{name}" in written))
    known = {"profile": names["profile"], "now": {name: now[name] for name in clock}, "tools": results,
             "session": {name: value for name, value in names["session"].items()
                         if name not in _ENGINES and not name.startswith("@")}}
    return json.dumps(known, ensure_ascii=False, sort_keys=True, default=str)


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
