"""Webhooks: signed, at least once, and to nobody whom the settings do not name."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from ruche.engine.config import Settings
from ruche.engine.webhooks import Webhooks
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.tape import Tape
from ruche.storage.model.event import OutboxItem
from tests.actors.hosted import hosted
from tests.actors.rig import ScriptedBrain, echo

pytestmark = pytest.mark.anyio

SECRET = "s" * 32


class Receiver:
    """A real server that answers with the given states, then with 200."""

    def __init__(self, *states: int) -> None:
        self.states, self.got = list(states), list[tuple[dict[str, str], bytes]]()
        self._more = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        self._more.set()
        return web.Response(status=self.states.pop(0) if self.states else 200, headers={"Location": "/elsewhere"})

    async def has(self, count: int) -> None:
        with anyio.fail_after(20):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def served(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def waits_at_first(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    if len(turn.messages) == 1:
        await asyncio.Event().wait()
    return await echo(turn, stage, tape)


def hook(url: str, **more: Any) -> dict[str, Any]:
    return {"crm": {"url": url, "secret": "CRM", "allow_private": True, **more}}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUCHE_SECRET_CRM", SECRET)


async def empty(host: Any) -> None:
    """Return once nothing is left in the outbox; the courier is driven on a clock of its own."""
    ahead = 0
    real, host.standing.courier._clock_ms = host.standing.courier._clock_ms, lambda: real() + ahead
    with anyio.fail_after(20):
        while await host.scribe.read(lambda store: store.outbox()):
            ahead += 4_000_000
            await host.standing.courier.deliver_due()
            await anyio.lowlevel.checkpoint()


async def test_a_turn_is_delivered_with_a_signature_that_its_receiver_can_check(tmp_path: Path) -> None:
    receiver = Receiver()
    async with served(receiver) as url, hosted(tmp_path, ScriptedBrain(), webhooks=hook(url)) as (engine, host):
        turn = await engine.chat(agent="desk", user="kim", message="my secret order")
        await receiver.has(1)
        headers, body = receiver.got[0]
        expected = hmac.new(SECRET.encode(), headers["X-Ruche-Timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["X-Ruche-Signature"] == f"v1={expected.hexdigest()}"
        told = json.loads(body)
        assert headers["X-Ruche-Delivery-Id"] == told["delivery_id"]
        assert headers["X-Ruche-Event-Type"] == told["event_type"] == "turn.completed"
        assert (told["turn_id"], told["session_id"], told["status"]) == (turn.turn_id, turn.session_id, "complete")
        assert b"secret order" not in body
        assert b"kim" not in body
        await empty(host)
        assert len(receiver.got) == 1


async def test_texts_go_along_where_the_settings_say_so(tmp_path: Path) -> None:
    receiver = Receiver()
    async with served(receiver) as url, hosted(tmp_path, ScriptedBrain(),
                                               webhooks=hook(url, texts=True)) as (engine, _):
        await engine.chat(agent="desk", user="kim", message="hello")
        await receiver.has(1)
        assert json.loads(receiver.got[0][1])["texts"] == {"said": ["hello"], "reply": "you said: hello"}


async def test_a_receiver_that_fails_is_called_again_with_the_same_id(tmp_path: Path) -> None:
    receiver = Receiver(500, 429)
    async with served(receiver) as url, hosted(tmp_path, ScriptedBrain(), webhooks=hook(url)) as (engine, host):
        await engine.chat(agent="desk", user="kim", message="one")
        await receiver.has(1)
        await empty(host)
        assert len(receiver.got) == 3
        assert len({headers["X-Ruche-Delivery-Id"] for headers, _ in receiver.got}) == 1
        assert host.standing.courier.stats == {"delivered": 1, "failed": 2, "given_up": 0}


async def test_what_happens_beside_turns_is_told_as_well(tmp_path: Path) -> None:
    receiver = Receiver()
    events = ["turn.accepted", "turn.superseded", "session.handoff", "session.closed"]
    async with served(receiver) as url, hosted(tmp_path, (brain := ScriptedBrain(waits_at_first)),
                                               webhooks=hook(url, events=events)) as (engine, host):
        old = await engine.accept(agent="desk", user="kim", message="one", channel="voice")
        await brain.begun.wait()
        turn = await engine.chat(agent="desk", user="kim", message="two", channel="voice")
        for action in ("handoff", "takeover", "return"):
            await engine.intervene("default", turn.session_id, action, by="omar")
        await engine.close_session("default", turn.session_id)
        await empty(host)
    told = sorted((json.loads(body) for _, body in receiver.got), key=lambda one: int(one["event_id"].split(":")[1]))
    assert [(one["event_type"], one.get("state"), one.get("superseded_by")) for one in told] == [
        ("turn.accepted", None, None), ("turn.superseded", None, turn.turn_id), ("turn.accepted", None, None),
        ("session.handoff", "waiting", None), ("session.handoff", "taken", None), ("session.handoff", "returned", None),
        ("session.closed", None, None)]
    assert {(one["session_id"], one["agent_id"]) for one in told} == {(turn.session_id, "desk")}
    assert [one["turn_id"] for one in told[:3]] == [old.turn_id, old.turn_id, turn.turn_id]
    assert not any(b"kim" in body or b"omar" in body for _, body in receiver.got)


@pytest.mark.parametrize("state", [302, 400, 404, 410])
async def test_a_receiver_that_refuses_or_redirects_is_not_called_again(tmp_path: Path, state: int) -> None:
    receiver = Receiver(state)
    async with served(receiver) as url, hosted(tmp_path, ScriptedBrain(), webhooks=hook(url)) as (engine, host):
        await engine.chat(agent="desk", user="kim", message="one")
        await receiver.has(1)
        await empty(host)
        assert (len(receiver.got), host.standing.courier.stats["given_up"]) == (1, 1)


async def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(tmp_path: Path) -> None:
    receiver = Receiver(503)
    async with served(receiver) as url:
        async with hosted(tmp_path, ScriptedBrain(), webhooks=hook(url)) as (engine, _):
            turn = await engine.chat(agent="desk", user="kim", message="one")
            await receiver.has(1)
        async with hosted(tmp_path, ScriptedBrain(), webhooks=hook(url)) as (engine, host):
            await empty(host)
        assert {json.loads(body)["turn_id"] for _, body in receiver.got} == {turn.turn_id}
        assert len(receiver.got) >= 2


async def test_only_the_tenants_agents_and_events_that_are_named_are_told(tmp_path: Path) -> None:
    receiver = Receiver()
    hooks = {"other": hook("http://127.0.0.1:9/x", tenant="other")["crm"],
             "agents": hook("http://127.0.0.1:9/x", agents=["clerk"])["crm"],
             "events": hook("http://127.0.0.1:9/x", events=["turn.failed"])["crm"]}
    async with served(receiver), hosted(tmp_path, ScriptedBrain(), webhooks=hooks) as (engine, host):
        await engine.chat(agent="desk", user="kim", message="one")
        assert await host.scribe.read(lambda store: store.outbox()) == []


async def test_an_address_that_the_settings_name_no_more_is_given_up(tmp_path: Path) -> None:
    async with hosted(tmp_path, ScriptedBrain(), webhooks=hook("http://127.0.0.1:9/gone")) as (engine, _):
        await engine.chat(agent="desk", user="kim", message="one")
    async with hosted(tmp_path, ScriptedBrain()) as (_, host):
        await empty(host)
        assert host.standing.courier.stats["given_up"] == 1


@pytest.mark.parametrize(("url", "private", "said"), [
    ("http://example.org/x", False, "https"), ("https://127.0.0.1/x", False, "open Internet"),
    ("https://[::ffff:10.0.0.1]/x", False, "open Internet"), ("https://0x7f000001/x", False, "open Internet"),
    ("https://user:word@example.org/x", False, "password"), ("ftp://example.org/x", True, "https"),
    ("x", True, "https")])
def test_an_address_that_may_not_be_called_stops_the_start(url: str, private: bool, said: str) -> None:
    settings = Settings(webhooks=hook(url, allow_private=private))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=said):
        Webhooks(settings.webhooks, {"CRM": SECRET}, str, int)


def test_a_secret_that_is_absent_or_short_stops_the_start_and_is_not_shown() -> None:
    settings = Settings(webhooks=hook("https://example.org/x"))  # type: ignore[arg-type]
    for secrets in ({}, {"CRM": "short-secret"}):
        with pytest.raises(ConfigurationError, match="RUCHE_SECRET_CRM") as refused:
            Webhooks(settings.webhooks, secrets, str, int)
        assert "short-secret" not in refused.value.message


async def test_a_private_address_behind_a_public_name_is_not_called() -> None:
    settings = Settings(webhooks=hook("https://localhost/x", allow_private=False))  # type: ignore[arg-type]
    webhooks = Webhooks(settings.webhooks, {"CRM": SECRET}, str, lambda: 1)
    item = OutboxItem(id="d", kind="webhook", target="crm", at_ms=1, payload={"event_type": "turn.completed"})
    try:
        with pytest.raises(Exception, match="open Internet"):
            await webhooks.deliver("default", item)
    finally:
        await webhooks.close()


def test_the_settings_that_the_operations_page_shows_are_accepted() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    shown = page[page.index("[webhooks.crm]"):]
    settings = Settings.model_validate(tomllib.loads(shown[:shown.index("```")]))
    assert Webhooks(settings.webhooks, {"CRM": SECRET}, str, int)
    assert settings.webhooks["crm"].events == ("turn.completed", "session.handoff")
