"""Who reads while others append and feed sees all that was appended."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ruche.storage.collection import collections
from ruche.storage.overlay import Change, Overlay
from ruche.storage.rows import MODELS
from ruche.storage.secured import Handle
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted, session_key


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
