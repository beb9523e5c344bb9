"""The page about plugins and the README: their classes keep their contracts, and what they show happens."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable
from inspect import CO_COROUTINE
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.load import load_folder
from ruche.plugins.testing import check_enforcer, check_tools
from ruche.storage.model.rule import EnforcerUse, Rule
from tests.engine.guide import DOCS, README, Scene, blocks, commands, matches, read_page

PAGE = read_page(DOCS / "plugins.md")


def installed(scene: Scene, root: Path) -> Path:
    """The scene's files, its package as `pip install` leaves it."""
    scene.build(root)
    project = tomllib.loads(scene.files["pyproject.toml"])["project"]
    about = root / "shop_plugins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in names.items())
              for group, names in project["entry-points"].items()]
    (about / "entry_points.txt").write_text("\n".join(points))
    return root


def run(words: list[str], folder: Path, **environment: str) -> str:
    """What a Python program prints, with the folder's package installed."""
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    ended = subprocess.run([sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60, env={"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1",
                                                       "PYTHONUNBUFFERED": "1", "PYTHONPATH": path, **environment})
    return ended.stdout


@pytest.mark.parametrize("scene", PAGE.commands, ids=str)
def test_a_command_of_the_page_prints_what_is_shown(scene: Scene, tmp_path: Path) -> None:
    installed(scene, tmp_path)
    chosen = {} if "ruche.toml" in scene.files else {"RUCHE_MODELS__EMBEDDER": "hashing"}
    for command, shown in commands(scene.lines):
        printed = run(["-m", "ruche.engine.cli.main", *command], tmp_path, **chosen)
        assert matches(printed, shown), printed


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    installed(PAGE.end, tmp_path)
    printed = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop_plugins.py"], tmp_path)
    assert "4 passed" in printed, printed


def test_every_kind_of_the_page_is_named() -> None:
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    for kind in ("enforcer", "embedder", "generator", "tool", "brain", "reranker", "selector", "channel", "key source"):
        assert f"| {kind}" in text or f", {kind}" in text


@pytest.mark.anyio
async def test_a_host_answers_with_tools_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_without_generator(PAGE.end).build(tmp_path))
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")
    names: dict[str, Any] = {}
    exec(PAGE.end.files["host.py"], names)
    assert await names["ask"]("do you have a bell in stock") == "We have 3 of them."
    bundle = load_folder("agents/calm").require()
    gateway = names["ShopTools"]({"bell": 3})
    await check_tools(gateway, bundle, bundle.tools[0], {"item": "bell"})
    await gateway.close()


def _without_generator(scene: Scene) -> Scene:
    """The folder as a host sees it that has not installed the plugins."""
    files = {**scene.files, "agents/calm/agent.yaml": "name: Calm shop\n", "agents/calm/rules.yaml":
             scene.files["agents/calm/rules.yaml"].replace("{use: shouting, options: {share: 0.3}}", "word_count < 99")}
    return Scene(scene.page, 0, (), files)


# --- README ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the agent of the README: what `ruche init` makes, with the rules that are shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")
    run(["-m", "ruche.engine.cli.main", "init", "agents/shop"], tmp_path)
    (rules,) = blocks(README, "yaml")
    with (tmp_path / "agents" / "shop" / "rules.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\n{rules}")
    return tmp_path / "agents" / "shop"


def test_the_rules_of_the_readme_check(shop: Path) -> None:
    assert [str(problem) for problem in load_folder(shop).problems] == []


@pytest.mark.anyio
async def test_the_library_of_the_readme_answers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snippet = next(text for text in blocks(README, "python") if "Engine.open" in text)
    code = compile(snippet, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert code.co_flags & CO_COROUTINE
    called: Callable[[], Awaitable[None]] = eval("lambda: eval(code, {})", {"code": code})
    await called()
    printed = capsys.readouterr().out
    assert printed.endswith("You can return anything within 30 days. GREEN\n")


def test_the_blocking_engine_of_the_readme_answers(shop: Path) -> None:
    assert 'with Engine.blocking("data/", agents="agents/") as engine:' in README.read_text(encoding="utf-8")
    with Engine.blocking("data/", agents="agents/") as engine:
        turn = engine.chat(agent="shop", user="kiosk-7", message="Can I bring this back?")
    assert turn.reply.endswith("within 30 days.")


def test_the_enforcer_of_the_readme_keeps_its_contract() -> None:
    names: dict[str, Any] = {}
    exec(next(text for text in blocks(README, "python") if "class Shouting" in text), names)
    rule = Rule(id="calm", if_="The reply is loud", then="Never shout.", hard=True,
                enforce=EnforcerUse(use="shouting", options={"share": 0.3}))
    check_enforcer(names["Shouting"](), rule, passing=["We open at nine."], failing=["WE ARE OPEN!"])
