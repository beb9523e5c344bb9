"""Keys change at every level while their blobs stay readable, also when the process is killed on the way."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ruche.storage import keyring as keyring_module
from ruche.storage.errors import ConfigurationError, Conflict, Erased, IntegrityError, NotFound, StorageFull
from ruche.storage.keyring import Keyring
from ruche.storage.platform import Disk
from ruche.storage.rotation import Progress, Rotation
from ruche.storage.vault import Column
from tests.storage.disks import Died, Fault, FaultyDisk, at
from tests.storage.records import StaticKey

OLD, NEW, OTHER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
PLACE = Column.of("sessions", "state", 1)
PEOPLE = [("acme", f"person{number}") for number in range(7)] + [("other", "ada"), ("other", "")]
Blobs = dict[tuple[str, str], bytes]


def opened(path: Path, root: bytes = OLD, disk: Disk | None = None) -> Keyring:
    return Keyring(path, root, disk=disk)


def filled(path: Path) -> Blobs:
    """A keyring of two tenants, and a blob of each person."""
    ring = opened(path)
    blobs = {who: ring.person(*who).seal(str(who).encode(), PLACE, b"row") for who in PEOPLE}
    ring.flush()
    ring.close()
    return blobs


def all_open(ring: Keyring, blobs: Blobs) -> bool:
    return all(ring.opener(blob[1:9]).open(blob, PLACE, b"row") == str(who).encode() for who, blob in blobs.items())


def finish_tenants(ring: Keyring) -> list[Progress]:
    rotation, seen = Rotation(ring), []
    while not seen or not seen[-1].finished:
        seen.append(rotation.step(2))
    return seen


def rotate_tenants(ring: Keyring) -> None:
    if not any(state.older for state in Rotation(ring).status() if state.level == "tenant"):
        Rotation(ring).begin_tenant()
    finish_tenants(ring)


def rotate_root(ring: Keyring) -> None:
    Rotation(ring).add_root(StaticKey(NEW))
    Rotation(ring).keep_root(StaticKey(NEW))


def test_a_new_root_key_opens_everything_and_the_old_one_nothing(tmp_path: Path) -> None:
    """Security item 41: the root key can be changed."""
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    lines = {line.wrapped for line in ring.lines.of_kind("tenant")}
    assert Rotation(ring).add_root(StaticKey(NEW))
    assert not Rotation(ring).add_root(StaticKey(NEW))
    for root in (OLD, NEW):
        both = opened(path, root)
        assert all_open(both, blobs)
        both.close()
    assert Rotation(ring).keep_root(StaticKey(NEW)) == 1
    assert all_open(ring, blobs)
    assert lines.isdisjoint(line.wrapped for line in ring.lines.of_kind("tenant"))
    with pytest.raises(ConfigurationError, match="root key is not the one"):
        opened(path, OLD)
    assert all_open(opened(path, NEW), blobs)


def test_a_root_key_that_does_not_open_the_keyring_shuts_nobody_out(tmp_path: Path) -> None:
    ring = opened(tmp_path / "keyring")
    with pytest.raises(ConfigurationError, match="nothing was changed"):
        Rotation(ring).keep_root(StaticKey(OTHER))
    with pytest.raises(ConfigurationError, match="placeholder"):
        Rotation(ring).add_root(StaticKey(bytes(32)))
    assert opened(tmp_path / "keyring").lines.root == OLD


def test_persons_keys_move_under_their_tenants_new_key_and_the_old_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    old = ring.lines.generations("tenant", ring.tenant("acme").hash)[0]
    Rotation(ring).begin_tenant("acme")
    progress = finish_tenants(ring)
    assert [one.done for one in progress] == [2, 4, 6, 7]
    assert progress[-1].total == 7
    assert ring.lines.get(old.id) is None
    assert old.wrapped not in path.read_bytes()
    assert len(ring.lines.generations("tenant", ring.tenant("other").hash)) == 1
    assert all_open(ring, blobs)
    assert all_open(opened(path), blobs)


def test_while_a_tenants_key_changes_its_persons_are_written_about(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    Rotation(ring).begin_tenant("acme")
    Rotation(ring).step(2)
    blobs["acme", "newcomer"] = ring.person("acme", "newcomer").seal(b"('acme', 'newcomer')", PLACE, b"row")
    ring.flush()
    assert all_open(ring, blobs)
    finish_tenants(ring)
    assert all_open(opened(path), blobs)


def test_a_person_with_a_new_key_is_read_under_both(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    Rotation(ring).renew_person("acme", "person1")
    fresh = ring.person("acme", "person1")
    blob = fresh.seal(b"new", PLACE, b"row")
    assert fresh.id != blobs["acme", "person1"][1:9]
    assert ring.newest(ring.opener(blobs["acme", "person1"][1:9])).id == fresh.id
    ring.close()
    again = opened(path)
    assert all_open(again, blobs)
    assert again.person("acme", "person1").id == blob[1:9]
    assert again.opener(blob[1:9]).open(blob, PLACE, b"row") == b"new"


def test_persons_of_a_renewed_tenant_get_a_key_when_they_are_next_written_about(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    Rotation(ring).renew_persons("acme")
    assert ring.person("acme", "person2").id != blobs["acme", "person2"][1:9]
    assert ring.person("other", "ada").id == blobs["other", "ada"][1:9]
    ring.flush()
    ring.close()
    again = opened(path)
    assert again.person("acme", "person3").id != blobs["acme", "person3"][1:9]
    second = again.person("acme", "person2")
    assert len(again.key_ids("acme", "person2")) == 2
    assert second.id == again.person("acme", "person2").id
    assert all_open(again, blobs)


def test_erasing_a_person_destroys_every_generation(tmp_path: Path) -> None:
    """Security item 43."""
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    Rotation(ring).renew_person("acme", "person1")
    blob = ring.person("acme", "person1").seal(b"new", PLACE, b"row")
    doomed = [ring.lines.get(one).wrapped for one in ring.key_ids("acme", "person1")]  # type: ignore[union-attr]
    assert ring.destroy("acme", "person1")
    assert not any(wrapped in path.read_bytes() for wrapped in doomed)
    for one in (blob, blobs["acme", "person1"]):
        with pytest.raises(Erased):
            ring.opener(one[1:9])
    with pytest.raises(Erased):
        ring.newest(keyring_module.DataKey(b"x" * 8, OLD, ring.tenant("acme").hash, b"gone"))


def test_erasing_a_tenant_destroys_every_key_of_it_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    doomed = ring.renewed_tenant("acme")
    assert len(doomed) == 7
    ring.shred(doomed)
    assert ring.renewed_tenant("nobody") == []
    again = opened(path)
    assert again.opener(blobs["other", "ada"][1:9]).open(blobs["other", "ada"], PLACE, b"row")
    with pytest.raises(Erased):
        again.opener(blobs["acme", "person0"][1:9])
    assert again.person("acme", "person0").id != blobs["acme", "person0"][1:9]


def test_a_key_that_is_in_use_or_the_newest_is_not_retired(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    ring = opened(path)
    old = blobs["acme", "person1"][1:9]
    with pytest.raises(Conflict, match="rotate first"):
        Rotation(ring).retire(old, 0)
    Rotation(ring).renew_person("acme", "person1")
    with pytest.raises(Conflict, match="in use: 3"):
        Rotation(ring).retire(old, 3)
    with pytest.raises(NotFound):
        Rotation(ring).retire(b"no such!", 0)
    Rotation(ring).retire(old, 0)
    with pytest.raises(IntegrityError):
        opened(path).opener(old)


def test_nobody_has_a_key_to_rotate_before_they_were_heard_of(tmp_path: Path) -> None:
    rotation = Rotation(opened(tmp_path / "keyring"))
    for attempt in (lambda: rotation.begin_tenant("acme"), lambda: rotation.renew_persons("acme"),
                    lambda: rotation.renew_person("acme", "ada")):
        with pytest.raises(NotFound):
            attempt()
    assert [state.keys for state in rotation.status()] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(("rotate", "root"), [(rotate_tenants, OLD), (rotate_root, NEW)], ids=["tenants", "root"])
@pytest.mark.parametrize("when", ["before", "half", "after"])
def test_a_rotation_that_is_killed_at_any_write_goes_on_where_it_was(
        tmp_path: Path, rotate: Callable[[Keyring], None], root: bytes, when: str) -> None:
    """Security item 41: no call to the disk is there at which a kill would lose a key."""
    base = tmp_path / "base"
    base.mkdir()
    blobs = filled(base / "keyring")
    for number in itertools.count(1):
        path = tmp_path / str(number) / "keyring"
        shutil.copytree(base, path.parent)
        disk = FaultyDisk(at(number, Fault(when)))  # type: ignore[arg-type]
        try:
            rotate(opened(path, disk=disk))
        except Died:
            survivor = either(path)
            assert all_open(survivor, blobs)
            rotate(survivor)
        else:
            break
        assert all_open(opened(path, root), blobs)
        assert sum(state.older for state in Rotation(opened(path, root)).status()) == 0
    assert number > 8


def either(path: Path) -> Keyring:
    """Whichever root key the kill left in charge."""
    try:
        return opened(path, OLD)
    except ConfigurationError:
        return opened(path, NEW)


@pytest.mark.parametrize("rotate", [rotate_tenants, rotate_root], ids=["tenants", "root"])
def test_a_rotation_on_a_full_disk_changes_nothing_and_can_be_tried_again(
        tmp_path: Path, rotate: Callable[[Keyring], None]) -> None:
    path = tmp_path / "keyring"
    blobs = filled(path)
    full = FaultyDisk(lambda call, name: Fault("half", 28) if name == "keyring write" and not room else None)
    room = False
    ring = opened(path, disk=full)
    with pytest.raises(StorageFull):
        rotate(ring)
    assert all_open(ring, blobs)
    assert all_open(opened(path), blobs)
    room = True
    rotate(ring)
    assert all_open(ring, blobs)


# --- nonces ----------------------------------------------------------------------------------------------------------


def test_a_key_gets_a_successor_long_before_its_nonces_run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 41: at most 2^30 random nonces are drawn under one key."""
    monkeypatch.setattr(keyring_module, "BLOCK", 4)
    monkeypatch.setattr(keyring_module, "NOTED", 64)
    monkeypatch.setattr(keyring_module, "BUDGET", 500)
    ring = opened(tmp_path / "keyring")
    blobs = [ring.person("acme", "ada").seal(b"%d" % number, PLACE, b"row") for number in range(2000)]
    used = [blob[1:9] for blob in blobs]
    assert len(set(used)) > 3
    assert max(used.count(one) for one in set(used)) <= 500
    ring.flush()
    again = opened(tmp_path / "keyring")
    assert all(again.opener(blob[1:9]).open(blob, PLACE, b"row") == b"%d" % number
               for number, blob in enumerate(blobs))


def test_nonces_are_counted_over_restarts_and_batches_and_never_below_what_was_drawn(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "BLOCK", 4)
    monkeypatch.setattr(keyring_module, "NOTED", 64)
    drawn = 0
    for start in range(6):
        ring = opened(tmp_path / "keyring")
        key = ring.person("acme", "ada")
        key.seal_batch([(b"data", b"row")] * (start * 37), PLACE)
        drawn += start * 37
        ring.flush()
        line = ring.lines.get(key.id)
        assert line is not None
        assert drawn <= ring.spent(line) <= drawn + 64 * 8
        ring.close()
