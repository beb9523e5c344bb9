"""`ruche check`: every fault of agent folders, with file and line and what to write instead."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ruche.engine.authoring.conversations import read_conversations
from ruche.engine.authoring.load import LoadedFolder, find_folders, load_folder
from ruche.engine.authoring.problem import Problem
from ruche.engine.authoring.publish import bundle_hash
from ruche.engine.cli.command import command as ruche_command
from ruche.plugins.errors import NotFound


@ruche_command("check", example="ruche check agents/support")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings count as findings too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def command(folders: tuple[Path, ...], strict: bool, as_json: bool) -> int:
    """Check agent folders (default: agents). Ends with 1 when there are findings."""
    loaded = [(folder, _with_tests(load_folder(folder))) for folder in agent_folders(folders)]
    if as_json:
        click.echo(json.dumps({"agents": [_as_dict(folder, found) for folder, found in loaded]}))
    else:
        for folder, found in loaded:
            print_problems(folder, found.problems)
    errors = sum(len(found.errors) for _, found in loaded)
    warnings = sum(len(found.problems) for _, found in loaded) - errors
    click.echo(f"{len(loaded)} agent{'s' * (len(loaded) != 1)}: {errors} errors, {warnings} warnings", err=True)
    return 1 if errors or (strict and warnings) else 0


def _with_tests(found: LoadedFolder) -> LoadedFolder:
    """The folder with the faults of its test conversations, which keep nothing from being published."""
    problems = read_conversations(found.path, found.bundle)[1]
    return replace(found, problems=(*found.problems, *problems))


def agent_folders(given: tuple[Path, ...]) -> list[Path]:
    """The agent folders in the given ones (default `agents`). Raises NotFound when there is none."""
    found = []
    for folder in given or (Path("agents"),):
        inside = find_folders(folder)
        if not inside:
            raise NotFound(f"{folder}: no agent folder (one with an agent.yaml) is here; ruche init {folder} makes one")
        found.extend(inside)
    return found


def print_problems(folder: Path, problems: tuple[Problem, ...]) -> None:
    """Each as `folder/file:line:column code what (instead)` with the source line below."""
    for problem in problems:
        colour = "red" if problem.is_error else "yellow"
        place = f"{folder}/{problem.file}:{problem.line}:{problem.column}"
        click.echo(f"{place} {click.style(problem.code, fg=colour)} {problem.what}"
                   + (f" ({problem.instead})" if problem.instead else ""))
        if problem.excerpt():
            click.echo(problem.excerpt())


def _as_dict(folder: Path, found: LoadedFolder) -> dict[str, Any]:
    bundle = found.bundle
    return {"folder": str(folder), "agent": bundle.id if bundle else None, "tenant": bundle.tenant if bundle else None,
            "hash": bundle_hash(bundle) if bundle else None,
            "problems": [problem.as_dict() for problem in found.problems]}
