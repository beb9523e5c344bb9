"""The page about embedding: its programs run, in the directory that it describes."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from aiohttp.test_utils import TestClient, TestServer

import ruche.plugins.errors
from ruche.engine import Engine
from ruche.engine.request import Said
from ruche.storage.model.turn import Status
from tests.engine.guide import DOCS, README, blocks, read_page, tables

PAGE = DOCS / "embedding.md"
FILES = read_page(PAGE).end.files
RETURNS = "You can return anything within 30 days."


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with what `ruche init` makes, the rules of the README, and the page's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")
    python("-m", "ruche.engine.cli.main", "init", "agents/shop")
    with (tmp_path / "agents" / "shop" / "rules.yaml").open("a", encoding="utf-8") as file:
        file.write("\n" + blocks(README, "yaml")[0])
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    return done.stdout


def names_of(file: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": file.removesuffix(".py")}
    exec(compile(FILES[file], file, "exec", dont_inherit=True), names)
    return names


def test_the_first_program_prints_the_agents_words_and_nothing_else(shop: Path) -> None:
    first, second = python("first.py").splitlines()
    assert first.endswith(f"{RETURNS} complete GREEN")
    assert second == "We are here from Monday to Friday, nine to five."


def test_the_tests_of_the_page_pass(shop: Path) -> None:
    printed = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")
    assert "2 passed" in printed, printed


def test_a_window_goes_on_while_the_answer_comes_and_shows_it_on_its_own_thread(shop: Path) -> None:
    to_do: queue.Queue[Callable[[], None]] = queue.Queue()
    shown: list[tuple[str, str]] = []
    with Engine.blocking("data", agents="agents") as engine:
        desk = names_of("window.py")["Desk"](engine, to_do.put)
        for message in ("Can I bring this back?", " "):
            desk.say(message, lambda text: shown.append((threading.current_thread().name, text)))
            assert len(shown) < 2
            to_do.get(timeout=20)()
        desk.close()
    assert {thread for thread, _ in shown} == {threading.current_thread().name}
    assert shown[0][1].endswith(RETURNS)
    assert shown[1][1].startswith("Sorry: message: ")


@pytest.mark.anyio
async def test_an_application_answers_and_hands_errors_on(shop: Path) -> None:
    async with TestClient(TestServer(names_of("web.py")["application"]())) as client:
        async def ask(message: Any) -> tuple[int, dict[str, Any]]:
            answer = await client.post("/ask", json={"message": message}, headers={"X-Person": "ada"})
            return answer.status, await answer.json()

        status, said = await ask("Can I bring this back?")
        assert (status, said["reply"].endswith(RETURNS)) == (200, True)
        assert (await ask(7))[0] == 422
        assert (await ask(""))[1]["error"] == "VALIDATION_ERROR"


def test_the_page_names_every_keyword_status_and_error_that_a_host_meets() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for word in (*Said.__annotations__, *get_args(Status)):
        assert f"`{word}`" in text or word == "fingerprint"
    for row in tables(PAGE)["What can go wrong"]:
        for name in row[0].replace("`", "").split(", "):
            assert name == "error" or issubclass(getattr(ruche.plugins.errors, name), ruche.plugins.errors.RucheError)
