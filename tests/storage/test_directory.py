"""One process, one owner, one root key: who may open a data directory, and what a fork or a close leaves."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ruche.storage.errors import (
    ConfigurationError,
    DataLocked,
    StorageStopped,
)
from tests.storage.conftest import Opener
from tests.storage.contents import filled
from tests.storage.records import accepted


def test_a_second_process_is_refused_by_name(open_store: Opener, tmp_path: Path) -> None:
    """Security item 28: one process per data directory."""
    open_store()
    done = subprocess.run([sys.executable, "-c", _OPEN_ONCE, str(tmp_path / "data")], capture_output=True, text=True,
                          check=False)
    assert f"DataLocked: {tmp_path / 'data'} is in use by process {os.getpid()}" in done.stderr


_OPEN_ONCE = """
import sys
from pathlib import Path
from ruche.storage.store import Store
class Key:
    def root_key(self): return bytes(range(32))
Store.open(Path(sys.argv[1]), Key()).close()
"""


def test_a_second_store_in_the_same_process_is_refused_until_the_first_is_closed(open_store: Opener) -> None:
    first = open_store()
    with pytest.raises(DataLocked):
        open_store()
    first.close()
    assert open_store().unanswered() == []


def test_the_wrong_root_key_is_refused_and_changes_nothing(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    store.close()
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        open_store(key=bytes(range(1, 33)))
    assert open_store().tenant("acme").session_by_id("s1") is not None


def test_a_missing_keyring_is_named_and_no_new_one_is_made(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    store.close()
    (tmp_path / "data" / "keys" / "keyring").unlink()
    with pytest.raises(ConfigurationError, match="keyring"):
        open_store()
    assert not (tmp_path / "data" / "keys" / "keyring").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_everything_is_for_the_owner_alone(open_store: Opener, tmp_path: Path) -> None:
    """Security item 27: directories 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = open_store()
        filled(store)
        store.apply()
        store.checkpoint()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]
               if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_symlinked_parts_are_refused(open_store: Opener, tmp_path: Path) -> None:
    """Security item 27: no part of the data directory is a symbolic link."""
    open_store().close()
    real = (tmp_path / "data" / "runs").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "runs").symlink_to(real)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        open_store()
    with pytest.raises(ConfigurationError, match="symbolic link"):
        open_store(_linked(tmp_path))


def _linked(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    return tmp_path / "link"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such owners")
def test_a_directory_of_somebody_else_is_refused(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 27: no foreign owner."""
    open_store().close()
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(ConfigurationError, match=f"belongs to user {us}"):
        open_store()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_no_handle_survives_a_fork(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    view = store.tenant("acme")
    child = os.fork()
    if child == 0:
        os._exit(sum(1 << place for place, call in enumerate((
            lambda: store.append([accepted("m9")]), store.apply, store.unanswered, lambda: view.session_by_id("s1"),
            lambda: store.tenant("acme"))) if not _stopped(call)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(DataLocked):
        open_store()
    store.append([accepted("m9")])
    assert store.apply() > 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a process cannot be asked for its files here")
def test_a_child_of_a_fork_has_no_file_of_the_store_open_and_no_key(open_store: Opener, tmp_path: Path) -> None:
    """DuckDB's own handle stays: closing it would write to the parent's file. Nothing leads to it any more."""
    store = open_store()
    filled(store)
    store.apply()
    assert {"lock", "tables.duckdb"} < _open_below(tmp_path)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        keys = "keys" if store._keyring._user_keys or store._keyring._hash_key else ""
        os.write(write, ",".join([*sorted(_open_below(tmp_path)), keys]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "tables.duckdb,"


def _open_below(folder: Path) -> set[str]:
    """Names of the files below a folder that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            path = link.readlink()
            if path.is_relative_to(folder):
                found.add(path.name)
    return found


def _stopped(call: Callable[[], Any]) -> bool:
    try:
        call()
    except StorageStopped:
        return True
    except BaseException:
        return False
    return False


def test_keys_for_other_purposes_stay_the_same_after_a_restart(open_store: Opener) -> None:
    store = open_store()
    key = store.derive_key("tokens")
    assert len(key) == 32
    assert key != store.derive_key("other")
    store.close()
    assert open_store().derive_key("tokens") == key


def test_a_closed_store_says_so(open_store: Opener) -> None:
    store = open_store()
    store.close()
    store.close()
    with pytest.raises(StorageStopped, match="closed"):
        store.append([accepted("m1")])
    with pytest.raises(StorageStopped, match="closed"):
        store.tenant("acme")
