"""The page of escapes lists what is really tried, and only that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugins import test_expressions, test_templates

PAGE = Path(__file__).resolve().parents[2] / "docs" / "escapes.md"
LONGEST = 100


def shown(text: str) -> str:
    """One line of the page: the text as Python writes it, cut where it is long."""
    line = ascii(text)
    return line if len(line) <= LONGEST else f"{line[:60]} ... ({len(text)} characters)"


@pytest.mark.parametrize(("heading", "tried"), [("Expressions", test_expressions.ESCAPES),
                                                ("Templates", test_templates.ESCAPES)])
def test_the_page_lists_every_way_out_that_is_tried(heading: str, tried: list[str]) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```text\n(.*?)\n```", section, re.DOTALL)
    assert found is not None
    assert found[1].splitlines() == [shown(text) for text in tried]


def test_no_way_out_is_listed_twice() -> None:
    for tried in (test_expressions.ESCAPES, test_templates.ESCAPES):
        assert len(tried) == len(set(tried))
