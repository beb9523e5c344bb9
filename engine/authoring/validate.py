"""Turns one entry of a file into its model, and what the model refuses into problems with their place."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ruche.engine.authoring.document import Document, Path
from ruche.engine.authoring.kinds import shapes
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.short import spell_out

Entry = TypeVar("Entry", bound=BaseModel)

_NEEDED = {
    "string_type": "text", "bool_type": "true or false", "int_type": "a whole number", "float_type": "a number",
    "tuple_type": "a list", "list_type": "a list", "dict_type": "keys and values", "model_type": "keys and values",
    "model_attributes_type": "keys and values", "int_from_float": "a whole number",
}


def validate(document: Document, model: type[Entry], data: Any, path: Path,
             problems: list[Problem]) -> Entry | None:
    """The entry at `path`, or None with the reasons appended. Strict: `no` is not false and 7 is not text."""
    spelled = spell_out(document, model, data, path)
    try:
        return model.model_validate_json(json.dumps(spelled), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        reported: set[Path] = set()
        for detail in error.errors(include_url=False):
            problem, place = _explain(document, model, spelled, path, detail)
            if place not in reported:
                problems.append(problem)
            reported.add(place)
        return None


def _explain(document: Document, model: type[BaseModel], data: Any, path: Path,
             detail: ErrorDetails) -> tuple[Problem, Path]:
    inner, owner, value = _descend(model, data, detail["loc"])
    here = (*path, *inner)
    key = str(inner[-1]) if inner else "this entry"
    kind = detail["type"]
    if kind == "extra_forbidden":
        hint = suggest(key, shapes(owner))
        return document.problem(here, "E201", f"{key} is not known here", hint, at_key=True), here
    if kind == "missing":
        return document.problem(here[:-1], "E202", f"{key} is missing", f"write {key}: ..."), here
    if kind in _NEEDED:
        return document.problem(here, "E203", f"{_named(inner)} takes {_NEEDED[kind]}, not {_described(value)}",
                                _mend(kind, value)), here
    return document.problem(here, "E204", f"{_named(inner)}: {_refusal(detail)}", _expected(detail, owner, key)), here


def _descend(model: type[BaseModel], data: Any, location: tuple[int | str, ...]) -> tuple[Path, type[BaseModel], Any]:
    """Path within the data, model that owns the last key, and the value there; union labels are stepped over."""
    path: Path = ()
    owner, value = model, data
    last = len(location) - 1
    for number, part in enumerate(location):
        if _holds(value, part):
            value = value[part]
        elif not (isinstance(value, dict) and number == last and part in shapes(owner)):
            continue
        path = (*path, part)
        shape = shapes(owner).get(str(part))
        if shape is not None and shape.model is not None and number < last:
            owner = shape.model
    return path, owner, value


def _holds(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _named(path: Path) -> str:
    names = [part for part in path if isinstance(part, str)]
    return names[-1] if names else "this entry"


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    return "a list" if isinstance(value, list) else "keys and values"


def _mend(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'write "{str(value).lower() if isinstance(value, bool) else value}" in quotes'
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "on", "no", "off"):
        return f"write {'true' if value.lower() in ('yes', 'on') else 'false'}"
    return ""


def _refusal(detail: ErrorDetails) -> str:
    return {"literal_error": f'"{detail["input"]}" is not one of the words', "string_too_short": "must not be empty",
            }.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:])


def _expected(detail: ErrorDetails, owner: type[BaseModel], key: str) -> str:
    shape = shapes(owner).get(key)
    if detail["type"] == "literal_error" and shape is not None:
        written = str(detail["input"])
        return suggest(written if written.islower() else written.upper(),
                       (word.lower() if written.islower() else word for word in shape.words),
                       "one of " + ", ".join(shape.words))
    return ""
