"""What subcommands on a data directory have in common: their options, and the store that they open."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.storage.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """The data directory that the options name."""

    data: Path | None
    config: Path | None

    def settings(self) -> Settings:
        """Raises ConfigurationError; NotFound where there is no data directory: to read makes none."""
        from ruche.engine.config import read_settings
        from ruche.plugins.errors import NotFound

        settings = read_settings(self.config, data=self.data)
        if not settings.data.is_dir():
            raise NotFound(f"{settings.data}: there is no data directory here; name it with --data")
        return settings

    @contextmanager
    def opened(self, instead: str = "") -> Iterator[tuple[Store, Settings]]:
        """The store while no server holds it. Raises DataLocked while one does; `instead` says what that one offers."""
        import anyio

        from ruche.engine.host import open_store
        from ruche.plugins.errors import DataLocked

        settings = self.settings()
        try:
            store = anyio.run(open_store, settings)
        except DataLocked as error:
            raise DataLocked(f"{error.message}{instead}", **error.details) from None
        try:
            yield store, settings
        finally:
            store.close()


def on_directory(whose: str = "", *, json: str = "One JSON document.") -> Callable[[Callable[..., Any]],
                                                                                  Callable[..., Any]]:
    """Decorator below `@command`: gives the function `place` and `as_json`, and `tenant` where `whose` says of what."""
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any, data: Path | None, config: Path | None, **options: Any) -> Any:
            return function(*arguments, place=Place(data, config), **options)

        made: Callable[..., Any] = called
        for option in reversed(_options(whose, json)):
            made = option(made)
        return made

    return decorate


def _options(whose: str, json: str) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    tenant = [click.option("--tenant", default="default", show_default=True, help=whose)] if whose else []
    return [*tenant,
            click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data)."),
            click.option("--config", type=click.Path(path_type=Path),
                         help="Settings file (default: ruche.toml, if it is there)."),
            click.option("--json", "as_json", is_flag=True, help=json)]
