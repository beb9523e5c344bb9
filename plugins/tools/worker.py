"""Python tools of an agent folder, run in processes of their own that can be killed at any moment.

A worker has no environment, no inherited files, a working directory of its own and bounded memory. It is not a jail
against its author: tools come from disk or entry points, never through the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruche.plugins.errors import ProviderFailed

MAX_RESULT = 1_000_000
_PROGRAM = Path(__file__).with_name("worker_main.py")


class Worker:
    """One process. A call that is given up, for whatever reason, leaves it unusable: `close` it."""

    def __init__(self, process: asyncio.subprocess.Process, directory: str) -> None:
        self._process = process
        self._directory = directory

    @classmethod
    async def start(cls, sources: dict[str, str]) -> Worker:
        """Spawn a process and hand it the source texts. About 30 ms; nothing is imported before the first call."""
        directory = tempfile.mkdtemp(prefix="ruche-tool-")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-X", "utf8", str(_PROGRAM), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=directory, env=_environment(),
            start_new_session=True, limit=MAX_RESULT + 65_536)
        worker = cls(process, directory)
        await worker._send({"sources": sources})
        return worker

    async def call(self, file: str, function: str, arguments: dict[str, Any], context: dict[str, str]) -> Any:
        """The function's result, plain JSON data. Raises ProviderFailed with the kind and place of its error.

        No deadline of its own: the caller cancels, then closes.
        """
        try:
            await self._send({"file": file, "function": function, "arguments": arguments, "context": context})
            answer = await self._receive()
        except (OSError, EOFError, asyncio.IncompleteReadError):
            raise WorkerLost("the tool's process ended during the call") from None
        if "error" in answer:
            raise ProviderFailed(str(answer["error"]))
        return answer.get("value")

    async def close(self) -> None:
        """Kill the process and everything it started, and remove its directory. Never raises."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        stream = self._process.stdin
        if stream is None:
            raise EOFError
        stream.write(len(data).to_bytes(4, "big") + data)
        await stream.drain()

    async def _receive(self) -> dict[str, Any]:
        stream = self._process.stdout
        if stream is None:
            raise EOFError
        size = int.from_bytes(await stream.readexactly(4), "big")
        if size > MAX_RESULT + 1_000:
            raise WorkerLost("the tool's process sent more than it may")
        try:
            answer = json.loads(await stream.readexactly(size))
        except (ValueError, RecursionError):
            raise WorkerLost("the tool's process sent no JSON") from None
        if not isinstance(answer, dict):
            raise WorkerLost("the tool's process sent no JSON object")
        return answer


class WorkerLost(ProviderFailed):
    """The process died or cannot be understood any more."""


class WorkerPool:
    """The workers of one agent bundle: none before the first call, at most `limit` at once."""

    def __init__(self, sources: dict[str, str], limit: int = 4) -> None:
        self._sources = sources
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[Worker] = []
        self._busy = 0
        self._closed = False

    @property
    def busy(self) -> bool:
        return self._busy > 0

    async def warm(self) -> None:
        """Start a worker ahead of the first call."""
        async with self._slots:
            if not self._idle and not self._closed:
                self._idle.append(await Worker.start(self._sources))

    async def call(self, file: str, function: str, arguments: dict[str, Any], context: dict[str, str]) -> Any:
        """Run on an idle worker. A call that fails to return costs that worker; the next one gets a fresh one."""
        async with self._slots:
            self._busy += 1
            try:
                return await self._call(file, function, arguments, context)
            finally:
                self._busy -= 1

    async def close(self) -> None:
        """Kill the idle workers; busy ones end with their calls."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _call(self, file: str, function: str, arguments: dict[str, Any], context: dict[str, str]) -> Any:
        worker = self._idle.pop() if self._idle else await Worker.start(self._sources)
        usable = False
        try:
            value = await worker.call(file, function, arguments, context)
            usable = True
        except WorkerLost:
            raise
        except ProviderFailed:
            usable = True
            raise
        finally:
            if usable and not self._closed:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.close())
        return value


def _environment() -> dict[str, str]:
    """Nothing of ours. Windows cannot start Python without its system directory."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}
