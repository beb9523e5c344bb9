"""The generators that agents speak with: each distinct one is made once and shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruche.plugins.contracts import Generator
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.generators import Chain, Composer, OpenAICompatible
from ruche.plugins.registry import Registry
from ruche.storage.model.agent import Agent, ModelUse


class Speakers:
    """From an agent's `models` to its generator. `environment` is where API keys are looked up by their names."""

    def __init__(self, registry: Registry, environment: Mapping[str, str]) -> None:
        self._registry = registry
        self._environment = environment
        self._made: dict[tuple[str, str | None, str | None, str | None], Generator] = {}
        self._closing: list[Any] = []

    def __call__(self, use: ModelUse) -> Generator:
        """Raises ConfigurationError for an unknown generator, a missing address or a key that is not set."""
        identity = (use.generator, use.url, use.model, use.api_key)
        if identity not in self._made:
            self._made[identity] = self._make(use)
        return self._made[identity]

    def unset(self, head: Agent) -> list[str]:
        """The variables that should hold API keys for an agent, and are not set."""
        uses = (head.models, head.judging, head.sensing, head.filtering)
        names = dict.fromkeys(use.api_key for use in uses if use is not None and use.api_key)
        return [name for name in names if name and not self._environment.get(name)]

    async def close(self) -> None:
        """Close every connection."""
        for generator in self._closing:
            await generator.close()

    def _make(self, use: ModelUse) -> Generator:
        if use.generator == "composer":
            return Composer()
        if use.generator == "openai":
            return self._endpoint(use)
        made: Generator = self._registry.create("generator", use.generator)
        if made.name == Composer.name:
            raise ConfigurationError(f"the generator {use.generator} calls itself {Composer.name}, and what a plugin "
                                     "says would pass for the author's words; give it a name of its own")
        return made

    def _endpoint(self, use: ModelUse) -> Generator:
        if use.url is None or use.model is None:
            raise ConfigurationError("models: the generator openai needs `url` and `model`")
        key = None if use.api_key is None else self._environment.get(use.api_key)
        if use.api_key is not None and not key:
            raise ConfigurationError(f"models: the variable {use.api_key}, which should hold the API key, is not set")
        endpoint = OpenAICompatible(use.url, use.model, key)
        self._closing.append(endpoint)
        return Chain([endpoint])
