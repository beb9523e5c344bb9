"""The store as its callers see it: durable, one view over journal and tables, each tenant alone."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ruche.storage.collection import collections
from ruche.storage.errors import (
    ConfigurationError,
    DataLocked,
    StorageFull,
    StorageStopped,
)
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import (
    AdvisoryAdded,
    AgentPublished,
    DeadLettered,
    EffectReserved,
    EffectSettled,
    OutboxSettled,
    ProfileSaved,
    SessionSaved,
)
from ruche.storage.overlay import Change, Overlay
from ruche.storage.rows import MODELS
from ruche.storage.secured import BadCursor, Handle, make_cursor
from ruche.storage.store import Store
from ruche.storage.tenant import TenantStore
from tests.storage.conftest import Opener
from tests.storage.disks import FailingSync, FullDisk
from tests.storage.records import NOW_MS, Conversation, accepted, event, profile, segment, session_key

RESERVED = EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="t1", tool="book", key="effect-1",
                          policy="IRREVERSIBLE", arguments={"room": 12})
SETTLED = EffectSettled(tenant="acme", at_ms=NOW_MS + 1, session_id="s1", turn_id="t1", tool="book", key="effect-1",
                        status="ok", result={"booked": True})
ITEM = OutboxItem(id="o1", kind="webhook", target="https://example.org", at_ms=NOW_MS, payload={"a": 1})


def published(agent: str, version: int, tenant: str = "acme") -> AgentPublished:
    return AgentPublished(tenant=tenant, at_ms=NOW_MS, agent=agent, version=version, hash="h", bundle=b"{}")


def advisory(number: int, run: str = "s1-t00000") -> AdvisoryAdded:
    return AdvisoryAdded(tenant="acme", at_ms=NOW_MS + number, id=f"a{number}", run_id=run, kind="note", author="eve",
                         body={"n": number})


def filled(store: Store) -> Conversation:
    """One of everything."""
    talk = Conversation()
    store.append([accepted("m1", idempotency_key="k1", fingerprint="f1"), accepted("m2"), RESERVED])
    store.append([talk.turn("hello", "Good day.", answered=("m1",), profile=profile(city="Bern"), outbox=(ITEM,))])
    store.append([SETTLED, segment("t9", 1, "First part."), segment("t9", 2, "Second part."), published("desk", 1),
                  published("desk", 2), published("kiosk", 1), advisory(1), advisory(2),
                  DeadLettered(tenant="acme", at_ms=NOW_MS, key=session_key(), message=accepted("m7").message,
                               reason="broken")])
    return talk


def everything(tenant: TenantStore) -> list[Any]:
    """What one can read of what `filled` wrote."""
    return [tenant.session(session_key()), tenant.session_by_id("s1"), tenant.sessions(), tenant.sessions(agent="desk"),
            tenant.sessions(interlocutor="ada"), tenant.profile("ada"), tenant.run("s1-t00000"),
            tenant.canonical_run("s1-t00000"), tenant.runs(), tenant.runs(session="s1"), tenant.runs(risk="GREEN"),
            tenant.events("s1"), tenant.segments("t9"), tenant.idempotent("ada", "k1"), tenant.effect("effect-1"),
            tenant.agent("desk"), tenant.agent("desk", 1), tenant.agents(), tenant.dead_letters(),
            tenant.advisories("s1-t00000"), tenant.verify_session("s1")]


# --- one view --------------------------------------------------------------------------------------------------------


def test_everything_appended_can_be_read_at_once(open_store: Opener) -> None:
    store = open_store()
    talk = filled(store)
    acme = store.tenant("acme")
    assert acme.session(session_key()) == talk.state
    assert acme.session_by_id("s1") == talk.state
    assert acme.profile("ada") == profile(city="Bern")
    run = acme.run("s1-t00000")
    assert run is not None
    assert run.reply == "Good day."
    assert [one.text for one in acme.segments("t9")] == ["First part.", "Second part."]
    assert acme.effect("effect-1") == SETTLED
    assert [one.version for one in acme.agents()] == [2, 1]
    assert (acme.agent("desk"), acme.agent("desk", 1), acme.agent("desk", 9)) == (
        published("desk", 2), published("desk", 1), None)
    assert [one.message.id for one in acme.dead_letters()] == ["m7"]
    assert acme.advisories("s1-t00000") == [advisory(1), advisory(2)]
    assert acme.verify_session("s1").ok
    assert store.outbox() == [("acme", ITEM)]


def test_reads_are_the_same_before_and_after_the_tables_are_fed_and_after_a_restart(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    fresh = everything(store.tenant("acme"))
    assert store.health()["pending"] > 0
    assert store.apply() > 0
    assert store.health()["pending"] == 0
    assert everything(store.tenant("acme")) == fresh
    store.close()
    assert everything(open_store().tenant("acme")) == fresh


def test_rows_that_change_while_the_tables_hold_an_older_state_are_read_in_their_newest(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn()])
    store.apply()
    store.append([talk.turn("again", "Once more."), ProfileSaved(tenant="acme", at_ms=NOW_MS, profile=profile(a="1"))])
    acme = store.tenant("acme")
    assert acme.session_by_id("s1") == talk.state
    assert [state.turn_count for state in acme.sessions().items] == [2]
    assert [run.sequence for run in acme.runs().items] == [1, 0]
    assert acme.profile("ada") == profile(a="1")


def test_a_key_leads_to_its_open_session_else_to_the_last_one(open_store: Opener) -> None:
    store = open_store()
    first, second = Conversation("s1"), Conversation("s2", created_ms=NOW_MS + 5)
    store.append([first.turn(), second.turn()])
    assert store.tenant("acme").session(session_key()) == second.state
    closed = msgspec.structs.replace(second.state, closed_ms=NOW_MS + 9)
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=closed)])
    assert store.tenant("acme").session(session_key()) == first.state
    store.apply()
    both = msgspec.structs.replace(first.state, closed_ms=NOW_MS + 9)
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=both)])
    assert store.tenant("acme").session(session_key()) == closed
    assert store.tenant("acme").session(session_key(channel="web")) is None


def test_events_come_in_order_from_a_cursor(open_store: Opener) -> None:
    store = open_store()
    for seq in range(1, 8):
        state = Conversation().state
        store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=state, events=(event(seq * 2 - 1),
                                                                                     event(seq * 2)))])
        if seq == 4:
            store.apply()
    acme = store.tenant("acme")
    assert [one.seq for one in acme.events("s1")] == list(range(1, 15))
    assert [one.seq for one in acme.events("s1", after=5)] == list(range(6, 15))
    assert [one.seq for one in acme.events("s1", after=5, limit=3)] == [6, 7, 8]
    assert acme.events("s2") == []


def test_pages_give_every_run_once_while_others_are_appended(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    wanted = [talk.turn() for _ in range(25)]
    store.append(wanted[:15])
    store.apply()
    store.append(wanted[15:])
    seen, cursor = [], None
    while True:
        page = store.tenant("acme").runs(limit=4, cursor=cursor)
        seen += [run.id for run in page.items]
        store.append([talk.turn()])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [record.run.id for record in reversed(wanted)]


def test_runs_are_filtered_and_a_session_is_read_oldest_first(open_store: Opener) -> None:
    store, one, two = open_store(), Conversation("s1"), Conversation("s2", session_key(agent="kiosk"))
    store.append([one.turn(risk="GREEN"), one.turn(risk="RED", status="blocked"), two.turn(), one.turn()])
    for _ in range(2):
        acme = store.tenant("acme")
        assert [run.sequence for run in acme.runs(session="s1", oldest_first=True).items] == [0, 1, 2]
        assert [run.id for run in acme.runs(risk="RED").items] == ["s1-t00001"]
        assert [run.id for run in acme.runs(status="blocked").items] == ["s1-t00001"]
        assert [run.id for run in acme.runs(agent="kiosk").items] == ["s2-t00000"]
        assert [run.id for run in acme.runs(since_ms=NOW_MS + 1000, until_ms=NOW_MS + 2000).items] == ["s1-t00001"]
        store.apply()


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", make_cursor([1]), make_cursor([1, 2, 3]), make_cursor(["a", "b"]),
                                    make_cursor([1, None]), "ä", make_cursor([True, "a"])])
def test_a_cursor_that_no_list_gave_is_refused(open_store: Opener, cursor: str) -> None:
    with pytest.raises(BadCursor):
        open_store().tenant("acme").runs(cursor=cursor)


# --- what a restart must finish --------------------------------------------------------------------------------------


def test_unanswered_messages_are_those_without_a_turn_in_order(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted(f"m{number}") for number in range(12)])
    store.append([talk.turn(answered=("m3", "m4"))])
    store.append([DeadLettered(tenant="acme", at_ms=NOW_MS, key=session_key(), message=accepted("m0").message,
                               reason="broken")])
    left = [f"m{number}" for number in (1, 2, 5, 6, 7, 8, 9, 10, 11)]
    assert [one.message.id for one in store.unanswered()] == left
    store.close()
    store = open_store()
    assert [one.message.id for one in store.unanswered()] == left
    assert store.unanswered()[0] == accepted("m1")
    store.append([accepted("m99")])
    store.close()
    assert [one.message.id for one in open_store().unanswered()] == [*left, "m99"]


def test_a_repeated_request_is_known_before_and_after_its_answer(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted("m1", idempotency_key="k", fingerprint="f")])
    waiting = store.tenant("acme").idempotent("ada", "k")
    assert waiting == ("f", "m1", "s1", None)
    store.close()
    store = open_store()
    store.append([talk.turn(answered=("m1",))])
    assert store.tenant("acme").idempotent("ada", "k") == ("f", "m1", "s1", "s1-t00000")
    assert store.tenant("acme").idempotent("bob", "k") is None
    assert store.tenant("acme").idempotent("ada", "other") is None


def test_a_message_accepted_and_answered_in_one_batch_leaves_nothing_open(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted("m1", idempotency_key="k"), segment("s1-t00000", 1, "Part."), talk.turn(answered=("m1",))])
    assert store.unanswered() == []
    assert store.tenant("acme").segments("s1-t00000") == []
    assert store.tenant("acme").idempotent("ada", "k") == (None, "m1", "s1", "s1-t00000")


def test_the_segments_of_a_committed_turn_are_let_go_also_after_a_restart(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    store.append([segment("s1-t00000", 1, "A."), segment("s1-t00000", 2, "B.")])
    store.close()
    store = open_store()
    assert [one.text for one in store.tenant("acme").segments("s1-t00000")] == ["A.", "B."]
    store.append([talk.turn()])
    assert store.tenant("acme").segments("s1-t00000") == []


def test_an_effect_is_reserved_until_it_is_settled(open_store: Opener) -> None:
    store = open_store()
    store.append([accepted("m1"), RESERVED])
    assert store.tenant("acme").effect("effect-1") == RESERVED
    store.close()
    store = open_store()
    store.append([SETTLED])
    assert store.tenant("acme").effect("effect-1") == SETTLED
    assert store.tenant("acme").effect("effect-2") is None


def test_the_outbox_holds_what_is_still_to_be_delivered(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    later = msgspec.structs.replace(ITEM, id="o2", at_ms=NOW_MS + 1)
    store.append([talk.turn(outbox=(later, ITEM))])
    assert [item.id for _, item in store.outbox()] == ["o1", "o2"]
    again = msgspec.structs.replace(ITEM, attempts=1, at_ms=NOW_MS + 9)
    store.append([OutboxSettled(tenant="acme", at_ms=NOW_MS, item="o1", interlocutor="ada", retry=again),
                  OutboxSettled(tenant="acme", at_ms=NOW_MS, item="o2")])
    store.close()
    assert open_store().outbox() == [("acme", again)]


# --- tenants ---------------------------------------------------------------------------------------------------------


def test_another_tenants_ids_are_unknown_in_every_read(open_store: Opener) -> None:
    """Security items 4 and 5: the door is bound to a tenant, and answers for it alone."""
    store = open_store()
    filled(store)
    for _ in range(2):
        other, nobody = everything(store.tenant("other")), everything(store.tenant("nobody"))
        assert other == nobody
        assert [answer for answer in other if answer not in (None, [])] == [
            ((), None), ((), None), ((), None), ((), None), ((), None), ((), None), ("s1", 0, ())]
        store.apply()


def test_two_tenants_with_the_same_ids_do_not_touch(open_store: Opener) -> None:
    """Security item 6: no key, row or cache entry is shared between tenants."""
    store = open_store()
    ours, theirs = Conversation("s1"), Conversation("s1", session_key(tenant="other"))
    store.append([ours.turn("a", "For acme."), theirs.turn("b", "For the other.")])
    for _ in range(2):
        for tenant, talk, reply in (("acme", ours, "For acme."), ("other", theirs, "For the other.")):
            view = store.tenant(tenant)
            assert view.session_by_id("s1") == talk.state
            assert [run.reply for run in view.runs().items] == [reply]
            assert [one.data["reply"] for one in view.events("s1")] == [reply]
            assert view.verify_session("s1").ok
        assert store.tenant("acme").session(theirs.key) is None
        store.apply()


def test_a_hundred_tenants_find_their_own_words_only(open_store: Opener) -> None:
    """Security item 6, in mixed turns."""
    store = open_store()
    talks = {f"tenant-{number}": Conversation("s", session_key(tenant=f"tenant-{number}")) for number in range(100)}
    for count in range(3):
        store.append([talk.turn(f"canary {tenant}", f"canary {tenant}") for tenant, talk in talks.items()])
        if count == 1:
            store.apply()
    for tenant in talks:
        assert {run.reply for run in store.tenant(tenant).runs().items} == {f"canary {tenant}"}


# --- the directory ---------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_by_name(open_store: Opener, tmp_path: Path) -> None:
    """Security item 28: one process per data directory."""
    open_store()
    done = subprocess.run([sys.executable, "-c", _OPEN_ONCE, str(tmp_path / "data")], capture_output=True, text=True,
                          check=False)
    assert f"DataLocked: {tmp_path / 'data'} is in use by process {os.getpid()}" in done.stderr


_OPEN_ONCE = """
import sys
from pathlib import Path
from ruche.storage.store import Store
class Key:
    def root_key(self): return bytes(range(32))
Store.open(Path(sys.argv[1]), Key()).close()
"""


def test_a_second_store_in_the_same_process_is_refused_until_the_first_is_closed(open_store: Opener) -> None:
    first = open_store()
    with pytest.raises(DataLocked):
        open_store()
    first.close()
    assert open_store().unanswered() == []


def test_the_wrong_root_key_is_refused_and_changes_nothing(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    store.close()
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        open_store(key=bytes(range(1, 33)))
    assert open_store().tenant("acme").session_by_id("s1") is not None


def test_a_missing_keyring_is_named_and_no_new_one_is_made(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    store.close()
    (tmp_path / "data" / "keys" / "keyring").unlink()
    with pytest.raises(ConfigurationError, match="keyring"):
        open_store()
    assert not (tmp_path / "data" / "keys" / "keyring").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_everything_is_for_the_owner_alone(open_store: Opener, tmp_path: Path) -> None:
    """Security item 27: directories 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = open_store()
        filled(store)
        store.apply()
        store.checkpoint()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]
               if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_symlinked_parts_are_refused(open_store: Opener, tmp_path: Path) -> None:
    """Security item 27: no part of the data directory is a symbolic link."""
    open_store().close()
    real = (tmp_path / "data" / "runs").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "runs").symlink_to(real)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        open_store()
    with pytest.raises(ConfigurationError, match="symbolic link"):
        open_store(_linked(tmp_path))


def _linked(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    return tmp_path / "link"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such owners")
def test_a_directory_of_somebody_else_is_refused(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 27: no foreign owner."""
    open_store().close()
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(ConfigurationError, match=f"belongs to user {us}"):
        open_store()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_no_handle_survives_a_fork(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    view = store.tenant("acme")
    child = os.fork()
    if child == 0:
        os._exit(sum(1 << place for place, call in enumerate((
            lambda: store.append([accepted("m9")]), store.apply, store.unanswered, lambda: view.session_by_id("s1"),
            lambda: store.tenant("acme"))) if not _stopped(call)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(DataLocked):
        open_store()
    store.append([accepted("m9")])
    assert store.apply() > 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a process cannot be asked for its files here")
def test_a_child_of_a_fork_has_no_file_of_the_store_open_and_no_key(open_store: Opener, tmp_path: Path) -> None:
    """DuckDB's own handle stays: closing it would write to the parent's file. Nothing leads to it any more."""
    store = open_store()
    filled(store)
    store.apply()
    assert {"lock", "tables.duckdb"} < _open_below(tmp_path)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        keys = "keys" if store._keyring._user_keys or store._keyring._hash_key else ""
        os.write(write, ",".join([*sorted(_open_below(tmp_path)), keys]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "tables.duckdb,"


def _open_below(folder: Path) -> set[str]:
    """Names of the files below a folder that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            path = link.readlink()
            if path.is_relative_to(folder):
                found.add(path.name)
    return found


def _stopped(call: Callable[[], Any]) -> bool:
    try:
        call()
    except StorageStopped:
        return True
    except BaseException:
        return False
    return False


def test_keys_for_other_purposes_stay_the_same_after_a_restart(open_store: Opener) -> None:
    store = open_store()
    key = store.derive_key("tokens")
    assert len(key) == 32
    assert key != store.derive_key("other")
    store.close()
    assert open_store().derive_key("tokens") == key


def test_a_closed_store_says_so(open_store: Opener) -> None:
    store = open_store()
    store.close()
    store.close()
    with pytest.raises(StorageStopped, match="closed"):
        store.append([accepted("m1")])
    with pytest.raises(StorageStopped, match="closed"):
        store.tenant("acme")


# --- disks that fail -------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_new_messages_reads_go_on_and_service_resumes(open_store: Opener) -> None:
    disk = FullDisk()
    store, talk = open_store(disk=disk), Conversation()
    store.append([accepted("m1"), talk.turn()])
    disk.room = 100
    for _ in range(3):
        with pytest.raises(StorageFull) as caught:
            store.append([accepted("m2", text="x" * 200_000)])
        assert caught.value.code == "STORAGE_FULL"
        assert store.tenant("acme").session_by_id("s1") == talk.state
        assert [one.message.id for one in store.unanswered()] == ["m1"]
    disk.room = None
    store.append([accepted("m3")])
    store.close()
    assert [one.message.id for one in open_store().unanswered()] == ["m1", "m3"]


def test_a_new_persons_key_that_finds_no_room_refuses_the_message_and_service_resumes(open_store: Opener) -> None:
    disk = FullDisk()
    store = open_store(disk=disk)
    disk.room = 20
    with pytest.raises(StorageFull):
        store.append([accepted("m1")])
    disk.room = None
    store.append([accepted("m2")])
    store.close()
    assert [one.message.id for one in open_store().unanswered()] == ["m2"]


def test_a_full_disk_leaves_the_tables_as_they_were_until_there_is_room(open_store: Opener) -> None:
    disk = FullDisk()
    store, talk = open_store(disk=disk), Conversation()
    store.append([talk.turn() for _ in range(5)])
    disk.room = 700
    with pytest.raises(StorageFull):
        store.apply()
    assert len(store.tenant("acme").runs().items) == 5
    disk.room = None
    assert store.apply() == 5
    assert store.tenant("acme").verify_session("s1").ok


def test_a_failed_sync_stops_writes_and_reads_go_on(open_store: Opener) -> None:
    disk = FailingSync()
    store, talk = open_store(disk=disk), Conversation()
    store.append([talk.turn()])
    disk.failing = True
    with pytest.raises(StorageStopped, match="sync"):
        store.append([accepted("m1")])
    disk.failing = False
    with pytest.raises(StorageStopped):
        store.append([accepted("m1")])
    assert store.tenant("acme").run("s1-t00000") is not None
    assert "sync" in store.health()["stopped"]
    store.close()
    assert open_store().tenant("acme").verify_session("s1").ok


def test_a_failed_sync_of_a_days_runs_stops_writes_before_the_tables_rely_on_them(open_store: Opener) -> None:
    disk = FailingSync()
    store, talk = open_store(disk=disk), Conversation()
    store.append([talk.turn()])
    store.apply()
    disk.failing = True
    with pytest.raises(StorageStopped, match="runs"):
        store.checkpoint()
    disk.failing = False
    with pytest.raises(StorageStopped):
        store.append([accepted("m1")])
    store.close()
    assert open_store().tenant("acme").verify_session("s1") == ("s1", 1, ())


# --- threads ---------------------------------------------------------------------------------------------------------


def test_a_reader_sees_every_append_while_another_thread_feeds_the_tables(open_store: Opener) -> None:
    store, talk, done = open_store(), Conversation(), threading.Event()
    failed: list[BaseException] = []

    def feed() -> None:
        try:
            while not done.is_set():
                store.apply()
        except BaseException as error:
            failed.append(error)

    feeder = threading.Thread(target=feed)
    feeder.start()
    view = store.tenant("acme")
    try:
        for turn in range(150):
            store.append([talk.turn()])
            assert view.session_by_id("s1") == talk.state
            assert view.run(f"s1-t{turn:05d}") is not None
            assert len(view.events("s1")) == turn + 1
    finally:
        done.set()
        feeder.join()
    assert failed == []
    assert view.verify_session("s1") == ("s1", 150, ())


def test_a_row_that_changed_again_after_a_batch_stays_in_the_overlay() -> None:
    sessions = collections(MODELS)
    overlay, row = Overlay(sessions), ("s1", 1, b"p", 2, 0, True, b"old")
    newer = (*row[:-1], b"new")
    overlay.add(1, [Change(0, 7, "s1", row)])
    overlay.add(2, [Change(0, 7, "s1", newer)])
    overlay.drop(1, [Change(0, 7, "s1", row)])
    assert overlay.get(0, (7, "s1")) == (2, newer)
    assert overlay.over(0, 7, (1, 1), []) == ([newer], [])
    overlay.drop(2, [Change(0, 7, "s1", newer)])
    assert overlay.get(0, (7, "s1")) is None
    assert overlay.over(0, 7, (1, 1), []) == ([], [])


def test_a_session_is_known_from_its_first_accepted_message_on(open_store: Opener) -> None:
    store = open_store()
    store.append([accepted("m1"), accepted("m2")])
    for look in (store.tenant("acme"), store.tenant("other")):
        found = look.session_by_id("s1")
        assert (found is None) == (look is store.tenant("other"))
    begun = store.tenant("acme").session_by_id("s1")
    assert begun is not None
    assert (begun.key, begun.turn_count, begun.created_ms) == (session_key(), 0, NOW_MS)


def test_a_session_is_never_unknown_while_its_first_turn_is_committed(open_store: Opener,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    store, talk = open_store(), Conversation()
    store.append([accepted("m1", key=talk.key)])
    view = store.tenant("acme")
    looked = Handle.get

    def get(handle: Handle, key: Any) -> Any:
        found = looked(handle, key)
        if found is None and not talk.state.turn_count:
            store.append([talk.turn(answered=("m1",))])
        return found

    monkeypatch.setattr(Handle, "get", get)
    assert view.session_by_id("s1") == talk.state
