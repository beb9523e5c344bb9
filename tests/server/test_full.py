"""A disk that fills up refuses new turns in words, goes on reading, and serves again by itself when there is room."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ruche.storage import platform
from tests.server.conftest import make_agents
from tests.server.served import Answer, Served, served
from tests.storage.mounts import is_small, small_disk

OPEN = "When do you open?"


@contextlib.contextmanager
def filled(disk: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """While this lasts there is no room: on a file system of its own indeed, else every write is told so."""
    if is_small(disk):
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield
        return ballast.unlink()
    with patch.context() as inside:
        inside.setattr(platform.Disk, "write", _no_room)
        yield


def _no_room(disk: platform.Disk, descriptor: int, content: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def until(wanted: int, ask: Callable[[], Answer]) -> Answer:
    """What fits into pages that are there already is still taken; room that was given back is found at the next try."""
    for _ in range(60):
        answer = ask()
        if answer.status == wanted:
            return answer
    raise AssertionError(f"{answer.status} and never {wanted}: {answer.body!r}")


def said(site: Served, sub: str) -> Answer:
    return site.chat(OPEN, site.token(sub=sub))


def letters(site: Served) -> list[tuple[str, str]]:
    """Reason and sender of the dead letters, as the reserve of the disk kept them."""
    told = site.request("GET", "/v1/admin/actors", token=site.token("admin", sub="otto"))
    return [(letter["reason"], letter["interlocutor_id"]) for letter in told.json["dead_letters"]]


def journal(site: Served) -> str:
    """What /readyz says of the journal."""
    told = site.request("GET", "/readyz").json["components"]
    return str(next(one["status"] for one in told if one["name"] == "journal"))


def test_a_full_disk_is_told_with_503_and_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents, disk = make_agents(tmp_path / "agents"), tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk), served(disk / "data", agents, io.StringIO(), storage={"reserve_bytes": 100_000}) as site:
        first = said(site, "ada")
        assert first.status == 200
        with filled(disk, monkeypatch):
            refused = until(503, lambda: said(site, "ada"))
            error = refused.json["error"]
            assert (error["code"], error["retryable"]) == ("STORAGE_FULL", True)
            assert error["retry_after_seconds"] > 0
            assert int(refused.headers["retry-after"]) > 0
            assert error["request_id"]
            assert OPEN not in refused.body.decode()
            session = site.request("GET", f"/v1/sessions/{first.json['session_id']}/turns",
                                   token=site.token("operator", sub="otto"))
            assert session.status == 200
            assert session.json["items"]
            kept = [("STORAGE_FULL", "ada")] if is_small(disk) else []  # else not even the reserve can be written to
            assert letters(site) == kept
            assert journal(site) == "degraded"
            assert said(site, "eve").status == 503
            assert letters(site) == kept
        again = until(200, lambda: said(site, "ada"))
        assert again.json["session_id"] == first.json["session_id"]
        assert journal(site) == "ok"
