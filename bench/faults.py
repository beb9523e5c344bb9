"""What the store does when its disk, its power or its process fails: a table of fault, outcome and count.

python -m bench.faults [--quick] [--kills N] [--first N] [--only KIND ...] [--json]

Each run is a short life of a store (18 turns: applied, checkpointed, snapshotted, rotated, shipped) with one fault in
it, after which the directory is opened again and everything that was acknowledged is looked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.storage.faults import Faults

KINDS = ("death", "failure", "power", "flip", "truncation", "full", "clock", "kill")


def works(faults: Faults, quick: bool, kills: int, first: int = 0) -> dict[str, Callable[[], None]]:
    """What to run for each kind; every point, or with `quick` a choice that meets each kind of call."""
    calls = range(1, len(faults.calls) + 1)
    return {
        "death": lambda: faults.deaths(faults.some_deaths(40 if quick else 3 * len(faults.calls))),
        "failure": lambda: faults.failures(faults.some_failures(not quick)),
        "power": lambda: faults.power_cuts(calls[::29 if quick else 1]),
        "flip": lambda: faults.flips(4 if quick else 100),
        "truncation": lambda: faults.cuts(2 if quick else 20),
        "full": faults.full_disk,
        "clock": faults.clock_jumps,
        "kill": lambda: faults.kills(kills, first),
    }


def table(faults: Faults) -> list[str]:
    """The matrix as lines: fault, outcome, count."""
    return [f"{fault:40}{outcome:20}{count:>8}" for (fault, outcome), count in sorted(faults.matrix.items())]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a choice of points instead of every one")
    parser.add_argument("--kills", type=int, default=20, help="real processes to kill")
    parser.add_argument("--first", type=int, default=0, help="the fault point to begin with, so that runs add up")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--directory", type=Path, help="where the files go (default: memory, if there is some)")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=chosen.directory or (memory if memory.is_dir() else None)) as folder:
        faults = Faults(Path(folder))
        for name, work in works(faults, chosen.quick, chosen.kills, chosen.first).items():
            if name in chosen.only:
                began = time.monotonic()
                work()
                print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    if chosen.json:
        print(json.dumps({"runs": faults.matrix.total(), "points": len(faults.calls), "wrong": faults.wrong,
                          "slowest_opening_s": round(faults.slowest, 3),
                          "matrix": [[*key, count] for key, count in sorted(faults.matrix.items())]}))
    else:
        print("\n".join([*table(faults), "", f"{faults.matrix.total()} runs, {len(faults.calls)} fault points, slowest "
                         f"opening {faults.slowest:.2f} s, {len(faults.wrong)} wrong", *faults.wrong]))
    return 1 if faults.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
