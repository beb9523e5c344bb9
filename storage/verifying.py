"""The ten checks of `ruche verify`, each with pass, fail or not checkable; over evidence, offline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ruche.storage import advisories, merkle
from ruche.storage.chains import chain_faults
from ruche.storage.checkpoints import Checkpoint, Note, PublicKey
from ruche.storage.effects import unsettled
from ruche.storage.evidence import Evidence, Fault
from ruche.storage.log import tenant_name, tenant_tag
from ruche.storage.looking import Looking, Seen, fault_of
from ruche.storage.model.record import GIVEN_UP, AgentPublished
from ruche.storage.rows import DRAFT
from ruche.storage.treefile import leaves_of

Status = Literal["pass", "fail", "not checkable"]
PROVES_NOT: Final = (
    "that what was said to the engine was true",
    "when something happened, beyond the engine's own clock, without a witness who signs with the time",
    "that no turn was answered outside the log: only a receipt in the caller's hands does",
    "one history for all readers, unless checkpoints are kept by somebody else and given with --checkpoint",
)
_published = msgspec.msgpack.Decoder(AgentPublished).decode


class Result(NamedTuple):
    """What a check found. `checked` counts what it looked at."""

    name: str
    status: Status
    checked: int
    faults: tuple[Fault, ...] = ()
    note: str = ""


class Verifier:
    """Goes through the evidence once, then answers each check from what it saw."""

    def __init__(self, evidence: Evidence, held: Sequence[tuple[Checkpoint, Note]] = (),
                 key: PublicKey | None = None) -> None:
        """`held` are checkpoints that the auditor kept, `key` is the public key that the auditor trusts."""
        self._evidence, self._held, self._key = evidence, list(held), key
        self._numbers = {name: one.number for name, one in evidence.by_name.items()}
        looking = Looking(evidence)
        self._seen, self._bytes, self._advised = looking.seen, looking.faults, looking.advised
        self._logs: dict[int, list[Seen]] = {}
        for one in self._seen:
            self._logs.setdefault(one.entry.tag, []).append(one)

        self.entries, self.tenants = len(self._seen), len(self._logs)

    def results(self) -> list[Result]:
        """All ten, in order."""
        return [self.bytes(), self.chain(), self.inclusion(), self.append_only(), self.authenticity(),
                self.completeness(), self.references(), self.erasure(), self.configuration(), self.replay()]

    def bytes(self) -> Result:
        """1: stored bytes are whole, of a known form, and what their index says; no hash is a placeholder."""
        faults, note = [*self._evidence.faults, *self._bytes], ""
        if self._evidence.torn:
            note = "a day file ends in what a crash cut short; the next start writes it again from the journal"
        elif self._evidence.keyring is None:
            note = "sealed parts were not opened: no keys"
        return _result("bytes", len(self._seen), faults, note)

    def chain(self) -> Result:
        """2: each session's runs have no gap, point back at the run before, and end where its state says."""
        session, sequence = self._columns("runs", "session", "sequence")
        runs = [one for one in self._seen if one.entry.number == self._numbers["runs"]]
        faults = list(chain_faults(runs, session, sequence, self._evidence.heads, self._evidence.ends))
        closed = sum(one.run is None and one.entry.values is not None for one in runs)
        return _result("chain", sum(one.entry.values is not None for one in runs), faults,
                       f"the links of {closed} runs are sealed or erased; their numbers were checked" if closed else "")

    def inclusion(self) -> Result:
        """3: every entry is the leaf that the log and the tables say it is."""
        faults: list[Fault] = []
        tables = self._evidence.tables
        for tag, seen in self._logs.items():
            path = self._evidence.directory / "log" / f"{tenant_name(tag)}.tree"
            kept = leaves_of(path.read_bytes()) if path.exists() else []
            size = (tables.sizes.get(tag, 0) if tables else len(kept)) if kept else 0
            if len(kept) < size:
                faults.append(Fault(f"holds {len(kept)} leaves where {size} were written", f"log/{path.name}"))
            for index, one in enumerate(seen):
                if index < min(len(kept), size) and kept[index] != one.entry.leaf:
                    faults.append(fault_of(one, f"is not leaf {index} of its log"))
                row = tables.logged.get((one.entry.number, tag, one.id)) if tables and one.id else None
                if row is not None and row[-1] != index:
                    faults.append(fault_of(one, f"is leaf {index}, the tables say {row[-1]}"))
            if len(seen) < size:
                faults.append(Fault(f"{size - len(seen)} of {size} leaves have no entry", f"log/{path.name}"))
        return _result("inclusion", len(self._seen), faults)

    def append_only(self) -> Result:
        """4: the log as it is continues every checkpoint, also those that the auditor holds."""
        wanted: dict[int, list[Checkpoint]] = {}
        faults, unseen = [], 0
        for checkpoint, _ in [*self._evidence.notes, *self._held]:
            tag = _tag(checkpoint.origin)
            if tag is None or (tag not in self._logs and checkpoint.size):
                faults.append(Fault("is of a log that is not here", "checkpoint", id=checkpoint.origin))
            else:
                wanted.setdefault(tag, []).append(checkpoint)
        for tag, found in wanted.items():
            leaves = [one.entry.leaf for one in self._logs.get(tag, ())]
            roots = merkle.roots_of(leaves, (one.size for one in found))
            for one in found:
                if one.size > self._certain(tag) and self._evidence.keyring is None:
                    unseen += 1
                elif roots.get(one.size) != one.root:
                    faults.append(Fault(f"the log of {len(leaves)} entries does not continue the checkpoint of "
                                        f"{one.size}", "checkpoint", id=one.origin))
        note = "" if self._held else "no checkpoint that somebody else keeps was given (--checkpoint)"
        if unseen:
            note = f"{unseen} checkpoints reach into the journal, which takes keys"
        count = sum(map(len, wanted.values()))
        return _result("append-only", count, faults, note, unless=count == 0 or unseen == count)

    def _certain(self, tag: int) -> int:
        """Leaves that are surely in the day files; what came later may be in the journal alone."""
        tables = self._evidence.tables
        return tables.sizes.get(tag, 0) if tables is not None else len(self._logs.get(tag, ()))

    def authenticity(self) -> Result:
        """5: checkpoints are signed by a key of the history, and their times never go back."""
        keys = [line.key for line in self._evidence.history]
        faults: list[Fault] = []
        if self._key is not None and self._key not in keys:
            faults.append(Fault("the trusted public key is not in the key history", "log/keys"))
            keys = [self._key]
        notes = [*self._evidence.notes, *self._held]
        faults += [Fault("is not signed by a key of the history", "checkpoint", id=f"{one.origin} {one.size}")
                   for one, note in notes if not any(note.signed_by(key) for key in keys)]
        last: dict[str, Checkpoint] = {}
        for one in sorted((checkpoint for checkpoint, _ in notes), key=lambda one: (one.size, one.at_ms)):
            before = last.get(one.origin)
            if before is not None and (one.at_ms < before.at_ms
                                       or (one.size == before.size and one.root != before.root)):
                faults.append(Fault("goes back in time, or tells another story of the same size", "checkpoint",
                                    id=f"{one.origin} {one.size}"))
            last[one.origin] = one
        note = "" if self._key else "the public key was taken from the directory itself; give the one you trust (--key)"
        return _result("authenticity", len(notes), faults, note, unless=not notes)

    def completeness(self) -> Result:
        """6: every acknowledged request has exactly one run, or still waits; every tool call that a finished turn began
        has its outcome on record."""
        tables = self._evidence.tables
        if tables is None:
            return Result("completeness", "not checkable", 0, (), "the tables are missing")
        runs = [one for one in self._seen if one.entry.number == self._numbers["runs"]]
        known = [(one.entry.tag, one.id) for one in runs if one.id]
        dropped = any(not one.id for one in runs)
        faults = [Fault("is there twice", id=name) for tag, name in _twice(known)]
        present, answered = set(known), self._answered(runs)
        for tag, message, turn, _ in tables.requests:
            if turn not in ("", GIVEN_UP) and (tag, turn) not in present and not dropped:
                faults.append(Fault("was acknowledged and has no run", id=turn))
            if not turn and (tag, message) not in tables.waiting and (tag, message) not in self._evidence.removed:
                faults.append(Fault("was acknowledged, has no answer, and waits no more", id=message))
        faults += [Fault("is answered by two runs", id=message) for _, message in _twice(answered)]
        faults += [Fault("was let go without a run or a dead letter", "journal", id=message)
                   for _, message in self._evidence.let_go]
        faults += unsettled(self._evidence, self._seen)
        return _result("completeness", len(tables.requests) + len(answered) + len(tables.effects), faults,
                       "runs of dropped days are counted, not named" if dropped else "")

    @staticmethod
    def _answered(runs: Iterable[Seen]) -> list[tuple[int, str]]:
        return [(one.entry.tag, message) for one in runs if one.run is not None and one.run.status != "superseded"
                for message in one.run.messages]

    def references(self) -> Result:
        """7: advisories name the leaf before them, in order, and what judges has a person as its author."""
        run, number, previous = self._columns("advisories", "run", "number", "previous")
        leaves = {(one.entry.tag, one.id): one.entry.leaf.hex() for one in self._seen
                  if one.entry.number == self._numbers["runs"]}
        gone = {one.entry.leaf.hex() for one in self._seen if one.entry.values is None}
        last: dict[tuple[int, str], tuple[int, str]] = {}
        faults: list[Fault] = []
        for one, record in sorted(self._advised, key=lambda pair: pair[0].entry.order):
            values = one.entry.values or ()
            place = (one.entry.tag, values[run])
            expected = last.get(place, (-1, leaves.get(place, "")))
            if (values[number], values[previous]) != (expected[0] + 1, expected[1]) and values[previous] not in gone:
                faults.append(fault_of(one, "does not name the run or advisory before it"))
            last[place] = (values[number], one.entry.leaf.hex())
            if record is not None and record.kind in ("review", "promote", "reject", "override") and (
                    not record.author or record.author.startswith(advisories.MACHINE)):
                faults.append(fault_of(one, f"a {record.kind} without a person"))
        return _result("references", len(self._advised), faults)

    def erasure(self) -> Result:
        """8: a key that is missing was erased on record; what was erased has no key, and its ciphertext is there."""
        live, gone = self._evidence.live, self._evidence.gone
        keys, = self._columns("erasures", "keys")
        erased = {bytes.fromhex(key) for one in self._seen if one.entry.number == self._numbers["erasures"]
                  and one.entry.values is not None for key in one.entry.values[keys].split(".")}
        if not live | gone:
            return Result("erasure", "not checkable", 0, (), "the keyring is missing")
        faults = [Fault("was erased, and its key is still there", "keys/keyring", id=key.hex())
                  for key in sorted(erased & live)]
        used = {one.key for one in self._seen if one.key}
        faults += [Fault("was destroyed without an erasure on record", "keys/keyring", id=key.hex())
                   for key in sorted((used & gone) - erased)]
        faults += [Fault("is missing from the keyring", "keys/keyring", id=key.hex())
                   for key in sorted(used - live - gone)]
        closed = sum(one.key in gone for one in self._seen)
        return _result("erasure", len(used) + len(erased), faults, f"{closed} entries are erased" if closed else "")

    def configuration(self) -> Result:
        """9: the agent version that each run names is kept, and is what its hash says."""
        tables = self._evidence.tables
        if tables is None or self._evidence.keyring is None:
            return Result("configuration", "not checkable", 0, (), "this takes keys and the tables")
        known, faults, agents = set[tuple[int, str]](), list[Fault](), self._evidence.by_name["agents"]
        version = agents.columns.index("version")
        for tag, values in tables.published:
            if values[version] <= DRAFT:
                continue
            opened = self._evidence.open(agents, values)
            if opened is None:
                continue  # its tenant was erased
            record = _published(opened)
            if hashlib.sha256(record.bundle).hexdigest() != record.hash:
                faults.append(Fault("a published version is not what its hash says", "tables.duckdb"))
            else:
                known.add((tag, record.hash))
        runs = [one for one in self._seen if one.run is not None and one.run.configuration and not one.run.foreign]
        faults += [fault_of(one, "names an agent version that is not kept") for one in runs
                   if one.run is not None and (one.entry.tag, one.run.configuration) not in known]
        return _result("configuration", len(runs), faults)

    @staticmethod
    def replay() -> Result:
        """10: that running a turn again gives the same; `ruche replay` does that."""
        return Result("replay", "not checkable", 0, (), "not checked here; `ruche replay` runs turns again")

    def _columns(self, name: str, *columns: str) -> list[int]:
        return [self._evidence.by_name[name].columns.index(column) for column in columns]


def verify(directory: Path, evidence: Evidence, held: Sequence[tuple[Checkpoint, Note]],
           key: PublicKey | None) -> dict[str, Any]:
    """The report on a directory, as plain values."""
    verifier = Verifier(evidence, held, key)
    results = verifier.results()
    return {"directory": str(directory), "keys": evidence.keyring is not None, "tenants": verifier.tenants,
            "entries": verifier.entries, "ok": not any(one.status == "fail" for one in results),
            "checks": [{**one._asdict(), "faults": [fault._asdict() for fault in one.faults]} for one in results],
            "proves_not": list(PROVES_NOT)}


def _result(name: str, checked: int, faults: Sequence[Fault], note: str = "", *, unless: bool = False) -> Result:
    status: Status = "fail" if faults else "not checkable" if unless else "pass"
    return Result(name, status, checked, tuple(faults), note)


def _tag(origin: str) -> int | None:
    kind, _, name = origin.partition("/")
    try:
        return tenant_tag(name) if kind == "ruche" and len(name) == 16 else None
    except ValueError:
        return None


def _twice(found: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    seen: set[tuple[int, str]] = set()
    twice = []
    for one in found:
        if one in seen:
            twice.append(one)
        seen.add(one)
    return twice
