"""Several generators behind one name: retries with backoff, a circuit breaker each, and the next one when one is down.

Another generator is asked only before the first piece of a stream was given; afterwards a failure is a failure.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import anyio

from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import Generated, Generator, Prompt, Reader
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.generators.openai import failure

T = TypeVar("T")

LONGEST_WAIT = 5.0
"""Seconds; an endpoint that asks for a longer pause is left for the next one."""
LONGEST_REST = 60.0
"""Seconds for which such an endpoint is not asked again, however long it wants."""
SLOW = 5.0
"""Seconds after which a call that nobody waited for any longer counts as failed."""
SHAPED, REPLY, FIRST_PIECE = 4.0, 20.0, 8.0
"""Seconds for an answer in a given shape, a whole reply, and the first piece of one, while another generator stands by:
about half of what a turn has for each."""


class Chain:
    """Asks its generators in order. Raises the last ProviderFailed when none answers.

    `tries` calls to each, with pauses of `base_seconds` doubled each time and full jitter (Retry-After when given, for
    all callers when it is long). One that hangs leaves time for the next. A refusal of one request, such as by an
    endpoint's own filter, closes the endpoint to nobody else.
    `chance` gives numbers from 0 to 1, `pause` waits: both may be replaced by a test.
    """

    def __init__(self, generators: Sequence[Generator], *, tries: int = 2, base_seconds: float = 0.25,
                 breaker: Callable[[], Breaker] = Breaker, chance: Callable[[], float] = random.random,
                 pause: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        if not generators or tries < 1:
            raise ConfigurationError("a chain needs at least one generator and one try")
        self._links = [(generator, breaker()) for generator in generators]
        self._tries = tries
        self._base = base_seconds
        self._chance = chance
        self._pause = pause

    @property
    def name(self) -> str:
        return "chain:" + ",".join(generator.name for generator, _ in self._links)

    async def generate(self, prompt: Prompt) -> Generated:
        return await self._ask(self._links, lambda generator: generator.generate(prompt), REPLY)

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        """Asks those of its generators that are Readers too."""
        return await self._ask(
            [link for link in self._links if isinstance(link[0], Reader)],
            lambda reader: reader.complete(chat, max_tokens=max_tokens, temperature=temperature, schema=schema), SHAPED)

    async def _ask(self, links: Sequence[tuple[Any, Breaker]],
                   call: Callable[[Any], Awaitable[Generated]], seconds: float) -> Generated:
        error = _all_open() if links else failure("no generator of the chain answers in a given shape", again=False)
        for place, (generator, breaker) in enumerate(links):
            for attempt in range(self._tries):
                if breaker.wait():
                    break
                try:
                    found = await self._patiently(call(generator), breaker, _share(links, place, seconds))
                except ProviderFailed as failed:
                    error = failed
                    if not await self._again(failed, breaker, attempt):
                        break
                else:
                    breaker.succeeded()
                    return found
        raise error

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        error = _all_open()
        for place, (generator, breaker) in enumerate(self._links):
            for attempt in range(self._tries):
                if breaker.wait():
                    break
                given = False
                try:
                    async with aclosing(_closable(generator.stream(prompt))) as pieces:
                        first = await self._patiently(anext(pieces, None), breaker,
                                                      _share(self._links, place, FIRST_PIECE))
                        if first is not None:
                            given = True
                            yield first
                        async for piece in pieces:
                            yield piece
                except ProviderFailed as failed:
                    error = failed
                    if given:
                        breaker.failed()
                        raise
                    if not await self._again(failed, breaker, attempt):
                        break
                else:
                    breaker.succeeded()
                    return
        raise error

    async def close(self) -> None:
        """Close the generators that can be closed."""
        for generator, _ in self._links:
            close = getattr(generator, "close", None)
            if close is not None:
                await close()

    async def _patiently(self, call: Awaitable[T], breaker: Breaker, seconds: float | None) -> T:
        """What the call gives. One that takes longer than `seconds` is a failure that is not repeated, and one that
        nobody waited for counts by how long it took."""
        begun = anyio.current_time()
        try:
            with anyio.move_on_after(seconds):
                return await call
        except anyio.get_cancelled_exc_class():
            if anyio.current_time() - begun >= SLOW:
                breaker.failed()
            else:
                breaker.abandoned()
            raise
        raise failure("the model endpoint did not answer in time", again=False)

    async def _again(self, error: ProviderFailed, breaker: Breaker, attempt: int) -> bool:
        """Count the failure and, when another try makes sense, wait for it. Who refuses one request is well."""
        if error.of_request:
            breaker.succeeded()
            return False
        breaker.failed()
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            breaker.rest(min(error.retry_after, LONGEST_REST))
            return False
        if not error.retryable or attempt + 1 >= self._tries:
            return False
        await self._pause(self._base * 2**attempt * self._chance() if error.retry_after is None else error.retry_after)
        return True


def _share(links: Sequence[tuple[Any, Breaker]], place: int, seconds: float) -> float | None:
    """How long a link may take; as long as the caller waits where no other one can be asked."""
    return seconds if any(breaker.state != "open" for _, breaker in links[place + 1:]) else None


async def _closable(pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """The same pieces, with the generator behind them closed as soon as this one is."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


def _all_open() -> ProviderFailed:
    return failure("no model endpoint is available; all failed several times and are left alone for a while",
                   again=True, after=30.0)
