"""The program of a tool worker: runs alone, imports nothing of the engine, answers one call after the other.

Frames on its first input and output: four bytes of length, then JSON. The functions it runs see neither of them: their
own input is empty and their prints go nowhere.
"""

import asyncio
import importlib.abc
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from queue import SimpleQueue
from threading import Thread
from types import ModuleType
from typing import Any, BinaryIO

MAX_RESULT = 1_000_000
MEMORY_BYTES = 2_000_000_000


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets the files of an agent folder import each other: they exist as text only."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = {name.removesuffix(".py").replace("/", "."): (name, text) for name, text in sources.items()}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self._sources:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=self._sources[fullname][0])

    def exec_module(self, module: ModuleType) -> None:
        name, text = self._sources[module.__name__]
        exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def main() -> None:
    """Serve frames until the input ends, which ends the process."""
    reading, writing = _private_pipes()
    _limit_memory()
    sources = Sources(_read(reading)["sources"])
    sys.meta_path.insert(0, sources)
    requests: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(reading, requests), daemon=True).start()
    while True:
        _write(writing, _answer(requests.get()))


def _listen(reading: BinaryIO, requests: SimpleQueue[Any]) -> None:
    """Pass requests on; when the engine is gone, end the process whatever its function is doing."""
    while (request := _read(reading)) is not None:
        requests.put(request)
    os._exit(0)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes to numbers that nobody guesses, and put the null device in their place."""
    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    return reading, writing


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(request: dict[str, Any]) -> bytes:
    try:
        data = json.dumps({"value": _call(**request)}, allow_nan=False).encode()
    except BaseException as error:
        return json.dumps({"error": _described(error)}).encode()
    if len(data) > MAX_RESULT:
        return json.dumps({"error": f"the tool returned more than {MAX_RESULT} bytes"}).encode()
    return data


def _call(file: str, function: str, arguments: dict[str, Any], context: dict[str, str]) -> Any:
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    called = getattr(module, function)
    if "context" in inspect.signature(called).parameters and "context" not in arguments:
        arguments = {**arguments, "context": context}
    value = called(**arguments)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def _described(error: BaseException) -> str:
    """Kind and place of an error, and its text in short; never a whole stack."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    place = next((f" at {frame.filename}:{frame.lineno}" for frame in frames
                  if frame.filename.endswith(".py") and not os.path.isabs(frame.filename)), "")
    return f"{type(error).__name__}{place}: {str(error)[:200]}"


def _read(stream: BinaryIO) -> Any:
    head = stream.read(4)
    if len(head) < 4:
        return None
    return json.loads(stream.read(int.from_bytes(head, "big")))


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


if __name__ == "__main__":
    main()
