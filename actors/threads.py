"""Where threads come from and what they wait on: one place, so that a simulation can run them on a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Bell(Protocol):
    """A lock that one thread takes to wait and another lets go of to wake it."""

    def acquire(self) -> bool: ...

    def release(self) -> None: ...


class Flag(Protocol):
    """What a `threading.Event` offers."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Threads:
    """The operating system's own."""

    def start(self, run: Callable[[], None], name: str, *, daemon: bool) -> None:
        """Run `run()` on a thread from now on."""
        threading.Thread(target=run, name=name, daemon=daemon).start()

    def bell(self) -> Bell:
        return threading.Lock()

    def flag(self) -> Flag:
        return threading.Event()
