"""Whether an expression can ever be true, as far as comparisons of one name with literals tell.

It is taken apart into the ways in which it may hold; a way is impossible when what it says of one name contradicts
itself or what the name can be. What is not understood is taken for possible: nothing is called impossible that is not.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from ruche.plugins.syntax import NamespaceItem
from ruche.storage.model.field import InterlocutorField

MOST_WAYS = 128
"""Ways that an expression is taken apart into; beyond them it is taken for possible."""

Limits = Mapping[str, tuple[float, float]]
"""Name to the least and greatest number that it can be."""


class Claim(NamedTuple):
    """What one comparison says of one name. `operator`: ==, !=, <, <=, >, >=, true, false."""

    name: str
    operator: str
    value: Any = None


Way = tuple[Claim, ...]
_OPERATORS: dict[type[ast.cmpop], str] = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
                                          ast.GtE: ">="}
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "true": "false", "false": "true"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_CLOCK = {"now.hour": (0.0, 23.0), "now.minute": (0.0, 59.0)}


def limits_of(fields: Iterable[InterlocutorField]) -> dict[str, tuple[float, float]]:
    """What numbers the clock and the fields can be, bare and with their namespaces."""
    found = dict(_CLOCK)
    for field in fields:
        if field.type in ("number", "money") and field.validation == "strict":
            least = -math.inf if field.minimum is None else field.minimum
            most = math.inf if field.maximum is None else field.maximum
            found.update(dict.fromkeys((field.name, f"profile.{field.name}", f"session.{field.name}"), (least, most)))
    return found


def can_be_true(trees: Iterable[ast.expr], limits: Limits) -> bool:
    """Whether all of these can be true at once."""
    parts = [ways(tree, True) for tree in trees]
    if any(part is None for part in parts) or math.prod(len(part or ()) for part in parts) > MOST_WAYS:
        return True
    return any(_fits(sum(chosen, ()), limits) for chosen in product(*(part or () for part in parts)))


def ways(node: ast.expr, wanted: bool) -> list[Way] | None:
    """The ways in which a tree is true (or false, as `wanted`); a way says at least what must hold. None: too many."""
    match node:
        case ast.Constant():
            return [()] if bool(node.value) is wanted else []
        case ast.UnaryOp(op=ast.Not()):
            return ways(node.operand, not wanted)
        case ast.BoolOp():
            parts = [ways(part, wanted) for part in node.values]
            return _all(parts) if isinstance(node.op, ast.And) is wanted else _any(parts)
        case ast.Compare():
            links = zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False)
            found = [_compared(operator, left, right, wanted) for operator, left, right in links]
            return _all(found) if wanted else _any(found)
        case _:
            name = _name(node)
            return [()] if name is None else [(Claim(name, "true" if wanted else "false"),)]


def _all(parts: Sequence[list[Way] | None]) -> list[Way] | None:
    """Every part holds. What a part that is too much says is left out."""
    found: list[Way] = [()]
    for part in parts:
        if part is not None:
            if len(found) * len(part) > MOST_WAYS:
                return None
            found = [(*one, *other) for one in found for other in part]
    return found


def _any(parts: Sequence[list[Way] | None]) -> list[Way] | None:
    if any(part is None for part in parts):
        return None
    found = [way for part in parts for way in part or ()]
    return found if len(found) <= MOST_WAYS else None


def _compared(operator: ast.cmpop, left: ast.expr, right: ast.expr, wanted: bool) -> list[Way]:
    name = _name(left)
    if isinstance(operator, ast.In | ast.NotIn):
        return _membership(name, right, isinstance(operator, ast.In) is wanted)
    sign = _OPERATORS.get(type(operator), "")
    if isinstance(left, ast.Constant):
        name, right, sign = _name(right), left, _MIRRORED.get(sign, "")
    if name is None or not sign or not isinstance(right, ast.Constant):
        return [()]
    return [(Claim(name, sign if wanted else _NEGATED[sign], right.value),)]


def _membership(name: str | None, many: ast.expr, inside: bool) -> list[Way]:
    if name is None or not isinstance(many, ast.Tuple) or not all(isinstance(one, ast.Constant) for one in many.elts):
        return [()]
    values = [one.value for one in many.elts if isinstance(one, ast.Constant)]
    if inside:
        return [(Claim(name, "==", value),) for value in values]
    return [tuple(Claim(name, "!=", value) for value in values)]


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return f"{node.space}.{node.key}" if isinstance(node, NamespaceItem) else None


def _fits(way: Way, limits: Limits) -> bool:
    by_name: dict[str, list[Claim]] = {}
    for claim in way:
        by_name.setdefault(claim.name, []).append(claim)
    return all(is_consistent(claims, limits.get(name, (-math.inf, math.inf))) for name, claims in by_name.items())


def is_consistent(claims: list[Claim], bounds: tuple[float, float] = (-math.inf, math.inf)) -> bool:
    """Whether one value can meet all claims."""
    exact = [claim.value for claim in claims if claim.operator == "=="]
    if exact:
        return all(_meets(exact[0], claim) for claim in claims) and (
            not _is_number(exact[0]) or bounds[0] <= exact[0] <= bounds[1])
    above = [(bounds[0], False), *((claim.value, claim.operator == ">") for claim in claims
                                   if claim.operator in (">", ">=") and _is_number(claim.value))]
    below = [(bounds[1], True), *((claim.value, claim.operator == "<=") for claim in claims
                                  if claim.operator in ("<", "<=") and _is_number(claim.value))]
    (least, least_is_out), (most, most_is_in) = max(above), min(below)
    truths = {claim.operator for claim in claims} & {"true", "false"}
    return len(truths) < 2 and (least < most or (least == most and most_is_in and not least_is_out))


def _meets(value: Any, claim: Claim) -> bool:
    """Whether a value meets a claim; a comparison that is an error counts as met."""
    try:
        match claim.operator:
            case "==":
                return bool(value == claim.value)
            case "!=":
                return bool(value != claim.value)
            case "<":
                return bool(value < claim.value)
            case "<=":
                return bool(value <= claim.value)
            case ">":
                return bool(value > claim.value)
            case ">=":
                return bool(value >= claim.value)
            case "true":
                return bool(value)
            case _:
                return not value
    except TypeError:
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
