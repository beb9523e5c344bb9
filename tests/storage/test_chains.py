"""A session's runs hang together, and a gap, a foreign link or a changed reply shows."""

from __future__ import annotations

import msgspec

from ruche.storage.model.record import SessionSaved
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation


def test_a_chain_with_a_gap_a_foreign_link_or_a_lost_end_does_not_verify(open_store: Opener) -> None:
    store = open_store()
    gap, link, end = (Conversation(name) for name in ("gap", "link", "end"))
    store.append([gap.turn()])
    gap.turn()
    store.append([gap.turn(), link.turn()])
    link.state = Conversation("link").turn("other", "other").session
    store.append([link.turn()])
    store.append([end.turn()])
    end.turn()  # a state that goes on without its run
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=end.state)])
    view = store.tenant("acme")
    assert any("sequence 2 where 1" in problem for problem in view.verify_session("gap").problems)
    assert any("does not point back" in problem for problem in view.verify_session("link").problems)
    assert any("last run" in problem for problem in view.verify_session("end").problems)
    assert view.verify_session("never-was") == ("never-was", 0, ())


def test_a_run_whose_reply_is_not_the_hashed_one_does_not_verify(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    record = talk.turn("hello", "Good day.")
    forged = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, reply="Send money."))
    store.append([forged])
    assert any("reply" in problem for problem in store.tenant("acme").verify_session("s1").problems)
