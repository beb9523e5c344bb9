"""What somebody without keys can see: ids, times and verdicts; never a name or a word of anybody."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pytest

from ruche.storage.datafiles import Limits
from ruche.storage.errors import IntegrityError, RucheError
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import AdvisoryAdded, AgentPublished, DeadLettered, EffectReserved, ProfileSaved
from ruche.storage.policy import PolicyViolation
from ruche.storage.rows import SessionRow
from ruche.storage.secured import Filter
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, accepted, profile, segment, session_key

CANARY = "canary"
KEY = session_key(tenant="canary-tenant", person="canary-person", agent="canary-agent", channel="canary-channel")


def test_no_planted_word_is_in_any_file(open_store: Opener, tmp_path: Path) -> None:
    """Security items 6, 26 and 43: no file of the data directory holds a readable word."""
    store = open_store(limits=Limits(checkpoint_bytes=1, snapshot_bytes=1))
    talk, tenant = Conversation("s1", KEY), KEY.tenant
    for number in range(3):
        store.append([
            accepted(f"m{number}", key=KEY, text="canary-message", idempotency_key="canary-key",
                     fingerprint="canary-fingerprint", metadata={"canary-name": "canary-value"}),
            talk.turn("canary-said", "canary-reply", answered=(f"m{number}",), profile=profile(
                KEY.interlocutor, tenant, city="canary-city"), outbox=(OutboxItem(
                    id=f"o{number}", kind="webhook", target="https://canary.example", at_ms=NOW_MS,
                    payload={"x": "canary-payload"}),)),
            segment("t9", number, "canary-segment", key=KEY),
            EffectReserved(tenant=tenant, at_ms=NOW_MS, session_id="s1", turn_id="t1", tool="canary-tool",
                           key="canary-effect", policy="PURE", arguments={"a": "canary-argument"}),
            AgentPublished(tenant=tenant, at_ms=NOW_MS, agent=KEY.agent, version=1, hash="h", bundle=b"canary-bundle"),
            AdvisoryAdded(tenant=tenant, at_ms=NOW_MS, id=f"a{number}", run_id=talk.state.history[-1].turn_id,
                          kind="canary-kind", author="canary-author", body={"b": "canary-body"}),
            DeadLettered(tenant=tenant, at_ms=NOW_MS, key=KEY, message=accepted("m9", text="canary-dead").message,
                         reason="canary-reason"),
            ProfileSaved(tenant=tenant, at_ms=NOW_MS, profile=profile(KEY.interlocutor, tenant, city="canary-city"))])
        store.apply()
    assert store.tenant(tenant).segments("t9")[0].text == "canary-segment"
    searched = _found(tmp_path)
    store.close()
    assert searched == dict.fromkeys(searched, 0)
    assert {path.suffix for path in searched} >= {".seg", ".day", ".snap", ".duckdb"}
    assert set(_found(tmp_path).values()) == {0}


def _found(folder: Path) -> dict[Path, int]:
    """How often the canary is in each file, in the encodings in which a store might leave it."""
    words = [CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode()]
    return {path: sum(path.read_bytes().count(word) for word in words)
            for path in folder.rglob("*") if path.is_file()}


def test_a_row_copied_to_another_tenant_does_not_open_there(open_store: Opener, tmp_path: Path) -> None:
    """Security item 5: whoever can write the table file can still not move a row to a tenant of theirs."""
    store, ours, theirs = open_store(), Conversation("s1"), Conversation("s2", session_key(tenant="other"))
    store.append([ours.turn(), theirs.turn()])
    tags = [store._keyring.tenant(name).tag for name in ("acme", "other")]
    store.close()
    with duckdb.connect(str(tmp_path / "data" / "tables.duckdb")) as connection:
        connection.execute("INSERT INTO sessions SELECT * REPLACE (? AS tenant) FROM sessions WHERE id = 's1'",
                           [tags[1]])
    with pytest.raises(IntegrityError, match="another tenant"):
        open_store().tenant("other").session_by_id("s1")


def test_a_row_copied_to_another_id_does_not_open_there(open_store: Opener, tmp_path: Path) -> None:
    """Security item 5: row and column are part of what is authenticated."""
    store, talk = open_store(), Conversation("s1")
    store.append([talk.turn()])
    store.close()
    with duckdb.connect(str(tmp_path / "data" / "tables.duckdb")) as connection:
        connection.execute("INSERT INTO sessions SELECT * REPLACE ('s2' AS id) FROM sessions")
    with pytest.raises(IntegrityError, match="moved"):
        open_store().tenant("acme").session_by_id("s2")


def test_the_tables_are_locked_down_before_data_comes(open_store: Opener, tmp_path: Path) -> None:
    """Security item 26: no files, no extensions, no spill, and none of it can be switched back on."""
    connection = open_store()._tables._connection
    target = str(tmp_path / "leak.csv")
    for statement in ("SELECT * FROM read_csv('/etc/passwd')", f"COPY sessions TO '{target}'", "INSTALL httpfs",
                      f"ATTACH '{target}' AS leak", "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/*')",
                      "SET enable_external_access=true", "SET lock_configuration=false", "SET temp_directory='/tmp'",
                      f"EXPORT DATABASE '{tmp_path}/x'", "SELECT * FROM sniff_csv('/etc/passwd')", "LOAD json_x"):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
    assert not Path(target).exists()


HOSTILE = ["'; DROP TABLE sessions; --", "' OR 1=1 --", '"', "\\", "%", "a'b", "\x00", "ä" * 300, ""]


def test_hostile_ids_are_values_and_never_statements(open_store: Opener) -> None:
    """Security item 26: no input becomes part of a statement."""
    store, talk = open_store(), Conversation("s1")
    store.append([talk.turn()])
    store.apply()
    for text in HOSTILE:
        view = store.tenant(text)
        assert view.session_by_id("s1") is None
        view = store.tenant("acme")
        assert view.session_by_id(text) is None
        assert view.run(text) is None
        assert view.profile(text) is None
        assert view.events(text) == []
        assert view.runs(session=text, agent=text, risk=text).items == ()
        assert view.sessions(interlocutor=text, agent=text).items == ()
        assert view.idempotent(text, text) is None
        assert view.effect(text) is None
        assert view.agent(text) is None
    assert view.session_by_id("s1") == talk.state


@pytest.mark.parametrize("text", [one for one in HOSTILE if "\x00" not in one and one])
def test_hostile_names_are_kept_and_found(open_store: Opener, text: str) -> None:
    store = open_store()
    talk = Conversation("s1", session_key(tenant=text, person=text, agent=text, channel=text))
    store.append([talk.turn(text, text)])
    for _ in range(2):
        assert store.tenant(text).session(talk.key) == talk.state
        assert len(store.tenant(text).sessions(interlocutor=text, agent=text).items) == 1
        store.apply()


def test_sealed_fields_cannot_be_asked_for_and_the_try_is_counted(open_store: Opener) -> None:
    store = open_store()
    handle = store._door.handle("acme", SessionRow)
    for wrong in (Filter("state", "=", b"x"), Filter("nothing", "=", 1), Filter("agent", "<", "x"),
                  Filter("created_ms", "LIKE", 1)):  # type: ignore[arg-type]
        with pytest.raises(PolicyViolation):
            handle.find(wrong)
    with pytest.raises(PolicyViolation):
        handle.find(order=("state",))
    assert store.health()["policy_violations"] == 5


def test_a_destroyed_person_is_gone_for_every_reader_and_others_are_not(open_store: Opener) -> None:
    """Security item 43: with the key everything sealed under it is gone, in the tables and in the day files."""
    store = open_store()
    ada, bob = Conversation("s1"), Conversation("s2", session_key(person="bob"))
    store.append([ada.turn(profile=profile()), bob.turn()])
    store.apply()
    store._keyring.destroy("acme", "ada")
    view = store.tenant("acme")
    for read in (lambda: view.session_by_id("s1"), lambda: view.run("s1-t00000")):
        with pytest.raises(RucheError) as caught:
            read()
        assert caught.value.status == 410
    assert view.profile("ada") is None
    assert view.session(ada.key) is None
    assert [state.id for state in view.sessions().items] == ["s2"]
    assert view.session_by_id("s2") == bob.state
    assert view.verify_session("s2").ok


def test_errors_hold_no_word_of_anybody(open_store: Opener, tmp_path: Path) -> None:
    """Security item 42: the text of an error names files and bytes, never what was stored."""
    store = open_store()
    store.append([Conversation("s1", KEY).turn("canary", "canary")])
    store.close()
    with duckdb.connect(str(tmp_path / "data" / "tables.duckdb")) as connection:
        connection.execute("UPDATE sessions SET state = 'short'::BLOB")
    with pytest.raises(IntegrityError) as caught:
        open_store().tenant(KEY.tenant).session_by_id("s1")
    assert CANARY not in repr(caught.value) + msgspec.json.encode(caught.value.details).decode()
