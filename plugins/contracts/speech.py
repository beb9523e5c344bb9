"""Language models: prompts in, text or checked answers out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from ruche.storage.model.conversation import Struct


class Prompt(Struct, frozen=True, kw_only=True):
    """What a generator is given: everything is labelled data, only `instructions` comes from the author."""

    instructions: str
    plan: dict[str, Any]
    history: tuple[tuple[str, str], ...] = ()
    """(role, text), oldest first; role is `user` or `assistant`."""
    language: str = "en"
    max_tokens: int = 512
    temperature: float = 0.0


class Generated(Struct, frozen=True, kw_only=True):
    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    cost: float | None = None
    """By the price of the model when it answered; None where nobody counted it."""


class Spent(str):
    """An empty piece of a stream that tells what the whole answer cost; it comes last, where the endpoint tells."""

    __slots__ = ("cost", "input_tokens", "output_tokens")
    input_tokens: int
    output_tokens: int
    cost: float | None

    def __new__(cls, input_tokens: int, output_tokens: int, cost: float | None = None) -> Spent:
        made = super().__new__(cls, "")
        made.input_tokens, made.output_tokens, made.cost = input_tokens, output_tokens, cost
        return made


@runtime_checkable
class Generator(Protocol):
    """Turns a prompt into text. Raises ProviderFailed."""

    @property
    def name(self) -> str: ...

    async def generate(self, prompt: Prompt) -> Generated: ...

    def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        """Pieces of text as they arrive; joined they are the reply. The last may be `Spent`."""


@runtime_checkable
class Reader(Protocol):
    """A generator that also answers chat messages in a given shape: what judges replies and reads messages."""

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        """The model's answer, which should be JSON after `schema`; the caller verifies it. Raises ProviderFailed."""
