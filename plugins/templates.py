"""Templates of authors (`Your order {{ order_id }} is on its way.`): Jinja2, cut down to what a reply needs.

Our own allow-list decides over the parsed tree before anything is compiled; values are plain data, a dot reads an item
and never an attribute, filters are our own, and there are no globals (security item 21). Only an author's text is ever
compiled; what a person, a tool or a model says can only be a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ruche.plugins.dates import LANGUAGE
from ruche.plugins.errors import ConfigurationError, RucheError
from ruche.plugins.filters import FILTERS, shown
from ruche.plugins.sentences import sentences
from ruche.plugins.syntax import NAMESPACES

__all__ = ["Template", "TemplateError", "compile_template"]

MAX_SOURCE = 16_384
MAX_OUTPUT = 32_768
MAX_NODES = 500
MAX_DEPTH = 24
MAX_ITEMS = 500
"""Items of all lists and dictionaries that a template reads; loops do not nest, so this bounds a rendering."""
MAX_TEXT = 32_768
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_FORBIDDEN_NAMES = frozenset({"self", "super", "caller", "loop", "varargs", "kwargs", "true", "false", "none"})
_PLAIN = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Concat, nodes.Neg, nodes.List, nodes.Tuple,
)


class TemplateError(RucheError):
    """The template cannot be rendered with these values; the message names what is missing or too large."""

    code = "TEMPLATE_ERROR"


class Template:
    """A compiled template. Immutable; rendering has no side effects."""

    __slots__ = ("_compiled", "_dated", "_roots", "names", "text")

    def __init__(self, text: str, compiled: Any, names: frozenset[str]) -> None:
        self.text = text
        self.names = names
        """What it reads: `order_id`, or `profile.first_name` for the namespaces reply, profile, session and now."""
        self._compiled = compiled
        self._dated = "date" in text
        self._roots = tuple(sorted({name.partition(".")[0] for name in names}))

    def render(self, values: Mapping[str, Any]) -> str:
        """The text, with dates in the language that `values` has as `session.language` (`en` without).

        `values` may hold more than is read. Raises TemplateError, nothing else; at most 32 KB.
        """
        plain = {name: values[name] for name in self._roots if name in values}
        _Budget().spend(plain)
        if self._dated:
            plain[LANGUAGE] = _language(values)
        try:
            return _join(self._compiled.generate(plain) if self._roots or "{" in self.text else (self.text,))
        except JinjaError as error:
            raise TemplateError(f"the template needs a value: {error.message or 'one is missing'}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
            raise TemplateError("the template's values are of the wrong kind") from None

    def plain(self) -> str:
        """What the text says whatever the values are: its sentences without placeholders; nothing when it has
        conditions or loops."""
        if "{%" in self.text:
            return ""
        return "".join(part for part in sentences(_COMMENT.sub("", self.text)) if "{{" not in part and "}}" not in part)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


@lru_cache(2048)
def compile_template(text: str) -> Template:
    """Check and compile, once a text: the check of an agent and its start ask for the same. Raises ConfigurationError
    with the line and what to write instead."""
    if len(text) > MAX_SOURCE:
        raise ConfigurationError(f"line 1: the template is longer than {MAX_SOURCE} characters; split it", line=1)
    try:
        if "{" not in text:
            return Template(text, _NOTHING, frozenset())
        tree = _ENVIRONMENT.parse(text)
        names = _Reader().read(tree)
        return Template(text, _ENVIRONMENT.from_string(text), names)
    except TemplateSyntaxError as error:
        raise ConfigurationError(f"line {error.lineno or 1}: {error.message}; write values as {{{{ name }}}}",
                                 line=error.lineno or 1) from None
    except (RecursionError, OverflowError, ValueError, SyntaxError, MemoryError):
        raise ConfigurationError("line 1: the template is nested too deeply; split it", line=1) from None


class _ItemsOnly(ImmutableSandboxedEnvironment):
    """A dot and brackets read an item of a dictionary or a list; attributes do not exist."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if type(obj) in (dict, list, tuple):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(name=str(argument))

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _environment() -> _ItemsOnly:
    made = _ItemsOnly(undefined=StrictUndefined, autoescape=False, finalize=shown, cache_size=0,
                      keep_trailing_newline=True)
    made.globals.clear()
    made.filters = dict(FILTERS)
    made.tests = {"defined": made.tests["defined"]}
    return made


_ENVIRONMENT = _environment()
_NOTHING = _ENVIRONMENT.from_string("")
"""Stands behind a text that asks for no value: it is said as it is written."""


class _Reader:
    """Walks a parsed template: refuses what is not listed, bounds it, and collects the names it reads."""

    def __init__(self) -> None:
        self._count = 0
        self._names: set[str] = set()
        self._bound: set[str] = set()

    def read(self, tree: nodes.Template) -> frozenset[str]:
        self._visit(tree, 0, False)
        return frozenset(self._names)

    def _visit(self, node: nodes.Node, depth: int, looping: bool) -> None:
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            _refuse(node, f"more than {MAX_NODES} parts or {MAX_DEPTH} levels; split the template")
        if isinstance(node, nodes.Name):
            self._use(node.name, node.name, node)
        elif isinstance(node, nodes.Getattr | nodes.Getitem):
            self._item(node, depth, looping)
        elif isinstance(node, nodes.Const):
            _check_constant(node)
        elif isinstance(node, nodes.Filter):
            self._filter(node, depth, looping)
        elif isinstance(node, nodes.For):
            self._loop(node, depth, looping)
        elif isinstance(node, nodes.Test):
            self._test(node, depth, looping)
        elif isinstance(node, _PLAIN):
            self._children(node, depth, looping)
        else:
            _refuse(node, f"{type(node).__name__.lower()} is not available; there are {{{{ name }}}}, filters, if "
                          "and a plain for")

    def _children(self, node: nodes.Node, depth: int, looping: bool) -> None:
        for child in node.iter_child_nodes():
            self._visit(child, depth + 1, looping)

    def _use(self, root: str, name: str, node: nodes.Node) -> None:
        if root in self._bound:
            return
        if root.startswith("_") or root in _FORBIDDEN_NAMES:
            _refuse(node, f"{root} is not available as a name")
        self._names.add(name)

    def _item(self, node: nodes.Getattr | nodes.Getitem, depth: int, looping: bool) -> None:
        if isinstance(node, nodes.Getattr):
            key: Any = node.attr
        elif isinstance(node.arg, nodes.Const) and type(node.arg.value) in (str, int):
            key = node.arg.value
        else:
            _refuse(node, "only a literal may stand in [ ]")
        if isinstance(key, str) and key.startswith("_"):
            _refuse(node, f"{key}: names do not begin with _")
        if isinstance(node.node, nodes.Name) and node.node.name in NAMESPACES:
            self._use(node.node.name, f"{node.node.name}.{key}", node)
        elif isinstance(node.node, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._visit(node.node, depth + 1, looping)
        else:
            _refuse(node, "a dot may stand behind a name only")

    def _filter(self, node: nodes.Filter, depth: int, looping: bool) -> None:
        if node.node is None or node.name not in FILTERS:
            _refuse(node, f"there is no filter {node.name}; there are {', '.join(sorted(FILTERS))}")
        if looping and node.name == "join":
            _refuse(node, "join is not available inside a loop")
        if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > 1:
            _refuse(node, f"{node.name} takes at most one plain argument")
        self._children(node, depth, looping)

    def _test(self, node: nodes.Test, depth: int, looping: bool) -> None:
        if node.name != "defined" or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            _refuse(node, f"there is no test {node.name}; there is `is defined`")
        self._children(node, depth, looping)

    def _loop(self, node: nodes.For, depth: int, looping: bool) -> None:
        if looping or node.recursive or node.test is not None or not isinstance(node.target, nodes.Name):
            _refuse(node, "a loop goes over one list with one name, without a condition and without another loop in it")
        if not isinstance(node.iter, nodes.Name | nodes.Getattr | nodes.Getitem):
            _refuse(node, "a loop goes over a named list: for item in items")
        self._visit(node.iter, depth + 1, True)
        if node.target.name in _FORBIDDEN_NAMES or node.target.name.startswith("_"):
            _refuse(node, f"{node.target.name} is not available as a name")
        self._bound.add(node.target.name)
        for part in (*node.body, *node.else_):
            self._visit(part, depth + 1, True)
        self._bound.discard(node.target.name)


def _refuse(node: nodes.Node, message: str) -> NoReturn:
    line = node.lineno or 1
    raise ConfigurationError(f"line {line}: {message}", line=line)


def _check_constant(node: nodes.Const) -> None:
    value = node.value
    if not (value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= 1_000)
            or (isinstance(value, int | float) and abs(value) < 2**53)):
        _refuse(node, "a literal is a text of at most 1000 characters, a number, true, false or none")


class _Budget:
    """Admits plain values up to MAX_ITEMS items and MAX_TEXT characters; exact types only, so nothing runs."""

    def __init__(self) -> None:
        self._items = MAX_ITEMS
        self._text = MAX_TEXT

    def spend(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if not self._admits(value, 0):
                raise TemplateError(f"{name} holds something that is no plain value of a bounded size")

    def _admits(self, value: Any, depth: int) -> bool:
        kind = type(value)
        if kind is str:
            self._text -= len(value)
            return self._text >= 0
        if kind in (bool, float) or value is None:
            return True
        if kind is int:
            return bool(-2**63 <= value < 2**63)
        if kind not in (list, tuple, dict) or depth > 6:
            return False
        self._items -= len(value)
        parts = value.values() if kind is dict else value
        return self._items >= 0 and all(self._admits(part, depth + 1) for part in parts)


def _language(values: Mapping[str, Any]) -> str:
    session = values.get("session")
    language = session.get("language") if type(session) is dict else None
    return language if type(language) is str else "en"


def _join(pieces: Any) -> str:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT:
            raise TemplateError(f"the text is longer than {MAX_OUTPUT} characters")
        parts.append(piece)
    return "".join(parts)
