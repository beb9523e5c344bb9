"""What a tool's result becomes: variables of the session, as the tool's `outputs` say. It stays data."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ruche.storage.model.tool import Tool

MAX_BYTES = 16_384
"""Of one output; a longer one is dropped, so that a session stays small."""

_encode = msgspec.json.Encoder().encode


def outputs_of(tool: Tool, value: Any) -> dict[str, Any]:
    """Variable to value. A key that the result lacks leaves its variable as it was."""
    found = {}
    for variable, path in tool.outputs.items():
        present, part = _descend(value, path)
        if present and _fits(part):
            found[variable] = part
    return found


def status_of(tool: Tool, status: str) -> dict[str, Any]:
    """How the last call ended, so that a transition can say `when: lookup_status == 'error'`."""
    return {status_name(tool.id): "ok" if status == "cached" else status}


def status_name(tool: str) -> str:
    """The variable that holds how the tool's last call ended: `TOOL_status`."""
    return f"{re.sub(r'[^a-z0-9_]', '_', tool.lower())}_status"


def outcome_name(scenario: str) -> str:
    """The variable that holds how a scenario ended that was gone through within another: `SCENARIO_outcome`."""
    return f"{re.sub(r'[^a-z0-9_]', '_', scenario.lower())}_outcome"


def _descend(value: Any, path: str) -> tuple[bool, Any]:
    if path in ("", "."):
        return True, value
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False, None
    return True, value


def _fits(value: Any) -> bool:
    try:
        return len(_encode(value)) <= MAX_BYTES
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
