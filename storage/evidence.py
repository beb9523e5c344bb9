"""What a data directory, or a copy of one, holds for an auditor: read without changing anything, with keys or without.

Without keys everything sealed stays closed, and what only the journal holds is not seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import msgspec
from cryptography.exceptions import InvalidTag

from ruche.storage import frames, vault
from ruche.storage.checkpoints import Checkpoint, Note, read_checkpoint, read_note
from ruche.storage.collection import Collection, Values, collections
from ruche.storage.entries import Entry, Order, Place, entries_of_heads, entry, entry_of
from ruche.storage.errors import ConfigurationError, Erased, IntegrityError, RucheError
from ruche.storage.heads import read_heads
from ruche.storage.keyfile import read_lines
from ruche.storage.keyring import Keyring, KeySource
from ruche.storage.mark import read_mark
from ruche.storage.merkle import leaf_hash
from ruche.storage.notary import KeyLine, read_history, read_notes
from ruche.storage.rows import MODELS
from ruche.storage.runs import KIND
from ruche.storage.segment import open_frame, segment_cipher
from ruche.storage.tablefacts import TableFacts, read_tables

_EPOCH: Final = date(1970, 1, 1)
_decode = msgspec.msgpack.Decoder().decode


class Fault(NamedTuple):
    """What is wrong, and where: a file with a byte offset, or an entry's id."""

    what: str
    file: str = ""
    offset: int = -1
    id: str = ""


class _State(msgspec.Struct):
    """What is asked of a session's state."""

    previous_run: str = ""


_state = msgspec.msgpack.Decoder(_State).decode


class Evidence:
    """Reads `directory` once, day by day. `keys` None means without keys."""

    def __init__(self, directory: Path, keys: KeySource | None) -> None:
        """Raises ConfigurationError for what is no data directory, and for keys that are not its own."""
        if not (directory / "keys" / "keyring").is_file() and not (directory / "runs").is_dir():
            raise ConfigurationError(f"{directory}: this is no data directory, it has neither keys/keyring nor runs")
        self.directory, self.faults = directory, list[Fault]()
        self.collections = collections(MODELS)
        self.by_name: dict[str, Collection] = {one.name: one for one in self.collections}
        self._endings = {self.by_name[name].number for name in ("runs", "dead_letters")}
        self.keyring = None if keys is None else self._open_keyring(keys)
        self.live, self.gone = self._key_ids()
        self.ends: dict[tuple[int, str], str] = {}
        """By tenant tag and session the hash of the run that its state names as the last; where there are keys."""
        self.tables = self._read_tables()
        self.tail = dict[Order, Entry]()
        self.removed = set[tuple[int, str]]()
        self.let_go = list[tuple[int, str]]()
        """Accepted messages that a journal frame took out without a run or a dead letter in their place."""
        self.heads = dict[tuple[int, str], set[int]]()
        """By tenant tag and session the numbers of the runs that were the last of a dropped day; once `entries` ran."""
        self.torn = False
        self._read_journal()
        self.history: list[KeyLine] = self._sound("log/keys", lambda path: list(read_history(path))) or []
        self.notes = self._read_notes(self._sound("log/checkpoints", read_notes) or [])

    # --- entries ---------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[Entry, str]]:
        """Every sound entry of the audit logs and the file it was found in; day by day, the journal's last."""
        seen: set[Order] = set()
        folder = self.directory / "runs"
        for path in sorted(folder.glob("*.heads")):
            for one in self._sound(f"runs/{path.name}", self._of_heads) or []:
                seen.add(one.order)
                yield one, path.name
        for path in sorted(folder.glob("*.day")):
            if not path.with_suffix(".heads").exists():
                for one in self._of_day(path):
                    seen.add(one.order)
                    yield one, path.name
        for order, one in self.tail.items():
            if order not in seen:
                yield one, "journal"

    def _of_day(self, path: Path) -> Iterator[Entry]:
        day, content = (date.fromisoformat(path.stem) - _EPOCH).days, path.read_bytes()
        try:
            frames.read_header(content, KIND, path)
        except RucheError as error:
            self._fault(error.message, f"runs/{path.name}", 0)
        found = frames.scan(content)
        sound = found.frames
        while found.bad is not None:
            later = frames.frames_after(content, found.bad)
            if later or not self._is_torn(day, found.bad):
                self._fault("bytes were changed or are missing", f"runs/{path.name}", found.bad)
            self.torn = self.torn or not later
            following = frames.scan(content, later[0].start) if later else frames.Scan([], found.bad, None)
            sound, found = sound + following.frames, following
        for frame in sound:
            try:
                yield entry_of(day, frame)
            except IntegrityError as error:
                self._fault(error.message, f"runs/{path.name}", frame.start)

    def _of_heads(self, path: Path) -> list[Entry]:
        """What is left of a dropped day; erasures are whole."""
        heads = read_heads(path)
        for one in heads.sessions:
            self.heads.setdefault((one.tag, one.session), set()).add(one.sequence)
        bodies, found = dict(heads.erasures), entries_of_heads(path)
        if any(one.sequence in bodies and leaf_hash(bodies[one.sequence]) != one.leaf for one in found):
            raise IntegrityError("an erasure that was kept is not the one that is in the log", file=str(path), offset=0)
        kept = {sequence: _decode(body) for sequence, body in bodies.items()}
        return [one if one.sequence not in kept else one._replace(
            schema=kept[one.sequence][2], values=tuple(kept[one.sequence][3:])) for one in found]

    def _is_torn(self, day: int, bad: int) -> bool:
        """Whether what is bad was written after the last checkpoint: the journal has it, a start writes it again."""
        return self.tables is None or bad >= self.tables.lengths.get(day, 0)

    # --- keys ------------------------------------------------------------------------------------------------

    def open(self, collection: Collection, values: Values) -> bytes | None:
        """The sealed last field of a row; None without keys and for the erased. Raises IntegrityError."""
        if self.keyring is None:
            return None
        try:
            return collection.open(collection.columns[-1], values, self.keyring.opener)
        except Erased:
            return None

    def _open_keyring(self, keys: KeySource) -> Keyring:
        """From a copy: opening must not write."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "keyring")
            copy.write_bytes((self.directory / "keys" / "keyring").read_bytes())
            return Keyring(copy, keys.root_key())

    def _key_ids(self) -> tuple[set[bytes], set[bytes]]:
        """Ids of the data keys that are there, and of those that were destroyed; readable without the root key."""
        path = self.directory / "keys" / "keyring"
        if not path.exists():
            return set(), set()
        known, content = _marked(path)
        try:
            lines, end = read_lines(content, path)
        except RucheError as error:
            self._fault(error.message, "keys/keyring", 0)
            return set(), set()
        if end < known or frames.frames_after(content, end):
            self._fault("bytes were changed or are missing", "keys/keyring", end)
        kinds = {line.id: line.kind for line in lines}
        return ({one for one, kind in kinds.items() if kind == "person"},
                {one for one, kind in kinds.items() if kind == "gone"})

    # --- tables ----------------------------------------------------------------------------------------------

    def _read_tables(self) -> TableFacts | None:
        path = self.directory / "tables.duckdb"
        try:
            return read_tables(path, self.collections, self._end) if path.exists() else None
        except duckdb.Error as error:
            self._fault(f"the table file cannot be read ({type(error).__name__})", "tables.duckdb", 0)
            return None

    # --- journal, checkpoints --------------------------------------------------------------------------------

    def _read_journal(self) -> None:
        """What the tables do not hold yet, where there are keys, and bad bytes before the journal's end; at its end a
        crash may have cut short what nobody was told of."""
        known, reached = read_mark(self.directory / "journal" / "mark"), self.tables.applied if self.tables else 0
        segments = sorted((self.directory / "journal").glob("*.seg"))
        for path in segments:
            content = path.read_bytes()
            found = frames.scan(content)
            reached = max(reached, *(frame.sequence for frame in frames.whole_batches(found).frames), 0)
            if found.bad is not None and (path != segments[-1] or frames.frames_after(content, found.bad)):
                self._fault("bytes were changed or are missing", f"journal/{path.name}", found.bad)
            if self.keyring is not None:
                self._read_segment(path, content, frames.whole_batches(found).frames, self.keyring)
        if known > reached:
            self._fault(f"it ends at {reached}, but {known} was acknowledged",
                        f"journal/{segments[-1].name if segments else 'mark'}")

    def _read_segment(self, path: Path, content: bytes, found: list[frames.Frame], keyring: Keyring) -> None:
        applied = self.tables.applied if self.tables is not None else 0
        try:
            cipher = segment_cipher(content, path, keyring)
        except RucheError as error:
            self._fault(error.message, f"journal/{path.name}", 0)
            return
        for frame in found:
            try:
                changes = _decode(open_frame(cipher, frame))
            except (InvalidTag, ValueError):
                self._fault("a frame was changed", f"journal/{path.name}", frame.start)
                continue
            self._check_answers(changes)
            if frame.sequence > applied:
                self._take(frame.sequence, changes)

    def _check_answers(self, changes: list[Any]) -> None:
        """Whoever takes a message out of the inbox puts a run or a dead letter in its place, in the same frame."""
        if any(one[0] in self._endings for one in changes):
            return
        inbox = -1 - self.by_name["inbox"].number
        self.let_go += [(one[1], str(one[2])) for one in changes if one[0] == inbox]

    def _take(self, sequence: int, changes: list[Any]) -> None:
        part = 0
        for number, tag, *values in changes:
            if number < 0:
                self.removed.add((tag, str(values[0])))
                continue
            collection = self.collections[number]
            if collection.model.logged:
                content = entry(tag, collection, tuple(values))
                self.tail[sequence, part] = Entry(sequence, tag, number, collection.model.schema, tuple(values),
                                                  Place(0, 0, 0), leaf_hash(content), part)
                part += 1
            elif collection.name == "sessions":
                self._end(tag, tuple(values))
            elif self.tables is not None:
                self._take_row(self.tables, collection, tag, tuple(values))

    def _end(self, tag: int, values: Values) -> None:
        sessions = self.by_name["sessions"]
        try:
            opened = self.open(sessions, values)
            if opened is not None:
                self.ends[tag, values[sessions.key]] = _state(opened).previous_run
        except (IntegrityError, msgspec.DecodeError):
            self.faults.append(Fault("a session's state does not open", "tables.duckdb", id=values[sessions.key]))

    def _take_row(self, tables: TableFacts, collection: Collection, tag: int, values: Values) -> None:
        match collection.name:
            case "agents":
                tables.published.append((tag, values))
            case "effects":
                tables.effects[tag, values[collection.key]] = values
            case "inbox":
                tables.waiting.add((tag, values[collection.key]))
            case "idempotency":
                named = dict(zip(collection.columns, values, strict=True))
                tables.requests.append((tag, named["message"], named["turn"], named["at_ms"]))

    def _read_notes(self, found: list[str]) -> list[tuple[Checkpoint, Note]]:
        notes = []
        for one in found:
            try:
                notes.append((read_checkpoint(read_note(one).text), read_note(one)))
            except IntegrityError as error:
                self._fault(error.message, "log/checkpoints")
        return notes

    def _sound(self, name: str, read: Any) -> Any:
        try:
            path = self.directory / name
            return read(path) if path.exists() else None
        except (RucheError, UnicodeDecodeError) as error:
            where = error.details.get("offset", 0) if isinstance(error, RucheError) else 0
            self._fault(str(error), name, where)
            return None

    def _fault(self, what: str, file: str = "", offset: int = -1) -> None:
        fault = Fault(what, file, offset)
        if fault not in self.faults:
            self.faults.append(fault)


def _marked(path: Path) -> tuple[int, bytes]:
    """A file that somebody may be writing, and how far it goes at least."""
    while True:
        known, content = read_mark(path.with_name("mark")), path.read_bytes()
        if known <= len(content) or known == read_mark(path.with_name("mark")):
            return known, content


def blob_key(values: Values) -> bytes:
    """Id of the key that seals a logged row."""
    return vault.key_id(values[-1])
