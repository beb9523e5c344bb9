"""Reads an agent folder into a bundle: files, YAML, models, then the author's check.

The folder's name is the agent's id; `agents/NAME` belongs to tenant `default`, `agents/@TENANT/NAME` to TENANT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ruche.engine.authoring.check import check
from ruche.engine.authoring.document import Document, read_document
from ruche.engine.authoring.files import FolderFiles, read_files
from ruche.engine.authoring.kinds import AGENT, LISTS, SCENARIO, SUBFOLDERS, Kind
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.validate import validate
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class LoadedFolder:
    """What a folder holds. `bundle` is None when one of the problems is an error: such a folder is not published."""

    path: Path
    bundle: AgentBundle | None
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.is_error)

    def require(self) -> AgentBundle:
        """The bundle; raises ConfigurationError with the errors, each with its file and line."""
        if self.bundle is None:
            found = "\n".join(f"{self.path.name}/{problem}" for problem in self.errors)
            raise ConfigurationError(f"agent folder {self.path.name} cannot be published:\n{found}")
        return self.bundle


def load_folder(path: Path | str, installed: Installed | None = None) -> LoadedFolder:
    """The agent in a folder, checked. Never raises for what the folder holds; problems come by file and line.

    `installed` is what the agent may name; without it, what is installed here.
    """
    folder = Path(path).absolute()
    files = read_files(folder, SUBFOLDERS)
    reading = _Reading(folder, files)
    bundle = reading.bundle()
    problems = reading.problems
    if bundle is not None:
        problems = [*problems, *check(bundle, reading.origins, installed)]
    refused = any(problem.is_error for problem in problems)
    return LoadedFolder(folder, None if refused else bundle, tuple(sorted(problems)))


def find_folders(path: Path | str) -> list[Path]:
    """The agent folders under `path`, tenants' (`@TENANT/NAME`) included; `path` itself when it is one. Sorted."""
    root = Path(path)
    if (root / AGENT.file).is_file():
        return [root]
    return sorted(_folders(root, tenants=True)) if root.is_dir() else []


def _folders(root: Path, *, tenants: bool) -> Iterator[Path]:
    for entry in root.iterdir():
        if not entry.is_dir() or entry.name.startswith((".", "_")):
            continue
        if tenants and entry.name.startswith("@"):
            yield from _folders(entry, tenants=False)
        elif any(entry.glob("*.yaml")):
            yield entry


class _Reading:
    """One pass over a folder's files; `origins` remembers where every part of the bundle stood."""

    def __init__(self, folder: Path, files: FolderFiles) -> None:
        self._folder = folder
        self._texts = files.texts
        self.problems: list[Problem] = list(files.problems)
        self.origins = Origins()

    def bundle(self) -> AgentBundle | None:
        """The bundle as far as files and models go; None when any of them was refused."""
        tenant = self._tenant()
        self._unknown_files()
        agent = self._one(AGENT, AGENT.file)
        parts: dict[str, Any] = {kind.name: self._many(kind) for kind in LISTS}
        scenarios = tuple(self._scenarios())
        if agent is None or any(problem.is_error for problem in self.problems):
            return None
        return AgentBundle(
            id=self._folder.name, tenant=tenant, agent=agent, scenarios=scenarios, **parts,
            knowledge=self._beneath("knowledge/", ".md"),
            sources={name: text for name, text in self._texts.items() if name.endswith(".py") and "/" not in name})

    def _tenant(self) -> str:
        parent = self._folder.parent.name
        tenant = parent[1:] if parent.startswith("@") else "default"
        for what, name in (("agent", self._folder.name), ("tenant", tenant)):
            if not _ID.fullmatch(name):
                self._add(AGENT.file, "E115", f'"{name}" cannot be the id of an {what}' if what == "agent" else
                          f'"{name}" cannot be the id of a {what}',
                          "rename the folder: letters, digits, - and _, at most 64")
        return tenant

    def _unknown_files(self) -> None:
        known = [AGENT.file, *(kind.file for kind in LISTS)]
        for name in self._texts:
            if "/" not in name and name.endswith((".yaml", ".yml")) and name not in known:
                self._add(name, "E207", f"no file of an agent is called {name}", suggest(name, known))
            elif name.startswith("scenarios/") and name.endswith(".yml"):
                self._add(name, "E207", "a scenario's file ends in .yaml", f"rename it {name[:-4]}.yaml")

    def _add(self, file: str, code: str, what: str, instead: str) -> None:
        self.problems.append(Problem(file, 1, 1, code, what, instead))

    def _document(self, file: str) -> Document | None:
        document, problems = read_document(file, self._texts[file])
        self.problems.extend(problems)
        self.origins.documents[file] = document
        return None if any(problem.code != "E104" for problem in problems) else document

    def _one(self, kind: Kind, file: str, **absent: str) -> Any:
        if file not in self._texts:
            if not any(problem.code in ("E110", "E111", "E113", "E114") for problem in self.problems):
                self._add(file, "E114", f"{file} is missing", "an agent needs at least its name: ...")
            return None
        document = self._document(file)
        if document is None:
            return None
        if not isinstance(document.data, dict):
            self.problems.append(document.problem((), "E205", f"{file} holds keys and values", "write key: value"))
            return None
        return validate(document, kind.model, {**absent, **document.data}, (), self.problems)

    def _many(self, kind: Kind) -> tuple[BaseModel, ...]:
        document = self._document(kind.file) if kind.file in self._texts else None
        if document is None or document.data is None:
            return ()
        if not isinstance(document.data, list):
            self.problems.append(document.problem((), "E205", f"{kind.file} is a list", "begin every entry with -"))
            return ()
        found = (validate(document, kind.model, data, (index,), self.problems)
                 for index, data in enumerate(document.data))
        return tuple(entry for entry in found if entry is not None)

    def _scenarios(self) -> Iterator[BaseModel]:
        for name in self._texts:
            if name.startswith("scenarios/") and name.endswith(".yaml"):
                scenario = self._one(SCENARIO, name, id=name.removeprefix("scenarios/").removesuffix(".yaml"))
                if scenario is not None:
                    self.origins.scenarios.append(name)
                    yield scenario

    def _beneath(self, start: str, end: str) -> dict[str, str]:
        return {name.removeprefix(start): text for name, text in self._texts.items()
                if name.startswith(start) and name.endswith(end)}
