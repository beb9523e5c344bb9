"""The console: its files, its one-time link, its cookie."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from ruche.engine.server.console import FILES
from tests.server.conftest import make_agents
from tests.server.served import Served, served


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """A server whose link has not been used."""
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO()) as running:
        yield running


def test_the_page_is_whole_small_and_asks_nobody_else(site: Served) -> None:
    """Security items 13 and 14: own scripts only, nothing that reads text as markup."""
    total, texts = 0, {}
    for name in FILES:
        answer = site.request("GET", "/" if name == "index.html" else f"/{name}")
        assert answer.status == 200
        total += len(answer.body)
        texts[name] = answer.body.decode()
        policy = answer.headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
                     "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "trusted-types 'none'"):
            assert part in policy
    assert total < 150_000
    for name, text in texts.items():
        assert not re.search(r"https?://(?!www\.w3\.org)", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bon\w+=\"|"
                             r"style=\"|javascript:", text), name
    for linked in re.findall(r'(?:src|href)="/([^"]+)"|from "/([^"]+)"', "".join(texts.values())):
        assert (linked[0] or linked[1]) in FILES


def test_every_file_of_the_console_is_served_and_nothing_beside_it(site: Served) -> None:
    there = {entry.name for entry in files("ruche.engine.console").iterdir()} - {"__init__.py", "__pycache__"}
    assert there == set(FILES)
    for path in ("/__init__.py", "/../config.py", "/console/", "/static/console.js", "/%2e%2e/config.py",
                 "/console.js/../../config.py", "//etc/passwd"):
        assert site.request("GET", path).status == 404


def test_an_unchanged_file_is_not_sent_twice(site: Served) -> None:
    tag = site.request("GET", "/console.js").headers["etag"]
    again = site.request("GET", "/console.js", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


def test_the_link_opens_the_console_once_and_gives_a_cookie_that_no_script_can_read(fresh: Served) -> None:
    code = fresh.ready.console.partition("#")[2]
    assert len(code) >= 43
    opened = fresh.request("POST", "/v1/console/session", {"code": code})
    assert opened.status == 200
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert code not in cookie
    again = fresh.request("POST", "/v1/console/session", {"code": code})
    assert (again.status, again.code) == (401, "INVALID_TOKEN")
    mine = {"Cookie": cookie.split(";")[0]}
    assert fresh.request("GET", "/v1/identity", headers=mine).json["subject"] == "console"
    assert fresh.request("GET", "/v1/agents", headers=mine).json["items"]


def test_a_cookie_changes_something_only_from_the_servers_own_page(fresh: Served) -> None:
    """Security item 11: no other site can make the browser act."""
    code = fresh.ready.console.partition("#")[2]
    cookie = fresh.request("POST", "/v1/console/session", {"code": code}).headers["set-cookie"].split(";")[0]
    body = {"agent_id": "kiosk", "message": "When do you open?", "channel": "api"}

    def say(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return fresh.request("POST", "/v1/chat", body, headers={"Cookie": cookie, **named}).status

    assert say(Origin=fresh.url) == 200
    assert say() == 403
    assert say(Origin="https://evil.example") == 403
    assert say(Origin="null") == 403
    assert say(Origin=fresh.url, Sec_Fetch_Site="cross-site") == 403
    assert say(Origin=fresh.url, Sec_Fetch_Site="same-origin") == 200
