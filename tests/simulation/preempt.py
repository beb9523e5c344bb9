"""Interruptions between two statements: the operating system may stop a thread anywhere, so the simulation does.

The functions through which threads and loop meet are given points at which another may run. What happens inside a
`with self._lock` is one step, as the lock promises.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ruche.actors import future, mailbox, scribe, service
from tests.simulation.schedule import SimulatedThreads
from tests.simulation.world import World

MODULES = (scribe, mailbox, future, service)
LOCKED = frozenset({"_admit"})
"""Called with the lock held."""
_POINT = "__interruption__"


@contextmanager
def interruptible(world: World, threads: SimulatedThreads) -> Iterator[None]:
    """While this lasts, threads and loop interrupt each other, if the world is one in which they do."""
    if not world.preempting:
        yield
        return

    def point() -> None:
        if not threads.inside():
            return
        if world.dead or world.dying or not world.interrupts():
            return
        if threads.current is not None:
            threads.pause(0.0)
        elif runnable := threads.runnable():
            threads.step(world.pick(runnable))

    pieces = _instrumented()
    for module in MODULES:
        vars(module)[_POINT] = point
    originals = [(function, function.__code__) for function, _ in pieces]
    for function, code in pieces:
        function.__code__ = code
    try:
        yield
    finally:
        for function, before in originals:
            function.__code__ = before


_made: list[tuple[FunctionType, CodeType]] = []


broken: dict[FunctionType, CodeType] = {}
"""Functions that were changed on purpose, with their changed code with points."""


def _instrumented() -> list[tuple[FunctionType, CodeType]]:
    """Functions with their code with points."""
    if not _made:
        for module in MODULES:
            _made.extend(_of_module(module))
    return [(function, broken.get(function, code)) for function, code in _made]


def pointed(tree: ast.Module) -> ast.Module:
    """The code with points before its statements."""
    made: ast.Module = ast.fix_missing_locations(_Points().visit(tree))
    return made


def _of_module(module: ModuleType) -> Iterator[tuple[FunctionType, CodeType]]:
    tree = pointed(ast.parse(inspect.getsource(module)))
    compiled = compile(tree, module.__file__ or "", "exec", dont_inherit=True)
    codes = {code.co_qualname: code for code in _codes(compiled)}
    for function in _functions(module):
        code = codes.get(function.__qualname__)
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            yield function, code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for owner in (module, *(kind for kind in vars(module).values() if inspect.isclass(kind))):
        for member in vars(owner).values():
            if isinstance(member, FunctionType) and member.__module__ == module.__name__:
                yield member


class _Points(ast.NodeTransformer):
    """Puts a point before every statement of every function, except where a lock is held."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Any) -> ast.AST:
        if node.name not in LOCKED:
            node.body = self._pointed(node.body)
        return node

    def _pointed(self, body: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for place, statement in enumerate(body):
            if place == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                made.append(statement)
                continue
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef) and not _locks(statement):
                for name in ("body", "orelse", "finalbody"):
                    inner = getattr(statement, name, None)
                    if inner:
                        setattr(statement, name, self._pointed(inner))
                for handler in getattr(statement, "handlers", ()):
                    handler.body = self._pointed(handler.body)
            made += [ast.parse(f"{_POINT}()").body[0], statement]
        return made


def _locks(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.With) and any("_lock" in ast.unparse(item) for item in statement.items)
