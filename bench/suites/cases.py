"""Labelled conversations with rules (guidelines) and scenarios (journeys), in the form of Parlant's own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.conversation import Exchange

Part = dict[str, Any]


class Case(NamedTuple):
    """A conversation up to the message that is judged. `family` groups cases for the table."""

    family: str
    name: str
    exchanges: tuple[Exchange, ...]
    message: str
    part: Part


def read_guidelines(folder: Path) -> list[tuple[dict[str, Part], Case]]:
    """(guidelines by name, case) of every JSON file with guidelines and cases. Raises ConfigurationError."""
    found = [(guidelines, case) for path in sorted(folder.glob("*.json"))
             for guidelines, case in _guidelines(path.stem, json.loads(path.read_text(encoding="utf-8")))]
    if not found:
        raise ConfigurationError(f"{folder} has no JSON file with guidelines and cases")
    return found


def read_journeys(folder: Path) -> list[tuple[Part, Case]]:
    """(journey, case) of every JSON file with journeys and cases. Raises ConfigurationError."""
    found = [(journey, case) for path in sorted(folder.glob("*.json"))
             for journey, case in _journeys(json.loads(path.read_text(encoding="utf-8")))]
    if not found:
        raise ConfigurationError(f"{folder} has no JSON file with journeys and cases")
    return found


def _guidelines(name: str, content: Any) -> Iterator[tuple[dict[str, Part], Case]]:
    if not isinstance(content, dict):
        return
    if "guidelines" not in content:
        for family, part in content.items():
            if isinstance(part, dict) and "guidelines" in part and "cases" in part:
                yield from ((part["guidelines"], _case(family, one)) for one in part["cases"])
        return
    by_suite = content["guidelines"]
    for one in content.get("cases", ()):
        known = by_suite.get(one.get("suite"), by_suite)
        every = {key: value for part in by_suite.values() if "condition" not in part for key, value in part.items()}
        yield {**every, **known} if every else known, _case(_kind(one), one)


def _kind(one: Part) -> str:
    """What a case of rule matching asks for besides likeness."""
    if one.get("previously_applied_guidelines_names") or one.get("previously_matched_guidelines_names"):
        return "applied before"
    if one.get("context_variables") or one.get("terms") or one.get("capabilities"):
        return "with other knowledge"
    return "in context" if one.get("relevant_guideline_names") else "nothing applies"


def _journeys(content: Any) -> Iterator[tuple[Part, Case]]:
    if not isinstance(content, dict) or "journeys" not in content:
        return
    for one in content.get("cases", ()):
        by_suite = content["journeys"]
        suite = by_suite.get(one.get("suite"), by_suite)
        journey = suite.get(one["journey_name"]) or next(
            (part[one["journey_name"]] for part in by_suite.values() if one["journey_name"] in part), None)
        if journey is not None:
            yield journey, _case(_journey_kind(one), one)


def _journey_kind(one: Part) -> str:
    expected, before = one.get("expected_path"), one.get("journey_previous_path") or []
    if one.get("run_backtrack_journey_selector") or None in before:
        return "going back"
    if expected and len(expected) > len(before) + 1:
        return "several steps"
    return "leaving" if one.get("expected_next_node_index") is None else "next step"


def _case(family: str, one: Part) -> Case:
    exchanges: list[Exchange] = []
    said: list[str] = []
    for entry in one["conversation_context"]:
        if entry["source"].upper().startswith("CUSTOMER"):
            said.append(entry["text"])
        else:
            exchanges.append(Exchange(turn_id=f"before-{len(exchanges)}", said=tuple(said), reply=entry["text"]))
            said = []
    return Case(family, one.get("test", ""), tuple(exchanges), "\n".join(said), one)
