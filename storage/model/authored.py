"""The base of everything that an author writes, and the names for what it holds.

The YAML keys `if` and `from` are Python keywords and carry an underscore here. `if_` is always natural language,
`when` always an expression.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Name = str
Expression = str


class Authored(BaseModel):
    """A frozen part of an agent; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
