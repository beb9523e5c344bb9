"""Reads one YAML file into plain data and remembers where every value stood.

A strict subset of YAML 1.2: no anchors, aliases, tags or merge keys, no duplicate keys, one document, and only `true`
and `false` are booleans (`no` and `on` stay text). Sizes are bounded before anything is built (security item 22).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import yaml

from ruche.engine.authoring.problem import Problem

MAX_DEPTH = 24
MAX_NODES = 400_000
Path = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what libyaml counts as line ends
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}


class Mark(NamedTuple):
    """A place, from 1. `inset` is the distance from it to the text's first character; None for text over lines."""

    line: int
    column: int
    inset: int | None = 0


@dataclass(slots=True)
class Document:
    """A file's data with the place of every key and value, by path (`(3, "when")`: key `when` of the fourth item)."""

    file: str
    lines: list[str]
    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)

    def problem(self, path: Path, code: str, what: str, instead: str = "", *, at_key: bool = False,
                offset: int = 0) -> Problem:
        """A finding at a value (or its key). `offset` characters into the text; an unknown path falls back outwards."""
        marks = self.keys if at_key and path in self.keys else self.values
        known = path
        while known and known not in marks:
            known = known[:-1]
        mark = marks.get(known, Mark(1, 1))
        inside = offset + mark.inset if offset and known == path and mark.inset is not None else 0
        return self.at(mark.line, mark.column + inside, code, what, instead)

    def at(self, line: int, column: int, code: str, what: str, instead: str = "") -> Problem:
        source = self.lines[line - 1] if line <= len(self.lines) else ""
        return Problem(self.file, line, column, code, what, instead, source)

    def move(self, source: Path, target: Path) -> None:
        """A short form was spelled out: findings at `target` show where the author wrote `source`."""
        if source in self.values:
            self.values[target] = self.values[source]


class _Refused(Exception):
    """Reading stops here; carries the one problem that says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def read_document(file: str, text: str) -> tuple[Document, list[Problem]]:
    """The document and what is wrong with it; never raises for what the text holds. `data` is None after a refusal."""
    document = Document(file, _BREAKS.split(text))
    builder = _Builder(document)
    try:
        document.data = builder.read(yaml.parse(text, Loader=_Loader))
    except _Refused as refused:
        return document, [*builder.problems, refused.problem]
    except yaml.MarkedYAMLError as error:
        return document, [*builder.problems, _syntax(document, error)]
    except yaml.YAMLError as error:
        return document, [*builder.problems, document.at(1, 1, "E110", f"the text cannot be read: {_first_line(error)}",
                                                         "remove control characters")]
    return document, builder.problems


def _syntax(document: Document, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = ", ".join(part for part in (error.context, error.problem) if part)
    found = document.at(line, column, "E101", f"this is not YAML: {what}", "check indentation, colons and quotes")
    if found.source[column - 1:column] == "\t":
        return replace(found, instead="indent with spaces, not with tabs")
    return found


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _Builder:
    """Builds plain data from parser events, so that a bomb is refused before anything of it exists."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0
        self.problems: list[Problem] = []

    def read(self, events: Iterator[Any]) -> Any:
        """The data of the only document; None for an empty file."""
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse(event, "E112", "a second document begins here", "one document in a file")
            elif isinstance(event, yaml.NodeEvent):
                data = self._node(event, events, ())
        return data

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self._guard(event, path)
        mark: Any = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            quotes = 1 if event.style in ("'", '"') else 0
            last: Any = event.end_mark
            inset = quotes if last.line == mark.line else None
            self._document.values[path] = Mark(mark.line + 1, mark.column + 1, inset)
            return event.value if event.style else self._plain(event)
        self._document.values[path] = Mark(mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        return self._sequence(events, path)

    def _guard(self, event: Any, path: Path) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refuse(event, "E102", "anchors and aliases are not allowed", "write the value out")
        if event.tag is not None:
            raise self._refuse(event, "E103", f"tags are not allowed: {event.tag}", "write a plain value")
        if len(path) > MAX_DEPTH:
            raise self._refuse(event, "E107", f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        if self._nodes > MAX_NODES:
            raise self._refuse(event, "E106", f"more than {MAX_NODES} values in one file", "split the agent")

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path)
            here = (*path, key)
            if key in items:
                first = self._document.keys[here]
                self.problems.append(self._at(event, "E104", f"{key} stands here twice", f"first on line {first.line}"))
            else:
                self._document.keys[here] = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
            items[key] = self._node(next(events), events, here)
        return items

    def _key(self, event: Any, path: Path) -> str:
        self._guard(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refuse(event, "E108", "a key must be a word", "write `key: value`")
        if event.value == "<<" and not event.style:
            raise self._refuse(event, "E105", "merge keys are not allowed", "write the keys out")
        return str(event.value)

    def _plain(self, event: Any) -> Any:
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return self._number(event, int(text, 0) if text[:2] in ("0o", "0x") else _decimal(text))
        if _FLOAT.fullmatch(text):
            return self._number(event, float(text))
        if text.lower().lstrip("+-") in (".inf", ".nan"):
            return self._number(event, math.inf)
        return text

    def _number(self, event: Any, number: float | None) -> float:
        if number is None or not math.isfinite(number) or abs(number) >= 1e18:
            self.problems.append(self._at(event, "E109", "this number is out of range", "write text in quotes"))
            return 0
        return number

    def _at(self, event: Any, code: str, what: str, instead: str) -> Problem:
        return self._document.at(event.start_mark.line + 1, event.start_mark.column + 1, code, what, instead)

    def _refuse(self, event: Any, code: str, what: str, instead: str) -> _Refused:
        return _Refused(self._at(event, code, what, instead))


def _decimal(text: str) -> int | None:
    return int(text) if len(text) < 20 else None
