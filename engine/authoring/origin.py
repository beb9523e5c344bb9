"""Where each part of a bundle stood in its folder, so that a finding about the bundle names file and line."""

from __future__ import annotations

from dataclasses import dataclass, field

from ruche.engine.authoring.document import Document, Path
from ruche.engine.authoring.problem import Problem


@dataclass
class Origins:
    """Documents by file, and the file of each scenario in the bundle's order.

    A place is written as in the bundle: `("rules", 3, "when")`, `("scenarios", 0, "steps", 2)`, `("agent", "name")`.
    A bundle that came from elsewhere has no documents; its findings name the place as a path on line 1.
    """

    documents: dict[str, Document] = field(default_factory=dict)
    scenarios: list[str] = field(default_factory=list)

    def problem(self, place: Path, code: str, what: str, instead: str = "", *, at_key: bool = False,
                offset: int = 0) -> Problem:
        file, path = self.locate(place)
        document = self.documents.get(file)
        if document is None:
            return Problem(file, 1, 1, code, what, instead)
        return document.problem(path, code, what, instead, at_key=at_key, offset=offset)

    def locate(self, place: Path) -> tuple[str, Path]:
        """File and path within it."""
        part = str(place[0])
        if part != "scenarios":
            return f"{part}.yaml", place[1:]
        index = int(place[1]) if len(place) > 1 else 0
        name = self.scenarios[index] if index < len(self.scenarios) else f"scenarios/{index}.yaml"
        return name, place[2:]
