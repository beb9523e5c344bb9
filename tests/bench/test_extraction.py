"""The recall of what replies say to expressions, as it is published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from bench.extraction import WRITTEN, measure, read

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_recall_is_the_one_that_is_measured() -> None:
    result = measure(read(WRITTEN))
    page = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
    found = re.search(r"finds (\d+) of (\d+) facts in (\d+)", page)
    assert found is not None
    rows = result["rows"]
    assert [int(number) for number in found.groups()] == [
        sum(row["right"] for row in rows), sum(row["expected"] for row in rows), result["replies"]]
    assert sum(row["wrong"] for row in rows) == 0, "an amount that is found is the right one"


def test_what_is_missed_and_what_is_found_without_being_there_is_counted() -> None:
    result = measure([{"text": "It is 5 dollars.", "language": "en", "names": {"amount": 6}},
                      {"text": "It is 5 dollars.", "language": "en", "names": {}},
                      {"text": "It is five.", "language": "en", "names": {"amount": 5}}])
    amount = next(row for row in result["rows"] if row["name"] == "amount")
    assert amount == {"name": "amount", "expected": 2, "right": 0, "wrong": 1, "extra": 1}
    assert (result["recall"], len(result["missed"])) == (0.0, 2)


def test_the_bench_prints_one_json_object_of_any_file_of_its_form(tmp_path: Path) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text(json.dumps({"text": "That is 20 euros.", "language": "en", "names": {"amount": 20}}) + "\n")
    done = subprocess.run([sys.executable, "-m", "bench.extraction", "--data", str(file), "--json"], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["recall"] == 1.0
