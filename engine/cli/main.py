"""The `ruche` command: finds the subcommand, imports nothing else, and turns errors into exit codes.

0 done, 1 findings, 2 usage or configuration, 3 not found, 4 data locked or busy, 5 integrity failure, 70 internal
error, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from ruche.engine.cli.command import write_example

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FINDINGS, USAGE, NOT_FOUND, BUSY, INTEGRITY, INTERNAL, INTERRUPTED = 1, 2, 3, 4, 5, 70, 130


class Entry(NamedTuple):
    """One line of `ruche --help`; the module is imported when the command runs."""

    summary: str
    attribute: str = "command"
    module: str = ""
    """Where it is not called like the command."""


COMMANDS = {
    "serve": Entry("Start the engine with its HTTP interface and console."),
    "chat": Entry("Talk to an agent in the terminal."),
    "init": Entry("Make a new agent folder."),
    "import": Entry("Make an agent folder from task graphs or workflows.", module="importing"),
    "check": Entry("Find every fault in agent folders, with file and line."),
    "test": Entry("Play the conversations in an agent's tests, and say what came out differently."),
    "migration": Entry("Plan what becomes of running conversations when an agent changes."),
    "publish": Entry("Publish agent folders into a data directory."),
    "eval": Entry("Measure an agent on messages of your own, and see what would help."),
    "explain": Entry("Show which rules and scenarios a text would match, and why."),
    "replay": Entry("Run a recorded turn again from its tape, and find the first difference."),
    "verify": Entry("Prove that the records are whole, unchanged and complete."),
    "runs": Entry("List, show and export recorded turns."),
    "diff": Entry("Compare two recorded turns, field by field."),
    "whatif": Entry("Run recorded turns again with another version of their agent, and see what would differ."),
    "review": Entry("Say what you think of recorded turns, the gravest first."),
    "people": Entry("Show, link and hand out what is kept of persons."),
    "memory": Entry("Show what is remembered."),
    "erase": Entry("Make everything of a person unreadable for ever."),
    "hold": Entry("Place, lift and list legal holds."),
    "keys": Entry("Show and change the keys that everything is sealed under."),
    "backup": Entry("Ship what is new in a data directory to a folder."),
    "restore": Entry("Bring a data directory back from a backup, as of any time."),
    "migrate": Entry("Bring in memories and runs that other programs kept as plain files."),
    "model": Entry("Install, list and verify models.", "model"),
    "plugins": Entry("List what is built in and plugged in, and whether it can be used."),
    "schema": Entry("Show the JSON Schemas of agent files, or write them for an editor."),
    "completion": Entry("Print what makes a shell complete the words of this command."),
    "token": Entry("Make a token for the HTTP interface."),
    "doctor": Entry("See whether this machine has what the engine needs."),
    "version": Entry("Show the version."),
}


class LazyGroup(click.Group):
    """Knows its subcommands by name and summary; help and completion import none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        loaded: click.Command = getattr(importlib.import_module(f"ruche.engine.cli.{entry.module or name}"),
                                        entry.attribute)
        return loaded

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items()
                 if name.startswith(incomplete)]
        return named if named or not incomplete.startswith("-") else super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(f"there is no command {args[0]!r}"
                                   + (f" (did you mean {near[0]}?)" if near else " (ruche --help lists them)"), ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_example(formatter, "ruche init agents/support\nruche check agents\nruche serve --agents agents")
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an internal error came from.")
def cli(debug: bool) -> None:
    """A conversation engine that runs as one process."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    color = False if os.environ.get("NO_COLOR") else None
    try:
        result = cli.main(words, prog_name="ruche", standalone_mode=False, color=color)
        code = result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        code = end.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = USAGE
    except BrokenPipeError:
        sys.stdout = None  # the reader went away; the interpreter must not flush into the pipe again
        code = 0
    except Exception as error:
        code = _failed(error, as_json="--json" in words, debug="--debug" in words)
    sys.exit(code)


def _failed(error: Exception, *, as_json: bool, debug: bool) -> int:
    from ruche.plugins.errors import ConfigurationError, DataLocked, IntegrityError, NotFound, RucheError, Unavailable

    if debug:
        import traceback

        traceback.print_exception(error)
    codes = ((NotFound, NOT_FOUND), (DataLocked, BUSY), (Unavailable, BUSY), (IntegrityError, INTEGRITY),
             (ConfigurationError, USAGE), (RucheError, USAGE))
    code = next((number for kind, number in codes if isinstance(error, kind)), INTERNAL)
    name = error.code if isinstance(error, RucheError) else "INTERNAL"
    message = error.message if isinstance(error, RucheError) else (
        f"internal error: {type(error).__name__}: {error} (--debug shows where)")
    if as_json:
        import json

        click.echo(json.dumps({"error": {"code": name, "message": message}}))
    else:
        click.echo(f"ruche: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
