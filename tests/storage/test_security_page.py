"""docs/security.md says of every item which tests hold it, and they do."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = {int(number): (state, tests.split()) for number, _, state, tests in re.findall(
    r"^\| (\d+) \| ([^|]*) \| ([^|]*) \| ?([^|]*) \|$", PAGE, re.M)}


def items_of(path: Path) -> set[int]:
    """The items that a test file's docstrings name: `Security item 5`, `items 5, 6 and 43`."""
    found = re.findall(r"[Ss]ecurity items?:? ([\d ,]+(?:(?:and|to) \d+)?)", path.read_text(encoding="utf-8"))
    numbers: set[int] = set()
    for one in found:
        whole = [int(number) for number in re.findall(r"\d+", one)]
        numbers |= set(range(whole[-2], whole[-1] + 1)) if " to " in one else set()
        numbers |= set(whole)
    return numbers


def test_every_item_has_a_row_with_its_state() -> None:
    assert sorted(ROWS) == list(range(1, 44))
    assert all(re.match(r"yes|tested|met|part|not yet", state) for state, _ in ROWS.values())


def test_what_is_said_to_be_tested_names_tests_and_they_name_the_item() -> None:
    for number, (state, tests) in ROWS.items():
        assert tests or not state.startswith(("tested", "yes")), number
        for name in tests:
            assert (ROOT / name).is_file(), f"item {number}: {name}"
        if tests:
            assert any(number in items_of(ROOT / name) for name in tests), f"item {number}"
