"""Reads a page of the guide: its files, conversations and commands, each with the files as they stand at that point.

What a block is stands in the line before it: a file's name in backticks alone (`agents/bikes/rules.yaml`), `Add to` a
file, `A mistake in` a file (for the next command only); `Delete` takes files away. A `text` block is a conversation, a
`console` block commands with what they print.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruche.engine.authoring.samples import STARTER, sample_folder

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|py|toml|md))`")
_ADDS, _ERRS = "Add to ", "A mistake in "


@dataclass(frozen=True)
class Scene:
    """Something that the page shows: `lines` of a conversation or of commands; `files` by path, as they stand."""

    page: str
    line: int
    lines: tuple[str, ...]
    files: dict[str, str] = field(hash=False)

    def build(self, root: Path) -> Path:
        """Write the files under `root`."""
        for name, text in self.files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        return root

    def __str__(self) -> str:
        return f"{self.page}-{self.line}"


@dataclass(frozen=True)
class Page:
    conversations: tuple[Scene, ...]
    commands: tuple[Scene, ...]
    end: Scene
    """The files at the end of the page."""


def read_page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    scene = Scene(path.name, 0, (), {})
    told: list[Scene] = []
    run: list[Scene] = []
    mistakes: dict[str, str] = {}
    for words, kind, body, line in _blocks(text):
        scene = replace(scene, files=_deleted(words, scene.files))
        before = words.strip().rpartition("\n")[2]
        shown = replace(scene, line=line, lines=tuple(body.splitlines()))
        if kind == "text":
            told.append(shown)
        elif kind == "console":
            run.append(replace(shown, files=scene.files | mistakes))
            scene, mistakes = replace(scene, files=scene.files | _made(body)), {}
        elif before.startswith(_ERRS):
            name = _name(before)
            mistakes[name] = f"{scene.files[name]}\n{body}"
        elif _name(before):
            scene = replace(scene, files=scene.files | _written(before, body, scene.files))
    return Page(tuple(told), tuple(run), scene)


def blocks(path: Path, kind: str) -> list[str]:
    """The texts of all blocks of a kind."""
    return [body for _, found, body, _ in _blocks(path.read_text(encoding="utf-8")) if found == kind]


def tables(path: Path) -> dict[str, list[list[str]]]:
    """Heading to the rows of the tables below it, without their head; cells without backticks around them."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ").replace("`", "")
        elif line.startswith("| ") and not line.startswith(("| Key |", "| Part |", "| Name |", "| File |")):
            found.setdefault(heading, []).append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def commands(lines: tuple[str, ...]) -> list[tuple[list[str], list[str]]]:
    """(the words that follow `ruche`, the lines that it prints)."""
    found: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if line.startswith("$ ruche "):
            found.append((shlex.split(line.removeprefix("$ ruche ")), []))
        else:
            found[-1][1].append(line)
    return found


def matches(printed: str, shown: list[str]) -> bool:
    """`...` stands for any lines, and a hash for any hash."""
    parts = [".*" if line.strip() == "..." else re.escape(line) for line in shown]
    pattern = re.sub(r"\\\([0-9a-f]{12}\\\)", r"\\([0-9a-f]{12}\\)", "\n".join(parts))
    return re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL) is not None


def anchors(path: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _blocks(text: str) -> Iterator[tuple[str, str, str, int]]:
    """(the words since the block before, kind, body, line) of every fenced block."""
    last = 0
    for match in _FENCE.finditer(text):
        yield text[last:match.start()], match[1], match[2], text.count("\n", 0, match.start()) + 1
        last = match.end()


def _name(before: str) -> str:
    found = _FILE.search(before)
    return found[1] if found and before.endswith(":") else ""


def _written(before: str, body: str, files: dict[str, str]) -> dict[str, str]:
    name = _name(before)
    return {name: f"{files[name]}\n{body}" if before.startswith(_ADDS) else body}


def _deleted(words: str, files: dict[str, str]) -> dict[str, str]:
    gone = {name for sentence in re.findall(r"^Delete .*$", words, re.MULTILINE) for name in _FILE.findall(sentence)}
    return {name: text for name, text in files.items() if name not in gone}


def _made(body: str) -> dict[str, str]:
    """What `ruche init` writes, but for the editor's schemas."""
    made = re.search(r"^\$ ruche init (\S+)$", body, re.MULTILINE)
    if made is None:
        return {}
    source = sample_folder(STARTER)
    return {f"{made[1]}/{file.relative_to(source).as_posix()}": file.read_text(encoding="utf-8")
            for file in sorted(source.rglob("*.yaml"))}
