"""The part of Python's syntax that an author may use in an expression: an allow-list, checked once at load.

What is not named here is refused, whatever it does; `expressions.py` evaluates only trees that passed.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from ruche.plugins.errors import ConfigurationError

MAX_BYTES = 2_048
MAX_NODES = 200
MAX_DEPTH = 32
MAX_TEXT = 500
"""Characters of a string literal."""
MAX_NUMBER = 2**63
NAMESPACES = frozenset({"reply", "profile", "session", "now"})
FUNCTIONS = frozenset({"len", "abs", "min", "max", "lower", "upper", "int", "float", "str", "bool"})
_WORDS = {"true": True, "false": False, "null": None, "none": None}

_OPERATORS = {
    ast.Pow: "** is not available; write a product", ast.LShift: "<< is not available; write a product",
    ast.RShift: ">> is not available; write a division", ast.BitAnd: "write `and` instead of &",
    ast.BitOr: "write `or` instead of |", ast.BitXor: "write `!=` instead of ^", ast.MatMult: "@ is not available",
    ast.Invert: "write `not` instead of ~", ast.Is: "write == instead of `is`",
    ast.IsNot: "write != instead of `is not`",
}
_KINDS = {
    ast.Lambda: "functions cannot be made here", ast.JoinedStr: "f-strings are not available; compare the parts",
    ast.ListComp: "comprehensions are not available", ast.SetComp: "comprehensions are not available",
    ast.DictComp: "comprehensions are not available", ast.GeneratorExp: "comprehensions are not available",
    ast.NamedExpr: "write == to compare; := is not available", ast.Starred: "* is not available in front of a name",
    ast.Set: "write a list: [1, 2]", ast.Dict: "dictionaries are not available", ast.Await: "await is not available",
    ast.Yield: "yield is not available", ast.Slice: "slices are not available; compare the whole value",
}
_LOOKALIKES = {"&&": "write `and` instead of &&", "||": "write `or` instead of ||", "=>": "write >= instead of =>",
               "=<": "write <= instead of =<", "!": "write `not` instead of !", "$": "write the number without $",
               "=": "write == to compare"}


class NamespaceItem(ast.expr):
    """`reply.amount` as the evaluator sees it: item `key` of namespace `space`, never an attribute."""

    _fields = ("space", "key")
    space: str
    key: str


def parse(text: str, known: Collection[str] | None = None) -> tuple[ast.expr, frozenset[str]]:
    """The checked tree and the names it reads (`amount`, `reply.amount`).

    `known`, when given, is the vocabulary; another name is refused with the nearest known one. Raises
    ConfigurationError with `column` (from 1, leading blanks not counted) in its details.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        _refuse(f"the expression is longer than {MAX_BYTES} bytes; split it into several rules", 1)
    reader = _Reader(known)
    return reader.read(_tree(text), 1), frozenset(reader.names)


def _refuse(message: str, column: int) -> NoReturn:
    raise ConfigurationError(f"column {column}: {message}", column=column)


def _tree(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        hint = next((hint for sign, hint in _LOOKALIKES.items() if sign in text), "write for example: amount <= 50")
        _refuse(f"this is not an expression ({error.msg}); {hint}", error.offset or 1)
    except (ValueError, MemoryError, RecursionError, OverflowError):
        _refuse("this is not an expression; write for example: amount <= 50", 1)


class _Reader:
    """Walks a tree once: counts, refuses, collects names, and returns the tree to evaluate."""

    def __init__(self, known: Collection[str] | None) -> None:
        self._known = known
        self._nodes = 0
        self.names: set[str] = set()

    def read(self, node: ast.expr, depth: int) -> ast.expr:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(f"more than {MAX_NODES} parts; split it into several rules", node.col_offset + 1)
        if depth > MAX_DEPTH:
            _refuse(f"nested deeper than {MAX_DEPTH} levels; split it into several rules", node.col_offset + 1)
        visit = _VISITORS.get(type(node))
        if visit is None:
            reason = _KINDS.get(type(node), "only comparisons, arithmetic, and/or/not, `in` and lists are available")
            _refuse(reason, node.col_offset + 1)
        return visit(self, node, depth + 1)

    def constant(self, node: ast.Constant, depth: int) -> ast.expr:
        value = node.value
        if value is None or isinstance(value, bool):
            return node
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return node
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) < MAX_NUMBER:
            return node
        _refuse(f"a literal is a text of at most {MAX_TEXT} characters, a number below 2**63, True, False or None",
                node.col_offset + 1)

    def name(self, node: ast.Name, depth: int) -> ast.expr:
        if node.id in _WORDS:
            return ast.copy_location(ast.Constant(_WORDS[node.id]), node)
        if node.id in NAMESPACES - {"now"}:
            _refuse(f"{node.id} alone has no value; write {node.id}.NAME", node.col_offset + 1)
        self._use(node.id, node)
        return node

    def attribute(self, node: ast.Attribute, depth: int) -> ast.expr:
        space = node.value
        if not isinstance(space, ast.Name) or space.id not in NAMESPACES:
            _refuse(f".{node.attr} is not available; only reply., profile., session. and now. may stand before a "
                    "name, and nothing is called with a dot", node.col_offset + 1)
        if node.attr.startswith("_"):
            _refuse(f"{space.id}.{node.attr}: names do not begin with _", node.col_offset + 1)
        self._use(f"{space.id}.{node.attr}", node)
        item = NamespaceItem()
        item.space, item.key = space.id, node.attr
        return ast.copy_location(item, node)

    def subscript(self, node: ast.Subscript, depth: int) -> ast.expr:
        key = node.slice
        if not isinstance(key, ast.Constant) or type(key.value) not in (str, int):
            _refuse("only a literal may stand in [ ]: order['status'] or items[0]", node.col_offset + 1)
        node.slice = self.read(key, depth)
        node.value = self.read(node.value, depth)
        return node

    def compare(self, node: ast.Compare, depth: int) -> ast.expr:
        for operator in node.ops:
            self._operator(operator, node)
        node.left = self.read(node.left, depth)
        node.comparators = [self.read(part, depth) for part in node.comparators]
        return node

    def binary(self, node: ast.BinOp, depth: int) -> ast.expr:
        self._operator(node.op, node)
        if isinstance(node.op, ast.Mod | ast.Mult) and (_is_many(node.left) or _is_many(node.right)):
            _refuse("% and * are for numbers only", node.col_offset + 1)
        node.left, node.right = self.read(node.left, depth), self.read(node.right, depth)
        return node

    def unary(self, node: ast.UnaryOp, depth: int) -> ast.expr:
        self._operator(node.op, node)
        node.operand = self.read(node.operand, depth)
        return node

    def boolean(self, node: ast.BoolOp, depth: int) -> ast.expr:
        node.values = [self.read(part, depth) for part in node.values]
        return node

    def choice(self, node: ast.IfExp, depth: int) -> ast.expr:
        node.test, node.body = self.read(node.test, depth), self.read(node.body, depth)
        node.orelse = self.read(node.orelse, depth)
        return node

    def sequence(self, node: ast.List | ast.Tuple, depth: int) -> ast.expr:
        parts = [self.read(part, depth) for part in node.elts]
        return ast.copy_location(ast.Tuple(parts, ast.Load()), node)

    def call(self, node: ast.Call, depth: int) -> ast.expr:
        if isinstance(node.func, ast.Attribute):
            _refuse(f"nothing is called with a dot; write for example lower(name) instead of name.{node.func.attr}()",
                    node.col_offset + 1)
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            name = node.func.id if isinstance(node.func, ast.Name) else "this"
            _refuse(f"{name} cannot be called; there are {', '.join(sorted(FUNCTIONS))}", node.col_offset + 1)
        if node.keywords:
            _refuse("functions take no named arguments", node.col_offset + 1)
        node.args = [self.read(part, depth) for part in node.args]
        return node

    def _use(self, name: str, node: ast.expr) -> None:
        if name.startswith("_"):
            _refuse(f"{name}: names do not begin with _", node.col_offset + 1)
        if name in FUNCTIONS:
            _refuse(f"{name} is a function; write {name}(...)", node.col_offset + 1)
        if self._known is not None and name not in self._known:
            near = difflib.get_close_matches(name, self._known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(self._known)[:20]) or 'none'}"
            _refuse(f"{name} is not known here; {hint}", node.col_offset + 1)
        self.names.add(name)

    def _operator(self, operator: ast.AST, node: ast.expr) -> None:
        if type(operator) in _OPERATORS:
            _refuse(_OPERATORS[type(operator)], node.col_offset + 1)


def _is_many(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


_VISITORS: dict[type[ast.expr], Callable[[_Reader, Any, int], ast.expr]] = {
    ast.Constant: _Reader.constant, ast.Name: _Reader.name, ast.Attribute: _Reader.attribute,
    ast.Subscript: _Reader.subscript, ast.Compare: _Reader.compare, ast.BinOp: _Reader.binary,
    ast.UnaryOp: _Reader.unary, ast.BoolOp: _Reader.boolean, ast.IfExp: _Reader.choice, ast.List: _Reader.sequence,
    ast.Tuple: _Reader.sequence, ast.Call: _Reader.call,
}
