"""Keys hang together from the root down, survive restarts, and are gone when destroyed."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from ruche.storage.errors import ConfigurationError, Erased, IntegrityError, RucheError
from ruche.storage.keyring import (
    CommandKeySource,
    EnvKeySource,
    FileKeySource,
    Keyring,
    KeyringKeySource,
    KeySource,
    create_root_key,
)
from ruche.storage.recent import Recent
from ruche.storage.vault import Column

ROOT = bytes(range(32))
COLUMN = Column.of("sessions", "state", 1)


def reopened(path: Path) -> Keyring:
    return Keyring(path, ROOT)


def opens(path: Path, blob: bytes) -> bytes:
    ring = reopened(path)
    try:
        return ring.opener(blob[1:9]).open(blob, COLUMN, b"row")
    finally:
        ring.close()


def filled(path: Path) -> bytes:
    """A keyring with three persons; gives a blob of the second."""
    ring = Keyring(path, ROOT)
    for person in ("ada", "bob", "eve"):
        ring.person("acme", person)
    blob = ring.person("acme", "bob").seal(b"bob's", COLUMN, b"row")
    ring.flush()
    ring.close()
    return blob


def test_a_persons_key_is_the_same_after_a_restart(tmp_path: Path) -> None:
    blob = filled(tmp_path / "keyring")
    ring = reopened(tmp_path / "keyring")
    assert ring.opener(blob[1:9]).open(blob, COLUMN, b"row") == b"bob's"
    assert ring.person("acme", "bob").id == blob[1:9]


def test_every_person_of_every_tenant_has_a_key_of_their_own(tmp_path: Path) -> None:
    """Security item 6: keys are per tenant."""
    ring = reopened(tmp_path / "keyring")
    keys = {ring.person(tenant, person).id for tenant in ("acme", "other") for person in ("", "ada", "bob")}
    assert len(keys) == 6


def test_another_root_key_is_refused_with_words_that_help(tmp_path: Path) -> None:
    filled(tmp_path / "keyring")
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        Keyring(tmp_path / "keyring", ROOT[::-1])


def test_the_file_names_no_tenant_and_no_person(tmp_path: Path) -> None:
    ring = reopened(tmp_path / "keyring")
    ring.person("canary-tenant", "canary-person")
    ring.flush()
    content = (tmp_path / "keyring").read_bytes()
    assert b"canary" not in content
    assert ROOT not in content


def test_asking_for_an_unknown_person_makes_no_key(tmp_path: Path) -> None:
    ring = reopened(tmp_path / "keyring")
    assert ring.known_person("acme", "nobody") is None
    assert not ring.has_unwritten


def test_a_destroyed_key_is_gone_from_the_file_and_its_blobs_are_erased(tmp_path: Path) -> None:
    """Security item 43: destroying a person's key makes what it sealed unreadable for ever."""
    path = tmp_path / "keyring"
    blob = filled(path)
    before = path.read_bytes()
    ring = reopened(path)
    wrapped = ring.lines.get(blob[1:9]).wrapped  # type: ignore[union-attr]
    assert wrapped in before
    assert ring.destroy("acme", "bob")
    assert wrapped not in path.read_bytes()
    for one in (ring, reopened(path)):
        with pytest.raises(Erased):
            one.opener(blob[1:9])
    assert ring.person("acme", "ada").id != blob[1:9]
    assert not reopened(path).destroy("acme", "bob")


def test_a_destroyed_person_who_comes_back_gets_a_new_key(tmp_path: Path) -> None:
    blob = filled(tmp_path / "keyring")
    ring = reopened(tmp_path / "keyring")
    ring.destroy("acme", "bob")
    assert ring.person("acme", "bob").id != blob[1:9]


def test_the_torn_end_of_an_unfinished_append_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    filled(path)
    whole = path.read_bytes()
    for length in range(1, 60):
        path.write_bytes(whole + b"\xabRF1" + bytes(range(length)))
        ring = reopened(path)
        assert ring.known_person("acme", "eve") is not None
        ring.close()
        assert path.read_bytes() == whole


def test_any_flipped_byte_is_noticed_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blob = filled(path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
        with pytest.raises((IntegrityError, ConfigurationError)):
            opens(path, blob)


def test_a_keyring_cut_short_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    filled(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError):
            reopened(path)


def test_a_wrapped_key_moved_to_another_line_does_not_open(tmp_path: Path) -> None:
    ring = reopened(tmp_path / "keyring")
    ada, bob = ring.person("acme", "ada").id, ring.person("acme", "bob").id
    mine, other = ring.lines.get(ada), ring.lines.get(bob)
    assert mine is not None
    assert other is not None
    ring.lines.note(msgspec.structs.replace(mine, wrapped=other.wrapped))
    ring.reload()
    with pytest.raises(IntegrityError):
        ring.opener(ada)


def test_a_key_is_made_once_and_only_by_asking(tmp_path: Path) -> None:
    """Security item 41: the key file is for its owner alone and never replaced."""
    path = tmp_path / "keys" / "root.key"
    with pytest.raises(ConfigurationError, match="no root key"):
        FileKeySource(path).root_key()
    source = create_root_key(path)
    assert len(source.root_key()) == 32
    assert FileKeySource(path).root_key() == source.root_key()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="never replaced"):
        create_root_key(path)


def test_a_symlinked_key_file_is_refused(tmp_path: Path) -> None:
    """Security item 27: no symlinked parts."""
    create_root_key(tmp_path / "real.key")
    (tmp_path / "root.key").symlink_to(tmp_path / "real.key")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        FileKeySource(tmp_path / "root.key").root_key()


def test_the_environment_gives_the_key_in_base64() -> None:
    assert EnvKeySource({"RUCHE_ROOT_KEY": base64.b64encode(ROOT).decode()}).root_key() == ROOT


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"short").decode(),
                                  base64.b64encode(bytes(32)).decode()])
def test_a_useless_key_in_the_environment_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="RUCHE_ROOT_KEY") as caught:
        EnvKeySource({"RUCHE_ROOT_KEY": text} if text else {}).root_key()
    assert not text or text not in str(caught.value)


def test_a_command_prints_the_key() -> None:
    text = base64.b64encode(ROOT).decode()
    assert CommandKeySource([sys.executable, "-c", f"print({text!r})"]).root_key() == ROOT


@pytest.mark.parametrize("command", [[], ["/no/such/program"], [sys.executable, "-c", "raise SystemExit(3)"],
                                     [sys.executable, "-c", "print('nonsense')"]])
def test_a_command_that_gives_no_key_is_an_error(command: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        CommandKeySource(command).root_key()


def test_the_os_keyring_without_its_library_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="keyring"):
        KeyringKeySource().root_key()


def test_all_sources_meet_the_contract(tmp_path: Path) -> None:
    for source in (FileKeySource(tmp_path), EnvKeySource(os.environ), CommandKeySource(()), KeyringKeySource()):
        assert isinstance(source, KeySource)


def test_recent_keeps_what_was_used_last() -> None:
    kept: Recent[int, str] = Recent(2)
    kept.put(1, "one")
    kept.put(2, "two")
    assert kept.get(1) == "one"
    kept.put(3, "three")
    assert (kept.get(1), kept.get(2), kept.get(3)) == ("one", None, "three")


def test_errors_are_the_engines_own() -> None:
    assert issubclass(Erased, RucheError)
    assert Erased("gone").status == 410


def test_a_key_that_is_destroyed_while_it_is_being_opened_does_not_come_back(tmp_path: Path) -> None:
    """Who looked for it just before, and waits for whoever destroys it, must not put it where it is found again."""

    class Told:
        """The keyring's lock, which tells that somebody waits for it."""

        def __init__(self) -> None:
            self.lock, self.asked = threading.RLock(), threading.Event()

        def __enter__(self) -> None:
            self.asked.set()
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()

    blob = filled(tmp_path / "keyring")
    ring, found = reopened(tmp_path / "keyring"), list[object]()
    ring.lock = told = Told()  # type: ignore[assignment]

    def read() -> None:
        with contextlib.suppress(Erased):
            found.append(ring.opener(blob[1:9]))

    with told.lock:
        reader = threading.Thread(target=read)
        reader.start()
        told.asked.wait()
        assert ring.destroy("acme", "bob")
    reader.join()
    assert not found
    with pytest.raises(Erased):
        ring.opener(blob[1:9])
