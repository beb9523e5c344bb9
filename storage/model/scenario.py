"""Scenarios: graphs of steps, and what they cannot do without."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Expression, Name
from ruche.storage.model.tool import ToolBinding


class Transition(Authored):
    """An edge to another step; `if_` is compared by meaning, `when` is evaluated. Without either it always holds.

    `reopen` names fields whose values are forgotten on the way, so that they are asked for anew.
    """

    to: Name
    if_: str | None = Field(default=None, alias="if")
    when: Expression | None = None
    intent: Name | None = None
    priority: int = 0
    reopen: tuple[Name, ...] = ()


class Requirement(Authored):
    """A field that a scenario or a step cannot do without (HARD) or would like to know (SOFT).

    `fallback` says what happens while it is unknown: ASK for it (a SOFT one once), SKIP the step, BLOCK it (a scenario
    does not begin), or EXTRACT it from what was said earlier, and ask where that gives nothing.
    """

    field: Name
    level: Literal["HARD", "SOFT"] = "HARD"
    fallback: Literal["ASK", "SKIP", "BLOCK", "EXTRACT"] = "ASK"
    when: Expression | None = None
    depends_on: tuple[Name, ...] = ()
    """Fields that must be known before this one matters."""
    order: int = 0
    """Lower ones are asked for first."""


class Step(Authored):
    """One position of a scenario. `say` and `ask` are text with placeholders, or the id of a template."""

    id: Name
    description: str = ""
    say: str | None = None
    ask: str | None = None
    collects: tuple[Name, ...] = ()
    requires: tuple[Name, ...] = ()
    when: Expression | None = None
    tools: tuple[ToolBinding, ...] = ()
    checkpoint: str | bool = False
    """True, or the sentence that describes what becomes irreversible here."""
    confirm: str | None = None
    """A question that must be answered with yes before the step's tools run."""
    can_skip: bool = False
    required_action: bool = False
    reachable_from_anywhere: bool = False
    effect: Literal["ANSWER", "REFUSE", "ESCALATE", "HANDOFF"] = "ANSWER"
    needs: tuple[Requirement, ...] = ()
    scenario: Name | None = None
    """Another scenario that is gone through here; `NAME_outcome` tells how it ended."""
    next: tuple[Transition, ...] = ()

    @property
    def terminal(self) -> bool:
        return not self.next


class Scenario(Authored):
    """A graph of steps with an entry condition; the first step is where it begins unless `start` names another."""

    id: Name
    entry: str = Field(min_length=1)
    description: str = ""
    examples: tuple[str, ...] = ()
    start: Name | None = None
    enabled: bool = True
    version: int = 1
    cancel: tuple[str, ...] = ()
    """Sentences by which the interlocutor leaves the scenario; the shipped ones are always understood."""
    needs: tuple[Requirement, ...] = ()
    """What all of its steps require; with BLOCK, what it does not begin without."""
    steps: tuple[Step, ...]

    @property
    def first(self) -> str:
        return self.start or self.steps[0].id


class Habit(Authored):
    """How often a step followed a moment in logged conversations, and how often that was expected beforehand."""

    scenario: Name
    moment: str
    """The last step, `|`, and what was answered (`yes`, `no`) or what its tool did (`done`, `refused`); else none."""
    step: Name
    times: float = Field(ge=0)
    expected: float = Field(ge=0)
