"""Long conversations that leave a store with segments, snapshots and days, and whether all of it is there."""

from __future__ import annotations

from ruche.storage.datafiles import Limits
from ruche.storage.store import Store
from tests.storage.contents import advisory
from tests.storage.records import NOW_MS, Conversation, accepted, profile, session_key

SMALL = Limits(checkpoint_bytes=20_000, snapshot_bytes=60_000, segment_bytes=10_000)


def long_talk(store: Store, turns: int = 150) -> list[Conversation]:
    """Three conversations over three days, with everything applied now and then."""
    talks = [Conversation(f"s{number}", created_ms=NOW_MS + number * 86_400_000) for number in range(3)]
    for turn in range(turns):
        talk = talks[turn % 3]
        store.append([accepted(f"m{turn}", idempotency_key=f"k{turn}", session=talk.state.id),
                      talk.turn(f"said {turn}", f"reply {turn}", answered=(f"m{turn}",), profile=profile(n=str(turn)))])
        if turn % 10 == 9:
            store.apply()
    return talks


def is_whole(store: Store, talks: list[Conversation], turns: int = 150) -> None:
    view = store.tenant("acme")
    for talk in talks:
        assert view.session_by_id(talk.state.id) == talk.state
        assert view.verify_session(talk.state.id) == (talk.state.id, turns // 3, ())
        assert len(view.events(talk.state.id)) == turns // 3
    assert len(view.runs(limit=1000).items) == turns
    assert all(view.idempotent("ada", f"k{number}") for number in range(turns))
    assert view.profile("ada") == profile(n=str(turns - 1))
    assert store.unanswered() == []


def talk_a_lot(store: Store, turns: int = 20) -> list[Conversation]:
    """Two tenants, four sessions, runs and advisories, applied now and then."""
    talks = [Conversation(f"{tenant}-{number}", session_key(tenant=tenant, person=f"p{number}"),
                          created_ms=NOW_MS + number * 86_400_000)
             for tenant in ("acme", "rival") for number in range(2)]
    for turn in range(turns):
        for talk in talks:
            store.append([accepted(f"m{turn}-{talk.state.id}", key=talk.key, session=talk.state.id), talk.turn()])
        if turn % 3 == 0:
            store.append([advisory(turn, run=f"acme-0-t{turn:05d}")])
        if turn % 7 == 0:
            store.apply()
    return talks
