"""`ruche eval`: how right an agent is on its author's own messages, as a table and as a page."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.engine.evaluation.asking import Answer
    from ruche.engine.evaluation.report import Report, Threshold
    from ruche.engine.evaluation.rows import Row
    from ruche.storage.model.bundle import AgentBundle

_SHOWN = 10


@ruche_command("eval", example="ruche eval agents/support --data messages.csv --html eval.html")
@click.argument("folder", metavar="AGENT", type=click.Path(path_type=Path))
@click.option("--data", "source", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Messages with the rule or scenario that each means: CSV with text,rule, or JSON lines.")
@click.option("--html", "target", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with plots.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folder: Path, source: Path, target: Path | None, config: Path | None, as_json: bool) -> None:
    """Ask the agent in a folder what each message matches, and say where it is wrong and what would help.

    Each message begins a new conversation. Nothing is said, called or kept.
    """
    import asyncio

    import msgspec

    from ruche.engine.authoring.load import load_folder
    from ruche.engine.authoring.publish import bundle_hash
    from ruche.engine.config import read_settings
    from ruche.engine.evaluation.asking import check_labels, examples_of, hard_ids, known_ids
    from ruche.engine.evaluation.page import page
    from ruche.engine.evaluation.report import advised, report
    from ruche.engine.evaluation.rows import read_rows

    bundle, rows = load_folder(_one(folder)).require(), read_rows(source)
    check_labels(rows, bundle)
    with tempfile.TemporaryDirectory(prefix="ruche-eval-") as place:
        settings = read_settings(config, data=Path(place) / "data", agents=folder.absolute(), samples=False)
        answers, embedder, threshold = asyncio.run(_asked(settings, bundle, rows))
    found = report(answers, known_ids(bundle), examples_of(bundle), hard_ids(bundle))
    better = advised(found, threshold)
    if target is not None:
        _write(target, page(found, bundle.agent.name, bundle_hash(bundle), embedder, threshold))
    if as_json:
        click.echo(json.dumps({"agent": bundle.id, "hash": bundle_hash(bundle), "embedder": embedder,
                               "threshold": threshold, "advised_threshold": None if better is None else better.at,
                               **msgspec.to_builtins(found)}))
    else:
        click.echo("\n".join((*_lines(found), *_advice(better, threshold))))


def _one(folder: Path) -> Path:
    """Raises NotFound unless it is one agent's folder."""
    from ruche.engine.cli.check import agent_folders
    from ruche.plugins.errors import ConfigurationError

    found = agent_folders((folder,))
    if len(found) > 1:
        raise ConfigurationError(f"{folder} holds {len(found)} agents; name the folder of one, such as {found[0]}")
    return found[0]


async def _asked(settings: Settings, bundle: AgentBundle, rows: list[Row]) -> tuple[list[Answer], str, float]:
    from ruche.engine import Engine
    from ruche.engine.evaluation.asking import ask
    from ruche.engine.observe import configure
    from ruche.plugins.embedders import open_embedder
    from ruche.plugins.registry import Registry

    configure(settings.log.model_copy(update={"level": "ERROR", "json_lines": False}))
    embedder, notice = open_embedder(settings.models, Registry())
    if notice:
        click.echo(notice, err=True)
    async with Engine.open(settings=settings, embedder=embedder) as engine:
        with click.progressbar(length=len(rows), label="asking", file=sys.stderr,
                               hidden=not sys.stderr.isatty()) as bar:
            answers = await ask(engine, bundle, rows, lambda done, total: bar.update(1))
    own = bundle.agent.rule_threshold
    return answers, embedder.name, embedder.rule_threshold if own is None else own


def _write(target: Path, content: str) -> None:
    from ruche.plugins.errors import ConfigurationError

    try:
        target.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from None


def _lines(found: Report) -> Iterator[str]:
    yield f"{found.n} messages, {found.in_scope} in scope, {found.out_of_scope} out of scope"
    if found.taught:
        yield f"  the agent's own examples    {found.taught} (they measure nothing: take them out of the file)"
    yield f"  best match was meant        {_percent(found.first_right)}"
    yield f"  exactly what was meant      {_percent(found.exact)}"
    yield (f"  precision / recall / F1     {_percent(found.precision)} / {_percent(found.recall)} / "
           f"{_percent(found.f1)}")
    if found.refused is not None:
        yield f"  out of scope, left alone    {_percent(found.refused)}"
    yield f"  time p50 / p95              {found.ms_p50:.1f} / {found.ms_p95:.1f} ms"
    yield from _table("Worst rules", [(one.id, f"{one.right} of {one.meant} found, {one.fired} matched")
                                      for one in found.items if one.recall is not None and one.recall < 1.0])
    yield from _table("Confusions", [(one.wanted, f"matched {one.got}, {_times(one.times)}: {one.texts[0]}")
                                     for one in found.confusions])
    yield from _table("Steal from each other", [
        (f"{one.first}, {one.second}", f"{one.first_for_second} and {one.second_for_first} times")
        for one in found.thefts])
    yield from _table("Never right", [(name, "") for name in found.never_right])
    yield from _table("Never matched", [(name, "") for name in found.never_matched])
    yield from _table("Not measured", [(name, "") for name in found.not_measured])
    yield from _table("Suggested examples", [(one.id, " | ".join(one.texts)) for one in found.suggestions])


def _advice(better: Threshold | None, now: float) -> Iterator[str]:
    if better is not None:
        yield "Threshold"
        yield (f"  rule_threshold: {better.at:g} instead of {now:g} would have {_percent(better.in_scope)} right in "
               f"scope and leave {_percent(better.out_of_scope)} alone out of it, by the best score alone")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _table(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield title
    for name, what in rows[:_SHOWN]:
        yield f"  {name:<26}  {what}".rstrip()
    if len(rows) > _SHOWN:
        yield f"  and {len(rows) - _SHOWN} more (--json and --html have them)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
