"""Plans for conversations that run while an agent changes: made, reviewed, deployed, and looked up at their next turn.

A plan compares the version that serves with one that is to take its place. Deploying it publishes that one; each
conversation moves with its own next message. Without a plan they move by themselves, each as its step's change asks.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

from ruche.engine.authoring.migration import changes_between, warnings_of
from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle, canonical_bundle
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.migration import Changes, MigrationPlan, PlanState, StepPolicy
from ruche.storage.model.record import MigrationSaved

if TYPE_CHECKING:
    from ruche.actors.scribe import Scribe
    from ruche.engine.catalog import Catalog, PublishedAgent
    from ruche.storage.tenant import TenantStore

KEPT = 256
"""Pairs of versions whose difference is remembered."""
_FROM: dict[PlanState, tuple[PlanState, ...]] = {
    "approved": ("pending",), "rejected": ("pending", "approved"), "deployed": ("approved",),
    "superseded": ("pending", "approved")}


def make_plan(store: TenantStore, bundle: AgentBundle, at_ms: int, by: str = "") -> MigrationPlan:
    """From the newest published version to `bundle`. Raises NotFound (no version), Conflict (nothing changed)."""
    latest = store.agent(bundle.id)
    if latest is None:
        raise NotFound(f"agent {bundle.id} has no version yet: publish it")
    body = canonical_bundle(bundle)
    digest = hashlib.sha256(body).hexdigest()
    if latest.hash == digest:
        raise Conflict(f"version {latest.version} of {bundle.id} holds this already")
    changes = changes_between(AgentBundle.model_validate_json(latest.bundle), bundle)
    return MigrationPlan(id=f"{latest.version}-{digest[:10]}", agent=bundle.id, from_version=latest.version,
                         to_hash=digest, target=body, created_ms=at_ms, changes=changes.scenarios, by=by,
                         warnings=tuple(warnings_of(changes)))


def find_plan(store: TenantStore, agent: str, plan_id: str) -> MigrationPlan:
    """Raises NotFound."""
    found = store.migration(agent, plan_id)
    if found is None:
        raise NotFound(f"agent {agent} has no plan {plan_id}")
    return found


def decide(plan: MigrationPlan, state: PlanState, *, by: str, at_ms: int, note: str = "") -> MigrationPlan:
    """The plan in another state. Raises Conflict where it cannot come to that."""
    if plan.state not in _FROM.get(state, ()):
        raise Conflict(f"plan {plan.id} is {plan.state}, so it cannot be {state}")
    return replace(plan, state=state, by=by, note=note, decided_ms=at_ms)


def with_policy(plan: MigrationPlan, scenario: str, policy: StepPolicy) -> MigrationPlan:
    """The plan with an operator's wish, and again to be approved. Raises Conflict (decided), InvalidRequest."""
    if plan.state not in ("pending", "approved"):
        raise Conflict(f"plan {plan.id} is {plan.state}: make another")
    change = next((one for one in plan.changes if one.scenario == scenario), None)
    if change is None:
        raise InvalidRequest(f"plan {plan.id} does not change scenario {scenario}")
    if policy.step != "*" and policy.step not in change.steps:
        raise InvalidRequest(f"scenario {scenario} had no step {policy.step}; it had {', '.join(change.steps)}")
    kept = tuple(one for one in change.policies if (one.step, one.channels, one.older_than_s) != (
        policy.step, policy.channels, policy.older_than_s))
    changed = replace(change, policies=(*kept, policy))
    return replace(plan, state="pending",
                   changes=tuple(changed if one is change else one for one in plan.changes))


def deployed(store: TenantStore, plan: MigrationPlan, version: int, *, by: str, at_ms: int) -> list[MigrationPlan]:
    """The plan as deployed, and the others of the agent whose place it takes. Raises Conflict when another version was
    published since."""
    latest = store.agent(plan.agent)
    if latest is not None and latest.version != plan.from_version:
        raise Conflict(f"plan {plan.id} begins at version {plan.from_version}, and {latest.version} serves: make "
                       "another")
    done = replace(decide(plan, "deployed", by=by, at_ms=at_ms), deployed_version=version)
    others = [decide(one, "superseded", by=by, at_ms=at_ms) for one in store.migrations(plan.agent)
              if one.id != plan.id and one.state in ("pending", "approved")]
    return [done, *others]


def summary(store: TenantStore, plan: MigrationPlan) -> dict[str, Any]:
    """What a reviewer reads: each step's move with how many conversations stand there now."""
    standing = Counter((one.scenario, one.step) for state in _running(store, plan.agent)
                       if state.agent_version <= plan.from_version for one in state.scenarios)
    scenarios = [{"scenario": change.scenario, "altered": list(change.altered),
                  "policies": [asdict(policy) for policy in change.policies],
                  "steps": [{"step": name, "conversations": standing[change.scenario, name], **asdict(move)}
                            for name, move in change.steps.items()]} for change in plan.changes]
    affected = sum(standing[change.scenario, name] for change in plan.changes for name in change.steps)
    return {"id": plan.id, "agent": plan.agent, "state": plan.state, "from_version": plan.from_version,
            "to_hash": plan.to_hash, "deployed_version": plan.deployed_version, "by": plan.by, "note": plan.note,
            "conversations": affected, "warnings": list(plan.warnings), "scenarios": scenarios}


def status(store: TenantStore, plan: MigrationPlan) -> dict[str, Any]:
    """How far a deployed plan has come: conversations that have moved, and those whose next message moves them."""
    changed = {change.scenario for change in plan.changes}
    waiting = moved = 0
    for state in _running(store, plan.agent):
        if any(one.scenario in changed for one in state.scenarios):
            behind = not plan.deployed_version or state.agent_version < plan.deployed_version
            waiting, moved = waiting + behind, moved + (not behind)
    return {"id": plan.id, "agent": plan.agent, "state": plan.state, "deployed_version": plan.deployed_version,
            "waiting": waiting, "moved": moved}


def _running(store: TenantStore, agent: str) -> Iterator[SessionState]:
    """Open sessions with scenarios in progress."""
    cursor: str | None = None
    while True:
        page = store.sessions(agent=agent, limit=100, cursor=cursor)
        yield from (state for state in page.items if state.closed_ms is None and state.scenarios)
        cursor = page.next_cursor
        if cursor is None:
            return


class Migrations:
    """Plans of a running engine. Every method takes the tenant it acts for."""

    def __init__(self, scribe: Scribe, catalog: Catalog, installed: Installed, clock_ms: Callable[[], int]) -> None:
        self._scribe, self._catalog, self._installed, self._clock_ms = scribe, catalog, installed, clock_ms
        self._known: OrderedDict[tuple[str, str, int, int], Changes] = OrderedDict()

    async def changes(self, tenant: str, agent: str, then: int, now: int) -> Changes:
        """What a conversation that last spoke with version `then` must know to go on with version `now`: one way,
        however many versions lie between. Nothing where `then` is not kept any more."""
        key = (tenant, agent, then, now)
        if key not in self._known:
            self._known[key] = await self._scribe.read(lambda store: _changes(store.tenant(tenant), agent, then, now))
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    async def plan(self, tenant: str, bundle: AgentBundle, by: str = "") -> MigrationPlan:
        """Make a plan and keep it. Raises NotFound, Conflict, ConfigurationError (a bundle that cannot be used)."""
        CompiledAgent(bundle, 0, self._installed.enforcers)
        made = await self._scribe.read(lambda store: make_plan(store.tenant(tenant), bundle, self._clock_ms(), by))
        return await self._keep(tenant, made)

    async def plans(self, tenant: str, agent: str | None = None) -> list[MigrationPlan]:
        """Newest first."""
        return await self._scribe.read(lambda store: store.tenant(tenant).migrations(agent))

    async def summary(self, tenant: str, agent: str, plan_id: str) -> dict[str, Any]:
        """Raises NotFound."""
        return await self._scribe.read(lambda store: summary(store.tenant(tenant), find_plan(
            store.tenant(tenant), agent, plan_id)))

    async def status(self, tenant: str, agent: str, plan_id: str) -> dict[str, Any]:
        """Raises NotFound."""
        return await self._scribe.read(lambda store: status(store.tenant(tenant), find_plan(
            store.tenant(tenant), agent, plan_id)))

    async def policy(self, tenant: str, agent: str, plan_id: str, scenario: str, policy: StepPolicy) -> MigrationPlan:
        """Raises NotFound, Conflict, InvalidRequest."""
        return await self._keep(tenant, with_policy(await self._find(tenant, agent, plan_id), scenario, policy))

    async def approve(self, tenant: str, agent: str, plan_id: str, *, by: str, note: str = "") -> MigrationPlan:
        """Raises NotFound, Conflict."""
        return await self._decide(tenant, agent, plan_id, "approved", by, note)

    async def reject(self, tenant: str, agent: str, plan_id: str, *, by: str, note: str = "") -> MigrationPlan:
        """Raises NotFound, Conflict."""
        return await self._decide(tenant, agent, plan_id, "rejected", by, note)

    async def deploy(self, tenant: str, agent: str, plan_id: str, *, by: str) -> PublishedAgent:
        """Publish what the plan leads to; conversations move with their next message. Raises NotFound, Conflict."""
        plan = await self._find(tenant, agent, plan_id)
        done = await self._scribe.read(lambda store: deployed(
            store.tenant(tenant), plan, plan.from_version + 1, by=by, at_ms=self._clock_ms()))
        for one in done:
            await self._keep(tenant, one)
        return await self._catalog.publish(AgentBundle.model_validate_json(plan.target), by=by, note=f"plan {plan.id}")

    async def _find(self, tenant: str, agent: str, plan_id: str) -> MigrationPlan:
        return await self._scribe.read(lambda store: find_plan(store.tenant(tenant), agent, plan_id))

    async def _decide(self, tenant: str, agent: str, plan_id: str, state: PlanState, by: str,
                      note: str) -> MigrationPlan:
        plan = await self._find(tenant, agent, plan_id)
        return await self._keep(tenant, decide(plan, state, by=by, note=note, at_ms=self._clock_ms()))

    async def _keep(self, tenant: str, plan: MigrationPlan) -> MigrationPlan:
        await self._scribe.commit(MigrationSaved(tenant=tenant, at_ms=self._clock_ms(), plan=plan))
        return plan


def _changes(store: TenantStore, agent: str, then: int, now: int) -> Changes:
    old, new = store.agent(agent, then), store.agent(agent, now)
    if old is None or new is None:
        return Changes()
    found = changes_between(AgentBundle.model_validate_json(old.bundle), AgentBundle.model_validate_json(new.bundle))
    plan = next((one for one in store.migrations(agent) if one.state == "deployed" and one.to_hash == new.hash), None)
    wishes = {change.scenario: change.policies for change in plan.changes} if plan is not None else {}
    return Changes(scenarios=tuple(replace(change, policies=wishes.get(change.scenario, ()))
                                   for change in found.scenarios))
