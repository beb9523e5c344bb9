"""Personal data in what a language model gets to speak with: each value stands there as a word that names its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ruche.engine.brain.fields import CompiledField

SHORTEST = 3
"""Characters of a value that is hidden; shorter ones stand in too many words."""
TELLING = ("Words in double brackets, such as [[{name}]], stand for personal data that you are not shown. Where you "
           "use one, write it exactly so.")


class Private:
    """Hides values and shows them again. Without any it changes nothing."""

    def __init__(self, fields: Mapping[str, CompiledField], known: Mapping[str, Any]) -> None:
        """`known` are plain values."""
        values = {value: name for name, value in known.items() if name in fields and fields[name].spec.pii
                  and isinstance(value, str) and len(value) >= SHORTEST}
        self._names = {value.lower(): f"[[{name}]]" for value, name in values.items()}
        self._values = {f"[[{name}]]": value for value, name in values.items()}
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        either = "|".join(map(re.escape, longest_first))
        self._hidden = re.compile(rf"(?i)(?<!\w)(?:{either})(?!\w)") if values else None

    def __bool__(self) -> bool:
        return self._hidden is not None

    @property
    def telling(self) -> str:
        """What a model is told of the words in brackets."""
        return TELLING.format(name=next(iter(self._values))[2:-2]) if self._values else ""

    def hide(self, part: Any) -> Any:
        """The text, or every text in it, without the values."""
        if self._hidden is None:
            return part
        if isinstance(part, str):
            return self._hidden.sub(lambda found: self._names[found[0].lower()], part)
        if isinstance(part, dict):
            return {name: self.hide(value) for name, value in part.items()}
        return [self.hide(value) for value in part] if isinstance(part, list) else part

    def show(self, text: str) -> str:
        """The text with the values again."""
        for word, value in self._values.items():
            text = text.replace(word, value)
        return text
