"""The kinds of file in an agent folder: what each is called, which model its entries have, what they are named by."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ruche.storage.model.agent import Agent
from ruche.storage.model.field import InterlocutorField, Variable
from ruche.storage.model.rule import EnforcerUse, Relationship, Rule
from ruche.storage.model.scenario import Habit, Requirement, Scenario, Transition
from ruche.storage.model.tool import Tool, ToolBinding
from ruche.storage.model.wording import GlossaryTerm, Intent, Template


@dataclass(frozen=True)
class Kind:
    """One kind of YAML file. `key` names an entry, `many` says that the file is a list of entries."""

    name: str
    model: type[BaseModel]
    key: str = "id"
    many: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.yaml"


AGENT = Kind("agent", Agent, key="name", many=False)
SCENARIO = Kind("scenario", Scenario, many=False)
LISTS = (
    Kind("rules", Rule),
    Kind("relationships", Relationship, key=""),
    Kind("templates", Template),
    Kind("fields", InterlocutorField, key="name"),
    Kind("glossary", GlossaryTerm, key="term"),
    Kind("intents", Intent),
    Kind("variables", Variable, key="name"),
    Kind("tools", Tool),
    Kind("habits", Habit, key=""),
)
SUBFOLDERS = ("scenarios", "knowledge")

MAIN_KEYS: dict[type[BaseModel], str] = {
    Requirement: "field", ToolBinding: "tool", Transition: "to", EnforcerUse: "use",
}
"""The key that a lone word stands for: `tools: [lookup]` is `tools: [{tool: lookup}]`."""


@dataclass(frozen=True)
class Shape:
    """What a key takes, as far as short forms and messages need it."""

    is_list: bool
    model: type[BaseModel] | None
    words: tuple[str, ...]


@cache
def shapes(model: type[BaseModel]) -> dict[str, Shape]:
    """Key (as authors write it) to what it takes."""
    return {info.alias or name: _shape(info.annotation) for name, info in model.model_fields.items()}


def _shape(annotation: Any) -> Shape:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [_shape(option) for option in get_args(annotation)]
        return Shape(any(shape.is_list for shape in inner), next((shape.model for shape in inner if shape.model), None),
                     tuple(word for shape in inner for word in shape.words))
    if origin is tuple:
        item = _shape(get_args(annotation)[0])
        return Shape(True, item.model, item.words)
    if origin is Literal:
        return Shape(False, None, tuple(word for word in get_args(annotation) if isinstance(word, str)))
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return Shape(False, annotation if is_model else None, ())
