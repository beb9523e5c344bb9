"""What an agent may know: fields of its interlocutor, and variables that tools resolve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Name

FieldType = Literal["string", "email", "phone", "date", "time", "number", "money", "boolean", "iban", "card",
                    "json"]


class InterlocutorField(Authored):
    """Something that an agent may know about its interlocutor."""

    name: Name = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    type: FieldType = "string"
    description: str = ""
    ask: str | None = None
    scope: Literal["IDENTITY", "BUSINESS", "CASE", "SESSION"] = "IDENTITY"
    persist: bool = True
    pii: bool = False
    encrypted: bool = True
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    examples: tuple[str, ...] = ()
    validation: Literal["strict", "warn", "disabled"] = "strict"
    retention_days: int | None = Field(default=None, ge=1)
    freshness_seconds: int | None = Field(default=None, ge=1)
    verify: Name | None = None
    """The tool that says whether a value is right: a lone truth value, or `valid` in its result."""


class Variable(Authored):
    """A value that a tool resolves; `policy` says when it is refreshed. `default` stands while there is no other."""

    name: Name = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    tool: Name | None = None
    default: bool | int | float | str | None = None
    policy: Literal["ON_EACH_TURN", "ON_DEMAND", "ON_SCENARIO_ENTRY", "ON_SESSION_START"] = "ON_DEMAND"
    cache_seconds: int = Field(default=0, ge=0)
    shown: bool = False
    """Whether a model that filters rules sees its value, so that a condition may be about it."""
