"""A message that takes the whole process down is given up after so many starts, and holds nobody else up."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from msgspec.structs import replace

from ruche.actors.recovery import orphans_of, recover
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.tape import Tape
from ruche.storage.model.record import Accepted
from tests.actors.poisoned import BEHIND, POISON, RULE
from tests.actors.rig import KEY, WEB, ScriptedBrain, ended, rig
from tests.actors.test_session_recovery import died, never
from tests.actors.test_session_supersede import AT_ONCE

ROOT = Path(__file__).parents[2]
HELLO = ("Hello", "Are you there?", BEHIND)
MOST = 3
"""`Hosting.most_crashes`."""


class Running:
    """A server that has said where it is."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._url, self._tokens = told["url"], told["tokens"]

    def ask(self, who: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(self._url + path, None if body is None else json.dumps(body).encode(), {
            "Authorization": f"Bearer {self._tokens[who]}", "Content-Type": "application/json",
            "Prefer": "respond-async"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def accept(self, who: str, message: str) -> Any:
        return self.ask(who, "/v1/chat", {"agent_id": "desk", "message": message, "channel": "api"})


@contextmanager
def started(folder: Path, death: str, *session: str) -> Iterator[tuple[Running | None, subprocess.Popen[str]]]:
    """None for a server that died before it could tell."""
    words = [sys.executable, "-m", "tests.actors.poisoned", str(folder / "data"), str(folder / "agents"), death]
    process = subprocess.Popen([*words, *session], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        yield (Running(json.loads(line)) if line else None), process
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def doctor(folder: Path) -> dict[str, Any]:
    told = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", "doctor", "--data", str(folder / "data"),
                           "--json"], cwd=folder, capture_output=True, text=True, check=False)
    findings = json.loads(told.stdout)
    return next(one for one in findings["findings"] if one["name"] == "dead letters")


@pytest.mark.parametrize("death", ["exit", "kill"])
def test_a_message_that_kills_every_process_is_given_up_and_nobody_else_is(tmp_path: Path, death: str) -> None:
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")
    (folder / "rules.yaml").write_text(RULE)
    with started(tmp_path, death) as (server, process):
        assert server is not None
        innocent = [server.accept("lee", text) for text in HELLO]
        poison = server.accept("kim", POISON)
        server.accept("kim", BEHIND)
        process.kill()
    sessions, deaths = (poison["session_id"], innocent[0]["session_id"]), 0
    while deaths <= MOST:
        with started(tmp_path, death, *sessions) as (server, process):
            if server is not None:
                break
            deaths += 1
    assert deaths == MOST
    assert server is not None
    with started(tmp_path, death, *sessions) as (server, process):
        assert server is not None, "it is not tried again"
        [letter] = server.ask("otto", "/v1/admin/actors")["dead_letters"]
        assert (letter["turn_id"], letter["attempts"]) == (poison["turn_id"], MOST)
        run = server.ask("otto", f"/v1/runs/{poison['turn_id']}")
        assert (run["said"], run["status"], run["error"]) == ([POISON], "failed", "DEAD_LETTERED")
        answers = [server.ask("otto", f"/v1/runs/{one['turn_id']}") for one in innocent]
        assert [(run["said"], run["status"]) for run in answers] == [([text], "complete") for text in HELLO]
    found = doctor(tmp_path)
    assert found["state"] == "warn"
    assert letter["message_id"] in found["message"]


@pytest.mark.anyio
async def test_a_start_is_counted_for_what_was_begun_and_for_nothing_that_waited_behind_it(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(never)) as it:
        for text in ("one", "two"):
            await it.say(text, want="accepted")
        image = died(tmp_path)
    for start in (1, 2):
        brain = ScriptedBrain(never)
        async with rig(image, brain) as it:
            await recover(it.directory, it.hosting, it.store.unanswered())
            await brain.begun.wait()
            assert [(one.message.text, one.tries) for one in it.store.unanswered()] == [("one", start), ("two", 0)]
            image = died(image)
    async with rig(image, ScriptedBrain()) as it:
        assert [(one.message.text, one.tries) for one in it.store.unanswered()] == [("one", 2), ("two", 0)]
        [first, second] = orphans_of(it.store.unanswered(), it.hosting)[str(KEY)]
        assert (first.crashes, second.crashes) == (2, 0)


@pytest.mark.anyio
async def test_a_start_that_is_stopped_in_good_order_is_not_counted_however_often(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(never)) as it:
        await it.say("one", want="accepted")
        image = died(tmp_path)
    async with rig(image, ScriptedBrain(never)) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await it.hosting.brain.begun.wait()  # type: ignore[attr-defined]
        image = died(image)
    for _ in range(MOST + 2):
        brain = ScriptedBrain(never)
        async with rig(image, brain) as it:
            assert [one.tries for one in it.store.unanswered()] == [1], "one start died, the others were stopped"
            await recover(it.directory, it.hosting, it.store.unanswered())
            await brain.begun.wait()
            assert [one.tries for one in it.store.unanswered()] == [2]
    async with rig(image, ScriptedBrain()) as it:
        assert [one.tries for one in it.store.unanswered()] == [1]
        await recover(it.directory, it.hosting, it.store.unanswered())
        await it.turn("two")
        assert it.store.unanswered() == []


@pytest.mark.anyio
async def test_a_stopped_start_is_not_counted_for_a_turn_that_replaced_the_one_it_had_begun(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(never), channel_bases=AT_ONCE) as it:
        await it.say("one", WEB, want="accepted")
        image = died(tmp_path)
    brain = ScriptedBrain(never)
    async with rig(image, brain, channel_bases=AT_ONCE) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await brain.begun.wait()
        await it.say("two", WEB, want="accepted")
    async with rig(image, ScriptedBrain()) as it:
        assert [(one.message.text, one.tries) for one in it.store.unanswered()] == [("one", 0), ("two", 0)]


@pytest.mark.anyio
async def test_of_several_that_a_process_may_have_died_of_one_at_a_time_is_tried(tmp_path: Path) -> None:
    others = [replace(WEB, interlocutor=f"k{number}") for number in range(8)]
    async with rig(tmp_path, ScriptedBrain(never), channel_bases=AT_ONCE) as it:
        sessions = [(await it.say("hello", key, want="accepted")).session_id for key in others]
        unanswered = it.store.unanswered()
        image = died(tmp_path)
    at_once, most = 0, 0

    async def count(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.lowlevel.checkpoint()
        at_once -= 1
        return "done"

    async with rig(image, ScriptedBrain(count), channel_bases=AT_ONCE) as it:
        await recover(it.directory, it.hosting, [_tried(one) for one in unanswered])
        for session in sessions:
            await ended(it, session, 1)
    assert most == 1


def _tried(accepted: Accepted) -> Accepted:
    return replace(accepted, tries=1)
