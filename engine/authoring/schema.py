"""JSON Schemas (draft-07, what editors understand) of the files of an agent folder, generated from the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from ruche.engine.authoring import conversations
from ruche.engine.authoring.kinds import AGENT, LISTS, MAIN_KEYS, SCENARIO, Kind, shapes
from ruche.storage.model.rule import Rule

FOLDER = ".schema"
"""Where `ruche init` puts them, inside the agent folder."""
TESTS = Kind("tests", conversations.Conversation, key="name")
"""The files in `tests/`: they are no part of what is published."""


def schemas() -> dict[str, dict[str, Any]]:
    """File name (`rules.json`) to schema; short forms are accepted as the loader accepts them."""
    return {f"{kind.name}.json": _schema(kind) for kind in (AGENT, SCENARIO, *LISTS, TESTS)}


def editor_line(file: str) -> str:
    """The first line of a file of an agent folder, by which editors find its schema. `file` is relative to the folder.

    Raises KeyError for a file that has none.
    """
    if file.startswith("scenarios/"):
        return f"# yaml-language-server: $schema=../{FOLDER}/scenario.json\n"
    if file.startswith("tests/"):
        return f"# yaml-language-server: $schema=../{FOLDER}/tests.json\n"
    name = {kind.file: kind.name for kind in (AGENT, *LISTS)}[file]
    return f"# yaml-language-server: $schema={FOLDER}/{name}.json\n"


def _schema(kind: Kind) -> dict[str, Any]:
    made = kind.model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = made.pop("$defs", {})
    _widen(made, kind.model)
    models = {one.__name__: one for one in _within(kind.model)}
    for name, part in definitions.items():
        _widen(part, models[name])
    head: dict[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"Ruche: {kind.file}"}
    if not kind.many:
        made["required"] = [name for name in made.get("required", []) if not (kind is SCENARIO and name == "id")]
        return {**head, **made, "title": head["title"], "definitions": definitions}
    return {**head, "type": "array", "items": made, "definitions": definitions}


def _within(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models that a model's keys take, and theirs."""
    for shape in shapes(model).values():
        if shape.model is not None:
            yield shape.model
            yield from _within(shape.model)


def _widen(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Admit in one model's schema what `short.py` spells out: a lone value for a list, words in lower case."""
    for key, shape in shapes(model).items():
        spec = part["properties"][key]
        if shape.is_list:
            _admit_lone(spec, shape.model)
        _admit_lower(spec)
    if model is Rule:
        part["properties"]["scope"]["anyOf"] = [
            {"enum": part["properties"]["scope"].pop("enum")},
            {"type": "object", "properties": {"scenario": {"type": "string"}, "step": {"type": "string"}},
             "required": ["scenario"], "additionalProperties": False}]
        part["properties"]["scope"].pop("type", None)


def _admit_lone(spec: dict[str, Any], model: type[BaseModel] | None) -> None:
    items = spec.pop("items")
    if model in MAIN_KEYS:
        items = {"anyOf": [items, {"type": "string"}]}
    spec.pop("type")
    spec["anyOf"] = [{"type": "array", "items": items}, items]


def _admit_lower(spec: Any) -> None:
    if isinstance(spec, dict):
        if "enum" in spec and all(isinstance(word, str) for word in spec["enum"]):
            spec["enum"] = [*spec["enum"], *(word.lower() for word in spec["enum"] if word.lower() not in spec["enum"])]
        for inner in spec.values():
            _admit_lower(inner)
    elif isinstance(spec, list):
        for inner in spec:
            _admit_lower(inner)
