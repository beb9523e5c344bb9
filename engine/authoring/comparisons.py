"""Finds comparisons in expressions that cannot come true: a number with a text, a value that a field never has."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem, suggest
from ruche.plugins.syntax import NamespaceItem
from ruche.storage.model.field import InterlocutorField

_CLOCK = {field.name: field for field in (
    InterlocutorField(name="part_of_day", allowed=("morning", "afternoon", "evening")),
    InterlocutorField(name="weekday", allowed=("monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
                                               "sunday")),
    InterlocutorField(name="hour", type="number"), InterlocutorField(name="minute", type="number"))}
"""What `now.` offers, as if fields held it."""
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "number": (int, float), "money": (int, float), "boolean": bool, "string": str, "email": str, "phone": str,
    "iban": str, "card": str,
    "date": str, "time": str,
}


def check_comparisons(place: Path, tree: ast.expr, fields: Mapping[str, InterlocutorField],
                      origins: Origins) -> Iterator[Problem]:
    """Only comparisons of a declared field with a literal are judged; for everything else types are not known."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
                yield from _compared(place, operator, left, right, fields, origins)


def _compared(place: Path, operator: ast.cmpop, left: ast.expr, right: ast.expr,
              fields: Mapping[str, InterlocutorField], origins: Origins) -> Iterator[Problem]:
    field, literals = _field(left, fields), _literals(right)
    if field is None and not isinstance(operator, ast.In | ast.NotIn):
        field, literals = _field(right, fields), _literals(left)
    if field is None or (isinstance(operator, ast.In | ast.NotIn) and not isinstance(right, ast.Tuple)):
        return
    for node in literals:
        problem = _judge(place, field, node, isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn), origins)
        if problem is not None:
            yield problem


def _judge(place: Path, field: InterlocutorField, literal: ast.Constant, equality: bool,
           origins: Origins) -> Problem | None:
    value: Any = literal.value
    if value in ("", None):  # the way to ask whether there is a value
        return None
    if field.allowed and equality and isinstance(value, str) and value not in field.allowed:
        return origins.problem(place, "W405", f"{field.name} is never {value!r}", suggest(value, field.allowed),
                               offset=literal.col_offset)
    wanted = _KINDS.get(field.type)
    fits = wanted is None or (isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool))
    if fits:
        return None
    kind = "text" if isinstance(value, str) else "truth value" if isinstance(value, bool) else "number"
    return origins.problem(place, "W406", f"{field.name} is a {field.type}, and {value!r} is a {kind}",
                           "compare like with like", offset=literal.col_offset)


def _field(node: ast.expr, fields: Mapping[str, InterlocutorField]) -> InterlocutorField | None:
    if isinstance(node, ast.Name):
        return fields.get(node.id)
    if isinstance(node, NamespaceItem) and node.space in ("profile", "session"):
        return fields.get(node.key)
    if isinstance(node, NamespaceItem) and node.space == "now":
        return _CLOCK.get(node.key)
    return None


def _literals(node: ast.expr) -> list[ast.Constant]:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return [part for part in parts if isinstance(part, ast.Constant)]
