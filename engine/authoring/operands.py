"""Finds operations in expressions that always fail: text where a number is needed, or the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem
from ruche.plugins.syntax import NamespaceItem
from ruche.storage.model.field import InterlocutorField

_TEXT, _NUMBER, _LIST = "text", "a number", "a list"
_KINDS: Mapping[str, str] = {"number": _NUMBER, "money": _NUMBER, "string": _TEXT, "email": _TEXT, "phone": _TEXT,
                             "iban": _TEXT, "card": _TEXT,
                             "date": _TEXT, "time": _TEXT}
_CLOCK = {"hour": _NUMBER, "minute": _NUMBER, "part_of_day": _TEXT, "weekday": _TEXT, "date": _TEXT, "time": _TEXT}
_TAKES = {"lower": (_TEXT,), "upper": (_TEXT,), "abs": (_NUMBER,), "len": (_TEXT, _LIST)}
_GIVES = {"lower": _TEXT, "upper": _TEXT, "str": _TEXT, "len": _NUMBER, "abs": _NUMBER, "int": _NUMBER,
          "float": _NUMBER}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)

Fields = Mapping[str, InterlocutorField]


def check_operands(place: Path, tree: ast.expr, fields: Fields, origins: Origins) -> Iterator[Problem]:
    """Only declared fields, literals, functions and the clock have a kind; of everything else nothing is known."""
    for node in ast.walk(tree):
        for said in _faults(node, fields):
            yield origins.problem(place, "W407", said, "turn it with str(...) or float(...), or read another name",
                                  offset=getattr(node, "col_offset", 0))


def _faults(node: ast.AST, fields: Fields) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _arguments(node.func.id, node.args, fields)
    elif isinstance(node, ast.BinOp):
        sides = kind_of(node.left, fields), kind_of(node.right, fields)
        if isinstance(node.op, ast.Add) and None not in sides and sides[0] != sides[1]:
            yield f"{sides[0]} and {sides[1]} cannot be added"
        elif not isinstance(node.op, ast.Add) and set(sides) & {_TEXT, _LIST}:
            yield "only numbers are calculated with"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and kind_of(node.operand, fields) == _TEXT:
        yield "only a number has a sign"
    elif isinstance(node, ast.Compare):
        yield from _compared(node, fields)


def _arguments(name: str, given: list[ast.expr], fields: Fields) -> Iterator[str]:
    takes = _TAKES.get(name)
    if takes is None:
        return
    if len(given) != 1:
        yield f"{name}() takes one value"
        return
    kind = kind_of(given[0], fields)
    if kind is not None and kind not in takes:
        yield f"{name}() takes {' or '.join(takes)}, and this is {kind}"


def _compared(node: ast.Compare, fields: Fields) -> Iterator[str]:
    """Two fields or results of different kinds; a field against a literal is reported elsewhere."""
    for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
        sides = kind_of(left, fields), kind_of(right, fields)
        if isinstance(left, ast.Constant) or isinstance(right, ast.Constant) or None in sides:
            continue
        if isinstance(operator, _ORDERED) and sides[0] != sides[1]:
            yield f"{sides[0]} and {sides[1]} cannot be compared"


def kind_of(node: ast.expr, fields: Fields) -> str | None:
    """`text`, `a number`, `a list`; None where it is not known."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _TEXT
        return _NUMBER if isinstance(node.value, int | float) and not isinstance(node.value, bool) else None
    if isinstance(node, ast.Tuple):
        return _LIST
    if isinstance(node, ast.Name):
        return _of_field(node.id, fields)
    if isinstance(node, NamespaceItem):
        if node.space == "now":
            return _CLOCK.get(node.key)
        return _of_field(node.key, fields) if node.space in ("profile", "session") else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _GIVES.get(node.func.id)
    if isinstance(node, ast.BinOp):
        sides = {kind_of(node.left, fields), kind_of(node.right, fields)}
        return sides.pop() if len(sides) == 1 else None
    return None


def _of_field(name: str, fields: Fields) -> str | None:
    field = fields.get(name)
    return None if field is None else _KINDS.get(field.type)
