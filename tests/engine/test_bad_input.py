"""Whatever authors, tools and models get wrong: a clear error at the right time, and a reply that is allowed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.model_server import Answer, ModelServer
from ruche.engine import Engine
from ruche.engine.authoring.load import load_folder
from ruche.engine.config import read_settings
from ruche.plugins.errors import ConfigurationError
from tests.plugins.test_expressions import ESCAPES as EXPRESSIONS
from tests.plugins.test_templates import ESCAPES as TEMPLATES

RULES = """
- {id: cap, if: always, then: Name no amount above 50., hard: true, enforce: amount <= 50}
- {id: polite, if: always, then: Never be rude., hard: true}
- {id: hours, if: Somebody asks when we open, then: We open at nine., examples: [when do you open]}
- {id: track, if: Somebody asks where an order is, then: "Order: {{ state }}.", examples: [where is my order],
   tools: [look]}
"""
TOOLS = """
import time


def fine():
    return {"state": "on its way"}


def hang():
    time.sleep(600)


def huge():
    return {"state": "x" * 50_000_000}


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return {"state": value}


def boom():
    raise RuntimeError("the order 999999 of somebody else")


def leave():
    import os
    os._exit(3)


def memory():
    return {"state": len(bytearray(50_000_000_000))}


def look(order):
    return {}


def nothing():
    return None


def wrong():
    return ["state"]


def odd():
    return {"state": object()}


def nan():
    return {"state": float("nan")}
"""
SAFE = "Let us speak of something else."


def write(folder: Path, function: str = "fine", models: str = "{}", **more: str) -> Path:
    files = {"agent.yaml": f"name: Desk\npreset: minimal\nmodels: {models}\n",
             "rules.yaml": RULES if "judge" in models else RULES.replace(
                 "- {id: polite, if: always, then: Never be rude., hard: true}\n", ""),
             "templates.yaml": f"- {{id: safe, text: {SAFE}, mode: fallback}}\n", "tools.py": TOOLS,
             "tools.yaml": f"- {{id: look, python: 'tools.py:{function}', outputs: {{state: state}}, "
                           f"timeout_ms: {900 if function == 'hang' else 30_000}}}\n"}
    folder.mkdir(parents=True)
    for name, text in {**files, **more}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@asynccontextmanager
async def desk(root: Path, *, seconds: float = 30.0, **options: Any) -> AsyncIterator[Engine]:
    write(root / "agents" / "desk", **options)
    settings = read_settings(environment={}, data=root / "data", agents=root / "agents",
                             models={"embedder": "hashing"}, limits={"turn_seconds": seconds})
    async with Engine.open(settings=settings) as engine:
        yield engine


async def say(engine: Engine, text: str) -> Any:
    return await engine.chat(agent="desk", user="ada", message=text)


# --- what can be known at check ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EXPRESSIONS[:60:4], ids=range(len(EXPRESSIONS[:60:4])))
def test_an_expression_that_explodes_or_reaches_out_is_found_by_the_check(text: str, tmp_path: Path) -> None:
    rule = json.dumps([{"id": "r", "if": "a", "then": "b", "when": text}])
    found = load_folder(write(tmp_path / "desk", **{"rules.yaml": rule}))
    assert found.bundle is None
    assert {one.code for one in found.errors} == {"E401"}
    assert all(one.file == "rules.yaml" and one.what for one in found.errors)


@pytest.mark.parametrize("text", TEMPLATES[:60:4], ids=range(len(TEMPLATES[:60:4])))
def test_a_template_that_explodes_or_reaches_out_is_found_by_the_check(text: str, tmp_path: Path) -> None:
    found = load_folder(write(tmp_path / "desk", **{"templates.yaml": json.dumps([{"id": "t", "text": text}])}))
    assert found.bundle is None
    assert {one.code for one in found.errors} == {"E403"}


@pytest.mark.parametrize(("tool", "code"), [
    ({"parameters": {"properties": {"order": {}}}}, "E308"),
    ({"python": "tools.py:missing"}, "E308"), ({"python": "other.py:fine"}, "E308"),
    ({"parameters": {"type": "array"}}, "E315"), ({"parameters": {"properties": {"x": {"type": "strin"}}}}, "E315"),
    ({"parameters": {"type": "object", "properties": {}, "required": ["order"]}}, "E301"),
    ({"parameters": {"type": "object", "patternProperties": {"(a+)+$": {}}}}, "E321"),
    ({"python": "tools.py:look", "parameters": {
        "type": "object", "properties": {"order": {"type": "string", "pattern": "(?=a)b"}}}}, "E321"),
    ({"arguments": {"nowhere": "1"}}, "E308"), ({"python": "tools.py:look"}, "E308"),
    ({"policy": "COMPENSATABLE"}, "E319"),
    ({"policy": "COMPENSATABLE", "compensation": "nobody"}, "E302"),
    ({"http": "https://example.org/"}, "E314"), ({"python": None, "http": "ftp://example.org"}, "E314"),
])
def test_a_tool_whose_description_lies_is_found_by_the_check(tool: dict[str, Any], code: str, tmp_path: Path) -> None:
    text = json.dumps([{"id": "look", "python": "tools.py:fine", "outputs": {"state": "state"}, **tool}])
    found = load_folder(write(tmp_path / "desk", **{"tools.yaml": text}))
    assert found.bundle is None
    assert code in {one.code for one in found.errors}


@pytest.mark.parametrize(("files", "code"), [
    ({"relationships.yaml": "- {source: cap, kind: implies, target: hours}\n"
                            "- {source: hours, kind: implies, target: cap}\n"}, "E604"),
    ({"scenarios/s.yaml": "entry: x\nsteps:\n  - {id: a, say: x, next: b}\n  - {id: b, say: y, next: a}\n"}, "E503"),
    ({"templates.yaml": "- {id: t, text: a, mode: fallback}\n- {id: t, text: b}\n"}, "E206"),
    ({"relationships.yaml": "- {source: cap, kind: implies, target: nobody}\n"}, "E306"),
    ({"scenarios/s.yaml": "entry: x\nsteps:\n  - {id: a, collects: nothing_known, say: x}\n"}, "E301"),
    ({"scenarios/s.yaml": "entry: x\nsteps:\n  - {id: a, tools: nobody, say: x}\n"}, "E302"),
])
def test_circles_duplicates_and_unknown_names_are_found_by_the_check(files: dict[str, str], code: str,
                                                                     tmp_path: Path) -> None:
    found = load_folder(write(tmp_path / "desk", **files))
    assert found.bundle is None
    assert code in {one.code for one in found.errors}


@pytest.mark.anyio
async def test_what_does_not_check_is_not_published_and_what_served_before_goes_on(tmp_path: Path) -> None:
    async with desk(tmp_path) as engine:
        (tmp_path / "agents" / "desk" / "rules.yaml").write_text(RULES + "- {id: x, if: a, then: b, when: '().x'}\n")
        with pytest.raises(ConfigurationError, match=r"desk/rules.yaml:\d+:\d+ E401"):
            await engine.publish(tmp_path / "agents")
        assert (await say(engine, "when do you open")).reply == "We open at nine."


# --- what shows while a turn runs ----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("function", ["hang", "huge", "deep", "boom", "leave", "memory", "odd", "nan"])
async def test_a_tool_that_fails_costs_its_own_result_and_the_turn_ends_well(function: str, tmp_path: Path) -> None:
    async with desk(tmp_path, function=function) as engine:
        turn = await say(engine, "where is my order")
        assert [one.status for one in turn.tools] == ["timeout" if function == "hang" else "error"]
        assert (turn.status, turn.enforcement.risk) == ("complete", "GREEN")
        assert turn.reply
        assert "999999" not in turn.reply
        assert (await say(engine, "when do you open")).reply == "We open at nine."


@pytest.mark.anyio
@pytest.mark.parametrize("function", ["nothing", "wrong"])
async def test_a_tool_that_does_not_give_what_it_promised_leaves_its_names_without_a_value(function: str,
                                                                                           tmp_path: Path) -> None:
    async with desk(tmp_path, function=function) as engine:
        turn = await say(engine, "where is my order")
        assert [one.status for one in turn.tools] == ["ok"]
        assert turn.status == "complete"
        assert "{{" not in turn.reply


NONSENSE = [Answer(""), Answer("It costs 900 dollars."), Answer("\x00\x01"), Answer(raw=b"{"), Answer(raw=b"[]"),
            Answer(raw=b'{"choices": [{"message": {"content": 7}}]}'), Answer(raw=b"<html>" * 10_000),
            Answer(status=500), Answer(status=401), Answer(text="x" * 200_000), Answer(broken=True)]


@pytest.mark.anyio
@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_model_that_talks_nonsense_never_breaks_a_rule(answer: Answer, tmp_path: Path) -> None:
    async with ModelServer(answer) as server:
        models = f"{{generator: openai, url: '{server.url}', model: m}}"
        async with desk(tmp_path, models=models) as engine:
            turn = await say(engine, "when do you open")
            assert turn.reply
            assert "900" not in turn.reply
            assert turn.status in ("complete", "blocked")
            assert (await say(engine, "when do you open")).reply


HALVES = ['{"polite": {"verdict": "pass"', '{"polite": "pass"}', "pass", "{}", '{"polite": {"verdict": "maybe"}}', "[]"]


@pytest.mark.anyio
@pytest.mark.parametrize("half", HALVES, ids=range(len(HALVES)))
async def test_a_judge_with_half_an_answer_lets_no_model_speak(half: str, tmp_path: Path) -> None:
    async with ModelServer(Answer("You fool."), Answer(half), Answer("You fool."), Answer(half)) as server:
        models = f"{{generator: openai, url: '{server.url}', model: m, judge: {{}}}}"
        async with desk(tmp_path, models=models) as engine:
            turn = await say(engine, "when do you open")
            assert (turn.reply, turn.status) == (SAFE, "blocked")


@pytest.mark.anyio
async def test_a_model_that_says_nothing_is_not_waited_for_beyond_the_turn(tmp_path: Path) -> None:
    async with ModelServer(Answer(hang=True)) as server:
        models = f"{{generator: openai, url: '{server.url}', model: m}}"
        async with desk(tmp_path, models=models, seconds=5.0) as engine:
            turn = await say(engine, "when do you open")
            assert (turn.reply, turn.status) == ("We open at nine.", "complete")
            assert await server.left.wait(), "the call was given up, not left to itself"
