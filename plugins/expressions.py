"""Expressions of authors (`amount <= 50 or profile.tier == 'VIP'`): compiled once, evaluated often, never unsafe.

`syntax.py` admits the tree; simpleeval walks it with ten functions and no attribute access. A name without a value is
unknown, and unknown is carried as in Kleene's logic: `or` is true when any part is true, `and` is false when any part
is false, in whichever order they stand; otherwise the whole is Undefined, which makes a rule not applicable.
"""

from __future__ import annotations

import ast
import math
import operator
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import simpleeval

from ruche.plugins.errors import RucheError
from ruche.plugins.syntax import NamespaceItem, parse

__all__ = ["Expression", "ExpressionError", "Undefined", "compile_expression"]

MAX_VALUE_TEXT = 100_000
"""Characters of a text that an expression may read or make."""
MAX_VALUE_ITEMS = 1_000
_MAX_INT = 2**63
_MANY = frozenset({list, tuple, dict})


class ExpressionError(RucheError):
    """The expression has no value for these names: a text compared with a number, a division by zero."""

    code = "EXPRESSION_ERROR"


class Undefined(ExpressionError):
    """A name has no value. `name` tells which; the rule is not applicable."""

    code = "EXPRESSION_UNDEFINED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no value", name=name)
        self.name = name


class Expression:
    """A compiled expression. Immutable; may be evaluated from several threads at once."""

    __slots__ = ("names", "text", "tree")

    def __init__(self, text: str, tree: ast.expr, names: frozenset[str]) -> None:
        self.text = text
        self.tree = tree
        self.names = names
        """What it reads: bare names (`amount`) and namespaced ones (`reply.amount`)."""

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value. `names` maps bare names to plain values and namespaces to mappings of plain values.

        Raises Undefined for the first name that has no value (see the module's note on `or` and `and`) and
        ExpressionError for every other failure; nothing else.
        """
        try:
            return _HERE.walker.evaluate(self.tree, names)
        except ExpressionError:
            raise
        except (simpleeval.InvalidExpression, TypeError, ValueError, ArithmeticError, LookupError, RecursionError,
                AttributeError) as error:
            raise ExpressionError(f"{self.text}: {_plain(error)}") from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(text: str, *, names: Collection[str] | None = None) -> Expression:
    """Check and compile. `names` is the vocabulary, None admits any name.

    Raises ConfigurationError with the column (`details['column']`, from 1) and what to write instead.
    """
    tree, used = parse(text, names)
    return Expression(text, tree, used)


def _plain(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, TypeError):
        return "values of these kinds do not go together; compare texts with texts and numbers with numbers"
    if isinstance(error, simpleeval.IterableTooLong | RecursionError):
        return "a value grew too large"
    return "no value for these names"


def _plain_value(value: Any, name: str) -> Any:
    kind = type(value)
    if kind is bool or value is None:
        return value
    if kind is float:
        return _finite(value)
    if kind is int and -_MAX_INT < value < _MAX_INT:
        return value
    if (kind is str and len(value) <= MAX_VALUE_TEXT) or (kind in _MANY and len(value) <= MAX_VALUE_ITEMS):
        return value
    raise ExpressionError(f"{name} holds no plain value of a bounded size")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ExpressionError("a number is not finite")
    return value


def _numbers(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError
        return operation(left, right)
    return apply


def _text(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        raise TypeError
    return str(value)


def _number(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, str) and len(value) > 40:
            raise ValueError
        made = kind(value)
        return made if kind is int else _finite(made)
    return convert


_Operators = dict[type[ast.AST], Callable[..., Any]]
_BINARY: _Operators = {ast.Add: simpleeval.safe_add, ast.Sub: _numbers(operator.sub), ast.Mult: _numbers(operator.mul),
           ast.Div: _numbers(operator.truediv), ast.FloorDiv: _numbers(operator.floordiv),
           ast.Mod: _numbers(operator.mod)}
_COMPARISONS: _Operators = {ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
                ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda item, many: item in many,
                ast.NotIn: lambda item, many: item not in many}
_UNARY: _Operators = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_OPERATORS: _Operators = {**_BINARY, **_COMPARISONS, **_UNARY}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "abs": abs, "min": min, "max": max, "lower": str.lower, "upper": str.upper, "int": _number(int),
    "float": _number(float), "str": _text, "bool": bool,
}


class _Walker(simpleeval.EvalWithCompoundTypes):
    """simpleeval with nothing in it but the nodes that `syntax.py` admits; one per thread, reused.

    Reuse matters: making an evaluator costs more than most expressions.
    """

    def __init__(self) -> None:
        super().__init__(_OPERATORS, dict(_FUNCTIONS), {})  # type: ignore[no-untyped-call]
        self.functions = dict(_FUNCTIONS)
        self.expr = ""
        self.nodes = {
            ast.Constant: lambda node: node.value, ast.Name: self._read_name, NamespaceItem: self._read_item,
            ast.Compare: self._eval_compare, ast.BinOp: self._eval_binop, ast.UnaryOp: self._eval_unaryop,
            ast.BoolOp: self._kleene, ast.IfExp: self._eval_ifexp, ast.Tuple: self._eval_tuple,
            ast.Subscript: self._read_part, ast.Call: self._eval_call,
        }

    def evaluate(self, tree: ast.expr, names: Mapping[str, Any]) -> Any:
        self.names = names
        try:
            return self._eval(tree)  # type: ignore[no-untyped-call]
        finally:
            self.names = {}

    def _read_name(self, node: ast.Name) -> Any:
        try:
            value = self.names[node.id]
        except KeyError:
            raise Undefined(node.id) from None
        return _plain_value(value, node.id)

    def _read_item(self, node: NamespaceItem) -> Any:
        space = self.names.get(node.space)
        if not isinstance(space, Mapping) or node.key not in space:
            raise Undefined(f"{node.space}.{node.key}")
        return _plain_value(space[node.key], node.key)

    def _read_part(self, node: ast.Subscript) -> Any:
        whole = self._eval(node.value)  # type: ignore[no-untyped-call]
        key = node.slice.value  # type: ignore[attr-defined]
        try:
            return _plain_value(whole[key], str(key))
        except LookupError:
            raise Undefined(f"[{key!r}]") from None

    def _kleene(self, node: ast.BoolOp) -> Any:
        """The first operand that decides; Undefined when none decides and one is unknown; else the last."""
        decisive = isinstance(node.op, ast.Or)
        unknown: Undefined | None = None
        value: Any = not decisive
        for part in node.values:
            try:
                value = self._eval(part)  # type: ignore[no-untyped-call]
            except Undefined as missing:
                unknown = unknown or missing
                continue
            if bool(value) is decisive:
                return value
        if unknown is not None:
            raise unknown
        return value


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.walker = _Walker()


_HERE = _PerThread()
