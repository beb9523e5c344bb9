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

import pytest

from ruche.plugins.breaker import Breaker
from ruche.plugins.contracts import ToolResult
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.testing import check_tools
from ruche.plugins.tools import Tools, check_tool
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


async def test_a_warm_worker_answers_call_after_call_in_the_same_process() -> None:
    of = bundle({"id": "pid", "python": "t.py:pid"}, **{"t.py": "import os\n\ndef pid():\n    return os.getpid()\n"})
    async with gateway() as tools:
        await tools.warm(of)
        assert len({(await call(tools, of, "pid")).value for _ in range(20)}) == 1


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
