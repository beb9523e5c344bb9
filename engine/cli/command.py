"""How a subcommand of `ruche` is made: its help starts with an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class _Exemplary(click.Command):
    """`--help` begins with an example to copy."""

    def __init__(self, *arguments: Any, example: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example = example

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_example(formatter, self.example)
        super().format_help(ctx, formatter)


class Command(_Exemplary):
    """A command with an example."""


class Group(_Exemplary, click.Group):
    """A group of commands with an example."""


def write_example(formatter: click.HelpFormatter, example: str) -> None:
    if example:
        with formatter.section("Example"):
            formatter.write_text("\b\n" + example)
        formatter.write_paragraph()


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], Command]:
    """Decorator: `@command("token", example="ruche token --role admin")` above click's options."""
    return click.command(name, cls=Command, example=example)
