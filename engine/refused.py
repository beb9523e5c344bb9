"""Why a setting is refused, in words that somebody who does not know the validator can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ruche.engine.authoring.problem import suggest

_WANTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text", "tuple": "a list",
           "path": "a path", "model": "a section with settings below it", "dict": "a section with settings below it"}
"""By the beginning of the validator's code."""
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le"),
           "greater_than": ("more than", "gt"), "less_than": ("less than", "lt")}

_MEANT = "did you mean "


def refusal(settings: type[BaseModel], error: ValidationError, environment: Mapping[str, str]) -> str:
    """One sentence with the setting's name and what to write instead. What stood there is not repeated: it may be a
    secret in the wrong place."""
    details = error.errors(include_url=False, include_input=False)
    detail = next((one for one in details if one["type"] == "extra_forbidden"), details[0])
    place = [str(part) for part in detail["loc"]]
    variable = f"RUCHE_{'__'.join(place).upper()}"
    where = ".".join(place) + (f" (the variable {variable})" if variable in environment else "")
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {where}; {_nearest(settings, place)}"
    if detail["type"] == "missing":
        return f"setting {where} is required"
    return f"setting {where}: {_worded(detail)}"


def _worded(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        side, limit = _BOUNDS[kind]
        return f"{side} {context[limit]:g} is wanted here"
    if kind == "literal_error":
        return f"one of {context['expected']} is wanted here"
    wanted = _WANTED.get(kind.partition("_")[0])
    return f"{wanted} is wanted here" if wanted else detail["msg"]


def _nearest(settings: type[BaseModel], place: list[str]) -> str:
    """A name like it in the same section, else the nearest of any section, else what the section takes."""
    section, above = _section(settings, place[:-1])
    own = suggest(place[-1], section.model_fields)
    if own.startswith(_MEANT):
        return own.replace(_MEANT, f"{_MEANT}{above}")
    leaves: dict[str, list[str]] = {}
    for name in every_setting(settings):
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    found = suggest(place[-1], leaves)
    near = leaves.get(found.removeprefix(_MEANT).removesuffix("?"), [])
    return f"{_MEANT}{' or '.join(near)}?" if near else own


def _section(settings: type[BaseModel], place: list[str]) -> tuple[type[BaseModel], str]:
    """The innermost section of a place, and the prefix of its settings."""
    for part in place:
        inner = _model(settings.model_fields[part].annotation) if part in settings.model_fields else None
        settings = inner or settings
    return settings, "".join(f"{part}." for part in place)


def _model(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation holds, be it one or many under names."""
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def every_setting(settings: type[BaseModel], above: str = "") -> Iterator[str]:
    """The name of each, with the sections it stands in: `server.port`."""
    for name, field in settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from every_setting(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"
