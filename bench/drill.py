"""A recovery drill: ships while turns are written, loses the directory, brings it back, verifies every chain.

python -m bench.drill [--turns N] [--quick] [--json] [--directory DIR]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from bench.storage import RandomKey, batches
from ruche.storage.backup import Shipment
from ruche.storage.model.record import TurnCommitted
from ruche.storage.restore import Restore
from ruche.storage.store import Store
from tests.storage.records import Conversation, session_key


def drill(folder: Path, count: int) -> dict[str, float]:
    """Figures of one drill; raises when anything acknowledged before the last shipment is not there afterwards."""
    keys, done, written = RandomKey(), threading.Event(), [0]
    store, waits = Store.open(folder / "data", keys), list[float]()
    records = turns(count)

    def write() -> None:
        for part in batches(records, 8):
            asked = time.perf_counter()
            store.append(part)
            waits.append((time.perf_counter() - asked) * 1000)
            written[0] += len(part)
        done.set()

    threads = [threading.Thread(target=write), threading.Thread(target=_apply, args=(store, done))]
    for thread in threads:
        thread.start()
    shipments: list[Shipment] = []
    while not done.wait(0.5):
        shipments.append(store.backup.ship(folder / "archive"))
    for thread in threads:
        thread.join()
    shipments.append(store.backup.ship(folder / "archive"))
    store.close()
    shutil.rmtree(folder / "data")
    began = time.perf_counter()
    back = Restore(folder / "archive", keys).run(folder / "data")
    seconds = time.perf_counter() - began
    if back.runs != count:
        raise SystemExit(f"{count} turns were acknowledged, {back.runs} came back")
    waits.sort()
    return {"turns": count, "archive_mb": round(back.bytes / 1e6, 1), "shipments": len(shipments),
            "shipment_median_s": round(statistics.median(one.seconds for one in shipments), 3),
            "shipment_longest_s": max(one.seconds for one in shipments),
            "commit_p99_ms_meanwhile": round(waits[len(waits) * 99 // 100], 1),
            "copied_s": back.copied_seconds, "rebuilt_and_verified_s": back.rebuilt_seconds,
            "sessions_verified": back.sessions, "restored_s": round(seconds, 2),
            "hours_for_10_gb": round(seconds / back.bytes * 10e9 / 3600, 2)}


def turns(count: int) -> list[TurnCommitted]:
    """Turns of 200 conversations whose chains hold."""
    talks = [Conversation(f"s{number}", session_key(person=f"person{number}")) for number in range(200)]
    return [talks[number % 200].turn("a question " * 20, "an answer " * 60) for number in range(count)]


def _apply(store: Store, done: threading.Event) -> None:
    while not done.wait(0.2):
        store.apply()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.drill", description=__doc__)
    parser.add_argument("--turns", type=int, default=4_000)
    parser.add_argument("--quick", action="store_true", help="ends within 45 s: at most 2,000 turns")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the files go; a real disk, not memory")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.directory) as folder:
        made = drill(Path(folder), min(chosen.turns, 2_000) if chosen.quick else chosen.turns)
    if chosen.json:
        print(json.dumps(made))
    else:
        for name, value in made.items():
            print(f"{name:28}{value:>14,}")


if __name__ == "__main__":
    main()
