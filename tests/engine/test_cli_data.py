"""`ruche publish` and `ruche verify` on a data directory, with real files and real keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.publish import bundle_hash
from ruche.engine.cli.main import main
from ruche.storage.model.turn import Turn
from ruche.storage.notary import read_history, read_notes


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    for name in ("one", "@acme/two"):
        folder = tmp_path / "agents" / name
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text("name: Agent\n")
    return tmp_path / "agents"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any]]:
    """Exit code and the JSON lines on standard output."""
    with pytest.raises(SystemExit) as end:
        main([*words, "--json"])
    return int(end.value.code or 0), [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_publishing_makes_versions_and_only_where_something_changed(agents: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    code, (first,) = run(capsys, "publish")
    assert code == 0
    assert [(one["tenant"], one["agent"], one["version"], one["new"]) for one in first["agents"]] == [
        ("acme", "two", 1, True), ("default", "one", 1, True)]
    (agents / "one" / "agent.yaml").write_text("name: Better\n")
    _, (second,) = run(capsys, "publish")
    assert [(one["agent"], one["version"], one["new"]) for one in second["agents"]] == [
        ("two", 1, False), ("one", 2, True)]
    assert second["agents"][1]["hash"] == bundle_hash(load_folder(agents / "one").require())


def test_nothing_is_published_when_one_folder_has_an_error(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (agents / "one" / "agent.yaml").write_text("nam: Agent\n")
    with pytest.raises(SystemExit) as end:
        main(["publish"])
    assert end.value.code == 1
    assert "agents/one/agent.yaml:1:1 E201" in capsys.readouterr().out
    assert not Path("data").exists()


def test_a_data_directory_in_use_is_left_alone(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import anyio

    from ruche.engine.config import read_settings
    from ruche.engine.host import open_store

    store = anyio.run(open_store, read_settings(data=Path("data")))
    try:
        code, (answer,) = run(capsys, "publish")
    finally:
        store.close()
    assert code == 4
    assert answer["error"]["code"] == "DATA_LOCKED"


def test_verifying_needs_a_data_directory(capsys: pytest.CaptureFixture[str]) -> None:
    code, (answer,) = run(capsys, "verify")
    assert (code, answer["error"]["code"]) == (3, "NOT_FOUND")
    assert not Path("data").exists()


def spoken(agents: Path) -> list[Turn]:
    """A data directory in which somebody said two things."""
    with Engine.blocking("data", agents=agents / "one") as engine:
        return [engine.chat(agent="one", message=text, user="u", channel="api") for text in ("a", "b")]


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["status"] for check in report["checks"]}


def test_what_was_said_passes_every_check_that_can_be_made(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken(agents)
    code, (report,) = run(capsys, "verify", "data")
    assert (code, report["ok"], report["keys"], report["entries"]) == (0, True, True, 2)
    assert statuses(report) == {
        "bytes": "pass", "chain": "pass", "inclusion": "pass", "append-only": "pass", "authenticity": "pass",
        "completeness": "pass", "references": "pass", "erasure": "pass", "configuration": "pass",
        "replay": "not checkable"}
    assert run(capsys, "verify")[0] == 0


def test_a_copy_without_keys_is_checked_as_far_as_it_goes(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken(agents)
    Path("data/keys/root.key").unlink()
    with pytest.raises(SystemExit) as end:
        main(["verify", "data"])
    assert end.value.code == 0
    told = capsys.readouterr()
    assert "2 entries of 1 tenants, without keys" in told.out
    assert "This does not prove:" in told.out
    assert "no root key" in told.err


def test_a_changed_byte_and_a_kept_checkpoint_end_with_5(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken(agents)
    Path("held.txt").write_text(read_notes(Path("data/log/checkpoints"))[-1], encoding="utf-8")
    key = read_history(Path("data/log/keys"))[0].key.text()
    assert run(capsys, "verify", "--checkpoint", "held.txt", "--key", key)[0] == 0
    day = next(Path("data/runs").glob("*.day"))
    content = day.read_bytes()
    day.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    code, (report,) = run(capsys, "verify", "--checkpoint", "held.txt")
    assert code == 5
    assert statuses(report)["bytes"] == "fail"
    assert report["checks"][0]["faults"][0]["file"] == f"runs/{day.name}"
    with pytest.raises(SystemExit):
        main(["verify"])
    assert f"runs/{day.name} at byte" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--checkpoint", "held.txt"), ("--key", "nonsense")])
def test_a_checkpoint_or_key_that_is_none_is_refused(agents: Path, capsys: pytest.CaptureFixture[str],
                                                     words: tuple[str, ...]) -> None:
    spoken(agents)
    Path("held.txt").write_text("nothing", encoding="utf-8")
    assert run(capsys, "verify", *words)[0] == 5


def test_explain_shows_the_rule_and_its_score(capsys: pytest.CaptureFixture[str]) -> None:
    code, (shown,) = run(capsys, "explain", "kiosk", "may I use my camera")
    assert code == 0
    assert [rule["id"] for rule in shown["rules"]] == ["photos"]
    assert "scored" in shown["rules"][0]["why"]
    assert "photographs" in shown["reply"].lower()
    assert not Path("data").exists()


def test_explain_knows_its_agents(capsys: pytest.CaptureFixture[str]) -> None:
    code, (shown,) = run(capsys, "explain", "nobody", "hello")
    assert (code, shown["error"]["code"]) == (3, "NOT_FOUND")


def test_explain_tells_of_every_rule_and_of_the_place_of_the_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    code, (first, second) = run(capsys, "explain", "frontdesk", "I need a table for two at Lucca", "at 7 pm")
    assert code == 0
    assert {rule["verdict"] for rule in first["explained"]["rules"]} >= {"dropped"}
    (moved,) = [one for one in second["explained"]["scenarios"] if one["id"] == "restaurant_book"]
    assert moved["status"] == "active"
    assert moved["transitions"]


def test_explain_shows_people_what_was_not_applied_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "kiosk", "may I use my camera"])
    shown = capsys.readouterr().out
    assert "\n  rule      photos: scored " in shown
    assert "\n  not rule  opening_hours: scored " in shown
    assert ", less than " in shown


def test_an_earlier_version_is_published_again_as_the_newest(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "publish")
    (agents / "@acme" / "two" / "agent.yaml").write_text("name: Better\n")
    run(capsys, "publish")
    code, (back,) = run(capsys, "publish", "--rollback", "1", str(agents / "@acme" / "two"))
    assert code == 0
    (two,) = back["agents"]
    assert (two["tenant"], two["agent"], two["version"], two["new"]) == ("acme", "two", 3, True)
    _, (again,) = run(capsys, "publish", "--rollback", "1", str(agents / "@acme" / "two"))
    assert (again["agents"][0]["version"], again["agents"][0]["new"]) == (3, False)


@pytest.mark.parametrize(("words", "code"), [(("one",), 2), (("agents/one", "agents/@acme/two"), 2), ((), 2),
                                             (("agents/nobody",), 3)])
def test_a_rollback_names_one_agent_and_a_version_that_it_has(agents: Path, words: tuple[str, ...], code: int,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "publish")
    version = "0" if words == ("one",) else "1"
    with pytest.raises(SystemExit) as end:
        main(["publish", "--rollback", version, *words])
    assert end.value.code == code


def test_a_rollback_makes_no_data_directory(capsys: pytest.CaptureFixture[str]) -> None:
    code, (answer,) = run(capsys, "publish", "--rollback", "1", "one")
    assert (code, answer["error"]["code"]) == (3, "NOT_FOUND")
    assert not Path("data").exists()
