"""Plain JSON of other programs is brought in once, whole, sealed, and proved to be there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ruche.storage.errors import ConfigurationError, Erased, StorageFull
from ruche.storage.evidence import Evidence
from ruche.storage.foreign_episodes import EpisodeTree
from ruche.storage.foreign_runs import RunFolder
from ruche.storage.migrate import Report, migrate, verify
from ruche.storage.payload import PayloadTooLarge, check_size, stream_digest
from ruche.storage.store import Store
from ruche.storage.times import BadTime, milliseconds
from ruche.storage.verifying import verify as audit
from tests.storage.conftest import Opener
from tests.storage.disks import FullDisk
from tests.storage.records import NOW_MS, StaticKey


def written(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run_document(number: int, **changes: Any) -> dict[str, Any]:
    """A draft artifact as its programs write it, `number` minutes after the first."""
    feasibility = {"risk_level": "GREEN", "score": 91.5, "rules_triggered": [], "note": "fits"}
    return {"run_id": f"run_{number:012x}", "created_at_utc": f"2025-12-1{number % 3}T08:{number:02}:00+00:00",
            "mode": "saw", "tool_id": "saw_v1", "status": "OK", "request_summary": {"keys": ["a", "b"]},
            "feasibility": feasibility, "decision": {"risk_level": "GREEN", "score": 91.5},
            "hashes": {"feasibility_sha256": stream_digest(feasibility)}, "outputs": {"gcode_text": f"G1 X{number}"},
            "request_id": f"req-{number}", "engine_version": "2.1", **changes}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Six runs over three days, with an index of their own that is no run."""
    for number in range(6):
        written(tmp_path / "runs" / f"run_{number:012x}.json", run_document(number))
    written(tmp_path / "runs" / "_index.json", {"runs": []})
    return tmp_path / "runs"


def bring(store: Store, folder: Path, **options: Any) -> Report:
    return migrate(RunFolder(folder, "acme"), store, "acme", **options)


# --- runs ------------------------------------------------------------------------------------------------------------


def test_runs_go_to_the_segments_of_their_days_chained_and_proved(open_store: Opener, tmp_path: Path,
                                                                   runs: Path) -> None:
    store = open_store()
    report = bring(store, runs)
    assert report.ok
    assert (report.found, report.imported, report.verified) == ({"run": 6}, {"run": 6}, 6)
    store.apply()
    store.checkpoint()
    assert {path.stem for path in (tmp_path / "data" / "runs").glob("*.day")} == {
        "2025-12-10", "2025-12-11", "2025-12-12"}
    view = store.tenant("acme")
    listed = view.runs(oldest_first=True).items
    assert [run.id for run in listed] == [f"run_{number:012x}" for number in (0, 3, 1, 4, 2, 5)]
    assert [run.sequence for run in listed] == [0, 1, 2, 3, 4, 5]
    assert view.verify_session(listed[0].session) == (listed[0].session, 6, ())
    assert listed[0].decisions["source"] == run_document(0)
    assert (listed[0].reply, listed[0].risk, listed[0].agent) == ("G1 X0", "GREEN", "saw_v1")
    store.close()
    found = audit(tmp_path / "data", Evidence(tmp_path / "data", StaticKey()), (), None)
    assert found["ok"], [one for one in found["checks"] if one["status"] == "fail"]


def test_a_dry_run_writes_nothing(open_store: Opener, tmp_path: Path, runs: Path) -> None:
    store = open_store()
    sequence = store.health()["sequence"]
    report = bring(store, runs, dry_run=True)
    assert (report.imported, report.verified, report.ok) == ({"run": 6}, 0, True)
    assert store.health()["sequence"] == sequence
    assert migrate(RunFolder(runs, "acme"), None, "acme", dry_run=True).imported == {"run": 6}
    with pytest.raises(ConfigurationError, match="no data directory"):
        migrate(RunFolder(runs, "acme"), None, "acme")


def test_running_it_again_skips_what_is_there_and_brings_what_is_new(open_store: Opener, runs: Path) -> None:
    store = open_store()
    bring(store, runs)
    again = bring(store, runs)
    assert (again.imported, again.skipped, again.verified, again.ok) == ({}, 6, 6, True)
    written(runs / "run_00000000000a.json", run_document(10))
    store.close()
    store = open_store()
    later = bring(store, runs)
    assert (later.imported, later.skipped, later.verified) == ({"run": 1}, 6, 7)
    session = store.tenant("acme").runs().items[0].session
    assert store.tenant("acme").verify_session(session).runs == 7


def test_a_run_that_is_here_with_other_content_is_told_and_left_alone(open_store: Opener, runs: Path) -> None:
    store = open_store()
    bring(store, runs)
    written(runs / "run_000000000002.json", run_document(2, status="BLOCKED"))
    report = bring(store, runs)
    assert (report.conflicts, report.missing, report.ok) == (("run_000000000002",), ("run_000000000002",), False)
    kept = store.tenant("acme").run("run_000000000002")
    assert kept is not None
    assert kept.outcome == "OK"


def test_what_is_missing_or_changed_since_is_told_by_verifying_alone(open_store: Opener, runs: Path) -> None:
    store = open_store()
    bring(store, runs)
    (runs / "run_000000000001.json").unlink()
    written(runs / "run_00000000000b.json", run_document(11))
    report = verify(RunFolder(runs, "acme"), store, "acme")
    assert (report.verified, report.missing) == (5, ("run_00000000000b",))
    assert store.tenant("acme").run("run_00000000000b") is None


@pytest.mark.parametrize(("name", "content", "why"), [
    ("run_0000000000aa", "{not json", "not JSON"),
    ("run_0000000000aa", '{"run_id": "run_0000000000aa", "created_at_utc": NaN}', "not JSON"),
    ("run_0000000000aa", '{"run_id": "run_0000000000aa", "created_at_utc": 1e400}', "not JSON"),
    ("run_0000000000aa", '{"run_id": "\\ud800"}', "not JSON"),
    ("run_0000000000aa", '{"n": 123456789012345678901234567890}', "not JSON"),
    ("run_0000000000aa", "[1]", "JSON object"),
    ("run_0000000000aa", json.dumps(run_document(1)), "not the name of the file"),
    ("john-smith", json.dumps(run_document(1, run_id="john-smith")), "no random id"),
    ("run_0000000000aa", json.dumps(run_document(1, run_id="run_0000000000aa", status="FINE")), "status"),
    ("run_0000000000aa", json.dumps(run_document(1, run_id="run_0000000000aa", created_at_utc="2025-12-10T08:00:00")),
     "without a zone"),
    ("run_0000000000aa", json.dumps(run_document(1, run_id="run_0000000000aa", created_at_utc=None)), "no time"),
])
def test_a_file_that_is_no_run_is_named_and_the_others_come(open_store: Opener, runs: Path, name: str, content: str,
                                                            why: str) -> None:
    (runs / f"{name}.json").write_text(content, encoding="utf-8")
    report = bring(open_store(), runs)
    assert [(one.file, one.lost) for one in report.problems] == [(f"{name}.json", True)]
    assert why in report.problems[0].why
    assert (report.imported, report.ok) == ({"run": 6}, False)


def test_a_link_is_not_followed(open_store: Opener, tmp_path: Path, runs: Path) -> None:
    secret = written(tmp_path / "run_0000000000ff.json", run_document(15))
    (runs / secret.name).symlink_to(secret)
    report = bring(open_store(), runs)
    assert "link" in report.problems[0].why
    assert report.imported == {"run": 6}


def test_times_without_a_zone_are_taken_as_utc_when_that_is_said(open_store: Opener, runs: Path) -> None:
    written(runs / "run_0000000000aa.json", run_document(1, run_id="run_0000000000aa",
                                                         created_at_utc="2025-12-11T23:59:59"))
    store = open_store()
    report = migrate(RunFolder(runs, "acme", assume_utc=True), store, "acme")
    kept = store.tenant("acme").run("run_0000000000aa")
    assert report.ok
    assert kept is not None
    assert kept.created_ms == 1_765_497_599_000


def test_what_the_draft_left_out_is_not_made_up(open_store: Opener, runs: Path) -> None:
    document = run_document(7, hashes={}, decision={}, feasibility=None)
    written(runs / "run_000000000007.json", document)
    changed = run_document(8, feasibility={"risk_level": "GREEN", "score": 100})
    written(runs / "run_000000000008.json", changed)
    store = open_store()
    report = bring(store, runs)
    kept = store.tenant("acme").run("run_000000000007")
    assert kept is not None
    assert (kept.risk, kept.decisions["source"]) == ("UNKNOWN", document)
    remarks = {one.why for one in report.problems}
    assert any("UNKNOWN" in why for why in remarks)
    assert any("no evaluation hash" in why for why in remarks)
    assert any("not what its hash says" in why for why in remarks)
    assert report.ok


def test_explanations_and_advisories_become_advisories_that_approve_nothing(open_store: Opener, runs: Path) -> None:
    from ruche.storage.advisories import fold

    written(runs / "run_000000000009.json", run_document(
        9, explanation_status="READY", explanation_summary="It fits.", advisory_inputs=[
            {"advisory_id": "adv_1", "kind": "explanation"}]))
    store = open_store()
    bring(store, runs)
    added = store.tenant("acme").advisories("run_000000000009")
    assert [(one.kind, one.author) for one in added] == [("explanation", "system:import"), ("note", "system:import")]
    assert fold(added).explanation == "READY"
    assert not fold(added).approved
    assert bring(store, runs).skipped == 7
    assert len(store.tenant("acme").advisories("run_000000000009")) == 2


def test_what_was_brought_in_is_erased_with_its_person_and_not_brought_back(open_store: Opener, runs: Path) -> None:
    store = open_store()
    migrate(RunFolder(runs, "acme", person="workshop"), store, "acme")
    store.audit.erase("acme", "workshop", reason="asked", by="officer", at_ms=NOW_MS)
    with pytest.raises(Erased):
        store.tenant("acme").run("run_000000000001")
    report = migrate(RunFolder(runs, "acme", person="workshop"), store, "acme")
    assert (report.imported, report.skipped) == ({}, 6)


def test_a_migration_that_finds_no_room_goes_on_where_it_was(open_store: Opener, runs: Path) -> None:
    disk = FullDisk()
    store = open_store(disk=disk, reserve_bytes=0)
    disk.room = 9_000
    with pytest.raises(StorageFull):
        bring(store, runs)
    disk.room = None
    report = bring(store, runs)
    assert 0 < report.skipped < 6
    assert (report.verified, report.ok) == (6, True)
    assert store.tenant("acme").verify_session(store.tenant("acme").runs().items[0].session).runs == 6


def test_a_folder_without_runs_or_memories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no run files"):
        RunFolder(tmp_path, "acme")
    with pytest.raises(ConfigurationError, match="episodes"):
        EpisodeTree(tmp_path, "acme")


# --- sizes and hashes ------------------------------------------------------------------------------------------------


def test_a_value_of_any_size_is_hashed_piece_by_piece() -> None:
    import hashlib

    value = {"b": [1, 2.5, None, True, "ä\n"], "a": {"nested": list(range(50_000))}}
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert stream_digest(value) == hashlib.sha256(plain).hexdigest()
    with pytest.raises(ValueError):
        stream_digest({"x": float("nan")})


def test_what_is_too_large_is_refused_by_size_and_never_by_content() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        check_size(11, 10, "a run")
    assert caught.value.status == 413
    assert caught.value.details == {"size": 11, "limit": 10}


@pytest.mark.parametrize("value", ["2025-12-10", "soon", "", None, True, -1, 1e12, [], "0001-01-01T00:00:00+00:00"])
def test_what_is_no_moment_is_refused(value: Any) -> None:
    with pytest.raises(BadTime):
        milliseconds(value)
