"""`ruche test`: plays the conversations in an agent's `tests/`, and says with file and line what came out otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.check import agent_folders, print_problems
from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.engine.rehearsal.stage import Playbook, Played


@ruche_command("test", example="ruche test agents/support --junit report.xml")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "part", default="", help="Only conversations whose name has this in it.")
@click.option("--junit", "report", type=click.Path(path_type=Path, dir_okay=False), help="Also write a JUnit report.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def command(folders: tuple[Path, ...], part: str, report: Path | None, config: Path | None, as_json: bool) -> int:
    """Play the conversations of agent folders (default: agents). Ends with 1 when one comes out otherwise.

    The clock and the model are the test's; nothing is called over the network and nothing is kept.
    """
    from ruche.engine.config import read_settings

    settings = read_settings(config)
    played = []
    for folder in agent_folders(folders):
        playbook, results = _play(folder, settings, part)
        played.append((playbook, results))
        if not as_json:
            print_problems(folder, playbook.errors)
            _print(folder, results)
    if report is not None:
        _write(report, played)
    if as_json:
        click.echo(json.dumps({"agents": [_as_dict(*one) for one in played]}))
    return _sum_up(played)


def _play(folder: Path, settings: Settings, part: str) -> tuple[Playbook, list[Played]]:
    from ruche.engine.rehearsal.stage import Stage, read_playbook

    playbook = read_playbook(folder)
    chosen = [one for one in playbook.conversations if part.casefold() in one.conversation.name.casefold()]
    if playbook.errors or not chosen:
        return playbook, []
    _quiet(settings)
    with Stage(playbook.folder, settings) as stage:
        return playbook, [stage.play(one) for one in chosen]


def _quiet(settings: Settings) -> None:
    from ruche.engine.observe import configure

    configure(settings.log.model_copy(update={"level": "ERROR", "json_lines": False}))


def _print(folder: Path, results: Sequence[Played]) -> None:
    for one in results:
        sign = click.style("FAIL", fg="red") if one.failures else click.style("ok  ", fg="green")
        click.echo(f"{sign}  {folder.name}/{one.placed.file}: {one.name}")
        for line in _failures(folder, one):
            click.echo(line)


def _failures(folder: Path, one: Played) -> Iterator[str]:
    for failure in one.failures:
        yield f"{folder}/{failure}"
        if failure.source.strip():
            yield f"    {failure.source.rstrip()}\n    {' ' * (failure.column - 1)}^"


def _write(report: Path, played: Sequence[tuple[Playbook, Sequence[Played]]]) -> None:
    from ruche.engine.rehearsal.junit import junit
    from ruche.plugins.errors import ConfigurationError

    try:
        report.write_bytes(junit(played))
    except OSError as error:
        raise ConfigurationError(f"{report}: the report cannot be written: {error.strerror}") from None


def _as_dict(playbook: Playbook, results: Sequence[Played]) -> dict[str, Any]:
    return {"folder": str(playbook.folder.path), "problems": [problem.as_dict() for problem in playbook.errors],
            "conversations": [{
                "name": one.name, "file": one.placed.file, "line": one.placed.problem((), "", "").line,
                "ok": not one.failures, "seconds": round(one.seconds, 3),
                "turns": [{"say": say, "reply": reply} for say, reply in one.said],
                "failures": [asdict(failure) for failure in one.failures]} for one in results]}


def _sum_up(played: Sequence[tuple[Playbook, Sequence[Played]]]) -> int:
    results = [one for _, found in played for one in found]
    failed = sum(bool(one.failures) for one in results)
    errors = sum(len(playbook.errors) for playbook, _ in played)
    click.echo(f"{len(results)} conversation{'s' * (len(results) != 1)}: {len(results) - failed} passed, "
               f"{failed} failed" + (f", {errors} errors in the folder" if errors else ""), err=True)
    return 1 if failed or errors else 0
