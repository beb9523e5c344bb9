"""Through thousands of random steps the store says what a simple model says: restarts, crashes, lost tables, erasures,
legal holds and sweeps included."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ruche.storage.auditor import Erasure
from ruche.storage.checkpoints import PublicKey
from ruche.storage.datafiles import Limits
from ruche.storage.errors import Conflict, Erased, NotFound
from ruche.storage.evidence import Evidence
from ruche.storage.model.record import DeadLettered, ProfileSaved, SessionSaved
from ruche.storage.store import Store
from ruche.storage.verifying import Verifier
from tests.storage.expected import DAY_MS, PEOPLE, TENANTS, Expected, Kept, Owner
from tests.storage.records import NOW_MS, StaticKey, accepted, profile

OWNER = {"tenant": st.sampled_from(TENANTS), "person": st.sampled_from(PEOPLE)}
LIMITS = Limits(checkpoint_bytes=8_000, snapshot_bytes=20_000, segment_bytes=5_000)
MEMORY = Path("/dev/shm")
"""What is synced is not what is tested here; on a disk most of the time would go into it."""
REFUSALS: dict[str, type[Exception]] = {"held": Conflict, "unknown": NotFound}


class StoreAndModel(RuleBasedStateMachine):
    """Each step is done to the store and to the model; then they are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ruche-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.touched: Owner | None = None
        """Whom the last step was about; None when it was about all."""
        self.model, self.begun = Expected(), 0

    @initialize()
    def begin(self) -> None:
        self.store = self.opened()

    def opened(self) -> Store:
        return Store.open(self.folder / "data", StaticKey(), reserve_bytes=0, limits=LIMITS)

    # --- saying ----------------------------------------------------------------------------------------------

    @rule(**OWNER, keyed=st.booleans())
    def accept(self, tenant: str, person: str, keyed: bool) -> None:
        model, self.touched = self.model, (tenant, person)
        number, talk = model.number(), model.talk((tenant, person))
        record = accepted(f"m{number}", key=talk.key, session=talk.state.id, fingerprint="f",
                          idempotency_key=f"k{number}" if keyed else None)
        self.store.append([record])
        model.waiting[tenant, f"m{number}"] = record
        if keyed:
            model.requests[tenant, person, f"k{number}"] = ("f", f"m{number}", talk.state.id, None)

    @rule(**OWNER, words=st.text(max_size=20), known=st.booleans())
    def answer(self, tenant: str, person: str, words: str, known: bool) -> None:
        model, self.touched = self.model, (tenant, person)
        run_id = f"r{model.number():05d}"
        talk = model.talk((tenant, person)).now(model.now_ms)
        answered = tuple(message for (owner, message), one in model.waiting.items()
                         if owner == tenant and one.session_id == talk.state.id)
        kept = profile(person, tenant, word=words) if known else None
        record = talk.turn(words, words[::-1], answered=answered, profile=kept, run_id=run_id)
        self.store.append([record])
        model.runs[run_id] = Kept((tenant, person), talk.state.id, record.run.created_ms // DAY_MS)
        if kept is not None:
            model.profiles[tenant, person] = kept
        for message in answered:
            key = model.waiting.pop((tenant, message)).message.idempotency_key
            if key is not None:
                model.requests[tenant, person, key] = ("f", message, talk.state.id, run_id)

    @rule(**OWNER)
    def close_session(self, tenant: str, person: str) -> None:
        self.touched = (tenant, person)
        talk = self.model.talk((tenant, person))
        talk.state = msgspec.structs.replace(talk.state, closed_ms=NOW_MS)
        self.store.append([SessionSaved(tenant=tenant, at_ms=NOW_MS, session=talk.state)])

    @rule(**OWNER, word=st.text(max_size=10))
    def learn(self, tenant: str, person: str, word: str) -> None:
        self.touched = (tenant, person)
        self.model.known.add((tenant, person))
        self.model.profiles[tenant, person] = learned = profile(person, tenant, word=word)
        self.store.append([ProfileSaved(tenant=tenant, at_ms=NOW_MS, profile=learned)])

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        tenant, message = data.draw(st.sampled_from(sorted(self.model.waiting)))
        record = self.model.waiting.pop((tenant, message))
        self.touched = (tenant, record.key.interlocutor)
        self.store.append([DeadLettered(tenant=tenant, at_ms=NOW_MS, key=record.key, message=record.message,
                                        reason="gave up")])
        self.model.requests.pop((tenant, record.key.interlocutor, record.message.idempotency_key or ""), None)

    # --- letting go ------------------------------------------------------------------------------------------

    @rule(**OWNER, held=st.sampled_from([True, True, False]))
    def hold(self, tenant: str, person: str, held: bool) -> None:
        def work() -> None:
            self.store.audit.hold(tenant, person, held=held, reason="case", by="officer", at_ms=NOW_MS)

        self.touched = (tenant, person)
        if (tenant, person) not in self.model.known:
            with pytest.raises(NotFound):
                work()
            return
        work()
        self.model.known.add((tenant, ""))
        (self.model.held.add if held else self.model.held.discard)((tenant, person))

    @rule(**OWNER, crash=st.booleans())
    def erase(self, tenant: str, person: str, crash: bool) -> None:
        self._erase(tenant, [(tenant, person)], crash, lambda at_ms: [
            self.store.audit.erase(tenant, person, reason="asked", by="officer", at_ms=at_ms)])

    @precondition(lambda self: self.model.count - self.begun >= 6)
    @rule(tenant=OWNER["tenant"], crash=st.booleans())
    def erase_everybody(self, tenant: str, crash: bool) -> None:
        self._erase(tenant, [one for one in self.model.known if one[0] == tenant], crash, lambda at_ms:
                    self.store.audit.erase_tenant(tenant, reason="ended", by="officer", at_ms=at_ms))

    def _erase(self, tenant: str, owners: list[Owner], crash: bool, work: Callable[[int], list[Erasure]]) -> None:
        self.model.number()
        self.touched, at_ms, refusal = None, self.model.now_ms, self.model.refusal(tenant, owners)
        if refusal:
            with pytest.raises(REFUSALS[refusal]):
                work(at_ms)
            return
        if crash:
            self._die_in(lambda: work(at_ms))
        else:
            for one in work(at_ms):
                self.model.erasures[one.id] = tenant, at_ms // DAY_MS
        self.model.erase(tenant, owners)

    def _die_in(self, work: Callable[[], object]) -> None:
        """The process dies when the erasure is on record, before it took effect."""
        def dies() -> int:
            raise KeyboardInterrupt

        feed: Any = self.store._feed
        feed.apply_batch = dies
        with pytest.raises(KeyboardInterrupt):
            work()
        self.crash()
        self.start()

    @rule(days=st.integers(1, 3))
    def sweep(self, days: int) -> None:
        self.touched = None
        self.store.audit.retain({"runs": days, "sessions": days}, self.model.now_ms)
        self.model.sweep(self.model.now_ms - days * DAY_MS)

    # --- the process -----------------------------------------------------------------------------------------

    @rule()
    def apply(self) -> None:
        self.store.apply()
        self.touched = None

    @precondition(lambda self: self.model.count - self.begun >= 6)
    @rule(how=st.sampled_from(["restart", "crash", "lose tables", "crash and lose tables"]))
    def begin_again(self, how: str) -> None:
        """Everything is looked at again afterwards, as after `apply`; else what a step may have changed."""
        if "crash" in how:
            self.crash()
        else:
            self.store.close()
        if "tables" in how:
            (self.folder / "data" / "tables.duckdb").unlink(missing_ok=True)
        self.start()

    def crash(self) -> None:
        """What a kill leaves is a copy of the files as they are."""
        copy = self.folder / "copy"
        shutil.copytree(self.folder / "data", copy)
        self.store._feed.__dict__.pop("apply_batch", None)
        self.store.close()
        shutil.rmtree(self.folder / "data")
        copy.rename(self.folder / "data")

    def start(self) -> None:
        """Rows that were swept may be back: they go with the sweep that follows every start, but for what is held."""
        self.store, self.begun, self.touched = self.opened(), self.model.count, None
        self.model.maybe |= {name for name, owner in self.model.swept.items() if owner in self.model.held}
        if self.model.horizon_ms:
            self.store.audit.retain({"runs": 1, "sessions": 1}, self.model.horizon_ms + DAY_MS)
            self.model.sweep(self.model.horizon_ms)

    # --- comparing -------------------------------------------------------------------------------------------

    @invariant()
    def says_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        assert [(one.tenant, one.message.id) for one in self.store.unanswered()] == list(self.model.waiting)
        if self.touched is not None:
            self._check(*self.touched)
            return
        for tenant in TENANTS:
            for person in PEOPLE:
                self._check(tenant, person)
            self._check_all(tenant)

    def _check(self, tenant: str, person: str) -> None:
        """The person's profile and sessions, and the last session in all its parts."""
        view, owner = self.store.tenant(tenant), (tenant, person)
        assert view.profile(person) == self.model.profiles.get(owner)
        assert self.store.audit.is_held(tenant, person) == (owner in self.model.held)
        states = self.model.sessions(owner)
        listed = view.sessions(interlocutor=person, limit=100).items
        assert [one for one in listed if one.id not in self.model.maybe] == states[::-1]
        for state in states[-1:]:
            left = self.model.left(state.id)
            assert view.verify_session(state.id) == (state.id, left, ())
            assert [one.seq for one in view.events(state.id)] == list(range(1, state.turn_count + 1))

    def _check_all(self, tenant: str) -> None:
        view, model = self.store.tenant(tenant), self.model
        assert {run.id for run in view.runs(limit=10_000).items} == model.readable(tenant)
        for person in PEOPLE:
            for state in model.sessions((tenant, person))[:-1]:
                assert view.verify_session(state.id) == (state.id, model.left(state.id), ())
        for (owner, person, key), expected in model.requests.items():
            if owner == tenant:
                assert view.idempotent(person, key) == expected
        self._check_gone(tenant)

    def _check_gone(self, tenant: str) -> None:
        """What was erased says so, proves it, and its chains are whole as far as they can be seen."""
        view, model = self.store.tenant(tenant), self.model
        for name in [name for name, run in model.runs.items() if run.owner[0] == tenant and not run.readable]:
            with pytest.raises(Erased):
                view.run(name)
        for name in [name for name, (owner, _) in model.former.items() if owner[0] == tenant]:
            with pytest.raises(Erased):
                view.session_by_id(name)
            assert view.verify_session(name) == (name, model.left(name), ())
        for name in [name for name, (owner, _) in model.erasures.items() if owner == tenant]:
            keys = [PublicKey.parse(key) for key in self.store.audit.head(tenant).keys]
            assert any(self.store.audit.erasure(tenant, name).proof.holds(key) for key in keys)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.audit.problem == ""
            self.store.close()
            results = Verifier(Evidence(self.folder / "data", StaticKey())).results()
            failed = {one.name: one.faults for one in results if one.status == "fail" and one.name != "configuration"}
            assert failed == {}  # the runs of these tests name a configuration that is not kept
        shutil.rmtree(self.folder)


class TestStoreAndModel(StoreAndModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=5, stateful_step_count=25, deadline=None,
                        suppress_health_check=list(HealthCheck))


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestStoreAndModelForLong(StoreAndModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=200, stateful_step_count=50, deadline=None,
                        suppress_health_check=list(HealthCheck))
