"""An agent written down as the files of a folder: what an author of a folder would see, for one that has none.

Findings in an agent that came over the API name file, line and column of these files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from ruche.engine.authoring.document import Path, read_document
from ruche.engine.authoring.kinds import AGENT, LISTS
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem
from ruche.storage.model.bundle import AgentBundle

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH = 110


def files_of(bundle: AgentBundle) -> dict[str, str]:
    """Text by file name. What headers of tools hold stays out: it may be a secret; and so do Python files, which no API
    takes."""
    parts = bundle.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for tool in parts.get("tools", ()):
        if "headers" in tool:
            tool["headers"] = dict.fromkeys(tool["headers"], "")
    files = {AGENT.file: _yaml(parts.get("agent", {}))}
    files.update({kind.file: _yaml(parts[kind.name]) for kind in LISTS if parts.get(kind.name)})
    files.update({_scenario(one["id"]): _yaml(one) for one in parts.get("scenarios", ())})
    return files | {f"knowledge/{name}": text for name, text in bundle.knowledge.items()}


class Written(Origins):
    """Places in an agent without a folder; its files are written when the first finding asks for them."""

    def __init__(self, bundle: AgentBundle) -> None:
        super().__init__()
        self._bundle = bundle

    def problem(self, place: Path, code: str, what: str, instead: str = "", *, at_key: bool = False,
                offset: int = 0) -> Problem:
        """`path` is the place within the agent: `rules/3/when`."""
        if not self.documents:
            self._write()
        found = super().problem(place, code, what, instead, at_key=at_key, offset=offset)
        return replace(found, path="/".join(str(part) for part in place))

    def _write(self) -> None:
        self.scenarios = [_scenario(one.id) for one in self._bundle.scenarios]
        self.documents = {name: read_document(name, text)[0] for name, text in files_of(self._bundle).items()
                          if name.endswith(".yaml")}


def _scenario(name: str) -> str:
    return f"scenarios/{name}.yaml"


def _yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH)
    return text
