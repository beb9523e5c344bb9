"""The list in docs/security.md is true: what it calls tested is named by the tests it points to."""

from __future__ import annotations

import re

import pytest

from tests.e2e.tree import ROOT

ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", (ROOT / "docs" / "security.md").read_text(), re.M)


def test_every_item_is_on_the_list_once() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 44))


@pytest.mark.parametrize(("number", "state", "tests"), [(int(n), state, tests.split()) for n, _, state, tests in ROWS])
def test_what_is_called_tested_is_named_in_its_tests(number: int, state: str, tests: list[str]) -> None:
    for name in tests:
        text = (ROOT / name).read_text()
        named = {int(found) for group in re.findall(r"[Ss]ecurity items? ([\d, and]+)", text)
                 for found in re.findall(r"\d+", group)}
        assert number in named, f"{name} does not name item {number}"
    assert bool(tests) == state.startswith(("tested", "part")) or state.startswith("part")
