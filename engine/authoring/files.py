"""Reads the files of one agent folder and nothing outside it: no links, no `..`, bounded sizes (security item 22)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ruche.engine.authoring.problem import Problem

MAX_FILE_BYTES = 4_000_000
MAX_FOLDER_BYTES = 32_000_000
MAX_FILES = 2_000

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class FolderFiles:
    """The texts of a folder's files by name relative to it (`scenarios/refund.yaml`), and what could not be read."""

    texts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, file: str, code: str, what: str, instead: str = "") -> None:
        self.problems.append(Problem(file, 1, 1, code, what, instead))


def read_files(folder: Path, subfolders: tuple[str, ...]) -> FolderFiles:
    """Every regular file of the folder and of the named subfolders that an agent may consist of, in name order."""
    found = FolderFiles()
    if not folder.is_dir():
        found.refuse(folder.name, "E114", "there is no such agent folder", "ruche init NAME makes one")
        return found
    budget = [MAX_FOLDER_BYTES]
    for part in ("", *subfolders):
        _read_level(folder, part, found, budget)
    return found


def read_subfolder(folder: Path, part: str) -> FolderFiles:
    """The files of one subfolder, which may be absent; names begin with the subfolder's."""
    found = FolderFiles()
    _read_level(folder, part, found, [MAX_FOLDER_BYTES])
    return found


def _read_level(folder: Path, part: str, found: FolderFiles, budget: list[int]) -> None:
    level = folder / part if part else folder
    try:
        if part and not _is_folder(level, part, found):
            return
        entries = sorted(os.scandir(level), key=lambda entry: entry.name)
    except OSError as error:
        found.refuse(part or folder.name, "E113", f"cannot be read: {error.strerror}", "check its permissions")
        return
    for entry in entries:
        name = f"{part}/{entry.name}" if part else entry.name
        if _belongs(entry.name):
            if len(found.texts) >= MAX_FILES:
                found.refuse(name, "E106", f"more than {MAX_FILES} files in the folder", "split the agent")
                return
            _read_file(level / entry.name, name, found, budget)


def _is_folder(level: Path, part: str, found: FolderFiles) -> bool:
    try:
        mode = level.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        found.refuse(part, "E111", "links are not followed", "put the files themselves into the folder")
    elif not stat.S_ISDIR(mode):
        found.refuse(part, "E113", "a folder is expected here", f"make {part}/ a folder")
    return stat.S_ISDIR(mode)


def _belongs(name: str) -> bool:
    return name.endswith((".yaml", ".yml", ".md", ".py")) and not name.startswith(".")


def _read_file(path: Path, name: str, found: FolderFiles, budget: list[int]) -> None:
    if path.is_symlink():
        found.refuse(name, "E111", "links are not followed", "put the file itself into the folder")
        return
    try:
        raw = _read_bytes(path)
    except OSError as error:
        found.refuse(name, "E113", f"cannot be read: {error.strerror}", "check its permissions")
        return
    if raw is None:
        found.refuse(name, "E113", "this is not a regular file", "remove it")
        return
    budget[0] -= len(raw)
    if len(raw) > MAX_FILE_BYTES or budget[0] < 0:
        found.refuse(name, "E106", f"too large: at most {MAX_FILE_BYTES} bytes a file, {MAX_FOLDER_BYTES} a folder",
                     "split it")
        return
    try:
        found.texts[name] = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[:error.start].count(b"\n") + 1
        found.problems.append(Problem(name, line, 1, "E110", "this is not UTF-8 text", "save the file as UTF-8"))


def _read_bytes(path: Path) -> bytes | None:
    """At most one byte more than a file may have, None when it is not a regular file. Never follows a link."""
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)
