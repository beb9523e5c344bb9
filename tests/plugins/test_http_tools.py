"""Tools at addresses: what goes out, what comes back, and where nothing may go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ruche.plugins.errors import ProviderFailed
from ruche.plugins.tools.addresses import PublicResolver, Refused, is_public, may_call
from tests.plugins.test_tools import bundle, call, gateway

pytestmark = pytest.mark.anyio

class Site:
    """A small HTTP server on loopback that remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.raw_path, body, dict(request.headers)))
        kind = request.path.strip("/").partition("/")[0]
        if kind == "text":
            return web.Response(text="plain")
        if kind == "big":
            return web.Response(body=b"x" * 2_000_000)
        if kind == "bad":
            return web.Response(body=b"{", content_type="application/json")
        if kind == "fail":
            return web.Response(status=503, text="secret")
        if kind == "zip":
            return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})
        if kind == "hang":
            await asyncio.Event().wait()
        if kind in ("here", "loop"):
            raise web.HTTPFound("/text" if kind == "here" else "/loop")
        if kind == "away":
            raise web.HTTPFound(f"http://localhost:{request.url.port}/text")
        return web.json_response({"ok": True, "n": 1.5})


@asynccontextmanager
async def site() -> AsyncIterator[tuple[Site, str]]:
    served = Site()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", served.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield served, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_http_tool_sends_json_with_its_headers_and_the_idempotency_key() -> None:
    async with site() as (served, address), gateway(secrets={"TOKEN": "t1"}) as tools:
        of = bundle({"id": "book", "http": address + "/orders/{id}/x", "allow_private": True,
                     "headers": {"Authorization": "Bearer ${TOKEN}"}})
        found = await call(tools, of, "book", {"id": "../a b/ü", "n": 2}, idempotency_key="k1")
    assert (found.status, found.value) == ("ok", {"ok": True, "n": 1.5})
    method, path, body, headers = served.seen[0]
    assert (method, path, body) == ("POST", "/orders/..%2Fa%20b%2F%C3%BC/x", {"n": 2})
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer t1", "k1")


async def test_a_get_tool_sends_its_arguments_as_a_query() -> None:
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "find", "http": address + "/find", "method": "GET", "allow_private": True})
        assert (await call(tools, of, "find", {"q": "a&b", "all": True})).status == "ok"
    assert served.seen[0][:2] == ("GET", "/find?q=a%26b&all=true")


@pytest.mark.parametrize(("path", "status", "error"), [
    ("text", "ok", ""), ("big", "error", "more than 1000000 bytes"), ("bad", "error", "answers in JSON"),
    ("fail", "error", "answered 503"), ("zip", "error", "compressed"), ("hang", "timeout", "within 300 ms"),
    ("here", "ok", ""), ("loop", "error", "more than 3 times"), ("away", "error", "another host"),
])
async def test_whatever_an_endpoint_answers_is_a_result(path: str, status: str, error: str) -> None:
    """Security item 39: bounded bodies and times, no redirect to another host."""
    async with site() as (_, address), gateway() as tools:
        of = bundle({"id": "t", "http": f"{address}/{path}", "method": "GET", "allow_private": True,
        "timeout_ms": 300})
        found = await call(tools, of, "t")
    assert found.status == status
    assert error in found.error
    assert "secret" not in found.error
    assert found.value == ("plain" if status == "ok" else None)


FORMS = ["127.0.0.1", "localhost", "0.0.0.0", "0", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
"017700000001",
         "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::7f00:1]",
         "[::127.0.0.1]",
         "[2002:7f00:1::]", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "[ff02::1]", "169.254.169.254",
         "0xa9fea9fe", "2852039166",
         "[::ffff:169.254.169.254]", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.200",
         "192.0.2.1",
         "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "LOCALHOST", "localhost.", "127.0.0.1.",
         "①②⑦.0.0.1"]


@pytest.mark.parametrize("host", FORMS)
async def test_no_form_of_an_inner_address_is_reached(host: str) -> None:
    """Security item 39: 40 ways to name loopback, private, link-local and metadata addresses."""
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "t", "http": f"http://{host}:{address.rpartition(':')[2]}/x", "timeout_ms": 3_000})
        found = await call(tools, of, "t")
    assert found.status == "error"
    assert served.seen == []


class Rebinding:
    """A name server that gives a public address first and an inner one to whoever asks again."""

    def __init__(self, inner: str) -> None:
        self.answers = [["93.184.216.34"], [inner]]

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(2, 1, 6, "", (address, port)) for address in addresses]


async def test_a_host_that_changes_its_address_is_connected_to_where_it_was_checked(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 39: DNS rebinding; what is connected to is the very address that was looked at."""
    names = Rebinding("127.0.0.1")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo, raising=False)
    resolver = PublicResolver()
    assert [entry["host"] for entry in await resolver.resolve("x.example", 80)] == ["93.184.216.34"]
    with pytest.raises(Refused, match="allow_private"):
        await resolver.resolve("x.example", 80)
    names.answers = [["93.184.216.34", "10.0.0.1"]]
    with pytest.raises(Refused):
        await resolver.resolve("x.example", 80)


async def test_aiohttp_asks_nobody_but_the_resolver_that_checks() -> None:
    asked: list[str] = []

    class Counting(PublicResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            asked.append(host)
            raise Refused("no")

    connector = aiohttp.TCPConnector(resolver=Counting(), use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(Refused):
            await session.get("http://x.example/")
    assert asked == ["x.example"]


@pytest.mark.parametrize(("address", "public"), [
    ("93.184.216.34", True), ("2606:4700::1111", True), ("8.8.8.8", True), ("::ffff:8.8.8.8", False),
    ("fe80::1%eth0", False),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False), ("nonsense", False), ("", False),
])
async def test_only_addresses_on_the_open_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(("host", "listed", "allowed"), [
    ("api.example.org", (), True), ("api.example.org", ("api.example.org",), True),
    ("API.Example.Org.", ("api.example.org",), True), ("api.example.org", ("*.example.org",), True),
    ("a.b.example.org", ("*.example.org",), True), ("example.org", ("*.example.org",), False),
    ("evilexample.org", ("*.example.org",), False), ("example.org.evil.com", ("example.org", "*.example.org"), False),
    ("10.0.0.1", ("api.example.org",), False), ("xn--exmple-cua.org", ("example.org",), False),
])
async def test_a_host_is_called_when_it_is_on_the_list(host: str, listed: tuple[str, ...], allowed: bool) -> None:
    """Security item 39."""
    assert may_call(host, listed) is allowed


async def test_a_host_that_is_not_listed_is_not_called_though_the_tool_may_reach_private_addresses() -> None:
    async with site() as (served, url):
        agent = bundle({"id": "ask", "http": f"{url}/text", "allow_private": True})
        for hosts, status in ((("api.example.org",), "error"), (("127.0.0.1",), "ok")):
            async with gateway(hosts=hosts) as tools:
                result = await call(tools, agent, "ask")
                assert result.status == status, result.error
        assert len(served.seen) == 1


async def test_a_secret_that_is_not_set_is_an_error_and_nothing_is_sent() -> None:
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "t", "http": address, "allow_private": True, "headers": {"X-Key": "${NOT_SET}"}})
        found = await call(tools, of, "t")
    assert "NOT_SET" in found.error
    assert served.seen == []


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_an_argument_cannot_climb_out_of_its_place_in_the_address(value: str) -> None:
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "t", "http": address + "/a/{x}/b", "allow_private": True})
        assert (await call(tools, of, "t", {"x": value})).status == "error"
        assert "needs the argument x" in (await call(tools, of, "t", {})).error
    assert served.seen == []


async def test_failures_of_tools_are_typed_for_those_who_look_closer() -> None:
    assert issubclass(Refused, ProviderFailed)
    assert Refused.status == 502


async def test_a_schema_cannot_fetch_anything() -> None:
    """Security item 39: a reference in a schema is no way out."""
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "t", "python": "t.py:t", "parameters": {"$ref": f"{address}/x.json"}},
        **{"t.py": "def t(): 1"})
        found = await call(tools, of, "t", {"a": 1})
    assert found.status == "error"
    assert "schema cannot be applied" in found.error
    assert served.seen == []
