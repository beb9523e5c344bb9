"""`python -m tests.simulation`: many seeds, or one seed again.

    python -m tests.simulation --seeds 1000000 [--first 0]    all of them; prints those in which a law is broken
    python -m tests.simulation --seed 4711                    one seed again, with everything that happened
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

from tests.simulation.runs import run_seeds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000_000, metavar="N", help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them")
    parser.add_argument("--seed", type=int, metavar="N", help="run this seed alone and print its schedule")
    parser.add_argument("--stop-after", type=int, default=10, metavar="N", help="stop after so many broken seeds")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # what dies with its process
    if options.seed is not None:
        return _again(options.seed)
    return _many(options.first, options.seeds, options.stop_after)


def _again(seed: int) -> int:
    [report] = run_seeds([seed])
    print(report.schedule())
    print(f"seed {seed}: {'; '.join(report.violations) or 'every law held'} ({report.fingerprint})")
    return 1 if report.violations else 0


def _many(first: int, count: int, stop_after: int) -> int:
    begun, broken = time.perf_counter(), 0
    for done, report in enumerate(run_seeds(range(first, first + count)), 1):
        if report.violations:
            broken += 1
            print(f"seed {report.seed}: {'; '.join(report.violations)}", flush=True)
        if broken >= stop_after:
            break
        if done % 1000 == 0 and sys.stderr.isatty():
            print(f"\r{done} seeds, {done / (time.perf_counter() - begun):.0f} a second", end="", file=sys.stderr)
    seconds = time.perf_counter() - begun
    print(f"{done} seeds in {seconds:.0f} s, {done / seconds:.0f} a second: {broken} broke a law")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
