"""The guide: its agent loads, its conversations happen, its commands print what is shown, its tables are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ruche.engine import Engine
from ruche.engine.authoring import conversations
from ruche.engine.authoring.kinds import AGENT, LISTS, SCENARIO, shapes
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.vocabulary import NOW, SESSION
from ruche.engine.config import read_settings
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import Embedder
from ruche.plugins.embedders import HashingEmbedder, MiniLmEmbedder
from ruche.plugins.enforcers import VOCABULARY, built_in
from ruche.plugins.filters import FILTERS
from ruche.plugins.syntax import FUNCTIONS
from ruche.storage.model.agent import Handoff, ModelUse
from ruche.storage.model.scenario import Requirement, Step, Transition
from ruche.storage.model.tool import ToolBinding
from tests.engine.guide import DOCS, Page, Scene, anchors, commands, matches, read_page, tables

GUIDE = DOCS / "authoring.md"
PAGE: Page = read_page(GUIDE)
TABLES = tables(GUIDE)
VIENNA = ZoneInfo("Europe/Vienna")
BEGINNING = datetime(2026, 1, 6, 10, tzinfo=VIENNA)
EMBEDDERS: dict[str, Callable[[], Embedder]] = {"hashing": HashingEmbedder, "minilm": MiniLmEmbedder}


@pytest.fixture(scope="module", params=sorted(EMBEDDERS))
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return EMBEDDERS[request.param]()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the workshop's calendar, which runs as the guide says, on a free port."""
    program = PAGE.end.build(tmp_path_factory.mktemp("calendar")) / "places.py"
    with subprocess.Popen([sys.executable, str(program), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


@pytest.mark.anyio
@pytest.mark.parametrize("scene", PAGE.conversations, ids=str)
async def test_a_conversation_of_the_guide_happens_as_it_is_shown(scene: Scene, embedder: Embedder, places: str,
                                                                  tmp_path: Path) -> None:
    folder = scene.build(tmp_path) / "agents" / "bikes"
    assert [str(problem) for problem in load_folder(folder).problems] == []
    tools = folder / "tools.yaml"
    if tools.exists():
        tools.write_text(tools.read_text(encoding="utf-8").replace("127.0.0.1:8901", places), encoding="utf-8")
    clock = _Clock(scene.lines)
    async with Engine.open(tmp_path / "data", agents=folder, settings=read_settings(environment={}), embedder=embedder,
                           clock_ms=clock) as engine:
        for said, shown in _exchanges(scene.lines):
            turn = await engine.chat(agent="bikes", user="customer", message=said)
            assert turn.reply == shown
            clock.later()


@pytest.mark.parametrize("scene", PAGE.commands, ids=str)
def test_a_command_of_the_guide_prints_what_is_shown(scene: Scene, tmp_path: Path) -> None:
    scene.build(tmp_path)
    for command, shown in commands(scene.lines):
        printed = _run(command, tmp_path)
        assert matches(printed, shown), printed


def test_the_page_shows_what_it_is_about() -> None:
    assert len(PAGE.conversations) >= 10
    assert {command[0] for scene in PAGE.commands for command, _ in commands(scene.lines)} == {
        "init", "check", "test", "explain", "publish"}
    assert PAGE.end.files.keys() >= {f"agents/bikes/{kind.file}" for kind in (AGENT, *LISTS)
                                     if kind.name not in ("variables", "glossary", "habits")}


@pytest.mark.parametrize("name", ["authoring.md", "plugins.md"])
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    for file, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", (DOCS / name).read_text(encoding="utf-8")):
        target = DOCS / (file or name)
        assert target.is_file(), file
        assert not anchor or anchor in anchors(target), anchor


# --- reference ------------------------------------------------------------------------------------------------------

KINDS: dict[str, type[BaseModel]] = {
    **{kind.file: kind.model for kind in (AGENT, *LISTS)}, "scenarios/NAME.yaml": SCENARIO.model,
    "models in agent.yaml": ModelUse, "handoff in agent.yaml": Handoff, "Steps": Step,
    "Transitions": Transition, "Calls of tools": ToolBinding,
    "Needs": Requirement,
    "tests/NAME.yaml": conversations.Conversation, "Turns": conversations.ScriptedTurn,
}


@pytest.mark.parametrize("heading", KINDS)
def test_the_reference_has_every_key_with_its_default_and_its_words(heading: str) -> None:
    rows = {row[0].strip("`"): row for row in TABLES[heading]}
    model = KINDS[heading]
    assert list(rows) == [info.alias or name for name, info in model.model_fields.items()]
    for name, info in model.model_fields.items():
        _, takes, default, does = rows[info.alias or name]
        assert default.strip("`*") == _shown(info), name
        assert does.endswith("."), name
        for word in shapes(model)[info.alias or name].words:
            assert f"`{word}`" in takes + does or word in ("SCENARIO", "STEP"), (name, word)


def test_the_reference_names_every_function_filter_and_enforcer() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    functions = next(row for row in TABLES["Expressions"] if row[0] == "functions")
    assert set(re.findall(r"`(\w+)`", functions[1])) == FUNCTIONS
    listed = text.partition("Filters: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)(?:\(|`)", listed)) == set(FILTERS)
    assert {row[0].strip("`") for row in TABLES["Enforcers"][1:]} == set(built_in())


def test_the_reference_names_everything_that_can_be_read() -> None:
    names = {name for row in TABLES["Names"] for name in re.findall(r"`([\w.]+)`", row[0])}
    assert names >= VOCABULARY | {f"now.{name}" for name in NOW} | {f"session.{name}" for name in SESSION} | {"agent"}


def test_the_reference_has_every_channel_with_its_figures() -> None:
    rows = {row[0].strip("`"): row[1:] for row in TABLES["Channels"][1:]}
    for name, channel in built_in_channels().items():
        shown = rows.pop("any other" if name == "unknown" else name)
        assert shown == [str(channel.window_ms), str(channel.limit or ""), "yes" if channel.markdown else "no"]
    assert not rows


# --- how the page is read -------------------------------------------------------------------------------------------


class _Clock:
    """The time of a conversation: `at 18:30` in its first line, else ten in the morning."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        hour, minute = re.findall(r"\d+", lines[0]) if lines[0].startswith("at ") else (10, 0)
        self._now = BEGINNING.replace(hour=int(hour), minute=int(minute))

    def later(self) -> None:
        self._now += timedelta(seconds=10)

    def __call__(self) -> int:
        return int(self._now.timestamp() * 1000)


def _exchanges(lines: tuple[str, ...]) -> list[tuple[str, str]]:
    said = [line[2:] for line in lines if line.startswith("> ")]
    shown = [line[2:] for line in lines if line.startswith("< ")]
    return list(zip(said, shown, strict=True))


def _run(command: list[str], folder: Path) -> str:
    """What a command prints, on both of its outputs, where no weights are installed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1",
                   "RUCHE_MODELS__EMBEDDER": "hashing", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    ended = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", *command], cwd=folder, env=environment,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return ended.stdout


def _shown(info: FieldInfo) -> str:
    """A key's default as the tables write it."""
    default: Any = info.get_default(call_default_factory=True)
    if info.is_required():
        return "needed"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, BaseModel):
        return "the defaults below"
    if isinstance(default, tuple) and default:
        return f"[{', '.join(default)}]"
    if isinstance(default, int | float):
        return f"{default:g}"
    return default or "none"
