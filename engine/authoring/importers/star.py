"""Task graphs in the form of the STAR corpus become one agent folder: a scenario, fields and tools for each task.

A folder holds `tasks/TASK/*.json` {graph: {action: next}, replies: {action: text}} and `apis/apis/TASK.json` {input,
output, required}. Actions are steps and keep their names; a node that is a state of affairs (`yes`, `available`) is the
condition of an edge. The tools answer with a first state until they are connected to a system of one's own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruche.engine.authoring.importers.folder import Draft, identifier
from ruche.plugins.errors import ConfigurationError

_ANSWERS = ("yes", "no")
_SLOT = re.compile(r"\{(\w+)(?::\w*)?\}")
_ABLE = re.compile(r"(?i)\b(?:able|only|help)\b([^.?!]{4,100})[.!]?$")
_MODAL = re.compile(r"(?i)^\s*(?:able|to|help|you|can|only|with|us|me)\b\s*")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ALIKE = {"from": "start", "begin": "start", "arriving": "start", "to": "end", "until": "end", "leaving": "end",
          "date": "day", "when": "day", "size": "party", "people": "party", "destination": "arrival",
          "dob": "birth", "born": "birth", "guests": "number", "many": "number", "mothers": "security1",
          "maiden": "security1", "pets": "security2", "pet": "security2", "location": "city"}
_TYPES = {"integer": "number", "float": "number", "boolean": "boolean", "date": "date", "time": "time"}
_LITTLE = frozenset({
    "ask", "the", "a", "an", "is", "it", "what", "which", "do", "you", "your", "of", "at", "in", "for", "i", "may",
    "have", "please", "would", "like", "name", "any"})
_PERSON = frozenset({"customer", "patient", "renter", "user", "full", "guest"})


@dataclass
class Task:
    """One graph with its API; `states` are the nodes that are no deeds."""

    name: str
    graph: dict[str, str]
    replies: dict[str, str]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    required: list[str] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        first = next(iter(self.graph))
        return [node for node in self.graph if node not in self.graph.values() and node != first
                and "{" not in self._text(node) and not self._text(node).endswith((".", "?", "!"))]

    def _text(self, node: str) -> str:
        return self.replies.get(node, "").strip()

    def asks(self, node: str) -> bool:
        return "?" in self._text(node)


def import_star(source: Path, folder: Path) -> list[Path]:
    """Write the agent folder; the files. Raises ConfigurationError when there is no graph, or the folder holds
    something."""
    return draft_of(source, folder.name).write(folder)


def draft_of(source: Path, name: str) -> Draft:
    """All tasks of a folder as one agent."""
    tasks = _read(source)
    draft = Draft(name.replace("_", " ").capitalize(),
                  f"Helps with {len(tasks)} thing{'s' * (len(tasks) > 1)}: "
                  + ", ".join(task.name.replace("_", " ") for task in tasks))
    functions = [_HEAD]
    for task in tasks:
        functions += _add(draft, task)
    draft.files["tools.py"] = "\n\n\n".join(functions) + "\n"
    return draft


def _read(source: Path) -> list[Task]:
    found = []
    for path in sorted(source.glob("tasks/*/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("graph"):
            api = source / "apis" / "apis" / f"{path.parent.name}.json"
            known = json.loads(api.read_text(encoding="utf-8")) if api.is_file() else {}
            found.append(Task(identifier(path.parent.name), content["graph"], content.get("replies", {}),
                              [one for one in known.get("input", []) if one.get("Type") != "RequestType"],
                              known.get("required", [])))
    if not found:
        raise ConfigurationError(f"{source} has no tasks/*/*.json with a graph")
    return found


def _add(draft: Draft, task: Task) -> list[str]:
    """Puts the task into the draft; the source of its tools."""
    fields = _fields(draft, task)
    nodes = _reached(task)
    queries = [node for node in nodes if node.startswith("query")]
    slots = list(dict.fromkeys(slot for node in nodes for slot in _SLOT.findall(task.replies.get(node, ""))))
    draft.scenarios.append({
        "id": task.name, "entry": f"The person wants to {_purpose(task)}", "description": _purpose(task),
        "examples": [_purpose(task), task.name.replace("_", " ")], "start": nodes[0],
        "steps": [_step(task, node, fields) for node in nodes]})
    outcomes = {node: _outcomes(task, node) for node in queries}
    for node in queries:
        draft.add("tools", _tool(task, node, fields, slots))
    return [_FUNCTION.format(name=f"{task.name}_{node}", task=task.name, first=(outcomes[node] or ["done"])[0])
            for node in queries]


def _purpose(task: Task) -> str:
    """What the graph's own refusal says that it can do, else its name."""
    said = _ABLE.search(task.replies.get("out_of_scope", "").strip())
    text = said[1] if said else ""
    while (modal := _MODAL.match(text)) is not None:
        text = text[modal.end():]
    return " ".join(text.split()) or task.name.replace("_", " ")


def _fields(draft: Draft, task: Task) -> dict[str, str]:
    """Adds a field for each input of the API; question (or input, where none asks for it) to field."""
    questions = [node for node in _reached(task) if task.asks(node) and task.graph.get(node)]
    pairs: dict[str, str] = {}
    ranked = sorted(((_likeness(task, node, one), -place, node, one) for node in questions
                     for place, one in enumerate(task.inputs)), key=lambda pair: (-pair[0], -pair[1]))
    used: set[str] = set()
    for score, _, node, one in ranked:
        if score > 0 and node not in pairs and one["Name"] not in used:
            pairs[node] = one["Name"]
            used.add(one["Name"])
    named = {one["Name"]: _field(draft, task, one) for one in task.inputs}
    return {**{name: field for name, field in named.items() if name not in used},
            **{node: named[name] for node, name in pairs.items()}}


def _likeness(task: Task, node: str, one: dict[str, Any]) -> float:
    if node == "ask_name":
        return 9.0 if _is_person(one) else 0.0
    if _is_person(one):
        return 0.0
    asked = _terms(f"{node} {task.replies.get(node, '')}") - set(task.name.split("_")[:1])
    meant = _terms(f"{one['Name']} {one.get('ReadableName', '')}")
    alone = 0.5 if one["Name"] == "Name" and task.name.split("_")[0] in _terms(task.replies.get(node, "")) else 0.0
    return len(asked & meant) / max(len(meant), 1) + alone


def _terms(text: str) -> set[str]:
    words = [word.lower() for word in _WORDS.findall(text.replace("_", " "))]
    return {_ALIKE.get(word, word) for word in words} - _LITTLE


def _is_person(one: dict[str, Any]) -> bool:
    words = {word.lower() for word in _WORDS.findall(one["Name"])}
    return "name" in words and bool(words & _PERSON)


def _field(draft: Draft, task: Task, one: dict[str, Any]) -> str:
    if _is_person(one):
        draft.add("fields", {"name": "full_name", "description": "The person's name", "pii": True})
        return "full_name"
    name = identifier(f"{task.name}_{'_'.join(_WORDS.findall(one['Name']))}")
    part: dict[str, Any] = {"name": name, "type": _TYPES.get(one.get("Type", "").lower(), "string"),
                            "description": one.get("ReadableName", one["Name"]), "scope": "CASE"}
    categories = [text for text in one.get("Categories", ()) if isinstance(text, str) and text.strip()]
    if categories:
        part["allowed"] = list(dict.fromkeys(categories))
    for key, bound in (("Min", "minimum"), ("Max", "maximum")):
        if part["type"] == "number" and isinstance(one.get(key), int | float):
            part[bound] = one[key]
    draft.add("fields", part)
    return name


def _tool(task: Task, node: str, fields: dict[str, str], slots: list[str]) -> dict[str, Any]:
    tool = f"{task.name}_{node}"
    known = set(fields.values())
    needed = [fields[key] for key in fields if key in task.graph]
    return {"id": tool, "description": f"{task.name.replace('_', ' ')}: {node.replace('_', ' ')}",
            "python": f"tools.py:{tool}", "policy": "IDEMPOTENT" if "book" in node else "PURE",
            "parameters": {"type": "object", "properties": {name: {} for name in sorted(known)}, "required": needed},
            "outputs": {f"{tool}_outcome": "outcome", **{slot: slot for slot in slots if slot not in known}}}


def _step(task: Task, node: str, fields: dict[str, str]) -> dict[str, Any]:
    text = _SLOT.sub(lambda slot: "{{ " + slot[1] + f" | default('{slot[1].replace('_', ' ')}') " + "}}",
                     task.replies.get(node, "").replace("{{", "(").replace("}}", ")")).strip()
    step: dict[str, Any] = {"id": node, "description": node.replace("_", " ")}
    following = _edges(task, node)
    if node.startswith("query"):
        step |= {"tools": [{"tool": f"{task.name}_{node}"}], "required_action": True}
    elif text:
        step["ask" if task.asks(node) and following else "say"] = text
    if node in fields:
        step |= {"collects": [fields[node]], "can_skip": True}
    return step | ({"next": following} if following else {})


def _edges(task: Task, node: str) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = []
    if task.asks(node) and not task.graph.get(node):
        edges += [{"to": task.graph[answer], "if": f"The answer is {answer}"} for answer in _ANSWERS
                  if answer in task.graph and task.graph[answer] != node and _is_home(task, node)]
    if node.startswith("query"):
        tool = f"{task.name}_{node}"
        edges += [{"to": task.graph[state], "when": f"{tool}_outcome == '{state}'", "priority": 1}
                  for state in _outcomes(task, node)]
    if node in task.graph:
        edges.append({"to": task.graph[node]})
    return edges


def _is_home(task: Task, node: str) -> bool:
    return "anything else" not in task.replies.get(node, "").lower()


def _outcomes(task: Task, node: str) -> list[str]:
    """States of affairs that a query can bring about: a query to check brings the first run of them, one to book the
    last; a graph with one query has them all."""
    states = [state for state in task.states if state not in _ANSWERS]
    queries = [one for one in dict.fromkeys((*task.graph.values(), *task.graph)) if one.startswith("query")
               and one not in task.states]
    if len(queries) < 2 or len(states) < 3:
        return states if not queries or node == queries[0] else []
    mine = [state for state in states if state.startswith("query")] or states[-2:]
    return mine if node != queries[0] else [state for state in states if state not in mine]


def _reached(task: Task) -> list[str]:
    """Actions that can be come to, the first of the graph first."""
    first = next(iter(task.graph))
    found, waiting = [first], [first]
    while waiting:
        here = waiting.pop(0)
        for edge in _edges(task, here):
            if edge["to"] not in found:
                found.append(edge["to"])
                waiting.append(edge["to"])
    return found


_HEAD = '''"""Tools of an imported agent: each answers with one state until it is connected to a system of your own."""

from __future__ import annotations'''
_FUNCTION = '''def {name}(**given: object) -> dict[str, object]:
    """Look into your own system for {task} with what was given, and say how it went."""
    return {{**given, "outcome": "{first}"}}'''
