"""Rules: if a condition holds, then act so; hard ones are constraints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Expression, Name
from ruche.storage.model.tool import ToolBinding


class EnforcerUse(Authored):
    """A named enforcer with its options, as an alternative to an expression in `enforce`."""

    use: Name
    options: dict[str, Any] = Field(default_factory=dict)


class Rule(Authored):
    """If (natural language) the condition holds and `when` (an expression) is true, then act so.

    A `hard` rule is a constraint: a reply that breaks it is never sent. `cooldown` counts turns, `max_fires` counts
    firings per session (0: no limit).
    """

    id: Name
    if_: str = Field(alias="if", min_length=1)
    then: str = Field(min_length=1)
    examples: tuple[str, ...] = ()
    when: Expression | None = None
    scope: Literal["GLOBAL", "SCENARIO", "STEP"] = "GLOBAL"
    scope_id: Name | None = None
    """The scenario's id for SCENARIO, `scenario/step` for STEP, none for GLOBAL."""
    priority: int = Field(default=0, ge=-100, le=100)
    enabled: bool = True
    hard: bool = False
    enforce: Expression | EnforcerUse | None = None
    requires: tuple[Name, ...] = ()
    extract: dict[Name, str] = Field(default_factory=dict)
    """Facts of the reply that `enforce` reads and no pattern finds: name to what it is, for a model to look for."""
    tools: tuple[ToolBinding, ...] = ()
    templates: tuple[Name, ...] = ()
    cooldown: int = Field(default=0, ge=0)
    max_fires: int = Field(default=0, ge=0)
    effect: Literal["ANSWER", "REFUSE", "ESCALATE", "HANDOFF"] = "ANSWER"
    topic: str = ""
    """What the rule is about, as it is named where the agent asks which of two is meant."""
    must_include: tuple[str, ...] = ()
    must_avoid: tuple[str, ...] = ()
    """What a reply that the rule is applied to should and should not hold. Guidance: only `enforce` stops a reply."""


class Relationship(Authored):
    """An edge from a rule, a scenario or a step (`scenario/step`) to a rule or a scenario."""

    source: Name
    kind: Literal["depends_on", "implies", "excludes", "specializes", "related"]
    target: Name
