"""What names an agent's version: the hash of what its author wrote, and of nothing that an engine adds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine import Engine
from ruche.engine.authoring.publish import bundle_hash, next_version
from ruche.engine.replay import load, replay
from ruche.plugins.enforcers import built_in
from ruche.storage.model.bundle import AgentBundle, canonical_bundle
from ruche.storage.model.record import AgentPublished
from ruche.storage.model.rule import Rule
from ruche.storage.model.run import canonical
from tests.brain.agents import taxi
from tests.brain.talk import bundle


def spelled_out(agent: AgentBundle, version: int = 1) -> AgentPublished:
    """The version as an engine published it that wrote every default."""
    body = canonical(agent.model_dump(mode="json", by_alias=True))
    return AgentPublished(tenant=agent.tenant, at_ms=1, agent=agent.id, version=version, bundle=body,
                          hash=hashlib.sha256(body).hexdigest())


def test_a_key_with_its_default_is_not_part_of_the_hash() -> None:
    plain, written = bundle(), bundle(agent={"timezone": "UTC", "handoff": {"enabled": False}})
    assert bundle_hash(plain) == bundle_hash(written)
    assert b"timezone" not in canonical_bundle(written)


def test_a_version_that_was_published_with_all_defaults_is_not_published_again() -> None:
    agent = taxi()
    before = spelled_out(agent, version=4)
    assert before.bundle != canonical_bundle(agent)
    assert next_version(agent, before, 2) is None
    changed = next_version(taxi(agent={"persona": "brief"}), before, 2)
    assert changed is not None
    assert changed.version == 5


@given(st.fixed_dictionaries({}, optional={
    "priority": st.sampled_from([0, 1, -100]), "cooldown": st.sampled_from([0, 2]), "hard": st.booleans(),
    "examples": st.sampled_from([[], ["a"]]), "effect": st.sampled_from(["ANSWER", "REFUSE"])}))
def test_what_is_written_and_read_back_is_the_same_rule(parts: dict[str, Any]) -> None:
    agent = bundle(rules=[{"id": "r", "if": "somebody asks", "then": "Yes.", **parts}])
    again = AgentBundle.model_validate(json.loads(canonical_bundle(agent)))
    assert again == agent
    assert again.rules == (Rule.model_validate({"id": "r", "if": "somebody asks", "then": "Yes.", **parts}),)


@pytest.mark.anyio
async def test_a_turn_of_a_version_with_all_defaults_is_replayed_with_the_hash_it_was_made_with(
        tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n", encoding="utf-8")
    async with Engine.open(tmp_path / "data") as engine:
        host = engine._host
        before = spelled_out(bundle())
        await host.scribe.commit(before)
        published = await host.catalog.publish(bundle())
        assert (published.version, published.hash) == (1, before.hash)
        turn = await engine.chat(agent="desk", user="ada", message="hello", channel="api")
        run = await engine.run("default", turn.turn_id)
        assert run.hashes.configuration == before.hash
        recorded = await host.scribe.read(lambda store: load(store.tenant("default"), turn.turn_id))
    assert (await replay(recorded, built_in())).difference is None
