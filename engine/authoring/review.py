"""The gate before a new version where conversations run: what moves them goes live through an approved plan alone.

The version that serves decides whether there is a gate, so that no version can let itself in. Going back to an earlier
version passes: that is how harm is ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from ruche.engine.authoring.migration import changes_between
from ruche.engine.authoring.publish import bundle_hash
from ruche.plugins.errors import Conflict
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.migration import MigrationPlan
from ruche.storage.model.record import AgentPublished


class ReviewNeeded(Conflict):
    """The version moves running conversations, and nobody has approved how."""

    code = "REVIEW_NEEDED"


def refuse_unreviewed(bundle: AgentBundle, latest: AgentPublished | None, plans: Iterable[MigrationPlan]) -> None:
    """Raises ReviewNeeded, with what is to be done next, for a version that may not follow `latest` yet."""
    if latest is None or latest.retired:
        return
    serving = AgentBundle.model_validate_json(latest.bundle)
    moved = [change.scenario for change in changes_between(serving, bundle).scenarios] if serving.agent.review else []
    if not moved:
        return
    digest = bundle_hash(bundle)
    fitting = [plan for plan in plans if plan.to_hash == digest and plan.from_version == latest.version]
    if not any(plan.state == "deployed" for plan in fitting):
        raise ReviewNeeded(f"this moves conversations in {', '.join(moved)}, and {bundle.id} asks for a review: "
                           f"{_next(fitting)}", scenarios=moved)


def _next(plans: list[MigrationPlan]) -> str:
    for state, step in (("approved", "deploy"), ("pending", "approve")):
        found = next((plan for plan in plans if plan.state == state), None)
        if found is not None:
            return f"{step} plan {found.id}"
    return "make a plan, have it approved and deploy it (ruche migration plan)"
