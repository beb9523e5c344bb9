"""Tools that an author lends to an agent, and where rules and steps call them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Expression, Name


class ToolBinding(Authored):
    """A tool that a rule or a step calls, and the moment in the step at which it is called."""

    tool: Name
    when: Literal["BEFORE", "DURING", "AFTER"] = "DURING"
    requires: tuple[Name, ...] = ()
    depends_on: tuple[Name, ...] = ()


class Tool(Authored):
    """A function the engine may call for the author, in Python (`file.py:function`) or over HTTP."""

    id: Name
    description: str = ""
    python: str | None = None
    http: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    allow_private: bool = False
    arguments: dict[str, Expression] = Field(default_factory=dict)
    """Parameter name to expression over known fields; a parameter that is not listed takes the field of its name."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """A JSON Schema of type object; its `required` names gate the call."""
    outputs: dict[str, Name] = Field(default_factory=dict)
    """Field or session variable to key of the result (dots descend)."""
    verifies: tuple[Name, ...] = ()
    """Fields whose values are proven once it has succeeded; by `valid` in its result, where that is there."""
    policy: Literal["PURE", "IDEMPOTENT", "COMPENSATABLE", "IRREVERSIBLE"] = "PURE"
    compensation: Name | None = None
    confirm: str | None = None
    timeout_ms: int = Field(default=5000, ge=1, le=60_000)
