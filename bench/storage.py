"""What keeping a turn costs: sealing beside the bare cipher, committed turns beside sqlite3, bytes, recovery.

python -m bench.storage [--quick] [--json] [--turns N] [--batch N] [--directory DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.sealing import sealing
from ruche.storage.model.conversation import Exchange, FieldValue, SessionKey, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import Run, RunHashes, TapeEntry, canonical, genesis
from ruche.storage.model.turn import Enforcement, RuleMatch
from ruche.storage.store import Store

NOW_MS = 1_790_000_000_000
WORDS = "I would like to move my appointment from Monday to a day later in the week, if there is a place left. "
HASH = "0f" * 32


class RandomKey:
    def __init__(self) -> None:
        self._key = os.urandom(32)

    def root_key(self) -> bytes:
        return self._key


# --- turns -----------------------------------------------------------------------------------------------------------


def turns(sessions: int, count: int) -> Iterator[TurnCommitted]:
    """Turns of many conversations, each with a state of about 2 KB and a run of about 4 KB."""
    states = [_fresh(number) for number in range(sessions)]
    for number in range(count):
        place = number % sessions
        states[place], record = _turn(states[place], f"t{number:08d}")
        yield record


def _fresh(number: int) -> SessionState:
    key = SessionKey(tenant="acme", agent="desk", interlocutor=f"person-{number}", channel="api")
    fields = {f"field_{one}": FieldValue(value="something known", source="user_provided", at_ms=NOW_MS)
              for one in range(6)}
    return SessionState(id=f"session-{number:06d}", key=key, created_ms=NOW_MS, last_activity_ms=NOW_MS, fields=fields)


def _turn(before: SessionState, run_id: str) -> tuple[SessionState, TurnCommitted]:
    number = before.turn_count
    run = Run(id=run_id, sequence=number, previous=before.previous_run or genesis("acme", before.id, "bench"),
              tenant="acme", agent="desk", agent_version=1, session=before.id, interlocutor=before.key.interlocutor,
              channel="api", request_id=run_id, created_ms=NOW_MS + number, engine="bench", outcome="OK",
              status="complete", response_type="ANSWER", risk="GREEN", language="en", message_ids=(run_id,),
              said=(WORDS,), reply=WORDS + WORDS, rules=tuple(
                  RuleMatch(id=f"rule-{one}", name="a rule with a name", score=0.5, why="near") for one in range(5)),
              enforcement=Enforcement(risk="GREEN", checked=(("rule-1", "pass"), ("rule-2", "pass"))),
              timings_ms={"identify": 0.1, "sense": 0.1, "match": 0.2, "speak": 0.3},
              decisions={"match": {f"rule-{one}": {"score": 0.41, "kept": False, "why": "below the threshold"}
                                   for one in range(10)}},
              hashes=RunHashes(configuration=HASH, input=HASH, state_before=HASH, state_after=HASH, evaluation=HASH,
                               output=HASH),
              tape=tuple(TapeEntry(site=f"site.{one}", request=HASH, answer=b"x" * 100) for one in range(6)))
    state = msgspec.structs.replace(
        before, turn_count=number + 1, event_seq=before.event_seq + 1,
        history=(*before.history[-9:], Exchange(turn_id=run_id, said=(WORDS,), reply=WORDS)),
        previous_run=hashlib.sha256(canonical(run)).hexdigest())
    event = Event(seq=state.event_seq, kind="turn.completed", session_id=before.id, turn_id=run_id, at_ms=NOW_MS,
                  data={"reply": run.reply, "status": "complete"})
    return state, TurnCommitted(tenant="acme", at_ms=NOW_MS, session=state, run=run, answered=(), events=(event,))


def batches(records: Sequence[TurnCommitted], size: int) -> Iterator[Sequence[TurnCommitted]]:
    for at in range(0, len(records), size):
        yield records[at:at + size]


def committed(directory: Path, records: Sequence[TurnCommitted], batch: int) -> dict[str, float]:
    """Our store: append in one thread, apply in another, checkpoints included."""
    keys, waits, done = RandomKey(), [], threading.Event()
    store = Store.open(directory / "store", keys)
    applier = threading.Thread(target=_apply, args=(store, done))
    applier.start()
    began, cpu = time.perf_counter(), time.process_time()
    appending = time.thread_time()
    for part in batches(records, batch):
        asked = time.perf_counter()
        store.append(part)
        waits.append((time.perf_counter() - asked) * 1000)
    append_cpu, elapsed = time.thread_time() - appending, time.perf_counter() - began
    done.set()
    applier.join()
    store.checkpoint()
    spent = time.process_time() - cpu
    kept = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and path.name != "reserve")
    journal = sum(path.stat().st_size for path in directory.rglob("*.seg"))
    store.close()
    waits.sort()
    return {"turns_per_s": round(len(records) / elapsed), "cpu_us_per_turn": round(spent / len(records) * 1e6, 1),
            "append_cpu_us_per_turn": round(append_cpu / len(records) * 1e6, 1),
            "commit_p50_ms": round(waits[len(waits) // 2], 3), "commit_p99_ms": round(waits[len(waits) * 99 // 100], 3),
            "commit_max_ms": round(waits[-1], 3), "bytes_per_turn": round(kept / len(records)),
            "journal_bytes_per_turn": round(journal / len(records))}


def _apply(store: Store, done: threading.Event) -> None:
    while not done.wait(0.5):
        store.apply()
    store.apply()


class Yardstick:
    """The same turns in clear in sqlite3: WAL, synchronous=FULL, one transaction per batch."""

    def __init__(self, path: Path) -> None:
        self.path, self._encode = path, msgspec.msgpack.Encoder().encode
        self._connection = _sqlite(path)

    def append(self, part: Sequence[TurnCommitted]) -> None:
        encode, connection = self._encode, self._connection
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO sessions VALUES (?,?)",
                               [(one.session.id, encode(one.session)) for one in part])
        connection.executemany("INSERT INTO runs VALUES (?,?,?,?,?)",
                               [(one.run.id, one.run.session, one.run.created_ms, one.run.risk, canonical(one.run))
                                for one in part])
        connection.executemany("INSERT INTO events VALUES (?,?,?)",
                               [(one.session.id, event.seq, encode(event)) for one in part for event in one.events])
        connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def _sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript("CREATE TABLE sessions(id TEXT PRIMARY KEY, state BLOB);"
                             "CREATE TABLE runs(id TEXT PRIMARY KEY, session TEXT, created INT, risk TEXT, body BLOB);"
                             "CREATE INDEX runs_session ON runs(session);"
                             "CREATE TABLE events(session TEXT, seq INT, body BLOB, PRIMARY KEY(session, seq));")
    return connection


def sqlite(directory: Path, records: Sequence[TurnCommitted], batch: int) -> dict[str, float]:
    """The yardstick, as fast as it goes."""
    yardstick = Yardstick(directory / "yardstick.db")
    began, cpu = time.perf_counter(), time.process_time()
    for part in batches(records, batch):
        yardstick.append(part)
    spent, elapsed = time.process_time() - cpu, time.perf_counter() - began
    yardstick.close()
    return {"sqlite_cpu_us_per_turn": round(spent / len(records) * 1e6, 1),
            "sqlite_turns_per_s": round(len(records) / elapsed),
            "sqlite_bytes_per_turn": round((directory / "yardstick.db").stat().st_size / len(records))}


def paced(directory: Path, records: Sequence[TurnCommitted], batch: int) -> dict[str, float]:
    """Both at 1,000 turns a second in turns of half a second: what came meanwhile is committed together, as the engine
    does it. CPU of the store is with feeding its tables and with its checkpoints."""
    store, yardstick = Store.open(directory / "store", RandomKey()), Yardstick(directory / "yardstick.db")
    waits: dict[str, list[float]] = {"": [], "sqlite_": []}
    spent = {"": 0.0, "sqlite_": 0.0}
    for part in batches(records, PACE // 2):
        for name, append, apply in (("", store.append, store.apply), ("sqlite_", yardstick.append, None)):
            cpu = time.process_time()
            _at_a_pace(part, append, waits[name])
            if apply is not None:
                apply()
            spent[name] += time.process_time() - cpu
    cpu = time.process_time()
    store.checkpoint()
    spent[""] += time.process_time() - cpu
    store.close()
    yardstick.close()
    made: dict[str, float] = {}
    for name, found in waits.items():
        found.sort()
        made |= {f"{name}paced_cpu_us_per_turn": round(spent[name] / len(records) * 1e6, 1),
                 f"{name}paced_p50_ms": round(found[len(found) // 2], 3),
                 f"{name}paced_p99_ms": round(found[len(found) * 99 // 100], 3),
                 f"{name}paced_max_ms": round(found[-1], 3)}
    return made


PACE = 1000
"""Turns a second."""


def _at_a_pace(part: Sequence[TurnCommitted], append: Callable[[Sequence[TurnCommitted]], None],
               waits: list[float]) -> None:
    began, done = time.perf_counter(), 0
    while done < len(part):
        due = min(len(part), int((time.perf_counter() - began) * PACE) + 1)
        if due == done:
            time.sleep(max(0.0, began + done / PACE - time.perf_counter()))
            continue
        append(part[done:due])
        now = time.perf_counter()
        waits.extend((now - began - place / PACE) * 1000 for place in range(done, due))
        done = due


def recovery(directory: Path, records: Sequence[TurnCommitted], batch: int) -> dict[str, float]:
    """Seconds to open a directory whose journal was never applied, per 100 MB of journal."""
    keys = RandomKey()
    store = Store.open(directory / "crashed", keys)
    for part in batches(records, batch):
        store.append(part)
    journal = sum(path.stat().st_size for path in directory.rglob("*.seg"))
    shutil.copytree(directory / "crashed", directory / "copy")  # as a kill would leave it
    store.close()
    began = time.perf_counter()
    Store.open(directory / "copy", keys).close()
    seconds = time.perf_counter() - began
    return {"recovery_s_per_100mb": round(seconds / journal * 1e8, 3), "recovered_mb": round(journal / 1e6, 1)}


def measure(quick: bool, count: int, batch: int, directory: Path | None) -> dict[str, float]:
    records = list(turns(200, count))
    made = sealing(1_280 if quick else 3_200, 51)
    for step in (committed, sqlite, paced, recovery):
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            made |= step(Path(folder), records, batch)
    return made | {"turns": count, "batch": batch}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.storage", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--turns", type=int)
    parser.add_argument("--batch", type=int, default=8, help="turns that share one sync")
    parser.add_argument("--directory", type=Path, help="where the files go; a real disk, not memory")
    chosen = parser.parse_args()
    count = chosen.turns or (4_000 if chosen.quick else 20_000)
    made = measure(chosen.quick, count, chosen.batch, chosen.directory)
    if chosen.json:
        print(json.dumps(made))
    else:
        for name, value in made.items():
            print(f"{name:28}{value:>14,}")


if __name__ == "__main__":
    main()
