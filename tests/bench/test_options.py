"""Options of benchmarks that make no sense are refused in words, before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("words", "said"), [
    ("turn --rules abc", "argument --rules: a whole number from 1 is wanted, not 'abc'"),
    ("turn --rules 10,0", "argument --rules: a whole number from 1"), ("turn --seconds nan", "argument --seconds"),
    ("actors --actors 0", "argument --actors: a whole number from 1"), ("keys --keys 0", "argument --keys"),
    ("keys --cap -1", "argument --cap"), ("load --sessions 0", "argument --sessions"),
    ("load --rate -3", "argument --rate: a number above 0 is wanted"), ("load --seconds inf", "argument --seconds"),
    ("converse --data /nowhere --agent frontdesk", "/nowhere"),
    ("converse --data . --agent nobody", "there is no agent nobody; name its folder with --agents"),
    ("converse --data . --agent frontdesk --dialogues 0", "argument --dialogues")])
def test_an_option_that_makes_no_sense_is_named(words: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", *f"bench.{words}".split(), "--json", "--quick"], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
