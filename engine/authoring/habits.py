"""Writes what logged conversations taught into an agent's folder, where its author can read it and delete it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.scenario import Habit

FILE = "habits.yaml"
_HEAD = "# Written by `ruche publish --learn-from runs`; delete the file to forget it.\n"


def write_habits(folder: Path, habits: Sequence[Habit]) -> None:
    """Replace the folder's habits.yaml in one move; without habits there is no file.

    Raises ConfigurationError when the folder cannot be written to.
    """
    try:
        if habits:
            _replace(folder / FILE, _HEAD + _text(habits))
        else:
            (folder / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder / FILE} cannot be written: {error.strerror}; publish without --learn-from, "
                                 "or make the folder writable") from None


def _text(habits: Sequence[Habit]) -> str:
    rows = [habit.model_dump(mode="json") for habit in habits]
    return yaml.safe_dump(rows, sort_keys=False, default_flow_style=None, width=120)


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
