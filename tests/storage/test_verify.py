"""The ten checks: all pass on what the store wrote, and each notices what it is there to notice, and where."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ruche.storage.errors import ConfigurationError
from ruche.storage.evidence import Evidence
from ruche.storage.notary import read_history
from ruche.storage.verifying import verify
from tests.storage.conftest import Opener
from tests.storage.contents import advisory
from tests.storage.records import Conversation, StaticKey, accepted
from tests.storage.reports import DAY, failed, hold, report
from tests.storage.test_retention import START, week


@pytest.mark.parametrize("keys", [True, False])
def test_what_the_store_wrote_passes(data: Path, keys: bool) -> None:
    found = report(data, keys=keys, held=hold(data), key=read_history(data / "log" / "keys")[0].key)
    passed = {name for name, check in found.items() if check["status"] == "pass"}
    assert passed == {"bytes", "chain", "inclusion", "append-only", "authenticity", "completeness", "references",
                      "erasure"}
    assert found["replay"]["status"] == "not checkable"
    assert found["configuration"]["status"] == ("fail" if keys else "not checkable")
    assert found["bytes"]["checked"] == 88
    assert found["append-only"]["note"] == ""


def test_nothing_is_written(data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    report(data)
    report(data, keys=False)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_what_it_does_not_prove_is_said(data: Path) -> None:
    found = verify(data, Evidence(data, None), (), None)
    assert found["keys"] is False
    assert any("outside the log" in one for one in found["proves_not"])
    checks = {check["name"]: check for check in found["checks"]}
    assert "--checkpoint" in checks["append-only"]["note"]
    assert "--key" in checks["authenticity"]["note"]
    assert "sealed or erased" in checks["chain"]["note"]


def test_copies_made_at_any_moment_raise_no_false_alarm(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    for turn in range(24):
        store.append([accepted(f"m{turn}", idempotency_key=f"k{turn}"), talk.turn(answered=(f"m{turn}",))])
        if turn % 5 == 2:
            store.apply()
            store.append([advisory(turn, run=f"s1-t{turn:05d}")])
        if turn % 7 == 3:
            store.checkpoint()
        if turn % 6 == 4:
            store.audit.head("acme")
        copy = tmp_path / f"copy{turn}"
        shutil.copytree(tmp_path / "data", copy)
        assert failed(copy) == set(), turn
        assert failed(copy, keys=False) == set(), turn


def test_a_torn_day_file_is_no_damage(open_store: Opener, tmp_path: Path) -> None:
    store, talk = open_store(), Conversation()
    store.append([talk.turn() for _ in range(5)])
    store.apply()
    store.checkpoint()
    store.append([talk.turn() for _ in range(5)])
    store.apply()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    day = next((tmp_path / "copy" / "runs").glob("*.day"))
    day.write_bytes(day.read_bytes()[:-7])
    assert failed(tmp_path / "copy") == set()
    assert "crash" in report(tmp_path / "copy")["bytes"]["note"]


def test_dropped_days_leave_what_can_be_checked(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    week(store, "ada", "bob")
    store.audit.erase("acme", "bob", reason="asked", by="officer", at_ms=START)
    store.audit.retain({"runs": 3}, START + 7 * DAY)
    store.close()
    assert failed(tmp_path / "data", held=hold(tmp_path / "data")) == set()
    assert failed(tmp_path / "data", keys=False) == set()


def test_something_else_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no data directory"):
        Evidence(tmp_path, None)


def test_another_root_key_is_refused(data: Path) -> None:
    with pytest.raises(ConfigurationError, match="root key"):
        Evidence(data, StaticKey(bytes(range(1, 33))))
