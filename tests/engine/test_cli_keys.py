"""`ruche keys`, `ruche backup` and `ruche restore` on a data directory, and what a running engine does by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.engine.config import Settings, StorageSettings
from ruche.engine.custody import Custody
from ruche.plugins.embedders import HashingEmbedder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")


async def talk(words: str, data: str = "data", user: str = "ada") -> list[str]:
    """Say something, and give everything the person's session holds."""
    async with Engine.open(data, agents="agents", embedder=HashingEmbedder()) as engine:
        turn = await engine.chat(agent="desk", message=words, user=user)
        return [said for run in (await engine.runs("default", session=turn.session_id)).items for said in run.said]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code and the JSON document on standard output."""
    with pytest.raises(SystemExit) as end:
        main([*words, "--json"])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)


def json_lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_keys_of_every_level_are_rotated_and_everything_stays_readable(capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    before = Path("data/keys/root.key").read_text()
    for level in ("tenant", "journal", "users", "root"):
        code, found = run(capsys, "keys", "rotate", level)
        assert (code, found["under_way"]) == (0, [])
    code, _ = run(capsys, "keys", "rotate", "person", "--tenant", "default", "--person", "ada")
    assert code == 0
    assert Path("data/keys/root.key").read_text() != before
    assert set(anyio.run(talk, "two")) == {"one", "two"}
    _, found = run(capsys, "keys", "status", "--uses")
    assert {state["level"]: state["older"] for state in found["levels"]}["person"] == 1
    person = next(key for key, state in found["older"].items() if state["level"] == "person")
    assert found["older"][person]["uses"] > 0
    with pytest.raises(SystemExit) as end:
        main(["keys", "retire", person])
    assert end.value.code == 2
    assert "in use" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["keys", "status"], ["keys", "rotate", "journal"], ["backup", "--to", "b"],
                                   ["restore", "--from", "b", "--to", "c"]])
def test_where_there_is_nothing_nothing_is_made(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, *words)
    assert (code, found["error"]["code"]) == (3, "NOT_FOUND")
    assert not Path("data").exists()
    assert not Path("c").exists()


def test_a_root_key_kept_elsewhere_is_rotated_in_two_steps(capsys: pytest.CaptureFixture[str],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "HRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHx4=")
    monkeypatch.setenv("RUCHE_STORAGE__KEY_SOURCE", "env")
    monkeypatch.setenv("RUCHE_ROOT_KEY", old)
    Path("data").mkdir()
    anyio.run(talk, "one")
    code, found = run(capsys, "keys", "rotate", "root")
    assert (code, "--new-key-file" in found["error"]["message"]) == (2, True)
    Path("new.key").write_text(new)
    code, found = run(capsys, "keys", "rotate", "root", "--new-key-file", "new.key")
    assert (code, found["under_way"]) == (0, ["root"])
    monkeypatch.setenv("RUCHE_ROOT_KEY", new)
    code, found = run(capsys, "keys", "rotate", "root", "--finish")
    assert (code, found["under_way"]) == (0, [])
    monkeypatch.setenv("RUCHE_ROOT_KEY", old)
    assert run(capsys, "keys", "status")[0] == 2


def test_what_was_backed_up_is_restored_with_the_root_key_and_not_without(capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    code, shipped = run(capsys, "backup", "--to", "archive")
    assert code == 0
    anyio.run(talk, "two")
    assert run(capsys, "backup", "--to", "archive")[1]["sequence"] > shipped["sequence"]
    Path("root.key").write_text(Path("data/keys/root.key").read_text())
    Path("data").rename("lost")
    code, found = run(capsys, "restore", "--from", "archive", "--to", "data")
    assert (code, Path("data").exists()) == (2, False)
    code, found = run(capsys, "restore", "--from", "archive", "--to", "data", "--key-file", "root.key")
    assert (code, found["sessions"], found["runs"]) == (0, 1, 2)
    Path("root.key").rename("data/keys/root.key")
    assert set(anyio.run(talk, "three")) == {"one", "two", "three"}
    code, found = run(capsys, "restore", "--from", "archive", "--to", "data", "--key-file", "data/keys/root.key")
    assert (code, "not empty" in found["error"]["message"]) == (2, True)
    code, found = run(capsys, "restore", "--from", "archive", "--to", "then", "--to-sequence",
                      str(shipped["sequence"]), "--key-file", "data/keys/root.key")
    assert (code, found["runs"]) == (0, 1)


def test_a_damaged_directory_is_salvaged_into_a_new_one_and_what_is_lost_is_told(
        capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    day = next(Path("data/runs").glob("*.day"))
    content = bytearray(day.read_bytes())
    content[-20] ^= 1
    day.write_bytes(content)
    code, found = run(capsys, "restore", "--salvage", "data", "--to", "new")
    assert (code, found["lost"], [kind for kind, _ in found["entries"]]) == (1, True, ["runs"])
    assert day.read_bytes() == content
    code, again = run(capsys, "restore", "--salvage", "data", "--to", "new")
    assert (code, "there already" in again["error"]["message"]) == (2, True)


@pytest.mark.parametrize("time", ["yesterday", "2026-11-20T14:05:00"])
def test_a_time_without_a_zone_is_refused(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    run(capsys, "backup", "--to", "archive")
    code, found = run(capsys, "restore", "--from", "archive", "--to", "x", "--to-time", time, "--key-file",
                      "data/keys/root.key")
    assert (code, "with a zone" in found["error"]["message"]) == (2, True)


def test_signing_keys_are_renewed_and_the_log_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    first = run(capsys, "keys", "status")[1]["signing"]
    assert run(capsys, "keys", "rotate", "signing")[0] == 0
    anyio.run(talk, "two")
    later = run(capsys, "keys", "status")[1]["signing"]
    assert (later[:1], len(later)) == (first, 2)
    code, found = run(capsys, "verify", "--key", first[0]["key"])
    assert (code, found["ok"]) == (0, True)


def test_a_hold_is_placed_listed_and_lifted_and_refuses_erasure(capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(talk, "one")
    assert run(capsys, "hold", "place", "ada", "--reason", "case 17") == (0, {"person": "ada", "held": True})
    (held,) = run(capsys, "hold", "list")[1]
    assert (held["interlocutor"], held["reason"]) == ("ada", "case 17")
    assert run(capsys, "erase", "ada", "--yes")[1]["error"]["code"] == "RESOURCE_CONFLICT"
    assert run(capsys, "hold", "lift", "bob", "--reason", "none")[0] == 3
    assert run(capsys, "hold", "place", "nobody", "--reason", "case 18")[0] == 3
    assert run(capsys, "hold", "lift", "ada", "--reason", "closed")[0] == 0
    assert run(capsys, "hold", "list")[1] == []
    assert run(capsys, "erase", "ada", "--yes")[0] == 0


def test_plain_files_are_brought_in_once_and_what_cannot_be_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("old")
    folder.mkdir()
    (folder / "run_00000000000a.json").write_text(json.dumps(
        {"run_id": "run_00000000000a", "created_at_utc": "2025-12-10T08:00:00Z", "status": "OK",
         "decision": {"risk_level": "GREEN"}}))
    code, planned = run(capsys, "migrate", "runs", "old", "--dry-run")
    assert (code, planned["imported"]) == (0, {"run": 1})
    assert not Path("data").exists()
    assert run(capsys, "migrate", "runs", "old")[0] == 3
    anyio.run(talk, "one")
    code, done = run(capsys, "migrate", "runs", "old")
    assert (code, done["imported"], done["verified"]) == (0, {"run": 1}, 1)
    assert run(capsys, "migrate", "runs", "old", "--verify")[1]["verified"] == 1
    (folder / "broken.json").write_text("{")
    code, again = run(capsys, "migrate", "runs", "old")
    assert (code, again["skipped"], [one["file"] for one in again["problems"] if one["lost"]]) == (
        1, 1, ["broken.json"])
    assert {one["id"] for one in json_lines(capsys, "runs", "list")} >= {"run_00000000000a"}
    (folder / "episodes").mkdir()
    (folder / "episodes" / "e.json").write_text('{"episode_id": "e", "timestamp": "2025-07-01T10:00:00Z"}')
    assert run(capsys, "migrate", "memories", "old")[1]["imported"] == {"episode": 1}
    assert run(capsys, "verify")[0] == 0


@pytest.mark.anyio
async def test_a_running_engine_sees_a_rotation_through_and_ships(tmp_path: Path) -> None:
    """Security item 41: rotation needs no restart."""
    storage = StorageSettings(backup_to=tmp_path / "archive")
    async with Engine.open("data", agents="agents", embedder=HashingEmbedder(),
                           settings=Settings(data=Path("data"), agents=Path("agents"), storage=storage)) as engine:
        for user in ("ada", "bob"):
            await engine.chat(agent="desk", message="hello", user=user)
        custody = Custody(engine._host.store, engine._host.scribe, storage)
        assert not await custody.rotate_on()
        assert (await engine.rotate_keys("users")).under_way == ("users",)
        turn = await engine.chat(agent="desk", message="again", user="ada")
        with anyio.fail_after(30):
            while (await engine.keys()).under_way:
                await custody.rotate_on()
        assert [one.id for one in (await engine.sessions("default", interlocutor="ada")).items] == [turn.session_id]
        shipped = await custody.ship()
        assert shipped.bytes > 0
    assert (tmp_path / "archive" / "manifest.json").exists()
