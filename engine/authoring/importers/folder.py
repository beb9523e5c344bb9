"""An agent folder in the making: plain parts in, YAML files out."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from ruche.plugins.errors import ConfigurationError

Part = dict[str, Any]


class Draft:
    """The parts of an agent, as an author writes them. `write` puts them into an empty folder."""

    def __init__(self, name: str, description: str) -> None:
        self.agent: Part = {"name": name[:100], "description": description}
        self.lists: dict[str, list[Part]] = {}
        self.scenarios: list[Part] = []
        self.files: dict[str, str] = {}

    def add(self, kind: str, part: Part) -> None:
        """A part of a list such as `fields` or `tools`; one with a known id or name is left as it was."""
        key = "name" if kind in ("fields", "variables") else "id"
        listed = self.lists.setdefault(kind, [])
        if all(one[key] != part[key] for one in listed):
            listed.append(part)

    def parts(self) -> Part:
        """The whole, as `AgentBundle` takes it."""
        return {"agent": self.agent, "scenarios": self.scenarios, **self.lists, "sources": dict(self.files)}

    def write(self, folder: Path) -> list[Path]:
        """Raises ConfigurationError when the folder holds anything."""
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; choose another name")
        texts = {"agent.yaml": _yaml(self.agent), **self.files}
        texts.update({f"{kind}.yaml": _yaml(parts) for kind, parts in self.lists.items() if parts})
        texts.update({f"scenarios/{one['id']}.yaml": _yaml(one) for one in self.scenarios})
        written = []
        for name, text in sorted(texts.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
        return written


def identifier(text: str, taken: frozenset[str] = frozenset()) -> str:
    """Letters, digits and `_`, small, at most 50, none of those that are taken."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:46] or "part"
    name = name if name[0].isalpha() else f"n{name}"
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=110)
