"""The turn's tape: the one way by which a turn learns anything from outside itself.

Live, every answer is recorded in order. In replay the recorded answers are given back, and a request that differs from
the recorded one is a Divergence. So a turn is a function of its inputs and its tape.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from ruche.plugins import errors
from ruche.storage.model.ids import make_id
from ruche.storage.model.run import TapeEntry
from ruche.storage.vault import random_bytes

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_KNOWN_ERRORS = {name: kind for name, kind in vars(errors).items()
                 if isinstance(kind, type) and issubclass(kind, errors.RucheError)}


class Divergence(errors.RucheError):
    """In replay, the turn asked for something else than it did when it was recorded."""

    code = "REPLAY_DIVERGENCE"


class Tape(Protocol):
    """What the brain may use to look outside. `site` names the place in the code that asks."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""

    def new_id(self) -> str:
        """A fresh id that sorts by time."""

    def ask_now(self, site: str, request: Any, live: Callable[[], T], kind: type[T]) -> T:
        """The answer of a blocking-free call. `request` and the answer must be plain data or msgspec structs."""

    async def ask(self, site: str, request: Any, live: Callable[[], Awaitable[T]], kind: type[T]) -> T:
        """The answer of an awaited call. RucheErrors are recorded and raised again in replay."""

    def ask_seldom(self, site: str, request: Any, live: Callable[[], T | None], kind: type[T]) -> T | None:
        """As `ask_now`, for what mostly has no answer: None leaves nothing on the tape."""

    def entries(self) -> tuple[TapeEntry, ...]:
        """All that was asked so far."""


def request_hash(request: Any) -> str:
    """64 bits of BLAKE2b over the deterministic msgpack of a request, hexadecimal."""
    return _NOTHING if request is None else _hashed(request)


def _hashed(request: Any) -> str:
    return hashlib.blake2b(_encode(request), digest_size=8).hexdigest()


_NOTHING = _hashed(None)


class LiveTape:
    """Asks the world and writes down what it said. `clock_ms` and `entropy` may be replaced by a host or a test."""

    def __init__(self, clock_ms: Callable[[], int] | None = None,
                 entropy: Callable[[int], bytes] = random_bytes) -> None:
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)
        self._entropy = entropy
        self._entries: list[TapeEntry] = []

    def now_ms(self) -> int:
        return self.ask_now("clock", None, self._clock_ms, int)

    def new_id(self) -> str:
        return self.ask_now("id", None, lambda: make_id(self._clock_ms(), self._entropy(10)), str)

    def ask_now(self, site: str, request: Any, live: Callable[[], T], kind: type[T]) -> T:
        try:
            answer = live()
        except errors.RucheError as error:
            self._failed(site, request, error)
            raise
        return self._keep(site, request, answer)

    async def ask(self, site: str, request: Any, live: Callable[[], Awaitable[T]], kind: type[T]) -> T:
        try:
            answer = await live()
        except errors.RucheError as error:
            self._failed(site, request, error)
            raise
        return self._keep(site, request, answer)

    def ask_seldom(self, site: str, request: Any, live: Callable[[], T | None], kind: type[T]) -> T | None:
        answer = live()
        return None if answer is None else self._keep(site, request, answer)

    def entries(self) -> tuple[TapeEntry, ...]:
        return tuple(self._entries)

    def _keep(self, site: str, request: Any, answer: T) -> T:
        self._entries.append(TapeEntry(site=site, request=request_hash(request), answer=_encode(answer)))
        return answer

    def _failed(self, site: str, request: Any, error: errors.RucheError) -> None:
        self._entries.append(TapeEntry(site=site, request=request_hash(request),
                                       error=(type(error).__name__, error.message)))


class ReplayTape:
    """Gives back what a LiveTape recorded; raises Divergence at the first request that is not the recorded one."""

    def __init__(self, entries: tuple[TapeEntry, ...]) -> None:
        self._entries = entries
        self._next = 0

    def now_ms(self) -> int:
        return self.ask_now("clock", None, lambda: 0, int)

    def new_id(self) -> str:
        return self.ask_now("id", None, lambda: "", str)

    def ask_now(self, site: str, request: Any, live: Callable[[], T], kind: type[T]) -> T:
        return self._answer(site, request, kind)

    async def ask(self, site: str, request: Any, live: Callable[[], Awaitable[T]], kind: type[T]) -> T:
        return self._answer(site, request, kind)

    def ask_seldom(self, site: str, request: Any, live: Callable[[], T | None], kind: type[T]) -> T | None:
        entry = self._entries[self._next] if self._next < len(self._entries) else None
        if entry is None or entry.site != site or entry.request != request_hash(request):
            return None
        return self._answer(site, request, kind)

    def entries(self) -> tuple[TapeEntry, ...]:
        return self._entries[:self._next]

    def _answer(self, site: str, request: Any, kind: type[T]) -> T:
        if self._next >= len(self._entries):
            raise Divergence(f"the recorded turn did not ask at {site}; its tape ended after {self._next} entries",
                             site=site, recorded="did not ask", replayed="asked here")
        entry = self._entries[self._next]
        if entry.site != site or entry.request != request_hash(request):
            raise Divergence(f"entry {self._next} was recorded at {entry.site} with request {entry.request}; "
                             f"the replay asked at {site} with request {request_hash(request)}",
                             site=site, recorded=f"asked at {entry.site}, request {entry.request}",
                             replayed=f"asked at {site}, request {request_hash(request)}")
        self._next += 1
        if entry.error is not None:
            name, message = entry.error
            raise _KNOWN_ERRORS.get(name, errors.RucheError)(message)
        try:
            return msgspec.msgpack.decode(entry.answer, type=kind)
        except msgspec.MsgspecError:
            raise Divergence(f"the answer recorded at {site} is not what is expected there now", site=site,
                             recorded="an answer of another shape", replayed=f"expected {kind}") from None
