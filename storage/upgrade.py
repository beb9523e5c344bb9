"""The form of a data directory: a newer one is refused, an older one is brought up to date after a copy was kept.

The copy in `before-upgrade` costs no space: files are linked, with the lengths that they had. Steps never change a file
in place; files that grow on are cut back to their length when the copy is brought back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ruche.storage import platform
from ruche.storage.errors import ConfigurationError, IntegrityError, NotFound

FORMAT: Final = 2
"""1: the first. 2: episodes have a table, and journal frames of theirs, which form 1 does not know."""
COPY: Final = "before-upgrade"
FORM: Final = "format"
_DERIVED: Final = ("lock", "mark", "places", "reserve", "tables.duckdb", "tables.rebuild")
"""Made anew, or of no use without the process that wrote them."""

Steps = Mapping[int, Callable[[Path], None]]
"""What brings a directory of this form to the next one; it may be run again after a kill."""
STEPS: Final[Steps] = {1: lambda directory: None}


class Kept(msgspec.Struct, frozen=True):
    """What the copy holds: the form that it is in, and how long each file was."""

    format: int
    files: dict[str, int]


def bring_up_to_date(directory: Path, disk: platform.Disk, *, form: int = FORMAT, steps: Steps = STEPS) -> None:
    """Make the directory one of this form. Raises ConfigurationError when it is of a newer one; OSError."""
    found = form_of(directory)
    if found is not None and found > form:
        raise ConfigurationError(f"{directory} has form {found}, which a newer version of ruche made; this one knows "
                                 f"up to {form}: install that version, or `ruche restore --before-upgrade`")
    if found == form:
        return
    if found is not None:
        _keep(directory, found, disk)
        for number in range(found, form):
            steps[number](directory)
    disk.write_atomically(directory / FORM, b"%d\n" % form)


def form_of(directory: Path) -> int | None:
    """The form of a data directory, None of an empty one. Raises IntegrityError."""
    try:
        text = (directory / FORM).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return 1 if (directory / "keys" / "keyring").exists() else None
    if not text.isdigit() or int(text) < 1:
        raise IntegrityError(f"{FORM}: the file that says which form the directory has is damaged",
                             file=str(directory / FORM))
    return int(text)


def roll_back(directory: Path, disk: platform.Disk | None = None) -> int:
    """Put a directory back as it was before its last upgrade; what it was until now stays beside it, as `.upgraded`.

    Gives the form that it has now. What was written since the upgrade is not in it. Raises NotFound without a copy.
    """
    disk, copy = disk or platform.Disk(), directory / COPY
    kept = _kept(copy)
    if kept is None:
        raise NotFound(f"{directory} was never upgraded, there is nothing to go back to")
    building, aside = directory.with_name(directory.name + ".restoring"), directory.with_name(
        directory.name + ".upgraded")
    if aside.exists():
        raise ConfigurationError(f"{aside} is there already; move it away first")
    shutil.rmtree(building, ignore_errors=True)
    lock = platform.DirectoryLock(directory / "lock")
    try:
        for name, length in kept.files.items():
            _copy(copy / name, building / name, length)
        disk.write_atomically(building / FORM, b"%d\n" % kept.format)
        directory.rename(aside)
        building.rename(directory)
        disk.sync_directory(directory.absolute().parent)
    finally:
        lock.release()
    return kept.format


def _keep(directory: Path, form: int, disk: platform.Disk) -> None:
    """The copy of the directory; one that a kill left unfinished is made anew."""
    copy = directory / COPY
    before = _kept(copy)
    if before is not None and before.format == form:
        return
    shutil.rmtree(copy, ignore_errors=True)
    files: dict[str, int] = {}
    for path in _files(directory):
        name = str(path.relative_to(directory))
        platform.private_directory((copy / name).parent)
        os.link(path, copy / name)
        files[name] = path.stat().st_size
    disk.write_atomically(copy / "kept.json", msgspec.json.encode(Kept(form, files)))


def _kept(copy: Path) -> Kept | None:
    try:
        return msgspec.json.decode((copy / "kept.json").read_bytes(), type=Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_file() and path.name not in _DERIVED and COPY not in path.parts:
            yield path


def _copy(source: Path, target: Path, length: int) -> None:
    platform.private_directory(target.parent)
    shutil.copyfile(source, target)
    os.truncate(target, length)
    target.chmod(0o600)
