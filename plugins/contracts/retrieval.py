"""What of an agent a message resembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Struct


class Hit(Struct, frozen=True, kw_only=True):
    """One retrieved item. Scores are rounded to 1e-4; `score` is the hybrid one."""

    id: str
    score: float
    vector: float = 0.0
    lexical: float = 0.0


ItemKind = Literal["rule", "intent", "scenario", "transition", "knowledge"]


class Hits(Struct, frozen=True, kw_only=True):
    """Candidates per kind, best first: score descending, id ascending. Transition ids are `scenario/step>to`."""

    rules: tuple[Hit, ...] = ()
    intents: tuple[Hit, ...] = ()
    scenarios: tuple[Hit, ...] = ()
    transitions: tuple[Hit, ...] = ()
    knowledge: tuple[Hit, ...] = ()
    options: tuple[Hit, ...] = ()
    """Values of fields, `field=value`, for the fields that were asked about."""
    several: bool = False
    """Each rule was decided for itself, so that all that reach the threshold are meant together."""
    repaired: tuple[tuple[str, str], ...] = ()
    """(as written, as read) of the words whose spelling was repaired before anything was compared."""


class Retrieval(Protocol):
    """The retriever as the brain sees it; indexes are per agent version and never shared between tenants."""

    async def prepare(self, bundle: AgentBundle, version: int, *, taught: bytes = b"") -> bytes:
        """Build the agent's indexes; called at publish and at start.

        The answer is what the agent's examples taught, to be kept with the version and given back as `taught`: what was
        fitted to the same data is not fitted again.
        """

    async def retrieve(self, tenant: str, agent: str, version: int, text: str, limit: int = 30,
                       scopes: Sequence[str] | None = None) -> Hits:
        """At most `limit` hits per kind.

        With `scopes` (ids of scenarios and `scenario/step`), rules of other scopes and transitions of other steps are
        left out before the cut, so that they cannot crowd out those that count. `field/NAME` asks for the options of
        a field; without it there are none.
        """
