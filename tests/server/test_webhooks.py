"""Webhooks over HTTP: made, verified, told, tried, paused, disabled and sent again, to a real receiver."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import webhooks
from tests.server.conftest import make_agents
from tests.server.served import Answer, Served, served

UNLIMITED = {"requests_per_minute": 0}
Told = tuple[dict[str, str], bytes]


class Receiver:
    """Answers with what `states` says, then with 200; repeats challenges unless it is `deaf`."""

    def __init__(self) -> None:
        self.states, self.deaf, self.heard = list[int](), False, queue.Queue[Told]()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                challenge = json.loads(body).get("challenge", "")
                status = receiver.states.pop(0) if receiver.states else 200
                said = json.dumps({"challenge": "" if receiver.deaf else challenge}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                receiver.heard.put(({name.lower(): value for name, value in self.headers.items()}, body))

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self) -> Told:
        return self.heard.get(timeout=20)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def clock() -> list[int]:
    """Milliseconds that are added to the server's clock."""
    return [0]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, clock: list[int]) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("webhooks")
    with served(root / "data", make_agents(root / "agents"), io.StringIO(), {"clock_ms": ahead(clock)},
                callbacks={"allow_private": True}, limits=UNLIMITED) as site:
        yield site


def ahead(clock: list[int]) -> Callable[[], int]:
    return lambda: time.time_ns() // 1_000_000 + clock[0]


def call(house: Served, method: str, path: str = "", body: Any = None, **token: Any) -> Answer:
    return house.request(method, f"/v1/webhooks{path}", body, house.token("admin", **token))


def make(house: Served, receiver: Receiver, *, verified: bool = True, **more: Any) -> dict[str, Any]:
    made = call(house, "POST", "", {"url": receiver.url, **more})
    assert made.status == 201, made.body
    if verified:
        assert call(house, "POST", f"/{made.json['id']}/verify").json["state"] == "active"
        receiver.next()
    hook: dict[str, Any] = made.json
    return hook


def say(house: Served, who: str = "ada", tenant: str = "default") -> str:
    turn: str = house.chat("When do you open?", house.token(sub=who, tenant=tenant)).json["turn_id"]
    return turn


def delivered(house: Served, hook: str, count: int = 1, state: str = "delivered", **token: Any) -> list[dict[str, Any]]:
    """The deliveries, once so many have come to this state."""
    for _ in range(10_000):
        items: list[dict[str, Any]] = call(house, "GET", f"/{hook}/deliveries?state={state}", **token).json["items"]
        if len(items) >= count:
            return items
    raise AssertionError(call(house, "GET", f"/{hook}/deliveries", **token).json)


def test_a_verified_webhook_is_told_of_a_turn_with_a_signature_that_its_secret_makes(house: Served,
                                                                                    receiver: Receiver) -> None:
    hook = make(house, receiver, verified=False)
    assert hook["state"] == "pending"
    say(house)
    assert call(house, "POST", f"/{hook['id']}/verify").json["state"] == "active"
    assert json.loads(receiver.next()[1])["event_type"] == "webhook.verify"
    turn = say(house)
    headers, body = receiver.next()
    told = json.loads(body)
    assert (told["event_type"], told["turn_id"], told["tenant_id"]) == ("turn.completed", turn, "default")
    signed = hmac.new(hook["secret"].encode(), headers["x-ruche-timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["x-ruche-signature"] == f"v1={signed.hexdigest()}"
    assert b"texts" not in body
    assert b"ada" not in body
    [one] = delivered(house, hook["id"])
    assert (one["id"], one["turn_id"], one["status"], one["attempts"]) == (told["delivery_id"], turn, 200, 1)
    assert one["answer"] == '{"challenge": ""}'
    call(house, "DELETE", f"/{hook['id']}")


def test_the_secret_is_shown_once_and_one_of_the_callers_own_is_taken(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver, secret="s" * 40, texts=True, agents=["kiosk"], events=["turn.completed"])
    assert hook["secret"] == "s" * 40
    for shown in (call(house, "GET", f"/{hook['id']}").json,
                  next(one for one in call(house, "GET").json["items"] if one["id"] == hook["id"])):
        assert shown == {**hook, "secret": None, "state": "active"}
    say(house)
    assert json.loads(receiver.next()[1])["texts"]["said"] == ["When do you open?"]
    changed = call(house, "PATCH", f"/{hook['id']}", {"secret": "t" * 40, "texts": False}).json
    assert (changed["secret"], changed["state"], changed["texts"]) == (None, "active", False)
    say(house)
    headers, body = receiver.next()
    assert "texts" not in json.loads(body)
    signed = hmac.new(b"t" * 40, headers["x-ruche-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-ruche-signature"] == f"v1={signed}"
    call(house, "DELETE", f"/{hook['id']}")


def test_an_address_that_does_not_repeat_the_challenge_is_not_verified(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver, verified=False)
    receiver.deaf = True
    assert call(house, "POST", f"/{hook['id']}/verify").status == 502
    receiver.deaf, receiver.states = False, [404]
    refused = call(house, "POST", f"/{hook['id']}/verify")
    assert (refused.status, "404" in refused.json["error"]["message"]) == (502, True)
    assert call(house, "GET", f"/{hook['id']}").json["state"] == "pending"
    assert call(house, "POST", f"/{hook['id']}/resume").status == 409
    call(house, "DELETE", f"/{hook['id']}")


def test_another_address_must_be_verified_anew(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    assert call(house, "PATCH", f"/{hook['id']}", {"url": f"{receiver.url}/new"}).json["state"] == "pending"
    assert call(house, "POST", f"/{hook['id']}/verify").json["state"] == "active"
    call(house, "DELETE", f"/{hook['id']}")


def test_a_test_says_what_came_of_it(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    receiver.states = [200, 418]
    assert call(house, "POST", f"/{hook['id']}/test").json["ok"] is True
    assert json.loads(receiver.next()[1])["event_type"] == "webhook.test"
    tried = call(house, "POST", f"/{hook['id']}/test").json
    assert (tried["ok"], tried["status"], tried["reason"]) == (False, 418, "the address answered 418")
    receiver.close()
    tried = call(house, "POST", f"/{hook['id']}/test").json
    assert (tried["ok"], tried["status"]) == (False, 0)
    call(house, "DELETE", f"/{hook['id']}")


def test_while_a_webhook_is_paused_nothing_is_noted_for_it(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    assert call(house, "POST", f"/{hook['id']}/pause").json["state"] == "paused"
    say(house)
    assert call(house, "POST", f"/{hook['id']}/resume").json["state"] == "active"
    turn = say(house)
    assert json.loads(receiver.next()[1])["turn_id"] == turn
    assert len(delivered(house, hook["id"])) == 1
    call(house, "DELETE", f"/{hook['id']}")


def test_what_waited_when_it_was_paused_is_sent_when_it_is_resumed(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    receiver.states = [503]
    turn = say(house)
    receiver.next()
    assert delivered(house, hook["id"], state="waiting")[0]["reason"] == "the address answered 503"
    call(house, "POST", f"/{hook['id']}/pause")
    call(house, "POST", f"/{hook['id']}/resume")
    assert json.loads(receiver.next()[1])["turn_id"] == turn
    assert delivered(house, hook["id"])[0]["turn_id"] == turn
    call(house, "DELETE", f"/{hook['id']}")


def test_what_was_given_up_can_be_sent_again_under_its_id(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    receiver.states = [400]
    say(house)
    first = receiver.next()[0]["x-ruche-delivery-id"]
    [given_up] = delivered(house, hook["id"], state="given_up")
    assert (given_up["id"], given_up["status"]) == (first, 400)
    assert call(house, "GET", f"/{hook['id']}").json["failures"] == 1
    again = call(house, "POST", f"/{hook['id']}/deliveries/{first}/redeliver")
    assert (again.status, again.json["id"]) == (202, first)
    assert receiver.next()[0]["x-ruche-delivery-id"] == first
    [arrived] = delivered(house, hook["id"])
    assert arrived["id"] == first
    assert call(house, "GET", f"/{hook['id']}").json["failures"] == 0
    call(house, "DELETE", f"/{hook['id']}")


def test_a_webhook_that_always_refuses_is_disabled_and_can_be_resumed(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    receiver.states = [410] * webhooks.GIVES_UP_AFTER
    for number in range(webhooks.GIVES_UP_AFTER):
        say(house)
        receiver.next()
        delivered(house, hook["id"], number + 1, "given_up")
    shown = call(house, "GET", f"/{hook['id']}").json
    assert (shown["state"], shown["failures"]) == ("disabled", webhooks.GIVES_UP_AFTER)
    say(house)
    again = call(house, "POST", f"/{hook['id']}/resume").json
    assert (again["state"], again["failures"]) == ("active", 0)
    turn = say(house)
    assert json.loads(receiver.next()[1])["turn_id"] == turn
    call(house, "DELETE", f"/{hook['id']}")


def test_one_that_fails_for_a_while_is_tried_again_and_given_up_after_six_times(
        house: Served, receiver: Receiver, clock: list[int]) -> None:
    hook = make(house, receiver)
    receiver.states = [500] * 6
    say(house)
    tries = 0
    while tries < 6:
        try:
            receiver.heard.get(timeout=0.2)
            tries += 1
        except queue.Empty:
            clock[0] += 4_000_000
            assert clock[0] < 1_000_000_000
    [one] = delivered(house, hook["id"], state="given_up")
    assert (one["attempts"], one["reason"]) == (6, "the address answered 500")
    call(house, "DELETE", f"/{hook['id']}")


def test_deliveries_are_listed_newest_first_in_pages(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    turns = [say(house) for _ in range(5)]
    delivered(house, hook["id"], 5)
    found, cursor = list[str](), ""
    while cursor is not None:
        page = call(house, "GET", f"/{hook['id']}/deliveries?limit=2{cursor and '&cursor=' + cursor}").json
        found, cursor = found + [one["turn_id"] for one in page["items"]], page["next_cursor"]
    assert found == turns[::-1]
    call(house, "DELETE", f"/{hook['id']}")


def test_an_erasure_takes_what_was_delivered_about_the_person(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    say(house, "zoe")
    say(house, "yan")
    delivered(house, hook["id"], 2)
    house.request("DELETE", "/v1/interlocutors/zoe", token=house.token("admin"))
    assert len(delivered(house, hook["id"])) == 1
    call(house, "DELETE", f"/{hook['id']}")


def test_no_tenant_sees_tries_or_is_told_by_the_webhooks_of_another(house: Served, receiver: Receiver) -> None:
    hook = make(house, receiver)
    say(house, tenant="rival")
    turn = say(house)
    assert json.loads(receiver.next()[1])["turn_id"] == turn
    [one] = delivered(house, hook["id"])
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/verify"), ("POST", "/test"), ("POST", "/pause"),
                         ("POST", "/resume"), ("GET", "/deliveries"), ("POST", f"/deliveries/{one['id']}/redeliver")):
        assert call(house, method, f"/{hook['id']}{path}", tenant="rival").status == 404
    assert call(house, "PATCH", f"/{hook['id']}", {"texts": True}, tenant="rival").status == 404
    assert call(house, "GET", tenant="rival").json["items"] == []
    other = make(house, receiver)
    assert call(house, "POST", f"/{other['id']}/deliveries/{one['id']}/redeliver").status == 404
    for made in (hook, other):
        assert call(house, "DELETE", f"/{made['id']}").status == 204
    assert call(house, "GET", f"/{hook['id']}").status == 404


@pytest.mark.parametrize("body", [
    {"url": "ftp://example.org/x"}, {"url": "https://user:word@example.org/x"}, {"url": "x"}, {"url": ""}, {},
    {"url": "https://example.org/" + "x" * 2_000}, {"url": "https://example.org/x", "events": []},
    {"url": "https://example.org/x", "events": ["turn.phase"]}, {"url": "https://example.org/x", "secret": "short"},
    {"url": "https://example.org/x", "secret": "ä" * 40}, {"url": "https://example.org/x", "agents": [""]},
    {"url": "https://example.org/x", "state": "active"}, {"url": 7}], ids=str)
def test_what_is_no_webhook_is_refused_with_the_field(house: Served, body: dict[str, Any]) -> None:
    refused = call(house, "POST", "", body)
    assert refused.status == 422
    assert refused.json["error"]["details"]["fields"]


def test_a_webhook_made_twice_under_one_key_is_one(house: Served, receiver: Receiver) -> None:
    token, once = house.token("admin"), {"Idempotency-Key": "hook"}
    made = [house.request("POST", "/v1/webhooks", {"url": receiver.url}, token, once) for _ in range(2)]
    assert made[0].json == made[1].json
    assert house.request("POST", "/v1/webhooks", {"url": f"{receiver.url}2"}, token, once).status == 409
    call(house, "DELETE", f"/{made[0].json['id']}")


def test_without_leave_of_the_settings_only_listed_public_hosts_are_called(tmp_path: Path) -> None:
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO(),
                callbacks={"hosts": ["*.example.org", "localhost"]}) as site:
        for url in ("http://127.0.0.1:9/x", "https://127.0.0.1/x", "https://[::ffff:10.0.0.1]/x", "https://0x7f000001/x",
                    "http://a.example.org/x", "https://example.com/x", "https://example.org.evil.com/x"):
            refused = call(site, "POST", "", {"url": url})
            assert (refused.status, refused.json["error"]["details"]["fields"][0]["path"]) == (422, "url"), url
        assert call(site, "POST", "", {"url": "https://a.example.org:8443/x"}).status == 201
        inside = call(site, "POST", "", {"url": "https://localhost/x"}).json["id"]
        assert "open Internet" in call(site, "POST", f"/{inside}/test").json["reason"]


def test_those_of_the_settings_are_shown_and_changed_there(tmp_path: Path, receiver: Receiver,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUCHE_SECRET_CRM", "s" * 32)
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO(), webhooks={
            "crm": {"url": receiver.url, "secret": "CRM", "allow_private": True}}, limits=UNLIMITED) as site:
        [shown] = call(site, "GET").json["items"]
        assert (shown["id"], shown["source"], shown["state"], shown["secret"]) == ("crm", "settings", "active", None)
        for method, path, body in (("DELETE", "", None), ("PATCH", "", {"texts": True}), ("POST", "/pause", None),
                                   ("POST", "/verify", None), ("POST", "/resume", None)):
            refused = call(site, method, f"/crm{path}", body)
            assert (refused.status, refused.code) == (409, "READ_ONLY")
        turn = say(site)
        assert json.loads(receiver.next()[1])["turn_id"] == turn
        assert delivered(site, "crm")[0]["turn_id"] == turn
        assert call(site, "GET", tenant="rival").json["items"] == []


def test_webhooks_and_what_waits_for_them_are_there_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    agents = make_agents(tmp_path / "agents")
    with served(tmp_path / "data", agents, io.StringIO(), callbacks={"allow_private": True}, limits=UNLIMITED) as site:
        hook = make(site, receiver)
        receiver.states = [503]
        turn = say(site)
        receiver.next()
        delivered(site, hook["id"], state="waiting")
    later = ahead([20_000])
    with served(tmp_path / "data", agents, io.StringIO(), {"clock_ms": later}, callbacks={"allow_private": True},
                limits=UNLIMITED) as site:
        assert json.loads(receiver.next()[1])["turn_id"] == turn
        assert delivered(site, hook["id"])[0]["attempts"] == 2
        assert call(site, "GET", f"/{hook['id']}").json["state"] == "active"
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or hook["secret"].encode() not in path.read_bytes()


def test_what_became_of_old_deliveries_is_let_go_but_for_what_is_held(tmp_path: Path, receiver: Receiver) -> None:
    later = [0]
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO(), {"clock_ms": ahead(later)},
                callbacks={"allow_private": True}, limits=UNLIMITED, storage={"retention": {"deliveries": 2}}) as site:
        hook = make(site, receiver)
        turns = [say(site, who) for who in ("ada", "bob")]
        delivered(site, hook["id"], 2)
        site.request("POST", "/v1/interlocutors/bob/hold", {"held": True, "reason": "case"}, site.token("admin"))
        later[0] += 3 * 86_400_000
        site.request("POST", "/v1/admin/retention", token=site.token("admin"))  # unless it was let go by itself already
        turns.append(say(site, "cy"))
        for _ in turns:
            receiver.next()
        assert {one["turn_id"] for one in delivered(site, hook["id"], 2)} == set(turns[1:])
