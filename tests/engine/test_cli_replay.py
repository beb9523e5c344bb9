"""`ruche replay`: recorded turns come out the same in any process, from the data directory alone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from ruche.engine import Engine
from ruche.engine.authoring.samples import sample_folder
from ruche.engine.cli.main import main
from ruche.engine.config import Settings, read_settings
from ruche.engine.host import known_enforcers, open_store
from ruche.engine.replay import Recorded, Replayed, load
from ruche.engine.replay import replay as run_again
from ruche.plugins.contracts import Generated, Prompt
from ruche.plugins.registry import Registry
from ruche.storage.model.run import Run

TABLE = ("I need a table for four people at Lucca at 7 pm, my name is Omar Haddad", "yes, please do",
         "what is my balance", "The account number is 40718822")
WITHOUT_NETWORK = """
import socket, sys
def refuse(*_):
    raise OSError("a replay went to the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from ruche.engine.cli.main import main
main(sys.argv[1:])
"""


class Talker:
    """A model that answers differently each time it is asked."""

    name = "talker"

    def __init__(self) -> None:
        self.asked = 0

    async def generate(self, prompt: Prompt) -> Generated:
        self.asked += 1
        return Generated(text=f"Answer number {self.asked}.", input_tokens=3, output_tokens=4)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield (await self.generate(prompt)).text


def settings(data: Path, **more: Any) -> Settings:
    return read_settings(environment={}, data=data, models={"embedder": "hashing"}, **more)


def agents_in(folder: Path) -> Path:
    shutil.copytree(sample_folder("frontdesk"), folder / "frontdesk")
    (folder / "talker").mkdir()
    (folder / "talker" / "agent.yaml").write_text(
        "name: Talker\nmodels: {generator: openai, url: 'http://127.0.0.1:9/v1', model: m}\n")
    (folder / "talker" / "rules.yaml").write_text(
        "- {id: hours, if: Somebody asks when we open, then: We open at nine., examples: [when do you open]}\n")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """A data directory over several starts of the engine, and the ids of its turns by session."""
    root = tmp_path_factory.mktemp("recorded")
    agents = agents_in(root / "agents")
    ids: dict[str, list[str]] = {"table": [], "other": [], "model": [], "burst": []}

    def say(name: str, agent: str, channel: str, *texts: str, **limits: Any) -> None:
        chosen = settings(root / "data", agents=agents, limits=limits)
        talker = Talker()
        parts: dict[str, Any] = {"generator": lambda use: talker} if agent == "talker" else {}
        with Engine.blocking(settings=chosen, **parts) as e:
            for text in texts:
                taken = e.call("accept", agent=agent, message=text, user="omar", channel=channel)
                ids[name].append(taken.turn_id)
                _ended(e, taken.session_id, taken.turn_id)

    say("table", "frontdesk", "api", *TABLE[:1])
    say("other", "frontdesk", "widget", "my name is Omar Haddad, what is my balance?")
    say("table", "frontdesk", "api", *TABLE[1:])
    say("table", "frontdesk", "api", "My PIN is 4071", turn_seconds=1e-6)
    say("table", "frontdesk", "api", "My PIN is 4071", "colourless green ideas")
    say("model", "talker", "api", "when do you open?", "and then?")
    with Engine.blocking(settings=settings(root / "data", agents=agents)) as engine:
        taken = [engine.call("accept", agent="frontdesk", message=text, user="lena", channel="web",
                             metadata={"page": text}) for text in ("book a table", "at the Tamarind", "for 2 people")]
        _ended(engine, taken[-1].session_id, taken[-1].turn_id)
        ids["burst"] = [taken[-1].turn_id]
    return root / "data", ids


def _ended(engine: Any, session: str, turn_id: str) -> None:
    async def wait() -> None:
        async for event in engine.engine.events("default", session):
            if event.turn_id == turn_id and event.kind in ("turn.completed", "turn.failed"):
                return

    engine._run(wait)


def replayed(data: Path, run_id: str, *words: str, cwd: Path, seed: str = "1") -> subprocess.CompletedProcess[str]:
    """`ruche replay` in a process of its own: another hash seed, time zone and directory, and no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUCHE_")}
    environment = {**kept, "PYTHONHASHSEED": seed, "TZ": "Pacific/Kiritimati", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, "-c", WITHOUT_NETWORK, "replay", run_id, "--data", str(data), *words],
                          cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def recorded(data: Path, run_id: str) -> Recorded:
    store = anyio.run(open_store, settings(data))
    try:
        return load(store.tenant("default"), run_id)
    finally:
        store.close()


def again(what: Recorded, **options: Any) -> Replayed:
    return anyio.run(lambda: run_again(what, known_enforcers(Registry()), **options))


def changed(what: Recorded, number: int, **fields: Any) -> Recorded:
    """The same record with one run altered."""
    runs = list(what.runs)
    runs[number] = replace(runs[number], **fields)
    return dataclasses.replace(what, runs=tuple(runs))


@pytest.mark.parametrize(("session", "seed"), [("table", "0"), ("other", "4711"), ("model", "12345")])
def test_a_turn_comes_out_the_same_in_another_process_hash_seed_time_zone_and_directory_without_a_network(
        site: tuple[Path, dict[str, list[str]]], session: str, seed: str, tmp_path: Path) -> None:
    data, ids = site
    done = replayed(data, ids[session][-1], "--json", cwd=tmp_path, seed=seed)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert (shown["identical"], shown["difference"], shown["notes"]) == (True, None, [])
    assert shown["earlier"] == len(ids[session]) - 1


def test_every_turn_of_a_session_comes_out_the_same(site: tuple[Path, dict[str, list[str]]]) -> None:
    """Over restarts, beside another session of the same person, with tools that have consequences and a model."""
    data, ids = site
    for run_id in (one for session in ids.values() for one in session):
        found = again(recorded(data, run_id))
        assert found.difference is None, found.difference


def test_the_session_that_is_replayed_did_what_matters(site: tuple[Path, dict[str, list[str]]]) -> None:
    data, ids = site
    runs: tuple[Run, ...] = recorded(data, ids["table"][-1]).runs
    assert [call.name for run in runs for call in run.tools if call.key] == ["table_book"]
    assert [run.status for run in runs].count("failed") == 1
    assert "$" in runs[-2].reply
    assert [len(run.said) for run in recorded(data, ids["burst"][0]).runs] == [3]
    assert [run.reply for run in recorded(data, ids["model"][-1]).runs] == ["Answer number 1.", "Answer number 2."]


def test_a_turn_that_was_given_up_has_nothing_to_run_again_but_keeps_the_chain(
        site: tuple[Path, dict[str, list[str]]]) -> None:
    data, ids = site
    found = again(recorded(data, ids["table"][4]))
    assert found.run.status == "failed"
    assert found.difference is None
    assert "TIMEOUT" in found.notes[0]


def test_another_agent_shows_the_first_thing_that_differs(site: tuple[Path, dict[str, list[str]]],
                                                          tmp_path: Path) -> None:
    data, ids = site
    agents = agents_in(tmp_path)
    same = replayed(data, ids["table"][0], "--agent", str(agents / "frontdesk"), cwd=tmp_path)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "note: run again with another agent than version 1" in same.stdout
    file = agents / "frontdesk" / "agent.yaml"
    file.write_text(file.read_text().replace("this is the front desk", "here is the front desk"))
    other = replayed(data, ids["table"][0], "--agent", str(agents / "frontdesk"), cwd=tmp_path)
    assert other.returncode == 1
    first, on_record, now = other.stdout.splitlines()[:3]
    assert first.startswith("differs at turn 0 of session ")
    assert first.endswith(": generate")
    assert "asked at generate" in on_record
    assert "asked at generate" in now


@pytest.mark.parametrize(("fields", "site_of_it"), [
    ({"reply": "Something else."}, "reply"),
    ({"decisions": {"match": {}}}, "decisions: sense"),
    ({"error": "X"}, "error"),
    ({"tape": ()}, "input"),
])
def test_the_first_difference_is_named(site: tuple[Path, dict[str, list[str]]], fields: dict[str, Any],
                                       site_of_it: str) -> None:
    data, ids = site
    what = recorded(data, ids["table"][0])
    found = again(changed(what, 0, **fields))
    assert found.difference is not None
    assert (found.difference.turn, found.difference.site) == (0, site_of_it)


def test_a_request_that_is_not_on_the_tape_is_named_with_its_place(site: tuple[Path, dict[str, list[str]]]) -> None:
    data, ids = site
    what = recorded(data, ids["table"][0])
    tape = what.runs[0].tape
    shorter = again(changed(what, 0, tape=tape[:-1])).difference
    longer = again(changed(what, 0, tape=(*tape, tape[-1]))).difference
    assert shorter is not None
    assert longer is not None
    assert (shorter.site, shorter.recorded) == (tape[-1].site, "did not ask")
    assert (longer.site, longer.replayed) == (tape[-1].site, "did not ask")


def test_a_state_that_cannot_be_rebuilt_is_told_at_its_turn(site: tuple[Path, dict[str, list[str]]]) -> None:
    data, ids = site
    what = recorded(data, ids["table"][2])
    wrong = replace(what.runs[1].hashes, state_before="0" * 64)
    found = again(changed(what, 1, hashes=wrong)).difference
    assert found is not None
    assert (found.turn, found.site) == (1, "state before the turn")


@pytest.mark.parametrize("words", [("nobody",), ("{run}", "--tenant", "rival"), ("{run}", "--data", "nowhere")])
def test_what_is_not_there_is_not_found(site: tuple[Path, dict[str, list[str]]], words: tuple[str, ...],
                                        capsys: pytest.CaptureFixture[str]) -> None:
    data, ids = site
    with pytest.raises(SystemExit) as end:
        main(["replay", "--data", str(data), *(word.format(run=ids["table"][0]) for word in words), "--json"])
    assert end.value.code == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "NOT_FOUND"
    assert not Path("nowhere").exists()


def test_a_turn_of_an_erased_person_is_told_to_be_erased_and_nothing_of_it(
        site: tuple[Path, dict[str, list[str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, ids = site
    shutil.copytree(data, tmp_path / "data")
    store = anyio.run(open_store, settings(tmp_path / "data"))
    try:
        store.audit.erase("default", "lena", reason="asked for it", by="officer", at_ms=1)
    finally:
        store.close()
    with pytest.raises(SystemExit) as end:
        main(["replay", ids["burst"][0], "--data", str(tmp_path / "data"), "--json"])
    assert end.value.code == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["erased"], set(shown)) == (ids["burst"][0], True, {"run", "erased", "notes"})
    with pytest.raises(SystemExit) as end:
        main(["replay", ids["table"][0], "--data", str(tmp_path / "data")])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("identical: ")


def test_a_directory_in_use_is_left_alone(site: tuple[Path, dict[str, list[str]]],
                                          capsys: pytest.CaptureFixture[str]) -> None:
    data, ids = site
    store = anyio.run(open_store, settings(data))
    try:
        with pytest.raises(SystemExit) as end:
            main(["replay", ids["table"][0], "--data", str(data)])
    finally:
        store.close()
    assert end.value.code == 4
    assert "ruche: " in capsys.readouterr().err
