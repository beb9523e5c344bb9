"""`ruche completion`: what makes a shell complete subcommands, options and files."""

from __future__ import annotations

import click

from ruche.engine.cli.command import command as ruche_command


@ruche_command("completion", example="ruche completion fish > ~/.config/fish/completions/ruche.fish\n"
                                     'eval "$(ruche completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion of SHELL; for bash and zsh the second example's line goes into the start-up file."""
    from click.shell_completion import get_completion_class

    from ruche.engine.cli.main import cli

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(made(cli, {}, "ruche", "_RUCHE_COMPLETE").source())
