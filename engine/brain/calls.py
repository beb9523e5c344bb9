"""Calls to the world outside the turn: through the tape, with a deadline, and whatever goes wrong becomes typed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import anyio

from ruche.engine.brain.parts import Check
from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.errors import DeadlineExceeded, ProviderFailed, RucheError, Superseded
from ruche.plugins.tape import Divergence, Tape

T = TypeVar("T")

RESERVE = 3.0
"""Seconds of a turn that model calls leave for everything after them."""


class Enforcing(Protocol):
    """The enforcement service: one verdict per check, in their order."""

    async def check(self, draft: Draft, checks: list[Check]) -> list[Verdict]: ...


class Budget:
    """The time that model calls have in one turn. It bounds live calls only; what came of them is on the tape."""

    def __init__(self, now_ms: int, deadline_ms: int | None) -> None:
        left = None if deadline_ms is None else (deadline_ms - now_ms) / 1000 - RESERVE
        self._ends = None if left is None else time.monotonic() + left

    def of(self, seconds: float) -> float:
        """At most `seconds`, at least 0."""
        return seconds if self._ends is None else max(0.0, min(seconds, self._ends - time.monotonic()))


async def asked(tape: Tape, site: str, request: Any, live: Callable[[], Awaitable[T]], kind: type[T],
                seconds: float | None) -> tuple[T | None, str]:
    """(answer, "") or (None, what went wrong). A divergence in replay and a superseded turn are never swallowed.

    `seconds` is None for a callee that keeps a deadline of its own, or answers at once.
    """
    try:
        return await tape.ask(site, request, lambda: _bounded(site, live, seconds), kind), ""
    except (Divergence, Superseded):
        raise
    except RucheError as error:
        return None, f"{error.code}: {error.message}"


async def _bounded(site: str, live: Callable[[], Awaitable[T]], seconds: float | None) -> T:
    try:
        if seconds is None:
            return await live()
        with anyio.CancelScope(deadline=anyio.current_time() + seconds):
            return await live()
        raise TimeoutError
    except RucheError:
        raise
    except TimeoutError:
        raise DeadlineExceeded(f"{site} took too long") from None
    except Exception as error:
        raise ProviderFailed(f"{site} failed: {type(error).__name__}") from error
