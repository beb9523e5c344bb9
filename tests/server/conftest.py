"""A real server over a real engine, on a port of its own, for all tests of this folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruche.engine.authoring.samples import sample_folder
from tests.server.served import Served, copy_agent, served


@pytest.fixture(scope="session")
def logged() -> io.StringIO:
    """Everything that the server of `site` logs."""
    return io.StringIO()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, logged: io.StringIO) -> Iterator[Served]:
    """Two tenants: `default` with kiosk (public), frontdesk (public) and closed (not public); `rival` with kiosk."""
    root = tmp_path_factory.mktemp("site")
    agents = make_agents(root / "agents")
    with served(root / "data", agents, logged,
                server={"anonymous_per_hour": 1000, "failed_logins_per_minute": 100_000}) as running:
        yield running


def make_agents(agents: Path) -> Path:
    for name in ("kiosk", "frontdesk"):
        copy_agent(sample_folder(name), agents / name)
    copy_agent(sample_folder("kiosk"), agents / "closed", public=False)
    copy_agent(sample_folder("kiosk"), agents / "@rival" / "kiosk")
    return agents
