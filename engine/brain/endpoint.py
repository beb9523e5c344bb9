"""A model that answers in a given shape: what judges replies and reads messages for an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from ruche.plugins.contracts import Generated, Prompt, Reader
from ruche.plugins.errors import ProviderFailed
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.turn import Usage

MAX_TEXT: Final = 65_536
"""Characters of one answer: what a model may say before it counts as one that does not stop."""
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Generated).decode


def sound(found: object) -> Generated:
    """What a model gave, if it can be kept and read again. Raises ProviderFailed, for whoever wrote the generator."""
    if not isinstance(found, Generated) or not isinstance(found.text, str):
        raise ProviderFailed("the model gave no text")
    if len(found.text) > MAX_TEXT:
        raise ProviderFailed(f"the model gave more than {MAX_TEXT:,} characters")
    try:
        made = _decode(_encode(found))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise ProviderFailed(f"what the model gave cannot be kept ({type(error).__name__})") from None
    if made.input_tokens < 0 or made.output_tokens < 0 or not 0 <= (made.cost or 0.0) < float("inf"):
        raise ProviderFailed("the model's tokens or cost are no counts")
    return made


class Endpoint:
    """Opened when it is first asked, so never in a replay."""

    def __init__(self, use: ModelUse, generators: Callable[[ModelUse], Any]) -> None:
        self._use, self._generators = use, generators

    async def complete(self, chat: list[dict[str, str]], schema: dict[str, Any], max_tokens: int) -> Generated:
        """Raises ProviderFailed, and ConfigurationError for an endpoint that cannot be opened."""
        reader = self._generators(self._use)
        if not isinstance(reader, Reader):
            raise ProviderFailed(f"the generator {getattr(reader, 'name', '')} does not answer in a given shape")
        return sound(await reader.complete(chat, max_tokens=max_tokens, temperature=0.0, schema=schema))


class Mute:
    """In the place of a generator that cannot be opened: it fails at every call, so that the turn speaks without it."""

    name = "mute"

    def __init__(self, why: str) -> None:
        self._why = why

    async def generate(self, prompt: Prompt) -> Generated:
        raise ProviderFailed(self._why)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        raise ProviderFailed(self._why)
        yield ""


def spent(made: Generated) -> Usage:
    """One call and its tokens."""
    return Usage(model_calls=1, input_tokens=made.input_tokens, output_tokens=made.output_tokens, cost=made.cost)
