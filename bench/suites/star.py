"""Reads task graphs and dialogues with them: graphs become scenarios, dialogues the decisions that an operator took.

A folder holds `tasks/TASK/*.json` {graph: {action: next}, replies: {action: text}} and `*.jsonl` of dialogues {id,
happy, tasks, events: [{who: user | agent | kb, text, action, query, constraints, item}]}. A node of a graph that is no
action but a state of affairs (`yes`, `available`) becomes the condition of an edge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruche.engine.policy.situation import Situation
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.scenario import Scenario

CUSTOM = "(other words)"
"""A deed for which the operator took no action of the task's graph."""

_ANSWERS = ("yes", "no")
_TOOL = "query"


class Task(NamedTuple):
    """A scenario, and the ids of its steps that ask a database."""

    scenario: Scenario
    tools: tuple[str, ...]


class Decision(NamedTuple):
    """What lay before the operator and what was done next; CUSTOM for a named deed that is not in the graph."""

    task: str
    dialogue: str
    happy: bool
    moment: Situation
    step: str


def read_tasks(folder: Path) -> dict[str, Task]:
    """Task name to scenario. Raises ConfigurationError when the folder has no graph."""
    found = {}
    for path in sorted(folder.glob("tasks/*/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "graph" in content:
            found[path.parent.name] = _task(path.parent.name, content["graph"], content.get("replies", {}))
    if not found:
        raise ConfigurationError(f"{folder} has no tasks/*/*.json with a graph")
    return found


def read_dialogues(folder: Path) -> list[dict[str, Any]]:
    """All dialogues of a folder, in the order of files and lines."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl"))
            for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def decisions(tasks: dict[str, Task], dialogues: Sequence[dict[str, Any]]) -> list[Decision]:
    """Every deed of an operator in a dialogue about one known task. Words without any action's name are part of what
    went before, but nobody is measured by them."""
    return [decision for dialogue in dialogues
            if len(dialogue["tasks"]) == 1 and dialogue["tasks"][0] in tasks
            for decision in _decided(tasks[dialogue["tasks"][0]], dialogue)]


def _decided(task: Task, dialogue: dict[str, Any]) -> Iterator[Decision]:
    steps = {step.id for step in task.scenario.steps}
    done: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    said, ran, result = "", False, {}
    for event in dialogue["events"]:
        if event["who"] == "user":
            heard, said = (*heard, said) if said else heard, event.get("text") or ""
        elif event["who"] == "kb":
            ran, result = True, {name: value for name, value in (event.get("item") or {}).items() if name != "APIName"}
        elif event["who"] == "agent":
            name = _tool_of(task, event) if "query" in event else event.get("action")
            step = name if name in steps else CUSTOM
            if name is not None:
                yield Decision(task.scenario.id, str(dialogue["id"]), bool(dialogue.get("happy")),
                               Situation(done=done, said=said, heard=heard, ran=ran, result=result), step)
            done, heard = (*done, step), (*heard, said) if said else heard
            said, ran, result = "", False, {}


def _tool_of(task: Task, event: dict[str, Any]) -> str:
    """Where a task has a query to check and one to book, the request says which it is."""
    wanted = re.search(r"requesttype.{0,40}?(book|check)", json.dumps(event.get("constraints")).lower())
    fitting = [name for name in task.tools if wanted and wanted[1] in name]
    return (fitting or [name for name in task.tools if "check" in name] or list(task.tools))[0]


def _task(name: str, graph: dict[str, str], replies: dict[str, str]) -> Task:
    conditions = [node for node in graph if _is_condition(node, graph, replies)]
    nodes = [node for node in dict.fromkeys([*replies, *graph, *graph.values()]) if node not in conditions]
    tools = tuple(node for node in nodes if node.startswith(_TOOL)) or (_TOOL,)
    nodes = [*(node for node in nodes if node not in tools), *tools]
    texts = {node: "" if node in tools else replies.get(node, "") for node in nodes}
    ways: dict[str, list[dict[str, Any]]] = {node: [] for node in nodes}
    for node, target in graph.items():
        if node not in conditions:
            ways[node].append({"to": target})
    for condition in conditions:
        for home in _homes(condition, conditions, graph, texts, tools):
            wording = f"{condition.replace('_', ' ')} {replies.get(condition, '')}".strip()
            ways[home].append({"to": graph[condition], "if": wording})
    start = next((node for node in graph if node not in conditions), nodes[0])
    steps = [{"id": node, "ask" if "?" in texts[node] else "say": texts[node] or None, "next": ways[node],
              "tools": [{"tool": node}] if node in tools else []} for node in nodes]
    return Task(Scenario.model_validate({"id": name, "entry": name, "start": start, "steps": steps}), tools)


def _is_condition(node: str, graph: dict[str, str], replies: dict[str, str]) -> bool:
    """Nothing leads there, and its text is a label, no sentence."""
    text = replies.get(node, "").strip()
    first = next(iter(graph))
    return node not in graph.values() and node != first and "{" not in text and not text.endswith((".", "?", "!"))


def _homes(condition: str, conditions: list[str], graph: dict[str, str], texts: dict[str, str],
           tools: tuple[str, ...]) -> list[str]:
    """The steps whose ways out depend on a condition: of those that lead nowhere, an answer's are the questions, and
    each run of other conditions in the graph belongs to one query."""
    ends = [node for node in dict.fromkeys(graph.values()) if node not in graph]
    if condition in _ANSWERS:
        questions = [node for node in ends if "?" in texts[node] and node != graph[condition]]
        return [node for node in questions if "anything else" not in texts[node].lower()] or questions
    queries = [node for node in ends if node in tools]
    if queries:
        return [queries[min(_run(condition, conditions, graph), len(queries) - 1)]]
    targets = {graph[one] for one in conditions}
    return [node for node in ends if node not in targets] or ends


def _run(condition: str, conditions: list[str], graph: dict[str, str]) -> int:
    """The number of the run of neighbouring conditions, answers left out, in which this one stands."""
    number, inside = -1, False
    for node in graph:
        is_state = node in conditions and node not in _ANSWERS
        number += is_state and not inside
        inside = is_state
        if node == condition:
            break
    return number
