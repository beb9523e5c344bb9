"""How conversations go from one version of an agent's scenarios to another."""

from __future__ import annotations

from typing import Literal

from ruche.storage.model.conversation import Struct

MoveKind = Literal["graft", "gap_fill", "re_route", "relocate", "exit"]
PlanState = Literal["pending", "approved", "rejected", "deployed", "superseded"]


class StepMove(Struct, frozen=True, kw_only=True):
    """What becomes of a conversation that stands at a step of the earlier version.

    `graft`: it goes on at `to`. `gap_fill`: what the later version asks before `to` is made up for. `re_route`: the way
    to `to` divides anew, so it is found again. `relocate`: the step is gone, the last one that still exists is taken.
    `exit`: there is nowhere to go on.
    """

    to: str = ""
    kind: MoveKind
    inserted: tuple[str, ...] = ()
    """Steps that are new before `to`."""
    removed: tuple[str, ...] = ()
    """Steps of the earlier version before it that are gone."""
    forks: tuple[str, ...] = ()
    """Steps before `to` whose transitions changed."""
    ahead: bool = False
    """True when something after `to` changed."""
    why: str = ""


class StepPolicy(Struct, frozen=True, kw_only=True):
    """What an operator wants instead of the plan's move, for conversations at one step (`*`: at any)."""

    step: str
    action: Literal["automatic", "stay", "restart", "exit"] = "automatic"
    """`stay`: at the step itself, without making up for anything."""
    channels: tuple[str, ...] = ()
    """Only on these; empty for all."""
    older_than_s: int = 0
    """Only sessions that began longer ago, in seconds."""


class ScenarioChange(Struct, frozen=True, kw_only=True):
    """One scenario between two versions; only what its conversations must know."""

    scenario: str
    steps: dict[str, StepMove]
    """By step of the earlier version."""
    altered: tuple[str, ...] = ()
    """Steps of the later version that existed before and lead elsewhere now."""
    policies: tuple[StepPolicy, ...] = ()


class Changes(Struct, frozen=True, kw_only=True):
    """All scenarios that differ in more than wording."""

    scenarios: tuple[ScenarioChange, ...] = ()


class MigrationPlan(Struct, frozen=True, kw_only=True):
    """A reviewed way from one version to the next. `target` is the later version's bundle, published when deployed."""

    id: str
    agent: str
    from_version: int
    to_hash: str
    target: bytes
    created_ms: int
    state: PlanState = "pending"
    changes: tuple[ScenarioChange, ...] = ()
    warnings: tuple[str, ...] = ()
    by: str = ""
    """Who decided last."""
    decided_ms: int = 0
    note: str = ""
    deployed_version: int = 0
