"""The way from the brain to a tool: arguments are checked, the deadline is kept, and failures stay results."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jsonschema.protocols import Validator

from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import ToolResult
from ruche.plugins.errors import ConfigurationError, RucheError
from ruche.plugins.tools.http import HttpTools
from ruche.plugins.tools.schema import check_kind, problem, split_reference, validator
from ruche.plugins.tools.worker import WorkerPool
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool

MAX_POOLS = 16
"""Agent versions whose workers are kept; the one unused for longest goes first."""


class Tools:
    """Implements ToolGateway. `secrets` fill `${NAME}` in headers; `at_once` bounds the calls of one tool; `hosts` are
    those that HTTP tools may call, any where there is none."""

    def __init__(self, *, secrets: Mapping[str, str] | None = None, at_once: int = 4, hosts: Sequence[str] = (),
                 breaker: Callable[[], Breaker] = Breaker) -> None:
        self._http = HttpTools(secrets, hosts)
        self._at_once = at_once
        self._new_breaker = breaker
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._pools: OrderedDict[int, tuple[AgentBundle, WorkerPool]] = OrderedDict()

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        """Run a tool within its `timeout_ms`, waiting included. Never raises, except when it is cancelled."""
        began = time.perf_counter()
        status, value, error = await self._result(bundle, tool, arguments, context)
        return ToolResult(status=status, value=value, error=error,  # type: ignore[arg-type]
                          ms=round((time.perf_counter() - began) * 1_000, 3))

    async def warm(self, bundle: AgentBundle) -> None:
        """Start the worker of an agent that has Python tools, so that its first call finds one. Raises OSError."""
        if any(tool.python for tool in bundle.tools):
            await self._pool(bundle).warm()

    async def close(self) -> None:
        """Kill all workers and close all connections."""
        await self._http.close()
        while self._pools:
            await self._pools.popitem()[1][1].close()

    async def _result(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                      context: dict[str, str]) -> tuple[str, Any, str]:
        try:
            line = self._line(bundle, tool)
        except ConfigurationError as error:
            return "error", None, error.message
        wrong = problem(line.validator, arguments)
        if wrong:
            return "error", None, wrong
        wait = line.breaker.wait()
        if wait:
            return "error", None, f"the tool failed several times and is left alone for {wait:.0f} s"
        try:
            async with asyncio.timeout(tool.timeout_ms / 1_000), line.slots:
                value = await self._run(bundle, tool, arguments, context)
        except TimeoutError:
            line.breaker.failed()
            return "timeout", None, f"the tool did not answer within {tool.timeout_ms} ms"
        except RucheError as error:
            line.breaker.failed()
            return "error", None, error.message
        except Exception as error:
            line.breaker.failed()
            return "error", None, f"the tool could not be called ({type(error).__name__})"
        line.breaker.succeeded()
        return "ok", value, ""

    async def _run(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any], context: dict[str, str]) -> Any:
        if tool.python is not None:
            file, function = split_reference(tool.python)
            return await self._pool(bundle).call(file, function, arguments, context)
        return await self._http.call(tool, arguments, context.get("idempotency_key", ""))

    def _line(self, bundle: AgentBundle, tool: Tool) -> _Line:
        key = (bundle.tenant, bundle.id, tool.id)
        line = self._lines.get(key)
        if line is None or line.tool is not tool:
            check_kind(tool)
            line = self._lines[key] = _Line(tool, validator(tool), self._new_breaker(), self._at_once)
        return line

    def _pool(self, bundle: AgentBundle) -> WorkerPool:
        kept = self._pools.get(id(bundle))
        if kept is None:
            self._shed()
            kept = self._pools[id(bundle)] = (bundle, WorkerPool(bundle.sources))
        self._pools.move_to_end(id(bundle))
        return kept[1]

    def _shed(self) -> None:
        """Make room by ending the longest unused pool that runs nothing."""
        if len(self._pools) < MAX_POOLS:
            return
        for key, (_, pool) in self._pools.items():
            if not pool.busy:
                del self._pools[key]
                self._ending = asyncio.ensure_future(pool.close())
                return


class _Line:
    """What is kept of one tool between calls."""

    __slots__ = ("breaker", "slots", "tool", "validator")

    def __init__(self, tool: Tool, checker: Validator, breaker: Breaker, at_once: int) -> None:
        self.tool = tool
        self.validator = checker
        self.breaker = breaker
        self.slots = asyncio.Semaphore(at_once)
