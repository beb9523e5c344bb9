"""An endpoint whose answers say what they cost, by the price that its model has when they are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace

from ruche.plugins.contracts import Generated, Prompt, Spent
from ruche.plugins.generators.openai import OpenAICompatible

MILLION = 1_000_000


class Priced:
    """A generator and a reader. Prices are for a million tokens read and written, 0 for a model without one."""

    def __init__(self, endpoint: OpenAICompatible, read: float = 0.0, written: float = 0.0) -> None:
        self._endpoint, self._read, self._written = endpoint, read, written

    @property
    def name(self) -> str:
        return self._endpoint.name

    async def generate(self, prompt: Prompt) -> Generated:
        return self._counted(await self._endpoint.generate(prompt))

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        return self._counted(await self._endpoint.complete(chat, max_tokens=max_tokens, temperature=temperature,
                                                           schema=schema))

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        async for piece in self._endpoint.stream(prompt):
            yield Spent(piece.input_tokens, piece.output_tokens, self._cost(piece.input_tokens, piece.output_tokens)) \
                if isinstance(piece, Spent) else piece

    async def close(self) -> None:
        await self._endpoint.close()

    def _counted(self, made: Generated) -> Generated:
        return replace(made, cost=self._cost(made.input_tokens, made.output_tokens))

    def _cost(self, read: int, written: int) -> float:
        return round((read * self._read + written * self._written) / MILLION, 9)
