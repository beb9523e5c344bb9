"""What was recorded: sessions and runs, what was added to them, proofs, persons and what ends their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ruche.engine.hosted import Hosted, known
from ruche.plugins.errors import InvalidRequest

if TYPE_CHECKING:
    from ruche.engine.filing import Filing
    from ruche.engine.persons import Persons
    from ruche.engine.producing import Produced
    from ruche.engine.replay import Replayed
    from ruche.engine.reviewing import Reviews
    from ruche.engine.subscriptions import Subscriptions
    from ruche.storage.audit import Verification
    from ruche.storage.auditor import Erasure
    from ruche.storage.model.conversation import SessionState
    from ruche.storage.model.handoff import Action
    from ruche.storage.model.record import AdvisoryAdded
    from ruche.storage.model.run import Run
    from ruche.storage.proofs import Head, Proof
    from ruche.storage.secured import Page


class Recorded(Hosted):
    """The part of `Engine` that looks back, and answers for what is kept."""

    async def sessions(self, tenant: str, **filters: Any) -> Page[SessionState]:
        """Newest first; filters `interlocutor` (any name of the person), `agent`, `limit`, `cursor`. Raises
        InvalidRequest (limit), BadCursor."""
        _check_limit(filters)
        names = self._host.linked.names(tenant, filters["interlocutor"]) if filters.get("interlocutor") else ()
        if len(names) > 1:
            filters.update(interlocutor=None, names=names)
        return await self._read(tenant, lambda store: store.sessions(**filters))

    def same_person(self, tenant: str, name: str, other: str) -> bool:
        """Whether two names are one person's."""
        linked = self._host.linked
        return name == other or linked.person(tenant, name) == linked.person(tenant, other)

    async def close_session(self, tenant: str, session_id: str) -> SessionState:
        """Close it once its turns are done; the key's next message begins another. Raises NotFound."""
        from ruche.actors.session import Close
        from ruche.engine.oversight import refuse_leaving

        session = await self.session(tenant, session_id)
        if session.closed_ms is not None:
            return session
        refuse_leaving(self._host, tenant, session.key.interlocutor)
        closed: SessionState = await self._host.sessions.ask(str(session.key), Close(session_id))
        return closed

    async def intervene(self, tenant: str, session_id: str, action: Action, *, by: str, text: str = "",
                        minutes: int | None = None, request_id: str = "", idempotency_key: str = "") -> Run:
        """A person asks for the conversation (`handoff`), takes it over (`takeover`), speaks (`reply`) or gives it back
        (`return`). The agent is silent meanwhile, for `minutes` at most without a word of the person's (0: for ever).

        Raises NotFound (session, or it is closed), Conflict (not in this state), InvalidRequest (text).
        """
        from ruche.engine.handing import intervene

        return await intervene(self._host, tenant, session_id, action, by=by, text=text, minutes=minutes,
                               request_id=request_id, key=idempotency_key)

    async def run(self, tenant: str, run_id: str) -> Run:
        """The record of a turn. Raises NotFound."""
        return known(await self._read(tenant, lambda store: store.run(run_id)), "run")

    async def keep_run(self, tenant: str, made: Produced, request_id: str = "") -> Run:
        """Judge a run of another program by its agent's rules, and keep it. Raises NotFound (agent), SafetyBlocked once
        a run is kept whose risk is RED or UNKNOWN, InvalidRequest, Unavailable, StorageFull."""
        from ruche.engine.producing import keep_run

        return await keep_run(self._host, tenant, made, request_id)

    async def replay(self, tenant: str, run_id: str, version: int | None = None) -> Replayed:
        """Run a recorded turn again from its tape, with another version of its agent where one is given; nothing is
        called, said or kept. Raises NotFound (run, version), Erased."""
        return await self._host.rerunner.replay(tenant, run_id, version)

    async def runs(self, tenant: str, **filters: Any) -> Page[Run]:
        """Newest first; filters as `TenantStore.runs`. Raises InvalidRequest (limit), BadCursor."""
        _check_limit(filters)
        return await self._read(tenant, lambda store: store.runs(**filters))

    async def verify(self, tenant: str, session_id: str) -> Verification:
        """Check a session's chain of runs: no gap, every hash right. Raises NotFound."""
        await self.session(tenant, session_id)
        return await self._read(tenant, lambda store: store.verify_session(session_id))

    async def advisories(self, tenant: str, run_id: str) -> Sequence[AdvisoryAdded]:
        """What was added to a run, in order. Raises NotFound, Erased."""
        from ruche.engine.oversight import advisories_of

        return await advisories_of(self._host, tenant, run_id)

    async def advise(self, tenant: str, run_id: str, **advisory: Any) -> AdvisoryAdded:
        """Add to a run, once: `kind`, `author`, `note`, `subject`. Raises NotFound, Erased, NotAllowed, Conflict."""
        from ruche.engine.oversight import advise

        return await advise(self._host, tenant, run_id, **advisory)

    async def audit_head(self, tenant: str, since: int = 0) -> Head:
        """Where the tenant's audit log stands, signed, and that the log of `since` entries is its beginning."""
        return await self._host.scribe.read(lambda store: store.audit.head(tenant, since))

    async def audit_proof(self, tenant: str, run_id: str) -> Proof:
        """That a run is in the tenant's audit log; holds for an erased run as well. Raises NotFound."""
        return known(await self._host.scribe.read(lambda store: store.audit.proof(tenant, "run", run_id)), "run")

    async def erase(self, tenant: str, interlocutor: str, *, reason: str, by: str) -> Erasure:
        """End a person's sessions and make everything of theirs unreadable for ever. Raises NotFound, Conflict (a legal
        hold), StorageFull."""
        from ruche.engine.oversight import erase

        return await erase(self._host, tenant, interlocutor, reason=reason, by=by)

    async def hold(self, tenant: str, interlocutor: str, *, held: bool, reason: str, by: str) -> None:
        """Place or lift a legal hold: while it stands nothing of the person is erased or dropped for its age."""
        from ruche.engine.oversight import hold

        await hold(self._host, tenant, interlocutor, held=held, reason=reason, by=by)

    async def canonical_run(self, tenant: str, run_id: str) -> bytes:
        """A run in the bytes that its hash is over. Raises NotFound, Erased."""
        return known(await self._read(tenant, lambda store: store.canonical_run(run_id)), "run")

    @property
    def people(self) -> Persons:
        """What is kept of persons: read, set right, handed out."""
        from ruche.engine.persons import Persons

        return Persons(self._host)

    @property
    def reviews(self) -> Reviews:
        """Runs that wait for a person's judgement, verdicts, and explanations."""
        from ruche.engine.reviewing import Reviews

        return Reviews(self._host)

    @property
    def webhooks(self) -> Subscriptions:
        """Addresses that hear of conversations: made, verified, paused, and what became of deliveries."""
        return self._host.subscriptions

    @property
    def memory(self) -> Filing:
        """Memories of persons: texts filed into them, and what is asked of them."""
        from ruche.engine.filing import Filing

        return Filing(self._host)


def _check_limit(filters: dict[str, Any]) -> None:
    limit = filters.get("limit", 1)
    if not isinstance(limit, int) or limit < 1:
        raise InvalidRequest("limit: a whole number from 1", fields=[{"path": "limit", "message": "1 or more"}])
