"""Workflows in the DOT language (graphviz) become scenarios: diamonds ask, their labelled edges are the answers.

Read are nodes with `label` and `shape`, edges with `label`, and chains (`a -> b -> c`); styles, ports and subgraphs'
frames mean nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruche.engine.authoring.importers.folder import Draft, identifier
from ruche.plugins.errors import ConfigurationError

MAX_BYTES = 1_000_000
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|--|[{}\[\];,=]|[^\s{}\[\];,="]+?(?=->|--|[\s{}\[\];,="]|$)')
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|(?m:^\s*\#[^\n]*)', re.DOTALL)
_ASKS = re.compile(r"(?i)^(?:ask|tell|have|instruct|request)(?: the)? (?:user|customer|caller|person)(?: to|:)?\s+")
_PERSON = re.compile(r"(?i)\b(?:transfer|escalate|hand)\b.*\b(?:human|agent|person|technician|support)\b")
_YES, _NO = re.compile(r"(?i)^yes\b"), re.compile(r"(?i)^no\b")
_NUMBERED = re.compile(r"(?i)^(?:step|path) [\d.]+:?\s*|^start:?\s*")


@dataclass
class Graph:
    """Nodes with their attributes in the order of the file, and edges (from, to, label)."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)


def import_dot(files: Sequence[Path], folder: Path) -> list[Path]:
    """Write an agent folder with a scenario for each file. Raises ConfigurationError for what is no graph."""
    draft = Draft(folder.name.replace("_", " ").capitalize(), f"Follows {len(files)} workflow" + "s" * (len(files) > 1))
    for path in files:
        draft.scenarios.append(scenario_of(path.stem, read_graph(path)))
    return draft.write(folder)


def read_graph(path: Path) -> Graph:
    """Raises ConfigurationError, naming the file, for what is no DOT or too large."""
    text = path.read_text(encoding="utf-8")
    if len(text) > MAX_BYTES:
        raise ConfigurationError(f"{path}: a workflow has at most {MAX_BYTES} characters")
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse(text: str) -> Graph:
    """Raises ValueError for what is no graph."""
    tokens = _TOKEN.findall(_COMMENT.sub(lambda match: match[1] or " ", text))
    lowered = [token.lower() for token in tokens[:4]]
    if "{" not in tokens or not {"digraph", "graph"} & set(lowered):
        raise ValueError("this is no graph; it begins with digraph NAME {")
    graph = Graph()
    place = tokens.index("{") + 1
    while place < len(tokens):
        place = _statement(graph, tokens, place)
    if not graph.nodes:
        raise ValueError("the graph has no nodes")
    return graph


def _statement(graph: Graph, tokens: list[str], place: int) -> int:
    """Reads what begins at `place`; where the next statement begins."""
    if tokens[place] in "{};," or tokens[place].lower() in ("subgraph", "graph", "strict"):
        return _attributes(tokens, place + 1)[1] if tokens[place + 1:place + 2] == ["["] else place + 1
    if tokens[place + 1:place + 2] == ["="]:
        return place + 3
    names = [_plain(tokens[place])]
    place += 1
    while place + 1 < len(tokens) and tokens[place] in ("->", "--"):
        names.append(_plain(tokens[place + 1]))
        place += 2
    attributes, place = _attributes(tokens, place)
    if names[0] in ("node", "edge") and len(names) == 1:
        return place
    for name in names:
        graph.nodes.setdefault(name, {})
    if len(names) == 1:
        graph.nodes[names[0]].update(attributes)
    graph.edges += [(first, second, attributes.get("label", "")) for first, second in pairwise(names)]
    return place


def _attributes(tokens: list[str], place: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while tokens[place:place + 1] == ["["]:
        place += 1
        while place < len(tokens) and tokens[place] != "]":
            if tokens[place + 1:place + 2] == ["="] and place + 2 < len(tokens):
                found[tokens[place].lower()] = _plain(tokens[place + 2])
                place += 3
            else:
                place += 1
        place += 1
    return found, place


def _plain(token: str) -> str:
    if not token.startswith('"'):
        return token
    return re.sub(r"\\[nlr]", " ", token[1:-1]).replace('\\"', '"').replace("\\\\", "\\")


def scenario_of(name: str, graph: Graph) -> dict[str, Any]:
    """The graph as a scenario that begins at the node nothing leads to."""
    ids: dict[str, str] = {}
    for node in graph.nodes:
        ids[node] = identifier(node, frozenset(ids.values()))
    targets = {target for _, target, _ in graph.edges}
    start = next((node for node in graph.nodes if node not in targets), next(iter(graph.nodes)))
    reached = _reached(graph, start)
    labels = {node: _label(node, graph) for node in graph.nodes}
    about = next((labels[node] for node in reached[1:2]), labels[start])
    title = _NUMBERED.sub("", about) or name
    return {"id": identifier(name), "entry": f"The person has a problem: {title}", "description": title,
            "examples": [title], "start": ids[start],
            "steps": [_step(node, graph, ids, labels) for node in reached]}


def _reached(graph: Graph, start: str) -> list[str]:
    """Nodes that can be come to, the start first."""
    found, waiting = [start], [start]
    while waiting:
        here = waiting.pop(0)
        for source, target, _ in graph.edges:
            if source == here and target not in found:
                found.append(target)
                waiting.append(target)
    return found


def _label(node: str, graph: Graph) -> str:
    return " ".join((graph.nodes[node].get("label") or node.replace("_", " ")).split())


def _step(node: str, graph: Graph, ids: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    label = labels[node]
    leads = [(ids[target], words) for source, target, words in graph.edges if source == node]
    step: dict[str, Any] = {"id": ids[node], "description": label}
    if len(leads) > 1 or any(words for _, words in leads):
        step["ask"] = _said(label if label.endswith("?") else f"{label}?")
    elif _ASKS.match(label):
        step["ask" if leads else "say"] = _said(label)
    elif not leads:
        step["say"] = _said(f"{label}.")
        if _PERSON.search(label):
            step["effect"] = "HANDOFF"
    if leads:
        step["next"] = [_edge(target, words) for target, words in leads]
    return step


def _said(label: str) -> str:
    """What the agent is told to do, as it says it to the person; braces would be a template's."""
    text = _NUMBERED.sub("", label)
    asked = _ASKS.match(text)
    if asked is not None:
        rest = re.sub(r"(?i)\btheir\b", "your", text[asked.end():])
        text = rest[:1].upper() + rest[1:] if asked[0].rstrip().endswith(":") else f"Please {rest}."
        text = text.replace("?.", "?")
    return text.replace("{", "(").replace("}", ")")


def _edge(target: str, words: str) -> dict[str, Any]:
    label = " ".join(words.split())
    if not label:
        return {"to": target}
    if _YES.match(label):
        return {"to": target, "if": "The answer is yes"}
    return {"to": target, "if": "The answer is no" if _NO.match(label) else label}
