"""Runs as files: by day, whole or not at all, and nowhere but in the folder that was named."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from ruche.storage import ledger
from ruche.storage.errors import ConfigurationError
from ruche.storage.export import export, path_of
from ruche.storage.model.canonical import as_written
from ruche.storage.platform import Disk
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation, session_key

DAY = 86_400_000


def test_every_run_is_a_file_of_its_day_with_the_bytes_that_were_hashed(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    talks = [Conversation(f"s{number}", session_key(person=f"p{number}"), NOW_MS + number * DAY) for number in range(3)]
    for talk in talks:
        store.append([talk.turn() for _ in range(150)])
    store.append([Conversation("x", session_key(tenant="rival")).turn()])
    view = store.tenant("acme")
    assert export(view, tmp_path / "out") == (450, 0)
    files = sorted((tmp_path / "out").rglob("*.json"))
    assert len(files) == 450
    assert {path.parent.name for path in files} == {"2026-09-21", "2026-09-22", "2026-09-23"}
    last = path_of(tmp_path / "out", NOW_MS, "s0-t00149").read_bytes()
    assert last == view.canonical_run("s0-t00149")
    assert hashlib.sha256(last).hexdigest() == talks[0].state.previous_run
    assert json.loads(last)["reply"] == "Good day."
    assert export(view, tmp_path / "out") == (0, 450)


def test_a_run_that_an_older_engine_wrote_is_exported_as_it_was_hashed(open_store: Opener, tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    monkeypatch.setattr(ledger, "canonical", as_written)
    store.append([Conversation().turn("e\u0301", "e\u0301")])
    monkeypatch.undo()
    export(store.tenant("acme"), tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*.json")
    assert "e\u0301".encode() in path.read_bytes()
    assert path.read_bytes() == store.tenant("acme").canonical_run("s1-t00000")


def test_only_the_days_that_were_asked_for_are_written(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation(f"s{number}", created_ms=NOW_MS + number * DAY).turn() for number in range(4)])
    assert export(store.tenant("acme"), tmp_path / "out", since_ms=NOW_MS + DAY, until_ms=NOW_MS + 3 * DAY).written == 2


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", ".", "", "/etc/x", "a\0b", ".hidden", "x" * 101, "a:b",
                                  "a\n", "ä"])
def test_an_id_that_would_lead_elsewhere_is_refused(open_store: Opener, tmp_path: Path, name: str) -> None:
    """Security item 22: nothing is written outside the folder."""
    with pytest.raises(ConfigurationError, match="no file name"):
        path_of(tmp_path, NOW_MS, name)
    store = open_store()
    if name and "\0" not in name:
        store.append([Conversation().turn(run_id=name)])
        with pytest.raises(ConfigurationError, match="no file name"):
            export(store.tenant("acme"), tmp_path / "out" / "deep")
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links here")
def test_a_folder_that_is_a_link_is_refused(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation().turn()])
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "2026-09-21").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        export(store.tenant("acme"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


class DyingDisk(Disk):
    """Writes half and fails."""

    def write(self, descriptor: int, content: bytes) -> None:
        super().write(descriptor, content[:10])
        raise OSError(5, "input/output error")


def test_a_failed_write_leaves_the_old_file(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation().turn()])
    path = path_of(tmp_path / "out", NOW_MS, "s1-t00000")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="input/output"):
        export(store.tenant("acme"), tmp_path / "out", disk=DyingDisk())
    assert path.read_bytes() == b"old"
    assert export(store.tenant("acme"), tmp_path / "out").written == 1


def test_erased_runs_are_not_exported(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    store.append([Conversation("s1").turn(), Conversation("s2", session_key(person="bob")).turn()])
    store.audit.erase("acme", "ada", reason="asked", by="officer", at_ms=NOW_MS)
    assert export(store.tenant("acme"), tmp_path / "out").written == 1
