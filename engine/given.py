"""Parts that a host program gives in place of the engine's own, held against their contracts before anything starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from ruche.actors.supersede import Decider
from ruche.engine.config import Settings
from ruche.plugins.contracts import Brain, Embedder, Enforcer, Generator, ToolGateway
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.agent import ModelUse
from ruche.storage.vault import random_bytes


class Parts(TypedDict, total=False):
    """The keywords of `Engine.open` that replace parts; what is left out is as the settings say."""

    embedder: Embedder | None
    brain: Brain | None
    generator: Callable[[ModelUse], Generator] | None
    """Makes the generator of an agent from its `models`, once for each that differs."""
    enforcers: dict[str, Enforcer]
    """Beside the built-in and installed ones, by the word that authors write after `use:`."""
    tools: ToolGateway | None
    decider: Decider | None
    """What becomes of a turn when a newer message arrives while it thinks."""
    clock_ms: Callable[[], int]
    """Milliseconds since 1970 UTC."""
    entropy: Callable[[int], bytes]


class Opening(Parts, total=False):
    """The keywords of `Engine.open` and `Engine.blocking`."""

    agents: Path | str | None
    settings: Settings | None


@dataclass(frozen=True)
class Plugins:
    """What `Parts` describes; None means the one that the settings name."""

    embedder: Embedder | None = None
    brain: Brain | None = None
    generator: Callable[[ModelUse], Generator] | None = None
    enforcers: dict[str, Enforcer] = field(default_factory=dict)
    tools: ToolGateway | None = None
    decider: Decider | None = None
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    entropy: Callable[[int], bytes] = random_bytes

    def check(self) -> None:
        """Raises ConfigurationError with the first part that does not keep to its contract, and what it lacks."""
        for name, part, contract in (("embedder", self.embedder, Embedder), ("brain", self.brain, Brain),
                                     ("tools", self.tools, ToolGateway)):
            if part is not None:
                _refuse_other(name, part, contract)
        for name in ("generator", "decider", "clock_ms", "entropy"):
            _refuse_uncallable(name, getattr(self, name))
        if not isinstance(self.enforcers, Mapping):
            raise ConfigurationError(f"enforcers: a dict of names and enforcers is wanted here, not "
                                     f"{_kind(self.enforcers)}")
        for name, enforcer in self.enforcers.items():
            _refuse_other(f"enforcers, {name}", enforcer, Enforcer)


def _refuse_other(name: str, part: object, contract: type) -> None:
    if isinstance(part, type):
        raise ConfigurationError(f"{name}: an object is wanted here, not a class; write {part.__name__}()")
    lacks = [word for word in vars(contract) if not word.startswith("_") and not hasattr(part, word)]
    if lacks:
        raise ConfigurationError(f"{name}: {_kind(part)} is no {contract.__name__} (ruche.plugins.contracts): it lacks "
                                 f"{', '.join(lacks)}")


def _refuse_uncallable(name: str, part: object) -> None:
    if part is not None and not callable(part):
        instead = "; write generator=lambda models: your_generator" if name == "generator" else ""
        raise ConfigurationError(f"{name}: a function is wanted here, and {_kind(part)} is none{instead}")


def _kind(part: Any) -> str:
    return f"a {type(part).__name__}"
