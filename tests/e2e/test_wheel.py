"""The wheel, installed elsewhere, beside folders of the host's own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.e2e.running import serving
from tests.e2e.tree import ROOT, build_wheel


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """Another environment: this one's libraries, the wheel, and not the checkout. Returns its Python."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    site = Path(subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                               capture_output=True, text=True, check=True).stdout.strip())
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    wheel = build_wheel(tmp_path / "wheel")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site),
                    str(wheel)], check=True, capture_output=True)
    return str(python)


def test_an_installed_wheel_serves_the_samples_beside_a_hosts_own_storage_and_plugins(elsewhere: str,
                                                                                      tmp_path: Path) -> None:
    host = tmp_path / "host"
    for name in ("storage", "plugins", "actors", "engine"):
        (host / name).mkdir(parents=True)
        (host / name / "__init__.py").write_text("raise RuntimeError('this belongs to the host')\n")
    where = subprocess.run([elsewhere, "-c", "import ruche.storage; print(ruche.storage.__file__)"], cwd=host,
                           capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in where
    with serving(tmp_path / "data", cwd=host, python=elsewhere) as server:
        names = {agent["id"] for agent in server.get("/v1/agents")["items"]}
        assert {"frontdesk", "kiosk"} <= names
        assert server.chat("When do you open?")["status"] == "complete"


HOST = """
from ruche.engine import Engine
from ruche.engine.blocking import BlockingEngine
from ruche.plugins.contracts import Draft, Verdict
from ruche.storage.model.event import Event
from ruche.storage.model.rule import Rule
from ruche.storage.model.turn import Turn


class Calm:
    name = "calm"
    monotone = False

    def prepare(self, rule: Rule) -> None:
        return None

    def check(self, draft: Draft, rule: Rule, prepared: None) -> Verdict:
        return Verdict(outcome="pass")


async def talk() -> str:
    async with Engine.open("data", agents="agents", enforcers={"calm": Calm()}) as engine:
        turn: Turn = await engine.chat(agent="shop", user="me", message="hello", metadata={"till": 1})
        async for event in engine.stream(agent="shop", user="me", message="hello"):
            seen: Event = event
        return turn.reply + turn.enforcement.risk


def wait(engine: BlockingEngine) -> str:
    return engine.chat(agent="shop", user="me", message="hello").reply
"""
WRONG = """
from ruche.engine import Engine


async def talk() -> None:
    async with Engine.open("data", agent="agents") as engine:
        await engine.chat(agent="shop", message="hello")
        await engine.chat(agent="shop", user="me", message=b"hello")
        await engine.chat(agent="shop", user="me", message="hello", agent_id="shop")
    with Engine.blocking("data", embedder=3) as blocking:
        blocking.chat(agent="shop", user=3, message="hello")
"""


@pytest.mark.long
def test_a_type_checker_sees_the_installed_names_and_every_wrong_keyword(elsewhere: str, tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST)
    (tmp_path / "wrong.py").write_text(WRONG)

    def checked(name: str) -> list[str]:
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--python-executable", elsewhere, name],
                              cwd=tmp_path, capture_output=True, text=True, timeout=300)
        return done.stdout.splitlines()

    assert checked("host.py") == ["Success: no issues found in 1 source file"]
    wrong = checked("wrong.py")
    assert [int(line.split(":")[1]) for line in wrong[:-1] if ": error: " in line] == [6, 7, 8, 9, 10, 11], wrong
