"""Spells out the short forms that authors write, so that the models see one form only.

`tools: lookup` is `tools: [{tool: lookup}]`, `next: done` is `next: [{to: done}]`, `mode: exclusive` is EXCLUSIVE, and
a rule's `scope: {scenario: refund, step: ask}` is `scope: STEP` with `scope_id: refund/ask`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ruche.engine.authoring.document import Document, Path
from ruche.engine.authoring.kinds import MAIN_KEYS, Shape, shapes
from ruche.storage.model.rule import Rule


def spell_out(document: Document, model: type[BaseModel], data: Any, path: Path = ()) -> Any:
    """`data` with the short forms of `model` spelled out; whatever does not fit is left for validation to refuse."""
    if isinstance(data, str) and model in MAIN_KEYS:
        document.move(path, (*path, MAIN_KEYS[model]))
        return {MAIN_KEYS[model]: data}
    if not isinstance(data, dict):
        return data
    if model is Rule:
        data = _scope(document, data, path)
    known = shapes(model)
    return {key: _value(document, known[key], value, (*path, key)) if key in known else value
            for key, value in data.items()}


def _value(document: Document, shape: Shape, value: Any, path: Path) -> Any:
    if shape.is_list and isinstance(value, str | dict):
        document.move(path, (*path, 0))
        value = [value]
    if shape.is_list and isinstance(value, list):
        return [_single(document, shape, item, (*path, index)) for index, item in enumerate(value)]
    return _single(document, shape, value, path)


def _single(document: Document, shape: Shape, value: Any, path: Path) -> Any:
    if shape.words and isinstance(value, str) and value.upper() in shape.words:
        return value.upper()
    if shape.model is None or (isinstance(value, str) and not shape.is_list):
        return value
    return spell_out(document, shape.model, value, path)


def _scope(document: Document, data: dict[str, Any], path: Path) -> dict[str, Any]:
    scope = data.get("scope")
    if not isinstance(scope, dict) or not set(scope) <= {"scenario", "step"} or "scope_id" in data:
        return data
    document.move((*path, "scope"), (*path, "scope_id"))
    parts = [str(scope[part]) for part in ("scenario", "step") if part in scope]
    return {**data, "scope": "STEP" if "step" in scope else "SCENARIO", "scope_id": "/".join(parts)}
