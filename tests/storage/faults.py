"""Runs a short life of a store again and again with one fault in it, and counts what came of each."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from ruche.storage import journal
from ruche.storage.errors import RucheError
from tests.storage.disks import Died, Fault, FaultyDisk, FullDisk, at
from tests.storage.mounts import fill_up, is_small, small_disk
from tests.storage.power import STATES, PowerDisk
from tests.storage.scene import Outcome, Said, abandon, examine, play

SOUND: Final = ("whole",)
TOLD: Final = ("whole", "refused to open")
FAILURES: Final = {"open": (errno.EMFILE, errno.EIO), "write": (errno.ENOSPC, errno.EIO), "sync": (errno.EIO,),
                   "replace": (errno.EIO,), "truncate": (errno.EIO,), "unlink": (errno.EIO,),
                   "allocate": (errno.ENOSPC,)}
_KEPT: Final = 12
"""Directories of earlier runs that are kept."""
_ROOT: Final = str(Path(__file__).parents[2])
_VICTIMS: Final = """
import os, sys, traceback
from pathlib import Path
from tests.storage.disks import Fault, FaultyDisk, at
from tests.storage.scene import Said, play

def live(directory, number, when):
    disk = FaultyDisk(at(int(number), Fault(when, kill=True)))
    play(Path(directory), disk, Said(lambda line: os.write(1, (line + chr(10)).encode())))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            live(*line.rstrip().split(chr(9)))
        except BaseException:
            os.write(1, ("broken " + traceback.format_exc()[-300:].replace(chr(10), " ") + chr(10)).encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os.write(1, f"ended {os.waitstatus_to_exitcode(status)}{chr(10)}".encode())
"""
"""A process that has loaded everything and opened nothing, and forks one after another that live until they are killed.
"""


class Faults:
    """Runs faults in a folder, and counts what came of each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, folder / "base"
        self.matrix: Counter[tuple[str, Outcome]] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self._number, self._unsaved = 0, list[str]()
        self.before = play(self.base)
        watched = FaultyDisk()
        play(self._copy(self.base), watched)
        self.calls = watched.calls
        """Every call of a life without faults, in order: the fault points."""

    # --- kinds -----------------------------------------------------------------------------------------------

    def deaths(self, points: Iterable[tuple[int, str]]) -> None:
        """The process dies before, in the middle of or after a call."""
        for number, when in points:
            directory, said = self._copy(self.base), self._said()
            disk = FaultyDisk(at(number, Fault(when)))  # type: ignore[arg-type]
            died = self._dies(directory, disk, said)
            self._note(f"death {when} a call", died, said, f"{self.calls[number - 1]} ({number})", SOUND)

    def failures(self, points: Iterable[tuple[int, int]]) -> None:
        """A call fails once, and the store goes on, refuses, or stops."""
        for number, error in points:
            directory, said = self._copy(self.base), self._said()
            name = f"{self.calls[number - 1].rpartition(' ')[2]} fails with {errno.errorcode[error]}"
            where = f"{self.calls[number - 1]} ({number})"
            when = "half" if error == errno.ENOSPC else "before"
            try:
                play(directory, FaultyDisk(at(number, Fault(when, error))), said)
            except RucheError:
                pass  # refused while opening
            except Exception as caught:
                self._count(name, "broken", f"{where}: {type(caught).__name__}: {caught}", SOUND)
                continue
            self._note(name, directory, said, where, SOUND)

    def power_cuts(self, numbers: Iterable[int]) -> None:
        """The power goes before a call: every state that the disk may be in then."""
        for number in numbers:
            directory, said = self._copy(self.base), self._said()
            disk = PowerDisk(directory, at(number, Fault("before")))
            self._dies(directory, disk, said, copied=False)
            for state in STATES:
                target = self._fresh()
                disk.build(state, target)
                self._note(f"power cut, {state}", target, said, f"{self.calls[number - 1]} ({number})", SOUND)
            disk.revive()

    def flips(self, each: int) -> None:
        """One bit of one file changes while the process is down; twice in a row it is opened and looked at."""
        for path in sorted(one for one in self._killed().rglob("*") if one.is_file()):
            kind, size = _kind(path), _filled_to(path)
            for place in sorted({size * part // each for part in range(each)}) if size else ():
                directory = self._copy(self.folder / "killed")
                target = directory / path.relative_to(self.folder / "killed")
                content = target.read_bytes()
                target.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1:])
                first = examine(directory, self._said(*self._unsaved))
                if first[0] == "refused to open" and kind == "tables":
                    first = examine(directory, self._said(*self._unsaved))  # the damaged tables were set aside
                self._count(f"bit flip in {kind}", first[0], f"{path.name} byte {place}: {first[1]}", TOLD)

    def cuts(self, each: int) -> None:
        """A file ends too early."""
        for path in sorted(one for one in self._killed().rglob("*") if one.is_file() and one.stat().st_size):
            for place in {_filled_to(path) * part // each for part in range(each)}:
                directory = self._copy(self.folder / "killed")
                os.truncate(directory / path.relative_to(self.folder / "killed"), place)
                self._note(f"truncated {_kind(path)}", directory, self._said(*self._unsaved),
                           f"{path.name} at {place}", TOLD)

    def full_disk(self) -> None:
        """A file system of a megabyte fills up and is emptied again, where one may be mounted."""
        with small_disk(self._fresh()) as mounted:
            if not is_small(mounted):
                return self._full_by_injection()
            for room, turns in ((0, 9), (3_000, 9), (200_000, 120), (700_000, 120)):
                self._fill_up(mounted, room, turns)

    def _fill_up(self, mounted: Path, room: int, turns: int) -> None:
        directory, ballast = mounted / f"data{room}", mounted / "ballast"
        shutil.copytree(self.base, directory)
        fill_up(ballast, room)
        said = Said(relief=lambda: ballast.unlink(missing_ok=True))
        try:
            play(directory, None, said, turns)
        except RucheError:
            said.refuse()
        except Exception as caught:
            self._count("full file system", "broken", f"{room}: {type(caught).__name__}: {caught}", SOUND)
            return
        finally:
            ballast.unlink(missing_ok=True)
        fault = "full file system, room again later" if said.lines else "full file system, not opened"
        said.lines += self.before.lines
        self._note(fault, directory, said, f"room for {room}, {said.refused} refused", SOUND)
        shutil.rmtree(directory)
        shutil.rmtree(mounted / f"data{room}-archive", ignore_errors=True)

    def _full_by_injection(self) -> None:
        for room in (0, 5_000, 20_000, 60_000):
            directory, said, disk = self._copy(self.base), self._said(), FullDisk(room)
            play(directory, disk, said)
            self._note("full disk", directory, said, f"room for {room}", SOUND)

    def clock_jumps(self) -> None:
        """The clock goes back an hour, forward a month, and stands still, in the middle of a life."""
        for name, jump in (("back an hour", -3600), ("forward a month", 30 * 86_400), ("stands still", 0)):
            directory, said, ticks = self._copy(self.base), self._said(), iter(range(1_000_000))
            kept, journal.time = journal.time, SimpleNamespace(  # type: ignore[assignment]
                time_ns=lambda ticks=ticks, jump=jump: int(1.79e18) + (jump if next(ticks) > 9 else 0) * 10**9)
            try:
                play(directory, None, said)
            finally:
                journal.time = kept
            self._note(f"clock {name}", directory, said, name, SOUND)

    def kills(self, count: int, first: int = 0, step: int = 1) -> None:
        """A real process is killed with signal 9 at a call, each time `step` further on from `first`; then what it left
        is opened here."""
        choice = random.Random(first)
        with subprocess.Popen([sys.executable, "-c", _VICTIMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, env={**os.environ, "PYTHONPATH": _ROOT}) as victims:
            for turn in range(first, first + count * step, step):
                number, when = 1 + turn % len(self.calls), choice.choice(("before", "half", "after"))
                self._kill(victims, number, when)

    def _kill(self, victims: subprocess.Popen[str], number: int, when: str) -> None:
        directory, said, heard = self._copy(self.base), self._said(), ""
        assert victims.stdin is not None
        assert victims.stdout is not None
        victims.stdin.write(f"{directory}\t{number}\t{when}\n")
        victims.stdin.flush()
        while heard := victims.stdout.readline().rstrip():
            if heard.startswith(("ended ", "broken ")):
                break
            said.lines.append(heard)
        if heard != f"ended {-signal.SIGKILL}":
            if heard.startswith("broken "):
                victims.stdout.readline()
            self._count("kill -9", "broken", f"call {number}: {heard}", SOUND)
            return
        self._note(f"kill -9 {when} a call", directory, said, f"{self.calls[number - 1]} ({number})", SOUND)

    # --- choosing --------------------------------------------------------------------------------------------

    def some_deaths(self, count: int) -> list[tuple[int, str]]:
        """So many points, each kind of call first: every one has a name, and is met before, half way and after."""
        firsts = list({name: number for number, name in reversed(list(enumerate(self.calls, 1)))}.values())
        rest = [number for number in range(1, len(self.calls) + 1) if number not in firsts]
        order = [(number, when) for when in ("half", "before", "after") for number in (*firsts, *rest)]
        return order[:count]

    def some_failures(self, every: bool) -> Iterator[tuple[int, int]]:
        """The n-th call of each kind, for n from 1 until there is none; else the first and last of each name."""
        last = {name: number for number, name in enumerate(self.calls, 1)}
        first = {name: number for number, name in reversed(list(enumerate(self.calls, 1)))}
        for number, name in enumerate(self.calls, 1):
            if every or number in (first[name], last[name]):
                for error in FAILURES[name.rpartition(" ")[2]][:None if every else 1]:
                    yield number, error

    # --- inside ----------------------------------------------------------------------------------------------

    def _dies(self, directory: Path, disk: FaultyDisk, said: Said, *, copied: bool = True) -> Path:
        """Live until the fault; gives a copy of the directory as it was then."""
        try:
            play(directory, disk, said)
        except Died as death:
            left = self._copy(directory) if copied else directory
            if death.left is not None and copied:
                disk.revive()
                abandon(death.left)
            return left
        return directory

    def _killed(self) -> Path:
        """A directory as a kill in the middle of work leaves it, with a full journal."""
        killed = self.folder / "killed"
        if not killed.exists():
            said = Said()
            told = [number for number, name in enumerate(self.calls, 1) if name == "journal/mark write"]
            disk = FaultyDisk(at(told[-2], Fault("after")))
            died = self._dies(self._copy(self.base), disk, said)
            died.rename(killed)
            self._unsaved = said.lines
        return killed

    def _said(self, *more: str) -> Said:
        said = Said()
        said.lines += [*self.before.lines, *more]
        return said

    def _note(self, fault: str, directory: Path, said: Said, where: str, fine: Sequence[str]) -> None:
        outcome, why, seconds = examine(directory, said)
        self.slowest = max(self.slowest, seconds)
        self._count(fault, outcome, f"{where}: {why}", fine)

    def _count(self, fault: str, outcome: Outcome, why: str, fine: Sequence[str]) -> None:
        self.matrix[fault, outcome] += 1
        if outcome not in fine:
            self.wrong.append(f"{fault}: {outcome}: {why}")

    def _fresh(self) -> Path:
        self._number += 1
        for old in (f"{self._number - _KEPT}", f"{self._number - _KEPT}-archive"):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        made = self.folder / str(self._number)
        made.mkdir(mode=0o700)
        return made

    def _copy(self, directory: Path) -> Path:
        return Path(shutil.copytree(directory, self._fresh(), dirs_exist_ok=True))


def _filled_to(path: Path) -> int:
    """Bytes of a file before the zeros that a segment has at its end."""
    return len(path.read_bytes().rstrip(b"\0")) if path.suffix == ".seg" else path.stat().st_size


def _kind(path: Path) -> str:
    """The kind of a file of a data directory, in a word."""
    kinds = {".seg": "journal", ".snap": "snapshot", ".day": "day file", ".tree": "tree", ".duckdb": "tables"}
    return kinds.get(path.suffix) or f"{path.parent.name}/{path.name}"
