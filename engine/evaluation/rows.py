"""Reads the messages that an agent is measured on, each with what it means: CSV, JSON lines, or a JSON list."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruche.plugins.errors import ConfigurationError

MOST_ROWS, MOST_BYTES, MOST_CHARACTERS = 100_000, 100_000_000, 4_000
_TEXT = ("text", "say", "message", "utterance")
_WANTED = ("rule", "rules", "category", "intent", "intents", "label", "labels", "scenario")
_NOTHING = frozenset({"", "none", "-", "oos", "out_of_scope"})


class Row(NamedTuple):
    """A message and the ids of the rules and scenarios that it means; none for one out of scope."""

    text: str
    wanted: frozenset[str]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, in order. Raises ConfigurationError that names the line and what is expected there.

    CSV with a head `text,rule` (several rules parted by a bar), JSON lines or a JSON list of {text, rule} or
    {text, rules: [...]}; `category`, `intent` and `label` are taken for `rule`. An empty rule, `oos` or `none` means
    that nothing should match.
    """
    content = _content(path)
    parsed = _csv(path, content) if path.suffix.lower() == ".csv" else _json(path, content)
    rows = [_row(path, line, fields) for line, fields in parsed]
    if not rows:
        raise ConfigurationError(f"{path} holds no rows")
    if len(rows) > MOST_ROWS:
        raise ConfigurationError(f"{path} holds {len(rows)} rows; at most {MOST_ROWS} are measured at once")
    return rows


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError(f"{path} is larger than {MOST_BYTES} bytes; measure a part of it")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8") from None


def _csv(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content))
    try:
        for fields in reader:
            yield reader.line_num, {(name or "").strip().lower(): value for name, value in fields.items()}
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}: this is no CSV: {error}") from None


def _json(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if content.lstrip().startswith("["):
        yield from enumerate(_parsed(path, 1, content), start=1)
        return
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield number, _parsed(path, number, line)


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}:{number}: this is no JSON: {error}") from None


def _row(path: Path, line: int, fields: Any) -> Row:
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{path}:{line}: a row is an object such as "
                                 '{"text": "where is my parcel", "rule": "parcel"}')
    text = next((fields[name] for name in _TEXT if isinstance(fields.get(name), str)), None)
    named = [name for name in _WANTED if fields.get(name) is not None]
    if text is None or not text.strip():
        raise ConfigurationError(f"{path}:{line}: there is no text; it stands under `text`")
    if not named and not any(name in fields for name in _WANTED):
        raise ConfigurationError(f"{path}:{line}: it is not said what is meant; it stands under `rule`, "
                                 "empty for nothing")
    wanted = frozenset(one for name in named for one in _ids(path, line, fields[name]))
    return Row(text[:MOST_CHARACTERS], wanted)


def _ids(path: Path, line: int, value: Any) -> list[str]:
    parts = value.split("|") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ConfigurationError(f"{path}:{line}: what is meant is an id or a list of ids")
    return [part.strip() for part in parts if part.strip().lower() not in _NOTHING]
