"""What undoes a call: the tool that its author named, with what the call was given and gave back.

A call is undone when a later tool of its step failed, so that the step is done wholly or not at all, and when its
scenario is given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ruche.engine.brain.bindings import arguments_of
from ruche.engine.brain.names import Names
from ruche.engine.brain.parts import CompiledTool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A call that can be undone. `key` names its effect; empty when it was made in an earlier turn."""

    tool: CompiledTool
    arguments: dict[str, Any] = {}
    value: Any = None
    key: str = ""


def undoing(done: Done, tools: Mapping[str, CompiledTool],
            names: Names) -> tuple[CompiledTool, dict[str, Any], tuple[str, ...]] | None:
    """(the tool to call, its arguments, parameters without a value); None where the author named none.

    A parameter takes its expression, else the call's argument of its name, else that part of its result, else the name.
    """
    tool = tools.get(done.tool.tool.compensation or "")
    if tool is None:
        return None
    given = done.value if isinstance(done.value, dict) else {}
    arguments, lacking = arguments_of(tool, {**names, **given, **done.arguments})
    return tool, arguments, lacking


def given_up(held: Iterable[str], tools: Mapping[str, CompiledTool]) -> list[Done]:
    """What a scenario that is given up has to undo, the last one first."""
    return [Done(tool=tools[name]) for name in reversed(tuple(held)) if name in tools]
