"""A short life of a store in which everything happens that writes: what it said was kept, and whether it was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import duckdb

from ruche.storage.datafiles import Limits
from ruche.storage.errors import ConfigurationError, IntegrityError, RucheError, StorageStopped, Unavailable
from ruche.storage.platform import Disk
from ruche.storage.restore import prove
from ruche.storage.store import Store
from tests.storage.disks import Died
from tests.storage.records import Conversation, StaticKey, accepted, profile, session_key

Outcome = Literal["whole", "refused to open", "lost", "broken"]
"""What was found afterwards: everything acknowledged; an error that names the damage; less, without a word; an error
that nobody can act on."""
TINY = Limits(checkpoint_bytes=6_000, snapshot_bytes=9_000, segment_bytes=6_000)
TURNS = 9
DAY_MS = 86_400_000


class Said:
    """What was acknowledged: accepted messages and committed turns, by id."""

    def __init__(self, heard: Callable[[str], None] = lambda line: None,
                 relief: Callable[[], None] = lambda: None) -> None:
        """`heard` is told each line; `relief` is called when something was refused the third time."""
        self.lines: list[str] = []
        self._heard, self._relief = heard, relief
        self.refused = 0
        self.stopped = False

    def refuse(self) -> None:
        self.refused += 1
        if self.refused == 3:
            self._relief()

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._heard(line)


def play(directory: Path, disk: Disk | None = None, said: Said | None = None, turns: int = TURNS) -> Said:
    """Open, talk, apply, checkpoint, rotate keys, ship, close. Goes on after a refusal, ends when the store stops."""
    said = said or Said()
    store = Store.open(directory, StaticKey(), reserve_bytes=8192, limits=TINY, disk=disk)
    try:
        _talk(store, directory, disk, said, turns)
        store.close()
    except Died as death:
        death.left = store.close
        raise
    except BaseException:
        abandon(store.close)
        raise
    return said


def _talk(store: Store, directory: Path, disk: Disk | None, said: Said, turns: int) -> None:
    talks = [_resumed(store, number) for number in range(3)]
    for turn in range(turns):
        talk = talks[turn % 3]
        message = f"{talk.state.id}-m{talk.state.turn_count}"
        if _tried(said, lambda talk=talk, message=message: store.append(  # type: ignore[misc]
                [accepted(message, key=talk.key, session=talk.state.id)])):
            said.add(f"accepted {message}")
        before = talk.state
        record = talk.turn("said " * 20, "reply " * 80, answered=(message,),
                           profile=profile(talk.key.interlocutor, turn=str(turn)))
        if _tried(said, lambda record=record: store.append([record])):  # type: ignore[misc]
            said.add(f"turn {record.run.id}")
        else:
            talk.state = before
        if turn == 4:
            _tried(said, lambda: store.keys.rotate("journal"))
        if turn == 6:
            _tried(said, lambda: store.backup.ship(directory.with_name(directory.name + "-archive"), disk=disk))
        if turn % 2 == 1 or turns - turn == 1:
            _tried(said, store.apply)


def _tried(said: Said, work: Callable[[], object]) -> bool:
    """Whether it was done; at a refusal once more. What is no error of the engine's own goes through."""
    if said.stopped:
        return False
    for _ in range(2):
        try:
            work()
        except StorageStopped:
            said.stopped = True
            return False
        except Unavailable:
            said.refuse()
        else:
            return True
    return False


def _resumed(store: Store, number: int) -> Conversation:
    talk = Conversation(f"s{number}", session_key(person=f"person{number}"), created_ms=1_790_000_000_000
                        + number * DAY_MS)
    talk.state = store.tenant("acme").session_by_id(talk.state.id) or talk.state
    return talk


def examine(directory: Path, said: Said) -> tuple[Outcome, str, float]:
    """Open what a fault left behind: the outcome, why, and how long opening took in seconds."""
    began = time.monotonic()
    try:
        with Store.open(directory, StaticKey(), reserve_bytes=0, limits=TINY) as store:
            seconds = time.monotonic() - began
            missing = _missing(store, said)
            problems = [*prove(store)[2], *([store.audit.problem] if store.audit.problem else [])]
    except (IntegrityError, ConfigurationError) as error:
        return "refused to open", error.message, time.monotonic() - began
    except (RucheError, OSError, duckdb.Error, ValueError, LookupError) as error:
        return "broken", f"{type(error).__name__}: {error}", time.monotonic() - began
    if missing or problems:
        return "lost", (missing or problems)[0], seconds
    return "whole", "", seconds


def _missing(store: Store, said: Said) -> list[str]:
    """Acknowledged and not there, or there more than once."""
    runs = store.tenant("acme").runs(limit=100_000).items
    ids = [run.id for run in runs]
    known = {message for run in runs for message in run.message_ids}
    known |= {one.message.id for one in store.unanswered()}
    found = [] if len(ids) == len(set(ids)) else ["a run is there twice"]
    for line in said.lines:
        kind, _, name = line.partition(" ")
        if name not in (set(ids) if kind == "turn" else known):
            found.append(line)
    return found


def abandon(work: Callable[[], object]) -> None:
    """Close what a death left behind, whatever it says."""
    with contextlib.suppress(RucheError, OSError, duckdb.Error):
        work()
