"""Rows are found without an index in the tables: by seats that are remembered beside them, whatever was moved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import filling, register
from ruche.storage.connection import TooLittleMemory
from ruche.storage.errors import Unavailable
from ruche.storage.model.record import ProfileSaved
from ruche.storage.platform import Disk
from ruche.storage.register import Register
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted, profile, session_key
from tests.storage.talks import SMALL

Entries = list[tuple[int, int]]
NUMBERS = st.integers(0, 40) | st.integers(0, (1 << 63) - 1)


def merge(one: Register, living: Callable[[np.ndarray], np.ndarray]) -> None:  # type: ignore[type-arg]
    while crowded := one.crowded():
        one.replace(crowded, one.merged([run.content() for run in crowded], living))


@given(st.lists(st.tuples(st.lists(NUMBERS, max_size=60), st.sets(st.integers(0, 400))), max_size=14))
def test_every_row_that_is_there_is_found_and_none_that_went_before_a_merge(
        tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[int], set[int]]]) -> None:
    held, there, seat = Register(tmp_path_factory.getbasetemp()), dict[int, int](), 0
    for numbers, gone in rounds:
        part = range(seat, seat + len(numbers))
        seat += len(numbers)
        held.fill(np.array(numbers, dtype=np.int64), np.array(part, dtype=np.int64))
        there |= dict(zip(part, numbers, strict=True))
        there = {one: number for one, number in there.items() if one not in gone}
        living = list(there)
        merge(held, lambda seats, living=living: np.isin(seats, living))  # type: ignore[misc]
    for number in {number for numbers, _ in rounds for number in numbers}:
        assert {one for one, kept in there.items() if kept == number} <= set(held.seats(number))
    held.close()


def test_what_the_dictionary_spills_is_found_in_few_runs_newest_first(tmp_path: Path) -> None:
    held, every = Register(tmp_path), np.ones(1 << 20, dtype=np.bool_)
    for seat in range(12 * register.TAIL):
        held.add(seat % 5_000, seat, lambda one: True)
        held.spill(lambda seats: every[seats])
        merge(held, lambda seats: every[seats])
    assert len(held) == 12 * register.TAIL
    assert len(held._runs) < 8
    found = list(held.seats(17))
    assert sorted(found, reverse=True) == list(range(17, 12 * register.TAIL, 5_000))[::-1]
    assert found[0] == max(found)
    assert list(held.seats(5_001)) == []


def test_where_no_file_can_be_written_rows_are_found_all_the_same(tmp_path: Path) -> None:
    held = Register(tmp_path / "missing")
    held.fill(np.arange(1_000, dtype=np.int64), np.arange(5_000, 6_000, dtype=np.int64))
    assert list(held.seats(7)) == [5_007]


def test_the_tables_have_no_index_that_would_stay_in_memory(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation().turn()])
    store.close()
    with duckdb.connect() as connection:
        connection.execute("ATTACH ? AS ruche (READ_ONLY)", [str(tmp_path / "data" / "tables.duckdb")])
        assert connection.execute("SELECT count(*) FROM duckdb_indexes()").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM ruche.sessions").fetchall() == [(1,)]


def test_a_row_that_changes_again_and_again_is_there_once_before_and_after_a_restart(open_store: Opener) -> None:
    store, talks = open_store(limits=SMALL), [Conversation(f"s{number}") for number in range(3)]
    for number in range(25):
        store.append([talk.turn() for talk in talks] + [ProfileSaved(
            tenant="acme", at_ms=NOW_MS, profile=profile("ada", number=str(number)))])
        store.apply()
    for _ in range(2):
        assert [one.turn_count for one in store.tenant("acme").sessions().items] == [25] * 3
        assert store.tenant("acme").session_by_id("s1") == talks[1].state
        kept = store.tenant("acme").profile("ada")
        assert kept is not None
        assert kept.fields["number"].value == "24"
        assert [len(store.tenant("acme").runs(session=talk.state.id, limit=100).items) for talk in talks] == [25] * 3
        store.close()
        store = open_store(limits=SMALL)


def test_two_tenants_rows_of_one_key_do_not_take_each_others_place(open_store: Opener) -> None:
    store = open_store()
    talks = [Conversation("same", session_key(tenant=tenant)) for tenant in ("acme", "rival")]
    for _ in range(3):
        store.append([talks[0].turn()])
        store.apply()
    store.append([talks[1].turn()])
    store.apply()
    counts = [store.tenant(tenant).session_by_id("same").turn_count  # type: ignore[union-attr]
              for tenant in ("acme", "rival")]
    assert counts == [3, 1]


def older_form(path: Path) -> None:
    """The file as an engine before seats left it: with indexes, and another number for its form."""
    with duckdb.connect() as connection:
        connection.execute("ATTACH ? AS ruche", [str(path)])
        connection.execute("USE ruche")
        connection.execute("ALTER TABLE sessions DROP COLUMN seat")
        connection.execute("CREATE INDEX sessions_id ON sessions (id)")
        connection.execute("UPDATE applied SET schema = 1")


def test_tables_of_the_form_before_are_made_anew_with_everything_in_them(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(limits=SMALL), Conversation()
    for _ in range(60):
        store.append([talk.turn("said " * 40)])
        store.apply()
    store.append([accepted("waiting", session="s1")])
    assert store.health()["snapshots"] > 0
    store.close()
    older_form(tmp_path / "data" / "tables.duckdb")
    again = open_store(limits=SMALL)
    assert again.health()["rebuilt"]
    assert again.tenant("acme").session_by_id("s1") == talk.state
    assert again.tenant("acme").verify_session("s1") == ("s1", 60, ())
    assert [one.message.id for one in again.unanswered()] == ["waiting"]
    assert not list((tmp_path / "data").glob("*.damaged"))
    again.close()
    assert not open_store(limits=SMALL).health()["rebuilt"]


def test_tables_whose_loading_was_cut_short_are_loaded_anew(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(limits=SMALL), Conversation()
    for _ in range(60):
        store.append([talk.turn("said " * 40)])
        store.apply()
    store.close()
    with duckdb.connect() as connection:
        connection.execute("ATTACH ? AS ruche", [str(tmp_path / "data" / "tables.duckdb")])
        connection.execute("UPDATE ruche.applied SET sequence = 0")
    again = open_store(limits=SMALL)
    assert again.health()["rebuilt"]
    assert again.tenant("acme").verify_session("s1") == ("s1", 60, ())
    assert len(again.tenant("acme").runs(limit=100).items) == 60


class HeldSync(Disk):
    """Lets no day file reach the disk until it may; says when one wants to."""

    def __init__(self) -> None:
        self.holding, self.begun, self.may = False, threading.Event(), threading.Event()
        self._days: set[int] = set()

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        (self._days.add if path.suffix == ".day" else self._days.discard)(descriptor)
        return descriptor

    def sync(self, descriptor: int) -> None:
        if self.holding and descriptor in self._days:
            self.begun.set()
            self.may.wait(60)
        super().sync(descriptor)


def test_reads_and_commits_go_on_while_a_checkpoint_waits_for_the_disk(open_store: Opener) -> None:
    disk = HeldSync()
    store, talk = open_store(disk=disk), Conversation()
    store.append([talk.turn()])
    store.apply()
    disk.holding = True
    thread = threading.Thread(target=store.checkpoint)
    thread.start()
    assert disk.begun.wait(60)
    for _ in range(5):
        store.append([talk.turn()])
        assert store.tenant("acme").session_by_id("s1") == talk.state
        assert store.tenant("acme").session(talk.key) == talk.state
        assert store.outbox() == []
    assert len(store.tenant("acme").runs().items) == 6
    assert thread.is_alive()
    disk.may.set()
    thread.join(60)
    assert store.apply() == 5
    assert store.tenant("acme").verify_session("s1") == ("s1", 6, ())


def test_a_checkpoint_that_is_due_is_left_to_whoever_makes_them_until_too_much_waits(open_store: Opener) -> None:
    store, talk = open_store(limits=SMALL._replace(snapshot_bytes=1 << 30)), Conversation()
    store.append([talk.turn("said " * (SMALL.checkpoint_bytes // 10))])
    store.apply(checkpoints=False)
    assert store.checkpoint_due
    while store.checkpoint_due:
        store.append([talk.turn("said " * (SMALL.checkpoint_bytes // 10))])
        store.apply(checkpoints=False)
    assert store.tenant("acme").session_by_id("s1") == talk.state


class NoMemory:
    """A connection that has none for a checkpoint."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "CHECKPOINT":
            raise duckdb.IOException("Checkpoint failed: could not allocate block (122.0 MiB/122.0 MiB used)")
        return self._raw.execute(statement, *values)


def test_what_does_not_fit_into_the_tables_memory_is_told_and_fits_after_they_began_again(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    store.apply()
    memory, writer = store._tables._memory_mb, store._tables._file.writer
    writer.raw = NoMemory(writer.raw)
    with pytest.raises(Unavailable):
        store.checkpoint()
    assert store._tables._memory_mb > memory
    store.checkpoint()
    assert store.tenant("acme").session_by_id("s1") == talk.state


def test_a_batch_that_does_not_fit_into_memory_is_fed_after_a_checkpoint_made_room(
        open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store, talk, before = open_store(), Conversation(), list[int]()
    store.append([talk.turn()])
    store.apply()
    store.append([talk.turn()])
    insert = store._tables._insert

    def short_once(*values: Any) -> Any:
        if not before:
            before.append(store._tables.applied)
            raise TooLittleMemory("no room", retry_after=1.0)
        return insert(*values)

    monkeypatch.setattr(store._tables, "_insert", short_once)
    assert store.apply() == 1
    assert before == [1]
    assert store.health()["applied"] == 2
    assert store.tenant("acme").verify_session("s1") == ("s1", 2, ())


def test_a_table_of_more_rows_than_are_read_at_once_is_known_whole_after_a_restart(
        open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """With parts in between of which no row is left."""
    store, talks = open_store(limits=SMALL), [Conversation(f"s{number}", session_key(person=f"p{number}"))
                                              for number in range(12)]
    store.append([talk.turn() for talk in talks])
    store.apply()
    for _ in range(6):
        store.append([talks[0].turn()])
        store.apply()
    store.close()
    monkeypatch.setattr(filling, "_AT_ONCE", 3)
    store = open_store(limits=SMALL)
    store.append([talk.turn() for talk in talks])
    store.apply()
    assert [one.turn_count for one in store.tenant("acme").sessions(limit=50).items].count(2) == 11
    assert sorted(one.id for one in store.tenant("acme").sessions(limit=50).items) == sorted(
        talk.state.id for talk in talks)
    assert [store.tenant("acme").session(talk.key) for talk in talks] == [talk.state for talk in talks]
