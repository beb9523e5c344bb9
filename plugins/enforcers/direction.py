"""Whether an expression that a prefix of a reply breaks stays broken, proved from its syntax.

Names that only rise while a reply grows (`names.RISING`) and names that stand still (profile, session, now) make
comparisons that only turn false, or only true; what cannot be shown counts as moving either way.
"""

from __future__ import annotations

import ast
from enum import Enum

from ruche.plugins.enforcers.names import RISING, VOCABULARY
from ruche.plugins.syntax import NamespaceItem


class Direction(Enum):
    """How a value moves while the reply grows; truth counts False below True."""

    STILL = 0
    RISES = 1
    FALLS = -1
    MOVES = 2


_OPPOSITE = {Direction.STILL: Direction.STILL, Direction.RISES: Direction.FALLS, Direction.FALLS: Direction.RISES,
             Direction.MOVES: Direction.MOVES}


def only_falls(tree: ast.expr) -> bool:
    """True when the expression's truth can only turn from true to false, so that prefixes may be judged."""
    return _truth(tree) in (Direction.STILL, Direction.FALLS)


def _truth(node: ast.expr) -> Direction:
    """How the truth of an expression moves."""
    if isinstance(node, ast.BoolOp):
        return _together([_truth(part) for part in node.values])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _OPPOSITE[_truth(node.operand)]
    if isinstance(node, ast.Compare):
        return _comparison(node)
    if isinstance(node, ast.Name | NamespaceItem | ast.Constant):
        return _size(node)
    return Direction.STILL if _still(node) else Direction.MOVES


def _comparison(node: ast.Compare) -> Direction:
    if _still(node):
        return Direction.STILL
    if len(node.ops) != 1:
        return Direction.MOVES
    left, right, operator = _size(node.left), _size(node.comparators[0]), node.ops[0]
    if isinstance(operator, ast.LtE | ast.Lt):
        return _together([_OPPOSITE[left], right])
    if isinstance(operator, ast.GtE | ast.Gt):
        return _together([left, _OPPOSITE[right]])
    return _flag_comparison(left, node.comparators[0], operator)


def _flag_comparison(left: Direction, right: ast.expr, operator: ast.cmpop) -> Direction:
    """`contains_link == False`: as `not contains_link`. Sound for flags, which are only ever False or True."""
    if not isinstance(right, ast.Constant) or not isinstance(right.value, bool):
        return Direction.MOVES
    if not isinstance(operator, ast.Eq | ast.NotEq):
        return Direction.MOVES
    return left if right.value is isinstance(operator, ast.Eq) else _OPPOSITE[left]


def _size(node: ast.expr) -> Direction:
    """How the value of an expression moves."""
    if isinstance(node, ast.Name):
        return _name(node.id)
    if isinstance(node, NamespaceItem):
        return _name(node.key, unknown=Direction.MOVES) if node.space == "reply" else Direction.STILL
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _together([_size(node.left), _size(node.right)])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return _together([_size(node.left), _OPPOSITE[_size(node.right)]])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max", "float"):
        return _together([_size(part) for part in node.args])
    return Direction.STILL if _still(node) else Direction.MOVES


def _name(name: str, unknown: Direction = Direction.STILL) -> Direction:
    if name in RISING:
        return Direction.RISES
    return Direction.MOVES if name in VOCABULARY else unknown


def _together(parts: list[Direction]) -> Direction:
    moving = {part for part in parts if part is not Direction.STILL}
    if not moving:
        return Direction.STILL
    return moving.pop() if len(moving) == 1 else Direction.MOVES


def _still(node: ast.expr) -> bool:
    """True when nothing in the expression reads the reply. Function names are no values and are left out."""
    if isinstance(node, ast.Call):
        return all(_still(part) for part in node.args)
    if isinstance(node, ast.Name | NamespaceItem):
        return _size(node) is Direction.STILL
    return all(_still(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))
