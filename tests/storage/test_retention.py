"""What is old goes, whole day by whole day; what is held stays; what is left still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.storage.errors import ConfigurationError
from ruche.storage.evidence import Evidence
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.record import DeadLettered, SessionSaved
from ruche.storage.platform import Disk
from ruche.storage.store import Store
from ruche.storage.verifying import Verifier
from tests.storage.conftest import Opener
from tests.storage.contents import RESERVED, advisory
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, session_key

DAY = 86_400_000
START = NOW_MS - NOW_MS % DAY + DAY // 2


class Days(Conversation):
    """A conversation with one turn a day."""

    def turn(self, *said: str, **changes: object):  # type: ignore[no-untyped-def,override]
        self.state = _at(self.state, START + (DAY - 1000) * self.state.turn_count)
        return super().turn(*said, **changes)  # type: ignore[arg-type]


def _at(state: SessionState, created_ms: int) -> SessionState:
    import msgspec

    return msgspec.structs.replace(state, created_ms=created_ms)


def week(store: Store, *people: str) -> list[Conversation]:
    talks: list[Conversation] = [Days(f"s-{person}", session_key(person=person), created_ms=START)
                                 for person in people or ("ada",)]
    for _ in range(7):
        store.append([talk.turn() for talk in talks])
    store.apply()
    return talks


def files(tmp_path: Path, kind: str) -> list[str]:
    return sorted(path.stem for path in (tmp_path / "data" / "runs").glob(f"*.{kind}"))


def test_days_beyond_the_rule_go_whole_and_leave_their_heads(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store)
    days = files(tmp_path, "day")
    assert len(days) == 7
    dropped = store.audit.retain({"runs": 3}, START + 7 * DAY)
    assert dropped.days == tuple(days[:4])
    assert (files(tmp_path, "heads"), files(tmp_path, "day")) == (days[:4], days[4:])
    view = store.tenant("acme")
    assert [run.sequence for run in view.runs().items] == [6, 5, 4]
    assert view.run("s-ada-t00001") is None
    assert store.audit.retain({"runs": 3}, START + 7 * DAY).days == ()


def test_what_is_left_of_a_chain_verifies_from_its_head(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    talk = week(store)[0]
    head, key = store.audit.head("acme"), store.audit.head("acme").keys
    store.audit.retain({"runs": 3}, START + 7 * DAY)
    for lost in ("", "tables.duckdb", "log/*.tree"):
        view = store.tenant("acme")
        assert view.verify_session("s-ada") == ("s-ada", 3, ())
        assert view.session_by_id("s-ada") == talk.state
        assert store.audit.head("acme").root == head.root
        proof = store.audit.proof("acme", "run", "s-ada-t00005")
        assert proof is not None
        assert proof.index == 5
        assert store.audit.proof("acme", "run", "s-ada-t00001") is None
        store.close()
        for path in (tmp_path / "data").glob(lost or "none"):
            path.unlink()
        store = open_store()
    assert store.audit.head("acme").keys == key
    store.append([talk.turn()])
    assert store.tenant("acme").verify_session("s-ada") == ("s-ada", 4, ())
    assert store.audit.head("acme", since=7).size == 8


def test_a_gap_after_the_head_is_still_a_gap(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store)
    store.audit.retain({"runs": 3}, START + 7 * DAY)
    (tmp_path / "data" / "runs" / f"{files(tmp_path, 'heads')[-1]}.heads").unlink()
    store.close()
    store = open_store()
    assert any("was expected" in one or "does not point back" in one
               for one in store.tenant("acme").verify_session("s-ada").problems)


def test_a_day_with_something_of_a_held_person_stays(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store, "ada", "bob")
    store.append([Conversation("s9", session_key(person="eve"), created_ms=START - DAY).turn()])
    store.audit.hold("acme", "ada", held=True, reason="trial", by="counsel", at_ms=NOW_MS)
    dropped = store.audit.retain({"runs": 1}, START + 30 * DAY)
    assert len(dropped.days) == 1
    assert len(dropped.held) == 7
    assert store.tenant("acme").verify_session("s-ada") == ("s-ada", 7, ())
    store.audit.hold("acme", "ada", held=False, reason="over", by="counsel", at_ms=NOW_MS)
    assert len(store.audit.retain({"runs": 1}, START + 30 * DAY).days) == 7


def test_a_chain_with_a_day_that_somebody_elses_hold_kept_is_whole(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store, "bob")
    eve = Conversation("s-eve", session_key(person="eve"), created_ms=START + 2 * (DAY - 1000))
    store.append([eve.turn()])
    store.audit.hold("acme", "eve", held=True, reason="trial", by="counsel", at_ms=NOW_MS)
    dropped = store.audit.retain({"runs": 2}, START + 7 * DAY)
    assert (len(dropped.days), len(dropped.held)) == (4, 1)
    assert [run.sequence for run in store.tenant("acme").runs(session="s-bob").items] == [6, 5, 2]
    assert store.tenant("acme").verify_session("s-bob") == ("s-bob", 3, ())
    store.checkpoint()
    store.close()
    chain = Verifier(Evidence(tmp_path / "data", StaticKey())).chain()
    assert (chain.status, chain.faults) == ("pass", ())


class DyingDisk(Disk):
    """Stops before the n-th removal of a file."""

    dying = False

    def unlink(self, path: Path) -> None:
        if self.dying:
            raise OSError(5, "input/output error")
        super().unlink(path)


def test_a_drop_that_a_crash_interrupts_is_finished_at_the_next_start(open_store: Opener, tmp_path: Path) -> None:
    disk = DyingDisk()
    store = open_store(disk=disk)
    week(store)
    store.checkpoint()
    disk.dying = True
    with pytest.raises(OSError, match="input/output"):
        store.audit.retain({"runs": 3}, START + 7 * DAY)
    first = files(tmp_path, "heads")[0]
    assert first in files(tmp_path, "day")
    store.close()
    disk.dying = False
    store = open_store()
    assert first not in files(tmp_path, "day")
    assert len(store.tenant("acme").runs().items) == 6
    assert store.tenant("acme").verify_session("s-ada") == ("s-ada", 6, ())


def test_journal_frames_of_a_dropped_day_do_not_bring_it_back(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store)
    head = store.audit.head("acme")
    store.audit.retain({"runs": 3}, START + 7 * DAY)
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    store = open_store()
    assert len(files(tmp_path, "day")) == 3
    assert len(store.tenant("acme").runs().items) == 3
    assert store.audit.head("acme").root == head.root


def test_an_erasure_keeps_its_place_when_its_day_goes(open_store: Opener) -> None:
    store = open_store()
    week(store)
    store.audit.erase("acme", "ada", reason="asked", by="officer", at_ms=START + DAY)
    head = store.audit.head("acme")
    assert len(store.audit.retain({"runs": 1}, START + 30 * DAY).days) == 7
    store.close()
    store = open_store()
    assert store.audit.head("acme").root == head.root
    assert store.tenant("acme").verify_session("s-ada").problems == ()


def test_rows_go_by_their_own_age_and_open_sessions_stay(open_store: Opener) -> None:
    import msgspec

    store, ended, live = open_store(), Conversation("old"), Conversation("live", session_key(person="bob"))
    store.append([accepted("m1", idempotency_key="k", session="old"), ended.turn(answered=("m1",)), live.turn(),
                  RESERVED, advisory(1, run="old-t00000"),
                  DeadLettered(tenant="acme", at_ms=NOW_MS, key=session_key(), message=accepted("m7").message,
                               reason="broken")])
    closed = msgspec.structs.replace(ended.state, closed_ms=NOW_MS + 1)
    store.append([SessionSaved(tenant="acme", at_ms=NOW_MS, session=closed)])
    rules = {"sessions": 2, "idempotency": 1, "effects": 1, "dead_letters": 1}
    assert sum(store.audit.retain(rules, NOW_MS).rows.values()) == 0
    assert store.audit.retain(rules, NOW_MS + 3 * DAY).rows == {
        "sessions": 1, "events": 1, "idempotency": 1, "effects": 1, "dead_letters": 1}
    view = store.tenant("acme")
    assert view.session_by_id("old") is None
    assert (view.events("old"), view.dead_letters(), view.effect("effect-1"), view.idempotent("ada", "k")) == (
        [], [], None, None)
    assert view.session_by_id("live") == live.state
    assert len(view.events("live")) == 1
    assert len(view.runs().items) == 2


def test_rows_of_a_held_person_stay(open_store: Opener) -> None:
    store = open_store()
    store.append([accepted("m1", idempotency_key="k"), RESERVED, Conversation().turn(answered=("m1",))])
    store.audit.hold("acme", "ada", held=True, reason="trial", by="counsel", at_ms=NOW_MS)
    assert sum(store.audit.retain({"idempotency": 1, "effects": 1}, NOW_MS + 9 * DAY).rows.values()) == 0


@pytest.mark.parametrize("rules", [{"people": 3}, {"runs": 0}, {"unknown": 1}, {"erasures": 5}])
def test_a_rule_that_names_nothing_is_refused(open_store: Opener, rules: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="retention"):
        open_store().audit.retain(rules, NOW_MS)
