"""A full disk refuses and is taken up again; a failed sync ends writing, not reading."""

from __future__ import annotations

import pytest

from ruche.storage.errors import (
    StorageFull,
    StorageStopped,
)
from tests.storage.conftest import Opener
from tests.storage.disks import FailingSync, FullDisk
from tests.storage.records import Conversation, accepted


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
