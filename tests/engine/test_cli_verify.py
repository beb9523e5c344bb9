"""`ruche verify --replay`: the tenth check runs every session again, in a copy, and tells what comes out otherwise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.engine.config import read_settings
from ruche.engine.host import open_store
from ruche.plugins.embedders import HashingEmbedder
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import digest


@pytest.fixture(autouse=True)
def _talked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")
    anyio.run(talk)


async def talk() -> None:
    async with Engine.open("data", agents="agents", embedder=HashingEmbedder()) as engine:
        for user in ("ada", "bob"):
            for words in ("hello", "and again"):
                await engine.chat(agent="desk", message=words, user=user)


def verify(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as end:
        main(["verify", "--json", *words])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)["checks"][-1]


def content() -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in Path("data").rglob("*")
            if path.is_file()}


def test_every_turn_is_run_again_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    before = content()
    code, check = verify(capsys, "--replay")
    assert (code, check["name"], check["status"], check["checked"]) == (0, "replay", "pass", 4)
    assert content() == before
    assert verify(capsys)[1]["status"] == "not checkable"
    assert verify(capsys, "--replay", "--no-keys")[1]["status"] == "not checkable"


def test_a_turn_that_comes_out_otherwise_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    store = anyio.run(open_store, read_settings(data=Path("data")))
    view = store.tenant("default")
    session = view.sessions(interlocutor="ada").items[0]
    last = view.runs(session=session.id, limit=1).items[0]
    other = "00" if last.id[-2:] != "00" else "11"
    forged = replace(last, id=last.id[:-2] + other, sequence=last.sequence + 1, previous=session.previous_run,
                     reply="Send money.", hashes=replace(last.hashes, output=digest("Send money.")))
    store.append([TurnCommitted(tenant="default", at_ms=last.created_ms, run=forged, answered=(), session=replace(
        session, turn_count=session.turn_count + 1, previous_run=digest(forged)))])
    store.close()
    code, check = verify(capsys, "--replay")
    assert (code, check["status"]) == (5, "fail"), check
    assert [fault["id"] for fault in check["faults"]] == [session.id]


def test_erased_sessions_are_counted_and_run_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["erase", "ada", "--yes"])
    capsys.readouterr()
    code, check = verify(capsys, "--replay")
    assert (code, check["status"], check["checked"]) == (0, "pass", 2)
