"""Each tenant alone: another's ids are unknown, and the same ids do not touch."""

from __future__ import annotations

from tests.storage.conftest import Opener
from tests.storage.contents import everything, filled
from tests.storage.records import Conversation, session_key


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
