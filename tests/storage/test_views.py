"""Journal and tables are read as one: in order, page by page, filtered, before and after they are fed."""

from __future__ import annotations

import msgspec
import pytest

from ruche.storage.model.record import (
    ProfileSaved,
    SessionSaved,
)
from ruche.storage.secured import BadCursor, make_cursor
from tests.storage.conftest import Opener
from tests.storage.contents import ITEM, SETTLED, advisory, everything, filled, published
from tests.storage.records import NOW_MS, Conversation, event, profile, session_key


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
