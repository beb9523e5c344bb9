"""The generators that agents speak with: each distinct one is made once and shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruche.engine.config import Price
from ruche.plugins.contracts import Generator
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.generators import Chain, Composer, OpenAICompatible
from ruche.plugins.generators.priced import Priced
from ruche.plugins.registry import Registry
from ruche.storage.model.agent import Agent, JudgeUse, ModelUse


class Speakers:
    """From an agent's `models` to its generator. `environment` is where API keys are looked up by their names, `prices`
    says by the models' names what a million tokens cost."""

    def __init__(self, registry: Registry, environment: Mapping[str, str],
                 prices: Mapping[str, Price] | None = None) -> None:
        self._registry = registry
        self._environment = environment
        self._prices = prices or {}
        self._made: dict[tuple[str, str | None, str | None, str | None, tuple[JudgeUse, ...]], Generator] = {}
        self._closing: list[Any] = []

    def __call__(self, use: ModelUse) -> Generator:
        """Raises ConfigurationError for an unknown generator, a missing address or a key that is not set."""
        identity = (use.generator, use.url, use.model, use.api_key, use.fallbacks)
        if identity not in self._made:
            self._made[identity] = self._make(use)
        return self._made[identity]

    def unset(self, head: Agent) -> list[str]:
        """The variables that should hold API keys for an agent, and are not set."""
        uses = (head.models, *head.models.fallbacks, head.judging, head.sensing, head.filtering)
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
            return Chain([self._endpoint(use.url, use.model, use.api_key),
                          *(self._endpoint(one.url or use.url, one.model or use.model, one.api_key)
                            for one in use.fallbacks if not one.api_key or self._environment.get(one.api_key))])
        made: Generator = self._registry.create("generator", use.generator)
        if made.name == Composer.name:
            raise ConfigurationError(f"the generator {use.generator} calls itself {Composer.name}, and what a plugin "
                                     "says would pass for the author's words; give it a name of its own")
        return made

    def _endpoint(self, url: str | None, model: str | None, variable: str | None) -> Generator:
        if url is None or model is None:
            raise ConfigurationError("models: the generator openai needs `url` and `model`")
        key = None if variable is None else self._environment.get(variable)
        if variable is not None and not key:
            raise ConfigurationError(f"models: the variable {variable}, which should hold the API key, is not set")
        price = self._prices.get(model)
        endpoint = Priced(OpenAICompatible(url, model, key), *((price.input, price.output) if price else ()))
        self._closing.append(endpoint)
        return endpoint
