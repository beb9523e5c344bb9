"""`ruche people`, `memory`, `review`, `diff` and `whatif` on a data directory with real files and keys."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import anyio
import pytest

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.storage.model.turn import Turn
from tests.engine.test_cli_data import run

AGENT = {
    "agent.yaml": "name: Desk\nmemory: true\nunmatched: I do not know.\n",
    "rules.yaml": "- {id: hours, if: the user asks when we open, then: At nine., examples: [when do you open]}\n",
    "fields.yaml": "- {name: seats, type: number, ask: How many?}\n- {name: city, ask: Where?}\n",
    "scenarios/book.yaml": "entry: the user wants to book a table\nexamples: [book a table]\nsteps:\n"
                           "- {id: ask, collects: [seats], next: done}\n- {id: done, say: 'Booked.'}\n"}


def written(folder: Path, **changed: str) -> Path:
    for name, text in {**AGENT, **changed}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Turn]:
    """A data directory in which ada asked, and kiosk-7 booked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")
    with Engine.blocking("data", agents=written(tmp_path / "agents" / "desk")) as engine:
        turns = {"ada": engine.chat(agent="desk", user="ada", message="when do you open")}
        for text in ("book a table", "4 seats"):
            turns[text] = engine.chat(agent="desk", user="kiosk-7", message=text)
    return turns


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_names_are_linked_shown_handed_out_and_unlinked(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]
                                                        ) -> None:
    assert run(capsys, "people", "show", "ada")[1] == [{"person": "ada", "names": [], "fields": {}}]
    assert run(capsys, "people", "link", "ada", "kiosk-7") == (
        0, [{"person": "ada", "name": "kiosk-7", "linked": True}])
    assert run(capsys, "people", "link", "ada", "kiosk-7")[0] == 0
    code, (shown,) = run(capsys, "people", "show", "kiosk-7")
    assert (code, shown["person"], shown["names"], shown["fields"]["seats"]["value"]) == (0, "ada", ["kiosk-7"], 4)
    with Engine.blocking("data", agents="agents") as engine:
        turn = engine.chat(agent="desk", user="kiosk-7", message="book a table")
        assert turn.reply.endswith("Booked.")
    assert run(capsys, "people", "export", "ada", "--to", "ada.zip")[0] == 0
    with zipfile.ZipFile("ada.zip") as made:
        assert sum(name.startswith("runs/") for name in made.namelist()) == 4
    assert run(capsys, "people", "export", "ada", "--to", "ada.zip")[0] == 2
    assert run(capsys, "people", "unlink", "ada", "kiosk-7")[0] == 0
    assert run(capsys, "people", "show", "ada")[1][0]["fields"] == {}
    assert run(capsys, "people", "show", "kiosk-7")[1][0]["fields"]["seats"]["value"] == 4
    assert run(capsys, "people", "unlink", "ada", "kiosk-7")[0] == 3
    assert run(capsys, "people", "link", "nobody", "kiosk-7")[0] == 3
    assert run(capsys, "people", "link", "ada", "ada")[0] == 2


def test_an_erasure_and_a_hold_on_the_command_line_cover_every_name(said: dict[str, Turn],
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "people", "link", "ada", "kiosk-7")
    assert run(capsys, "hold", "place", "kiosk-7", "--reason", "case")[0] == 0
    assert run(capsys, "erase", "ada", "--yes")[0] == 2
    assert {one["interlocutor"] for one in run(capsys, "hold", "list")[1][0]} == {"ada", "kiosk-7"}
    assert run(capsys, "hold", "lift", "ada", "--reason", "over")[0] == 0
    code, (done,) = run(capsys, "erase", "kiosk-7", "--yes")
    assert (code, len(done["also"])) == (0, 1)
    for name in ("ada", "kiosk-7"):
        assert run(capsys, "people", "show", name)[0] == 3
    assert run(capsys, "verify", "data")[0] == 0


def test_what_is_remembered_is_listed_newest_first(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    async def file() -> None:
        async with Engine.open("data") as engine:
            for day, name in enumerate(("first", "second")):
                await engine.memory.index("default", "ada", f"The {name} note.", name, at_ms=day * 86_400_000)

    anyio.run(file)
    code, found = run(capsys, "memory", "list", "ada", "--limit", "3")
    filed = [one for one in found if one["source"] == "api"]
    assert (code, [one["text"] for one in filed]) == (0, ["The second note.", "The first note."])
    assert (filed[0]["document"], filed[0]["at"]) == ("second", "1970-01-02T00:00:00+00:00")
    assert run(capsys, "memory", "list", "nobody")[0] == 3
    assert run(capsys, "memory", "episodes", "--kind", "wisdom") == (0, [])


def test_turns_are_reviewed_once_and_leave_the_queue(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]
                                                     ) -> None:
    name = said["ada"].turn_id
    assert run(capsys, "review", "queue") == (0, [])
    assert run(capsys, "review", "rate", name, "--rating", "4", "--note", "fine")[1][0]["review"] == "REVIEWED"
    assert run(capsys, "review", "approve", name, "--note", "good")[1][0]["review"] == "PROMOTED"
    assert run(capsys, "review", "approve", name, "--note", "good")[0] == 0
    assert run(capsys, "review", "reject", "unknown", "--note", "bad")[0] == 3
    assert ended("review", "rate", name, "--rating", "6", "--note", "x") == 2


def test_two_turns_are_compared_field_by_field(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    one, other = said["ada"].turn_id, said["4 seats"].turn_id
    code, (found,) = run(capsys, "diff", one, other)
    assert (code, found["same"]) == (1, False)
    assert {"said", "reply"} <= {field["field"] for field in found["differences"]}
    assert run(capsys, "diff", one, one)[1][0]["same"] is True
    assert run(capsys, "diff", one, "unknown")[0] == 3
    assert ended("diff", one, other) == 1
    assert '- ["when do you open"]' in capsys.readouterr().out


def test_what_if_says_which_recorded_turns_would_differ(said: dict[str, Turn], tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    same: Any = run(capsys, "whatif", "agents/desk")
    assert (same[0], same[1][-1]) == (0, {"turns": 3, "same": 3, "differs": 0, "failed": 0})
    written(tmp_path / "later" / "desk", **{"rules.yaml": AGENT["rules.yaml"].replace("nine", "ten")})
    code, found = run(capsys, "whatif", "later/desk")
    assert (code, found[-1]) == (1, {"turns": 3, "same": 2, "differs": 1, "failed": 0})
    [other] = [one for one in found[:-1] if one["outcome"] == "differs"]
    assert (other["run"], other["site"]) == (said["ada"].turn_id, "generate")
    assert run(capsys, "whatif", "desk", "--version", "1", "--limit", "1")[1][-1]["turns"] == 1
    assert run(capsys, "whatif", "desk", "--version", "9")[0] == 3
    assert run(capsys, "whatif", "nowhere")[0] == 2


def test_while_a_server_holds_the_directory_they_say_so(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]
                                                        ) -> None:
    with Engine.blocking("data"):
        for words in (("people", "show", "ada"), ("memory", "list", "ada"), ("review", "queue"),
                      ("diff", "a", "b"), ("whatif", "agents/desk")):
            code, (refused,) = run(capsys, *words)
            assert (code, refused["error"]["code"]) == (4, "DATA_LOCKED")


def test_people_read_what_the_commands_print(said: dict[str, Turn], capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("people", "show", "kiosk-7"), ("people", "link", "ada", "kiosk-7"), ("memory", "list", "ada"),
                  ("review", "approve", said["ada"].turn_id, "--note", "good"), ("whatif", "agents/desk"),
                  ("people", "export", "ada", "--to", "out.zip"), ("people", "unlink", "ada", "kiosk-7")):
        assert ended(*words) == 0
    told = capsys.readouterr().out
    assert "seats: 4  (user_provided)" in told
    assert "3 turns: 3 same, 0 differs, 0 failed" in told
    assert "PROMOTED" in told
    assert not any(line.startswith("{") and json.loads(line) for line in told.splitlines())
