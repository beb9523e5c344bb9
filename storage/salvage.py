"""Opens what is left of a damaged data directory, in a copy of it: what cannot be read is let go of and told.

Nobody calls this but a person who asked for it. A journal frame that is gone is replaced by one that holds nothing, so
that those after it keep their numbers; the damaged directory is never written to.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import frames, platform, segment
from ruche.storage.errors import ConfigurationError, IntegrityError
from ruche.storage.keyfile import KIND
from ruche.storage.keyline import read_line, written_line
from ruche.storage.keyring import Keyring, KeySource
from ruche.storage.mark import Mark
from ruche.storage.restore import prove
from ruche.storage.store import Store
from ruche.storage.upgrade import COPY

_NOTHING: Final = msgspec.msgpack.encode([])
_LEFT: Final = ("lock", "reserve", "tables.rebuild", COPY)


class Gap(NamedTuple):
    """Journal frames that are gone, the times of the sound ones around them (0: unknown), and whether the tables or a
    snapshot hold what they said: then nothing is lost with them."""

    first: int
    last: int
    after_ms: int
    before_ms: int
    covered: bool = False


class Salvaged(NamedTuple):
    """What is lost, and what is there. `keys` lines of the keyring were damaged; `entries` are what the day files hold
    damaged, by kind and id; `problems` are what verifying says of the rest."""

    gaps: tuple[Gap, ...]
    keys: int
    set_aside: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]
    sessions: int
    runs: int
    problems: tuple[str, ...]

    @property
    def lost(self) -> bool:
        """Something that was acknowledged is gone."""
        return bool(self.keys or self.entries or any(not gap.covered for gap in self.gaps))


def salvage(source: Path, target: Path, keys: KeySource,
            told: Callable[[str], None] = lambda words: None) -> Salvaged:
    """Make `target` (not there yet) of what is sound in `source`, open it, and verify it.

    Raises ConfigurationError (wrong key, target in use), DataLocked, IntegrityError for what cannot be opened at all:
    a keyring without its first keys. Nothing is left of the target then.
    """
    if target.exists():
        raise ConfigurationError(f"{target} is there already; name a directory that is not")
    building = target.with_name(target.name + ".salvaging")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _copied(source, building)
        told(f"copied {source}")
        done = _mended(building, keys)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    building.rename(target)
    platform.sync_directory(target.absolute().parent)
    return done


def _copied(source: Path, building: Path) -> None:
    lock = platform.DirectoryLock(source / "lock")
    try:
        shutil.copytree(source, building, ignore=lambda folder, names: [one for one in names if one in _LEFT])
        platform.private_directory(building)
    finally:
        lock.release()


def _mended(building: Path, keys: KeySource) -> Salvaged:
    lost_keys = _mend_keys(building / "keys" / "keyring")
    aside = tuple(_set_aside(building))
    ring = Keyring(building / "keys" / "keyring", keys.root_key())
    try:
        gaps = list(_mend_journal(building, ring))
    finally:
        ring.close()
    with _opened(building, keys) as store:
        if lost_keys:
            store.keys.mourn()
        health = store.health()
        base = health["sequence"] - health["recovered_frames"]
        entries = tuple(store.audit.forget_unreadable())
        sessions, runs, problems = prove(store)
    return Salvaged(tuple(gap._replace(covered=gap.last <= base) for gap in gaps), lost_keys, aside, entries, sessions,
                    runs, tuple(problems))


def _mend_keys(path: Path) -> int:
    """Write a damaged keyring anew with the lines that are sound; how many damaged places there were. Keys that stood
    there are gone. Raises IntegrityError when the file's beginning is damaged."""
    content = path.read_bytes()
    frames.read_header(content, KIND, path)
    found, mark = frames.scan(content), Mark(path.with_name("mark"), platform.Disk())
    known = mark.read()
    mark.close()
    later = frames.frames_after(content, found.bad) if found.bad is not None else []
    if found.end >= known and not later:
        return 0  # whole, or torn where nobody was told of it
    sound = found.frames + later
    gaps = sum(one.end != following.start for one, following in itertools.pairwise(sound))
    lines = [written_line(read_line(frame), number) for number, frame in enumerate(sound, 1)]
    platform.write_atomically(path, b"".join([content[:frames.HEADER.size], *lines]))
    path.with_name("mark").unlink(missing_ok=True)
    return max(1, gaps)


def _opened(building: Path, keys: KeySource) -> Store:
    """The store; keys that are missing on the way are noted as lost."""
    while True:
        try:
            return Store.open(building, keys, reserve_bytes=0)
        except IntegrityError as error:
            missing = error.details.get("key")
            if missing is None:
                raise
        ring = Keyring(building / "keys" / "keyring", keys.root_key())
        ring.mourn([bytes.fromhex(missing)])
        ring.close()


def _set_aside(building: Path) -> Iterator[str]:
    """What is made anew when it is not there, where it cannot be read."""
    from ruche.storage.notary import read_history, read_notes

    for name, read in (("keys", read_history), ("checkpoints", read_notes)):
        path = building / "log" / name
        try:
            read(path)
        except (IntegrityError, UnicodeDecodeError, ConfigurationError):
            path.rename(path.with_name(f"{name}.damaged"))
            yield f"log/{name}"


# --- the journal -----------------------------------------------------------------------------------------------------


def _mend_journal(building: Path, ring: Keyring) -> Iterator[Gap]:
    """Every gap, in order; afterwards the journal is one row of numbers from the oldest snapshot on."""
    folder, mark = building / "journal", Mark(building / "journal" / "mark", platform.Disk())
    known = mark.read()
    mark.close()
    found = sorted((int(path.stem), path) for path in folder.glob("*.seg"))
    snapshots = [int(path.stem) for path in (building / "snapshots").glob("*.snap")]
    expected, before_ms = max(snapshots, default=0) + 1, 0
    for place, (first, path) in enumerate(found):
        if first > expected:
            yield _filled(folder, ring, expected, first - 1, before_ms)
        following = found[place + 1][0] if place + 1 < len(found) else None
        expected = first
        for gap, last, at_ms in _mend_segment(path, ring, first, following, known):
            if gap is not None:
                yield gap
            expected, before_ms = last + 1, at_ms or before_ms
    if known >= expected:
        yield _filled(folder, ring, expected, known, before_ms)


def _mend_segment(path: Path, ring: Keyring, first: int, following: int | None,
                  known: int) -> Iterator[tuple[Gap | None, int, int]]:
    """Each gap with the last number and time up to it; at the end the segment's own."""
    content = path.read_bytes()
    cipher, sound = _sound(content, path, ring)
    scan = frames.scan(content)
    torn = scan.bad is None or not segment.acknowledged(content, frames.whole_batches(scan), first, following, known)
    if cipher is not None and torn and len(sound) == len(scan.frames):
        last = frames.whole_batches(scan).frames[-1:] or []
        yield None, last[0].sequence if last else first - 1, last[0].at_ms if last else 0
        return
    end = following - 1 if following is not None else max(known, *sound, first - 1) if sound else max(known, first - 1)
    missing = [number for number in range(first, end + 1) if number not in sound]
    _rewrite(path, ring, content if cipher is not None else b"", cipher, sound, first, end)
    for one, last_missing in _runs(missing):
        after = next((sound[number].at_ms for number in range(last_missing + 1, end + 1) if number in sound), 0)
        before = next((sound[number].at_ms for number in range(one - 1, first - 1, -1) if number in sound), 0)
        yield Gap(one, last_missing, before, after), last_missing, 0
    yield None, end, max((frame.at_ms for frame in sound.values()), default=0)


def _sound(content: bytes, path: Path, ring: Keyring) -> tuple[AESGCM | None, dict[int, frames.Frame]]:
    """What opens the segment, None when its header is gone, and the frames that open, by their numbers."""
    try:
        cipher = segment.segment_cipher(content, path, ring)
    except IntegrityError:
        return None, {}
    found: dict[int, frames.Frame] = {}
    scan = frames.scan(content)
    for frame in scan.frames + (frames.frames_after(content, scan.bad) if scan.bad is not None else []):
        try:
            segment.open_frame(cipher, frame)
        except (InvalidTag, ValueError):
            continue
        found[frame.sequence] = frame
    return cipher, found


def _rewrite(path: Path, ring: Keyring, content: bytes, cipher: AESGCM | None, sound: dict[int, frames.Frame],
             first: int, last: int) -> None:
    """The sound frames as they are, and for each missing one a frame that holds nothing."""
    if cipher is None:
        content = segment.segment_header(first, ring)
        cipher = segment.segment_cipher(content, path, ring)
    made = [content[:frames.HEADER.size]]
    for number in range(first, last + 1):
        frame = sound.get(number)
        made.append(content[frame.start:frame.end] if frame is not None else
                    segment.sealed_frame(cipher, number, _NOTHING))
    platform.write_atomically(path, b"".join(made))


def _filled(folder: Path, ring: Keyring, first: int, last: int, before_ms: int) -> Gap:
    """A segment in the place of one that is missing."""
    _rewrite(folder / f"{first:020d}.seg", ring, b"", None, {}, first, last)
    return Gap(first, last, before_ms, 0)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Numbers that follow each other, as pairs of first and last."""
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in group]
        yield found[0], found[-1]
