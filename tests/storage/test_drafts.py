"""Drafts of agents: kept beside the versions, never one of them."""

from __future__ import annotations

from ruche.storage.model.record import AgentPublished, DraftSaved
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS


def draft(revision: int, bundle: bytes | None = b"{}", agent: str = "desk") -> DraftSaved:
    return DraftSaved(tenant="acme", at_ms=NOW_MS, agent=agent, revision=revision, bundle=bundle, by="ann")


def version(number: int, tenant: str = "acme", *, ends_draft: bool = False) -> AgentPublished:
    return AgentPublished(tenant=tenant, at_ms=NOW_MS, agent="desk", version=number, hash="h", bundle=b"{}",
                          source="api", ends_draft=ends_draft)


def test_a_draft_is_no_version_and_is_found_again_after_a_restart(open_store: Opener) -> None:
    store = open_store()
    store.append([draft(1), draft(2), draft(1, agent="shop")])
    for _ in range(2):
        acme = store.tenant("acme")
        assert acme.draft("desk") == draft(2)
        assert [one.agent for one in acme.drafts()] == ["desk", "shop"]
        assert (acme.agent("desk"), acme.agent("desk", 0), acme.agents()) == (None, None, [])
        assert (store.tenant("other").draft("desk"), store.all_agents()) == (None, [])
        store.apply()
        store.close()
        store = open_store()


def test_publishing_a_draft_ends_it_and_publishing_something_else_does_not(open_store: Opener) -> None:
    store = open_store()
    store.append([draft(1)])
    store.append([version(1)])
    assert store.tenant("acme").draft("desk") == draft(1)
    store.append([version(2, ends_draft=True)])
    assert store.tenant("acme").draft("desk") is None
    assert [one.version for one in store.tenant("acme").agents()] == [2]


def test_a_draft_that_is_thrown_away_leaves_nothing(open_store: Opener) -> None:
    store = open_store()
    store.append([draft(1), draft(2, None)])
    assert store.tenant("acme").drafts() == []


def test_the_store_lists_the_newest_version_of_every_tenants_agents(open_store: Opener) -> None:
    store = open_store()
    store.append([version(1), version(2), version(1, tenant="rival"), draft(1, agent="shop")])
    assert [(one.tenant, one.version) for one in store.all_agents()] == [("acme", 2), ("rival", 1)]
    store.apply()
    store.append([version(3)])
    assert [(one.tenant, one.version) for one in store.all_agents()] == [("acme", 3), ("rival", 1)]
