"""One pass over the entries of an audit log: what each is, whether its bytes are as they must be, and what it tells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ruche.storage.entries import Entry
from ruche.storage.errors import IntegrityError
from ruche.storage.evidence import Evidence, Fault, blob_key
from ruche.storage.model.canonical import as_written
from ruche.storage.model.handoff import PERSON
from ruche.storage.model.record import AdvisoryAdded
from ruche.storage.model.run import IMPORTED, Run, canonical, genesis

_run = msgspec.json.Decoder(Run).decode
_advisory = msgspec.msgpack.Decoder(AdvisoryAdded).decode


class Seen(NamedTuple):
    """An entry, without its sealed part; `run` where it could be opened."""

    entry: Entry
    file: str
    id: str
    key: bytes
    run: RunFacts | None


def fault_of(one: Seen, what: str) -> Fault:
    """What is wrong with an entry, and where it stands."""
    return Fault(what, one.file, one.entry.place.place, one.id)


class RunFacts(NamedTuple):
    hash: str
    previous: str
    genesis: str
    configuration: str
    outcome: str
    messages: tuple[str, ...]
    status: str
    tools: tuple[tuple[str, str], ...]
    """Key and status of each tool call."""
    foreign: bool
    """It was brought in from elsewhere: what it was decided by is kept there."""


class Looking:
    """`seen` in the order of the journal; `advised` are the advisories, opened where there are keys."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.faults: list[Fault] = []
        self.advised: list[tuple[Seen, AdvisoryAdded | None]] = []
        self.seen = sorted(self._look(), key=lambda one: one.entry.order)

    def _look(self) -> Iterable[Seen]:
        for entry, file in self._evidence.entries():
            if entry.values is None:
                yield Seen(entry, file, "", b"", None)
                continue
            seen = self._see(entry, file)
            if seen is not None:
                yield seen

    def _see(self, entry: Entry, file: str) -> Seen | None:
        """Raises nothing: what cannot be taken apart is a fault of the bytes."""
        values, offset = entry.values or (), entry.place.place
        try:
            collection = self._evidence.collections[entry.number]
            if not collection.model.logged or entry.schema != collection.model.schema or len(values) != len(
                    collection.columns):
                raise IndexError
            name, key = str(values[collection.key]), blob_key(values)
        except (IndexError, IntegrityError, TypeError):
            self.faults.append(Fault("an entry of a kind or form that this engine does not write", file, offset))
            return None
        self._check_index(entry, file, name)
        run = None
        try:
            opened = self._evidence.open(collection, values)
            if opened is not None and collection.name == "runs":
                run = self._facts(opened, values, file, offset)
            if collection.name == "advisories":
                self.advised.append((Seen(entry, file, name, key, None),
                                     None if opened is None else _advisory(opened)))
        except (IntegrityError, msgspec.DecodeError, msgspec.ValidationError) as error:
            self.faults.append(Fault(f"its sealed part does not open: {error}", file, offset, name))
        stripped = entry._replace(values=(*values[:-1], b""))
        return Seen(stripped, file, name, key, run)

    def _facts(self, opened: bytes, values: Sequence[Any], file: str, offset: int) -> RunFacts:
        run, columns = _run(opened), self._evidence.by_name["runs"].columns
        clear = dict(zip(columns, values, strict=True))
        if opened not in (canonical(run), as_written(run)):
            self.faults.append(Fault("its bytes are not the canonical form of what they say", file, offset, run.id))
        if any(clear[name] != getattr(run, name) for name in ("id", "session", "sequence", "created_ms", "risk",
                                                              "status")):
            self.faults.append(Fault("its clear fields say otherwise than its sealed bytes", file, offset, run.id))
        hashes = msgspec.structs.asdict(run.hashes)
        del hashes["version"]
        needed = hashes | ({"configuration": "-"} if _undecided(run) else {})
        for name, value in needed.items():
            if not value or (len(value) > 1 and len(set(value)) == 1):
                self.faults.append(Fault(f"its {name} hash is a placeholder", file, offset, run.id))
        return RunFacts(hashlib.sha256(opened).hexdigest(), run.previous, genesis(run.tenant, run.session, run.engine),
                        run.hashes.configuration, run.outcome, run.message_ids, run.status,
                        tuple((one.key, one.status) for one in run.tools),
                        run.engine.split(" ")[0] == IMPORTED)

    def _check_index(self, entry: Entry, file: str, name: str) -> None:
        tables = self._evidence.tables
        if tables is None or entry.values is None or entry.sequence > tables.applied or file.endswith(".heads"):
            return
        row = tables.logged.get((entry.number, entry.tag, name))
        if row is None or row[:-4] != entry.values[:-1] or row[-4:-1] != tuple(entry.place):
            self.faults.append(Fault("the tables do not have it as it is", file, entry.place.place, name))


def _undecided(run: Run) -> bool:
    """True where no agent decided anything: the turn failed, was given up for another, or is what a person did."""
    return run.outcome == "ERROR" or run.status == "superseded" or PERSON in run.decisions
