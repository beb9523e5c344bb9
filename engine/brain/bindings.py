"""Tools as rules and steps call them: their arguments from what is known, and what a confirmation is bound to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ruche.engine.brain.names import Names
from ruche.engine.brain.parts import CompiledStep, CompiledTool
from ruche.plugins.expressions import ExpressionError
from ruche.storage.model.run import digest
from ruche.storage.model.tool import ToolBinding


def arguments_of(tool: CompiledTool, names: Names) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(arguments, required parameters without a value). A parameter takes its expression, else the name's value."""
    arguments: dict[str, Any] = {}
    for name in tool.parameters:
        expression = tool.arguments.get(name)
        if expression is None:
            if name in names:
                arguments[name] = names[name]
            continue
        try:
            arguments[name] = expression.evaluate(names)
        except ExpressionError:
            continue
    return arguments, tuple(name for name in tool.required if arguments.get(name) is None)


def confirmation_key(step: CompiledStep, tools: Mapping[str, CompiledTool], names: Names) -> str:
    """What a yes is bound to: the step and the exact arguments of its tools, or its known fields without tools.

    A correction makes another key, so that an old yes never confirms new arguments (security item 34).
    """
    bound: Any = [[binding.tool, arguments_of(tools[binding.tool], names)[0]] for binding in step.spec.tools]
    if not bound:
        fields = (field.name for field in (*step.requires, *step.collects))
        bound = {name: names.get(name) for name in (*fields, *step.awaits)}
    return f"{step.id}:{digest(bound)[:16]}"


def is_confirmed(step: CompiledStep, confirmed: tuple[str, ...], tools: Mapping[str, CompiledTool],
                 names: Names) -> bool:
    """True when the step needs no yes, or has one for exactly what it would do now."""
    if step.confirm is None:
        return True
    return bool(confirmed) and confirmation_key(step, tools, names) in confirmed


def in_order(bindings: Iterable[ToolBinding]) -> list[ToolBinding]:
    """Dependencies first, else as written; a tool bound twice is called once; a cycle is cut where it was entered."""
    waiting = list({binding.tool: binding for binding in bindings}.values())
    placed: list[ToolBinding] = []
    names = {binding.tool for binding in waiting}
    while waiting:
        done = {binding.tool for binding in placed}
        ready = next((one for one in waiting if all(need in done or need not in names for need in one.depends_on)),
                     waiting[0])
        placed.append(ready)
        waiting.remove(ready)
    return placed
