"""Finds plugins: built-in ones by name, others by entry points of the group `ruche.plugins`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from ruche.plugins.errors import ConfigurationError

GROUP = "ruche.plugins"


class Registry:
    """Factories by `kind:name`. An entry point `enforcer:profanity = package.module:Factory` is found on demand."""

    def __init__(self) -> None:
        self._factories: dict[str, Callable[..., Any]] = {}

    def register(self, kind: str, name: str, factory: Callable[..., Any]) -> None:
        """Raises ConfigurationError when the name is taken: nothing is replaced silently."""
        key = f"{kind}:{name}"
        if key in self._factories:
            raise ConfigurationError(f"a {kind} called {name} is registered already; choose another name")
        self._factories[key] = factory

    def names(self, kind: str) -> list[str]:
        """All names of a kind, sorted; entry points are listed without being loaded."""
        found = {key.split(":", 1)[1] for key in self._factories if key.startswith(f"{kind}:")}
        found.update(point.name.split(":", 1)[1] for point in entry_points(group=GROUP)
                     if point.name.startswith(f"{kind}:"))
        return sorted(found)

    def create(self, kind: str, name: str, *arguments: Any, **options: Any) -> Any:
        """Make a plugin. Raises ConfigurationError for an unknown name, with the known ones."""
        factory = self._factories.get(f"{kind}:{name}") or self._load(kind, name)
        return factory(*arguments, **options)

    def _load(self, kind: str, name: str) -> Callable[..., Any]:
        for point in entry_points(group=GROUP, name=f"{kind}:{name}"):
            factory: Callable[..., Any] = point.load()
            self._factories[f"{kind}:{name}"] = factory
            return factory
        raise ConfigurationError(f"there is no {kind} called {name}; known: {', '.join(self.names(kind)) or 'none'}")
