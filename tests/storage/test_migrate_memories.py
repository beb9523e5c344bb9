"""A tree of another program's memories is brought in whole and sealed, and goes with its person or its age."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruche.storage.foreign_episodes import EpisodeTree
from ruche.storage.migrate import migrate
from ruche.storage.times import milliseconds
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS
from tests.storage.test_migrate import written

DAY = 86_400_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    for number in range(4):
        written(folder / "episodes" / f"{number}.json", {
            "episode_id": f"e{number}", "timestamp": f"2025-07-0{number + 1}T10:00:00Z", "human_participant": "ada",
            "decision_question": f"canary-question {number}", "key_insights": ["patience"], "is_sacred": number == 1})
    written(folder / "episodes" / "2025" / "deep.json", {"episode_id": "deep", "timestamp": 1_751_000_000})
    written(folder / "clusters" / "c.json", {"cluster_id": "c1", "latest_memory": "2025-07-04T10:00:00Z",
                                             "memory_ids": ["e1", "e2"]})
    written(folder / "wisdom" / "w.json", {"consolidation_id": "w1", "created_at": "2025-07-05T10:00:00+02:00"})
    written(folder / "companions" / "p.json", {"companion_id": "p1", "human_identifier": "ada",
                                               "last_interaction": "2025-07-05T10:00:00Z"})
    return folder


def test_a_tree_of_memories_comes_in_sealed_and_whole(open_store: Opener, tmp_path: Path, tree: Path) -> None:
    store = open_store()
    report = migrate(EpisodeTree(tree, "acme"), store, "acme")
    assert report.ok
    assert report.imported == {"episode": 5, "cluster": 1, "wisdom": 1, "companion": 1}
    assert report.verified == 8
    view = store.tenant("acme")
    kept = view.episode("episode", "e1")
    assert kept is not None
    assert json.loads(kept.body) == json.loads((tree / "episodes" / "1.json").read_text())
    assert [one.id for one in view.episodes(kind="episode", interlocutor="ada").items] == ["e3", "e2", "e1", "e0"]
    assert store.tenant("other").episode("episode", "e1") is None
    assert store.tenant("other").episodes().items == ()
    store.close()
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or b"canary-question" not in path.read_bytes(), path
    assert migrate(EpisodeTree(tree, "acme"), open_store(), "acme").skipped == 8


def test_memories_page_by_day_and_each_comes_once(open_store: Opener, tree: Path) -> None:
    store = open_store()
    migrate(EpisodeTree(tree, "acme"), store, "acme")
    for _ in range(2):
        seen, cursor = list[str](), None
        while True:
            page = store.tenant("acme").episodes(limit=3, cursor=cursor)
            seen += [f"{one.kind} {one.id}" for one in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 8
        store.apply()


def test_memories_go_with_their_person_and_through_a_user_hash_rotation(open_store: Opener, tree: Path) -> None:
    store = open_store()
    migrate(EpisodeTree(tree, "acme"), store, "acme")
    store.keys.rotate("users")
    store.keys.finish()
    assert len(store.tenant("acme").episodes(interlocutor="ada").items) == 5
    store.audit.erase("acme", "ada", reason="asked", by="officer", at_ms=NOW_MS)
    assert store.tenant("acme").episode("episode", "e1") is None
    assert {one.kind for one in store.tenant("acme").episodes().items} == {"episode", "cluster", "wisdom"}


def test_memories_go_by_their_own_age_and_never_a_day_too_early(open_store: Opener, tree: Path) -> None:
    store = open_store()
    migrate(EpisodeTree(tree, "acme"), store, "acme")
    ends = milliseconds("2025-07-02T10:00:00Z")  # of the second day, of which only the bucket is in clear
    assert store.audit.retain({"episodes": 1}, ends + DAY).rows == {"episodes": 2}
    assert store.tenant("acme").episode("episode", "e1") is not None
    assert store.tenant("acme").episode("episode", "e0") is None


def test_a_memory_without_id_or_time_or_of_a_changed_content_is_told(open_store: Opener, tree: Path) -> None:
    store = open_store()
    migrate(EpisodeTree(tree, "acme"), store, "acme")
    written(tree / "episodes" / "x.json", {"timestamp": "2025-07-01T10:00:00Z"})
    written(tree / "episodes" / "y.json", {"episode_id": "y"})
    written(tree / "episodes" / "z.json", {"episode_id": "z", "timestamp": "yesterday"})
    written(tree / "wisdom" / "w.json", {"consolidation_id": "w1", "created_at": "2025-07-06T10:00:00Z"})
    report = migrate(EpisodeTree(tree, "acme"), store, "acme")
    assert [one.file for one in report.problems] == ["x.json", "y.json", "z.json"]
    assert report.conflicts == ("wisdom w1",)
