"""Finds plugins: built-in ones by name, others by entry points of the group `ruche.plugins`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
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
        if key in self._factories or key in self._points:
            raise ConfigurationError(f"a {kind} called {name} is registered already; choose another name")
        self._factories[key] = factory

    def names(self, kind: str) -> list[str]:
        """All names of a kind, sorted; entry points are listed without being loaded."""
        found = {key.split(":", 1)[1] for key in self._factories if key.startswith(f"{kind}:")}
        found.update(name.split(":", 1)[1] for name in self._points if name.startswith(f"{kind}:"))
        return sorted(found)

    def points(self) -> list[str]:
        """The names of all entry points, as their packages write them, sorted; none is loaded."""
        return sorted(self._points)

    def create(self, kind: str, name: str, *arguments: Any, **options: Any) -> Any:
        """Make a plugin. Raises ConfigurationError for an unknown name, with the known ones, and for a plugin that
        cannot be imported or made, with what it said."""
        factory = self.load(kind, name)
        try:
            return factory(*arguments, **options)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"the {kind} {name} cannot be made: {_said(error)}; mend it or uninstall its "
                                     "package") from None

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        """The factory. Raises ConfigurationError like `create`."""
        key = f"{kind}:{name}"
        if key in self._factories:
            return self._factories[key]
        found = self._points.get(key)
        if not found:
            known = ", ".join(self.names(kind)) or "none"
            raise ConfigurationError(f"there is no {kind} called {name}; known: {known}")
        try:
            factory: Callable[..., Any] = found[0].load()
        except (Exception, SystemExit) as error:
            raise ConfigurationError(f"the {kind} {name} ({_described(found[0])}) cannot be imported: {_said(error)}; "
                                     "mend it or uninstall its package") from None
        self._factories[key] = factory
        return factory

    def refuse_taken(self, kind: str, built_in: Iterable[str]) -> None:
        """Raises ConfigurationError, naming both, when a plugin has the name of a built-in part or of another plugin:
        nothing that is installed takes the place of something else unseen."""
        for name in built_in:
            for point in self._points.get(f"{kind}:{name}", ()):
                raise ConfigurationError(f"the plugin {point.name} ({_described(point)}) has the name of the built-in "
                                         f"{kind} {name}; give it another name or uninstall its package")
        for name in self.names(kind):
            found = self._points.get(f"{kind}:{name}", [])
            if len(found) > 1:
                both = " and ".join(map(_described, found[:2]))
                raise ConfigurationError(f"two plugins are called {kind}:{name}: {both}; uninstall one of them")

    @cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """`kind:name` to the entry points that lead to different places; read once, since reading takes a while."""
        found: dict[str, dict[str, EntryPoint]] = {}
        for point in entry_points(group=GROUP):
            found.setdefault(point.name, {})[point.value] = point
        return {name: list(points.values()) for name, points in found.items()}


def _described(point: EntryPoint) -> str:
    package = f" of {point.dist.name}" if point.dist is not None else ""
    return f"{point.value}{package}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
