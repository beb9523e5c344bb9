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
