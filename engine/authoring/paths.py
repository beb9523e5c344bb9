"""Places of findings in an agent that came over the API, which has no files and lines."""

from __future__ import annotations

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem


class Paths(Origins):
    """A finding's `file` is the path within the agent: `rules/3/when`."""

    def problem(self, place: Path, code: str, what: str, instead: str = "", *, at_key: bool = False,
                offset: int = 0) -> Problem:
        return Problem("/".join(str(part) for part in place), 1, 1 + offset, code, what, instead)
