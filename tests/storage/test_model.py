"""Through thousands of random steps, restarts and lost tables included, the store says what a simple model says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ruche.storage.datafiles import Limits
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.record import Accepted, DeadLettered, ProfileSaved, SessionSaved
from ruche.storage.store import Store
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, profile, session_key

TENANTS, PEOPLE = st.sampled_from(["acme", "other"]), st.sampled_from(["ada", "bob"])
LIMITS = Limits(checkpoint_bytes=8_000, snapshot_bytes=20_000, segment_bytes=5_000)
Owner = tuple[str, str]
MEMORY = Path("/dev/shm")
"""What is synced is not what is tested here; on a disk most of the time would go into it."""


class StoreAndModel(RuleBasedStateMachine):
    """The model is a few dictionaries: what each tenant should be told."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ruche-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.touched: Owner | None = None
        """Whom the last step was about; None when it was about all."""
        self.talks: dict[Owner, list[Conversation]] = {}
        self.waiting: dict[tuple[str, str], Accepted] = {}
        self.requests: dict[tuple[str, str, str], Any] = {}
        self.profiles: dict[Owner, Any] = {}
        self.runs: dict[str, list[str]] = {"acme": [], "other": []}
        self.count = self.begun = 0

    @initialize()
    def begin(self) -> None:
        self.store = self.opened()

    def opened(self) -> Store:
        return Store.open(self.folder / "data", StaticKey(), reserve_bytes=0, limits=LIMITS)

    def number(self) -> int:
        self.count += 1
        return self.count

    def talk(self, owner: Owner) -> Conversation:
        self.touched = owner
        talks = self.talks.setdefault(owner, [])
        if not talks or talks[-1].state.closed_ms is not None:
            number = self.number()
            talks.append(Conversation(f"s{number:04d}", session_key(*owner), created_ms=NOW_MS + number))
        return talks[-1]

    @rule(tenant=TENANTS, person=PEOPLE, keyed=st.booleans())
    def accept(self, tenant: str, person: str, keyed: bool) -> None:
        number, talk = self.number(), self.talk((tenant, person))
        record = accepted(f"m{number}", key=talk.key, session=talk.state.id, fingerprint="f",
                          idempotency_key=f"k{number}" if keyed else None)
        self.store.append([record])
        self.waiting[tenant, f"m{number}"] = record
        if keyed:
            self.requests[tenant, person, f"k{number}"] = ("f", f"m{number}", talk.state.id, None)

    @rule(tenant=TENANTS, person=PEOPLE, words=st.text(max_size=20), known=st.booleans())
    def answer(self, tenant: str, person: str, words: str, known: bool) -> None:
        talk = self.talk((tenant, person))
        answered = tuple(message for (owner, message), one in self.waiting.items()
                         if owner == tenant and one.session_id == talk.state.id)
        kept = profile(person, tenant, word=words) if known else None
        record = talk.turn(words, words[::-1], answered=answered, profile=kept, run_id=f"r{self.number():05d}")
        self.store.append([record])
        self.runs[tenant].append(record.run.id)
        if kept is not None:
            self.profiles[tenant, person] = kept
        for message in answered:
            key = self.waiting.pop((tenant, message)).message.idempotency_key
            if key is not None:
                self.requests[tenant, person, key] = ("f", message, talk.state.id, record.run.id)

    @rule(tenant=TENANTS, person=PEOPLE)
    def close_session(self, tenant: str, person: str) -> None:
        talk = self.talk((tenant, person))
        talk.state = msgspec.structs.replace(talk.state, closed_ms=NOW_MS)
        self.store.append([SessionSaved(tenant=tenant, at_ms=NOW_MS, session=talk.state)])

    @rule(tenant=TENANTS, person=PEOPLE, word=st.text(max_size=10))
    def learn(self, tenant: str, person: str, word: str) -> None:
        self.touched = (tenant, person)
        self.profiles[tenant, person] = profile(person, tenant, word=word)
        self.store.append([ProfileSaved(tenant=tenant, at_ms=NOW_MS, profile=self.profiles[tenant, person])])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        tenant, message = data.draw(st.sampled_from(sorted(self.waiting)))
        record = self.waiting.pop((tenant, message))
        self.touched = (tenant, record.key.interlocutor)
        self.store.append([DeadLettered(tenant=tenant, at_ms=NOW_MS, key=record.key, message=record.message,
                                        reason="gave up")])
        self.requests.pop((tenant, record.key.interlocutor, record.message.idempotency_key or ""), None)

    @rule()
    def apply(self) -> None:
        self.store.apply()
        self.touched = None

    @precondition(lambda self: self.count - self.begun >= 6)
    @rule(how=st.sampled_from(["restart", "crash", "lose tables", "crash and lose tables"]))
    def begin_again(self, how: str) -> None:
        """Everything is looked at again afterwards, as after `apply`; else what a step may have changed."""
        if "crash" in how:
            self.crash()
        else:
            self.store.close()
        if "tables" in how:
            (self.folder / "data" / "tables.duckdb").unlink(missing_ok=True)
        self.store, self.begun = self.opened(), self.count
        self.touched = None

    def crash(self) -> None:
        """What a kill leaves is a copy of the files as they are."""
        copy = self.folder / f"copy{self.number()}"
        shutil.copytree(self.folder / "data", copy)
        self.store.close()
        shutil.rmtree(self.folder / "data")
        copy.rename(self.folder / "data")

    @invariant()
    def says_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        assert [(one.tenant, one.message.id) for one in self.store.unanswered()] == list(self.waiting)
        if self.touched is not None:
            self._check(*self.touched)
            return
        for tenant in ("acme", "other"):
            for person in ("ada", "bob"):
                self._check(tenant, person)
            self._check_all(tenant)

    def _check(self, tenant: str, person: str) -> None:
        """The person's profile and sessions, and the last session in all its parts."""
        view = self.store.tenant(tenant)
        assert view.profile(person) == self.profiles.get((tenant, person))
        states = [talk.state for talk in self.talks.get((tenant, person), []) if _is_kept(talk.state)]
        assert view.session(session_key(tenant, person)) == (states[-1] if states else None)
        for state in states[-1:]:
            assert view.verify_session(state.id) == (state.id, state.turn_count, ())
            assert [one.seq for one in view.events(state.id)] == list(range(1, state.turn_count + 1))

    def _check_all(self, tenant: str) -> None:
        view = self.store.tenant(tenant)
        assert {run.id for run in view.runs(limit=10_000).items} == set(self.runs[tenant])
        for person in ("ada", "bob"):
            states = [talk.state for talk in self.talks.get((tenant, person), []) if _is_kept(talk.state)]
            assert list(view.sessions(interlocutor=person, limit=100).items) == states[::-1]
            for state in states[:-1]:
                assert view.verify_session(state.id) == (state.id, state.turn_count, ())
        for (owner, person, key), expected in self.requests.items():
            if owner == tenant:
                assert view.idempotent(person, key) == expected

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self.folder)


def _is_kept(state: SessionState) -> bool:
    """A session exists in the store from its first turn or its closing on."""
    return state.turn_count > 0 or state.closed_ms is not None


class TestStoreAndModel(StoreAndModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=5, stateful_step_count=25, deadline=None,
                        suppress_health_check=list(HealthCheck))


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestStoreAndModelForLong(StoreAndModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=200, stateful_step_count=50, deadline=None,
                        suppress_health_check=list(HealthCheck))
