"""The conversations in an agent folder's `tests/`: what is said in each turn, and what must and must not come of it.

A fault in them is a problem like any other, but it never keeps an agent from being published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from ruche.engine.authoring.document import Document, Path, read_document
from ruche.engine.authoring.files import read_subfolder
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.validate import validate
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.storage.model.authored import Authored, Name
from ruche.storage.model.bundle import AgentBundle

FOLDER = "tests"
Verdict = Literal["pass", "fail", "not_applicable", "error"]


class ScriptedTurn(Authored):
    """What is said, and what is expected of the turn that answers; texts are compared without regard to case."""

    say: str = Field(min_length=1, max_length=10_000)
    at: AwareDatetime | None = None
    """The time of this turn; without it the clock goes on by ten seconds."""
    model: tuple[str, ...] = ()
    """What the agent's model answers in this turn, one text for each time that it is asked."""
    reply: str | None = None
    """The whole reply, to the letter."""
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    rules: tuple[Name, ...] = ()
    """Rules that are applied, perhaps among others."""
    not_rules: tuple[Name, ...] = ()
    scenario: Name | None = None
    """A scenario that the turn moves or that is in progress after it."""
    step: Name | None = None
    tools: tuple[Name, ...] = ()
    """Tools that are called and succeed."""
    not_tools: tuple[Name, ...] = ()
    """Tools that are not called."""
    verdicts: dict[Name, Verdict] = Field(default_factory=dict)
    """What enforcement says of a rule."""
    risk: Literal["GREEN", "YELLOW", "RED", "UNKNOWN", "ERROR"] | None = None
    status: Literal["complete", "awaiting", "blocked", "handed_off", "failed"] | None = None
    response_type: Literal["ASK", "ANSWER", "MIXED", "CONFIRM", "REFUSE", "ESCALATE", "HANDOFF"] | None = None
    language: str | None = None


class Conversation(Authored):
    """One conversation from its first message on, with a person whom the agent has never met."""

    name: str = Field(min_length=1)
    at: AwareDatetime | None = None
    """The time of its first turn; without it Monday, 5 January 2026, 10:00 UTC."""
    channel: Name = "api"
    results: dict[Name, Any] = Field(default_factory=dict)
    """What these tools give back; they are not run."""
    fails: tuple[Name, ...] = ()
    """Tools that fail when they are called; they are not run."""
    turns: tuple[ScriptedTurn, ...] = Field(json_schema_extra={"minItems": 1})


@dataclass(frozen=True)
class Placed:
    """A conversation with its file; places within it are paths such as `("turns", 1, "rules", 0)`."""

    conversation: Conversation
    document: Document
    index: int

    @property
    def file(self) -> str:
        return self.document.file

    def problem(self, place: Path, code: str, what: str, instead: str = "", *, at_key: bool = False) -> Problem:
        return self.document.problem((self.index, *place), code, what, instead, at_key=at_key)


def read_conversations(folder: FilePath, bundle: AgentBundle | None) -> tuple[list[Placed], list[Problem]]:
    """The conversations of a folder's `tests/*.yaml`, and their faults; names are checked where there is a bundle."""
    files = read_subfolder(folder, FOLDER)
    problems, found = list(files.problems), list[Placed]()
    for name, text in files.texts.items():
        if name.endswith(".yml"):
            problems.append(Problem(name, 1, 1, "E207", "a test's file ends in .yaml", f"rename it {name[:-4]}.yaml"))
        elif name.endswith(".yaml"):
            found.extend(_conversations(name, text, problems))
    problems.extend(_repeated(found))
    if bundle is not None:
        names = _Names(Vocabulary(bundle), bundle)
        problems.extend(problem for placed in found for problem in names.check(placed))
    return found, sorted(problems)


def _conversations(name: str, text: str, problems: list[Problem]) -> Iterator[Placed]:
    document, faults = read_document(name, text)
    problems.extend(faults)
    if document.data is None:
        return
    if not isinstance(document.data, list):
        problems.append(document.problem((), "E205", "a test's file is a list", "begin every conversation with -"))
        return
    for index, data in enumerate(document.data):
        conversation = validate(document, Conversation, data, (index,), problems)
        if conversation is not None and not conversation.turns:
            problems.append(document.problem((index, "turns"), "E204", "turns: at least one", "write - say: ..."))
        elif conversation is not None:
            yield Placed(conversation, document, index)


def _repeated(found: list[Placed]) -> Iterator[Problem]:
    """Names tell conversations apart in reports, so each file has each once."""
    seen: set[tuple[str, str]] = set()
    for one in found:
        if (one.file, one.conversation.name) in seen:
            yield one.problem(("name",), "E206", f"name {one.conversation.name} is taken", "choose another")
        seen.add((one.file, one.conversation.name))


class _Names:
    """Finds names that the agent does not have, and times that run backwards."""

    def __init__(self, words: Vocabulary, bundle: AgentBundle) -> None:
        self._words = words
        self._steps = frozenset(step for steps in words.steps.values() for step in steps)
        self._models = bundle.agent.models.generator != "composer" or bundle.agent.judging is not None

    def check(self, placed: Placed) -> Iterator[Problem]:
        told = placed.conversation
        yield from self._known(placed, ("results",), told.results, "E302", "tool", self._words.tools)
        yield from self._many(placed, ("fails",), told.fails, "E302", "tool", self._words.tools)
        last = told.at
        for index, turn in enumerate(told.turns):
            yield from self._turn(placed, ("turns", index), turn)
            if turn.at is not None and last is not None and turn.at < last:
                yield placed.problem(("turns", index, "at"), "E204", "at: this is before the turn before it",
                                     "the clock of a conversation only goes forward")
            last = turn.at or last

    def _turn(self, placed: Placed, place: Path, turn: ScriptedTurn) -> Iterator[Problem]:
        words = self._words
        for name in ("rules", "not_rules"):
            yield from self._many(placed, (*place, name), getattr(turn, name), "E306", "rule", words.rules)
        for name in ("tools", "not_tools"):
            yield from self._many(placed, (*place, name), getattr(turn, name), "E302", "tool", words.tools)
        yield from self._known(placed, (*place, "verdicts"), turn.verdicts, "E306", "rule", words.rules)
        if turn.scenario is not None:
            yield from _look(placed, (*place, "scenario"), turn.scenario, "E304", "scenario", words.steps.keys())
        if turn.step is not None:
            known = words.steps.get(turn.scenario or "", self._steps)
            yield from _look(placed, (*place, "step"), turn.step, "E305", "step", known)
        if turn.model and not self._models:
            yield placed.problem((*place, "model"), "E701", "the agent speaks without a model, so none can answer here",
                                 "take it out, or give the agent a model under models: in agent.yaml")

    def _many(self, placed: Placed, place: Path, names: Iterable[str], code: str, noun: str,
              known: Collection[str]) -> Iterator[Problem]:
        for index, name in enumerate(names):
            yield from _look(placed, (*place, index), name, code, noun, known)

    def _known(self, placed: Placed, place: Path, names: Iterable[str], code: str, noun: str,
               known: Collection[str]) -> Iterator[Problem]:
        for name in names:
            yield from _look(placed, (*place, name), name, code, noun, known, at_key=True)


def _look(placed: Placed, place: Path, name: str, code: str, noun: str, known: Collection[str], *,
          at_key: bool = False) -> Iterator[Problem]:
    if name not in known:
        yield placed.problem(place, code, f"there is no {noun} {name}",
                             suggest(name, known, f"add the {noun}, or take it out here"), at_key=at_key)
