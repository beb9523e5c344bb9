"""Tools: Python functions in processes that can be killed, HTTP endpoints behind host rules,
and the gateway before them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import ToolResult
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.testing import check_tools
from ruche.plugins.tools import Tools, check_tool
from ruche.plugins.tools.addresses import PublicResolver, Refused, is_public, may_call
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool

pytestmark = pytest.mark.anyio

SOURCE = '''
import os, sys, time, subprocess
import prices

def add(a, b=1):
    return {"sum": a + b, "price": prices.PRICE}

async def later(a):
    return a

def where(context):
    return {"context": context, "environment": dict(os.environ), "directory": os.getcwd(), "files": os.listdir("."),
            "pid": os.getpid(), "modules": sorted(name for name in sys.modules if name.startswith("ruche"))}

def hang():
    while True:
        pass

def child(path):
    pipe = open(path, "w")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=pipe)
    hang()

def big():
    return "x" * 50_000_000

def boom(a):
    raise ValueError(f"no {a}")

def die():
    os._exit(3)

def chatter():
    print("hello")
    os.write(1, b"nonsense")
    sys.stderr.write("noise")
    return sys.stdin.read()

def odd():
    return {1, 2}

def nan():
    return float("nan")

def greedy():
    return len(bytearray(8_000_000_000))

def leave():
    raise SystemExit(1)

def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value
'''
NAMES = ["add", "later", "where", "hang", "child", "big", "boom", "die", "chatter", "odd", "nan", "greedy", "leave",
"deep", "gone"]


def bundle(*tools: dict[str, Any], **sources: str) -> AgentBundle:
    return AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk"}, "tools": list(tools),
    "sources": sources})


def python_bundle(**options: Any) -> AgentBundle:
    tools = [{"id": name, "python": f"tools.py:{name}", "timeout_ms": 5_000, **options} for name in NAMES]
    return AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk"}, "tools": tools,
                                       "sources": {"tools.py": SOURCE, "prices.py": "PRICE = 7"}})


@asynccontextmanager
async def gateway(**options: Any) -> AsyncIterator[Tools]:
    tools = Tools(**options)
    try:
        yield tools
    finally:
        await tools.close()


async def call(tools: Tools, of: AgentBundle, name: str, arguments: dict[str, Any] | None = None,
               **context: str) -> ToolResult:
    return await tools.call(of, next(tool for tool in of.tools if tool.id == name), arguments or {}, context)


async def test_a_python_tool_gets_arguments_and_gives_plain_data() -> None:
    async with gateway() as tools:
        of = python_bundle()
        found = await call(tools, of, "add", {"a": 2, "b": 3})
        assert (found.status, found.value, found.error) == ("ok", {"sum": 5, "price": 7}, "")
        assert (await call(tools, of, "later", {"a": [1, None, "ü"]})).value == [1, None, "ü"]


async def test_a_tool_sees_no_environment_no_engine_and_a_directory_of_its_own() -> None:
    """Security item 34: no inherited environment, fixed working directory, nothing of ours in its process."""
    os.environ["RUCHE_CANARY"] = "canary"
    try:
        async with gateway() as tools:
            found = (await call(tools, python_bundle(), "where", session="s1")).value
    finally:
        del os.environ["RUCHE_CANARY"]
    assert found["context"] == {"session": "s1"}
    assert set(found["environment"]) <= {"LC_CTYPE", "SYSTEMROOT"}
    assert found["files"] == []
    assert found["directory"] != os.getcwd()
    assert found["modules"] == []
    assert not os.path.exists(found["directory"])  # noqa: ASYNC240


async def test_a_tool_that_hangs_is_killed_at_its_deadline_and_the_next_call_works() -> None:
    """Security item 34: a time limit that a busy loop cannot ignore."""
    of = python_bundle(timeout_ms=400)
    async with gateway() as tools:
        before = (await call(tools, of, "where")).value["pid"]
        began = time.monotonic()
        found = await call(tools, of, "hang")
        assert (found.status, found.value) == ("timeout", None)
        assert time.monotonic() - began < 2
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        after = await call(tools, of, "where")
    assert after.value["pid"] != before


async def test_what_a_killed_tool_has_started_is_killed_with_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Reading ends when every process that holds the pipe is gone.
    gone = asyncio.get_running_loop().run_in_executor(None, pipe.read_bytes)
    async with gateway() as tools:
        assert (await call(tools, python_bundle(timeout_ms=600), "child", {"path": str(pipe)})).status == "timeout"
        async with asyncio.timeout(5):
            assert await gone == b""


@pytest.mark.parametrize(("name", "arguments", "error"), [
    ("big", {}, "more than 1000000 bytes"), ("boom", {"a": "money"}, "ValueError at tools.py:28: no money"),
    ("die", {}, "ended during the call"), ("odd", {}, "TypeError"), ("nan", {}, "ValueError"), ("greedy", {},
    "MemoryError"),
    ("leave", {}, "SystemExit"), ("gone", {}, "AttributeError"), ("add", {"c": 1}, "TypeError"), ("deep", {},
    "RecursionError"),
])
async def test_whatever_a_tool_does_is_a_result_and_the_next_call_works(name: str, arguments: dict[str, Any],
                                                                        error: str) -> None:
    """Security item 34: output and memory are bounded, and a crash stays in its process."""
    of = python_bundle()
    async with gateway() as tools:
        found = await call(tools, of, name, arguments)
        assert found.status == "error"
        assert error in found.error
        assert (await call(tools, of, "add", {"a": 1})).status == "ok"


async def test_what_a_tool_prints_disturbs_nothing() -> None:
    async with gateway() as tools:
        found = await call(tools, python_bundle(), "chatter")
    assert (found.status, found.value) == ("ok", "")


async def test_a_cancelled_call_frees_its_worker() -> None:
    of = python_bundle(timeout_ms=60_000)
    async with gateway() as tools:
        hanging = asyncio.create_task(call(tools, of, "hang"))
        assert (await call(tools, of, "add", {"a": 1})).status == "ok"
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await call(tools, of, "add", {"a": 1})).status == "ok"


async def test_a_hanging_tool_does_not_hold_up_the_others() -> None:
    of = python_bundle(timeout_ms=1_000)
    async with gateway() as tools:
        hanging = asyncio.create_task(call(tools, of, "hang"))
        found = await asyncio.gather(*(call(tools, of, "add", {"a": place}) for place in range(6)))
        assert not hanging.done()
        assert {result.status for result in found} == {"ok"}
        assert (await hanging).status == "timeout"


async def test_a_warm_worker_answers_within_a_millisecond() -> None:
    of = python_bundle()
    async with gateway() as tools:
        await tools.warm(of)
        await call(tools, of, "add", {"a": 1})
        took = [(await call(tools, of, "add", {"a": 1})).ms for _ in range(50)]
    assert min(took) < 1.0


async def test_agents_without_python_tools_start_no_process() -> None:
    async with gateway() as tools:
        await tools.warm(bundle({"id": "web", "http": "https://example.org/x"}))
        assert not tools._pools


SCHEMA = {"properties": {"n": {"type": "integer", "minimum": 1}, "code": {"type": "string", "pattern": "^(a+)+$"}},
          "required": ["n"], "additionalProperties": False}


@pytest.mark.parametrize(("arguments", "error"), [
    ({}, "'n' is a required property"), ({"n": 0}, "n: does not satisfy minimum"), ({"n": "secret"},
    "n: does not satisfy type"),
    ({"n": 1, "x": 1}, "does not satisfy additionalProperties"), ({"n": 1, "code": "a" * 5_000 + "!"}, "code"),
])
async def test_arguments_that_do_not_fit_the_schema_never_reach_the_tool(arguments: dict[str, Any],
error: str) -> None:
    """Security items 20 and 33: types, ranges, and patterns in linear time; no value is quoted."""
    of = bundle({"id": "t", "python": "t.py:t", "parameters": SCHEMA}, **{"t.py": "def t(**k): return k"})
    async with gateway() as tools:
        found = await call(tools, of, "t", arguments)
        assert found.status == "error"
        assert error in found.error
        assert "secret" not in found.error
        assert not tools._pools


@pytest.mark.parametrize(("tool", "hint"), [
    ({}, "write either python"), ({"python": "t.py:t", "http": "http://x.y"}, "write either python"),
    ({"python": "u.py:t"}, "no file u.py; known: bad.py, t.py"), ({"python": "t.py:u"}, "no function u; it has t"),
    ({"python": "bad.py:t"}, "bad.py: "), ({"http": "ftp://x.y/z"}, "write an address"), ({"http": "//x"},
    "write an address"),
    ({"http": "http://{host}/x"}, "behind the host only"), ({"http": "http://u:p@x.y/"}, "credentials as a header"),
    ({"http": "http://x.y/#a"}, "leave out"), ({"http": "http://x.y", "parameters": {"type": 5}}, "no JSON Schema"),
    ({"http": "http://x.y", "parameters": {"properties": {"a": {"pattern": r"(a)\1"}}}}, "groupref"),
    ({"http": "http://x.y", "parameters": {"patternProperties": {"a": {}}}}, "patternProperties"),
])
async def test_a_tool_that_cannot_be_called_is_found_when_the_agent_is_checked(tool: dict[str, Any],
hint: str) -> None:
    of = bundle({"id": "t", **tool}, **{"t.py": "def t(): pass", "bad.py": "def t(:"})
    with pytest.raises(ConfigurationError) as refusal:
        check_tool(of, of.tools[0])
    assert hint in refusal.value.message
    async with gateway() as tools:
        assert (await call(tools, of, "t", {})).status == "error"


async def test_a_tool_that_is_written_right_passes_the_check() -> None:
    of = python_bundle()
    check_tool(of, of.tools[0])
    check_tool(of, Tool(id="h", http="https://example.org/orders/{id}?x={y}"))
    assert {tool.id for tool in of.tools} == set(NAMES)


async def test_a_schema_cannot_fetch_anything() -> None:
    """Security item 39: a reference in a schema is no way out."""
    async with site() as (served, address), gateway() as tools:
        of = bundle({"id": "t", "python": "t.py:t", "parameters": {"$ref": f"{address}/x.json"}},
        **{"t.py": "def t(): 1"})
        found = await call(tools, of, "t", {"a": 1})
    assert found.status == "error"
    assert "schema cannot be applied" in found.error
    assert served.seen == []


async def test_a_tool_that_keeps_failing_is_left_alone_for_a_while() -> None:
    """Security item 35: a circuit breaker per tool."""
    clock = [0.0]
    of = python_bundle()
    async with gateway(breaker=lambda: Breaker(failures=3, cooldown=30, clock=lambda: clock[0])) as tools:
        errors = [(await call(tools, of, "boom", {"a": 1})).error for _ in range(4)]
        assert ["left alone" in error for error in errors] == [False, False, False, True]
        assert (await call(tools, of, "add", {"a": 1})).status == "ok"
        clock[0] = 31
        assert "ValueError" in (await call(tools, of, "boom", {"a": 1})).error


async def test_the_gateway_keeps_the_contract_of_its_kind() -> None:
    of = python_bundle()
    async with gateway() as tools:
        await check_tools(tools, of, of.tools[0], {"a": 1})
        await check_tools(tools, of, of.tools[NAMES.index("boom")], {"a": 1})
        assert (await call(tools, of, "add", {"a": 1})).status == "ok"


# --- HTTP ---------------------------------------------------------------------------------------------------------


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
