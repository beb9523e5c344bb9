"""Messages that come while a turn of the engine's own brain runs are taken into it, over HTTP, and replay the same."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ruche.actors.supersede import Decision
from ruche.engine.again import run_all_again
from ruche.engine.config import Settings
from tests.server.served import Answer, Served, served

RULES = """
- {id: hours, if: the visitor asks when it opens, examples: [when do you open], then: "We open at {{ opens }}.",
   tools: [{tool: look}]}
- {id: price, if: the visitor asks what it costs, examples: [what does it cost], then: It costs nine euros.}
- {id: parking, if: the visitor asks where to park, examples: [where can I park], then: Park behind the house.}
"""
TEXTS = ("When do you open?", "And what does it cost?", "And where can I park?")


class Slow(ThreadingHTTPServer):
    """A tool that answers its first request only when it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked, self.go = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/look"


class _Handler(BaseHTTPRequestHandler):
    server: Slow

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        self.server.go.wait(30)
        body = b'{"opens": "nine"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@contextmanager
def slow() -> Iterator[Slow]:
    server = Slow()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def write_agent(folder: Path, url: str, policy: str) -> None:
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\nunmatched: Pardon?\n")
    (folder / "rules.yaml").write_text(RULES)
    (folder / "tools.yaml").write_text(
        f'- {{id: look, http: "{url}", allow_private: true, policy: {policy}, outputs: {{opens: opens}}, '
        'timeout_ms: 20000}\n')


def accepted(site: Served, token: str, session: str, count: int) -> int:
    """Wait until the session has accepted so many messages; the number of its last event by then."""
    with site.events("GET", f"/v1/sessions/{session}/events?after=0", token) as events:
        for number, kind, _ in events:
            count -= kind == "turn.accepted"
            if not count:
                return number or 0
    raise AssertionError("the stream ended")


def three_at_once(site: Served, tool: Slow) -> list[Answer]:
    """The answers to a message and to two that came while it was thought about."""
    token = site.token(sub="kim")
    session = site.chat("Hello", token, agent="desk", channel="voice").json["session_id"]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(site.chat, TEXTS[0], token, agent="desk", channel="voice")]
        assert tool.asked.wait(30)
        for place, text in enumerate(TEXTS[1:], 3):
            asked.append(pool.submit(site.chat, text, token, agent="desk", channel="voice"))
            accepted(site, token, session, place)
        tool.go.set()
        return [one.result(30) for one in asked]


def test_everybody_whose_message_was_taken_in_gets_the_one_reply_to_all_of_them(tmp_path: Path) -> None:
    with slow() as tool:
        write_agent(tmp_path / "agents" / "desk", tool.url, "PURE")
        with served(tmp_path / "data", tmp_path / "agents", io.StringIO(),
                    conversation={"newer_message": "continue"}) as site:
            answers = three_at_once(site, tool)
            assert [answer.status for answer in answers] == [200] * 3
            first, second, third = (answer.json for answer in answers)
            assert first == second == third
            assert "behind the house" in first["reply"], "it is what the last of them asks"
            auditor = site.token("auditor", "operator", sub="otto")
            run = site.request("GET", f"/v1/runs/{first['turn_id']}", token=auditor).json
            assert run["decisions"]["absorbed"][0]["after"] == "speak"
            assert tuple(run["said"]) == TEXTS
            assert site.request("GET", f"/v1/runs/{run['id']}/verify", token=auditor).json["ok"]
            replayed = site.request("POST", f"/v1/runs/{run['id']}/replay", {}, auditor).json
            assert replayed["identical"] is True, replayed


def test_once_a_tool_with_consequences_was_asked_for_the_next_turn_answers(tmp_path: Path) -> None:
    with slow() as tool:
        write_agent(tmp_path / "agents" / "desk", tool.url, "IDEMPOTENT")
        with served(tmp_path / "data", tmp_path / "agents", io.StringIO(),
                    {"decider": lambda _: Decision.CONTINUE}) as site:
            first, second, third = (answer.json for answer in three_at_once(site, tool))
            assert first["turn_id"] != second["turn_id"]
            assert "euros" not in first["reply"]
            assert "nine euros" in second["reply"]
            assert "behind the house" in third["reply"]


@pytest.mark.anyio
async def test_a_session_with_such_a_turn_comes_out_the_same_when_all_of_it_is_run_again(tmp_path: Path) -> None:
    with slow() as tool:
        write_agent(tmp_path / "agents" / "desk", tool.url, "PURE")
        with served(tmp_path / "data", tmp_path / "agents", io.StringIO(),
                    {"decider": lambda _: Decision.CONTINUE}) as site:
            three_at_once(site, tool)
    again = await run_all_again(Settings(data=tmp_path / "data"))
    assert (again.differences, again.left_out) == ((), 0)
    assert again.same >= 3
