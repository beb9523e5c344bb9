"""Calls to the world outside the turn: through the tape, with a deadline, and whatever goes wrong becomes typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from ruche.plugins.errors import DeadlineExceeded, ProviderFailed, RucheError, Superseded
from ruche.plugins.tape import Divergence, Tape

T = TypeVar("T")


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
