"""The stage on which an agent's test conversations are played: one real engine on a directory of its own."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ruche.engine.authoring.conversations import Placed, ScriptedTurn, read_conversations
from ruche.engine.authoring.load import LoadedFolder, load_folder
from ruche.engine.authoring.problem import Problem
from ruche.engine.blocking import BlockingEngine
from ruche.engine.config import Settings, StorageSettings
from ruche.engine.rehearsal.judge import Happened, Miss, judge
from ruche.engine.rehearsal.script import Script
from ruche.plugins.errors import RucheError


@dataclass(frozen=True)
class Failure:
    """An expectation that did not hold: where it stands, and in which turn (from 1) of the conversation."""

    file: str
    line: int
    column: int
    turn: int
    expected: str
    got: str
    instead: str = ""
    source: str = ""

    def __str__(self) -> str:
        """`file:line:column turn N: expected ..., got ... (what to write instead)`."""
        hint = f" ({self.instead})" if self.instead else ""
        return f"{self.file}:{self.line}:{self.column} turn {self.turn}: expected {self.expected}, got {self.got}{hint}"


@dataclass(frozen=True)
class Played:
    """One conversation that was played to its end. `said` holds what was said in each turn and the reply."""

    placed: Placed
    failures: tuple[Failure, ...]
    said: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def name(self) -> str:
        return self.placed.conversation.name


@dataclass(frozen=True)
class Playbook:
    """What a folder holds to be played. Nothing is played while there are errors among the problems."""

    folder: LoadedFolder
    conversations: tuple[Placed, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.is_error)


def read_playbook(path: Path) -> Playbook:
    """An agent folder with its conversations; problems of both, by file and line."""
    folder = load_folder(path)
    conversations, problems = read_conversations(folder.path, folder.bundle)
    return Playbook(folder, tuple(conversations), (*folder.problems, *problems))


class Stage:
    """A context manager that starts an engine for one agent. Conversations share it; each has a person of its own.

    `settings` say which models are used; data, keys and agents are the stage's own and are gone at its end.
    """

    def __init__(self, folder: LoadedFolder, settings: Settings) -> None:
        self._folder, self._bundle = folder, folder.require()
        self._settings = settings
        self._script = Script()
        self._stack = ExitStack()
        self._engine: BlockingEngine | None = None
        self._played = 0

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="ruche-test-"))
            settings = self._settings.model_copy(update={
                "data": Path(place) / "data", "agents": self._folder.path, "samples": False,
                "storage": StorageSettings()})
            self._engine = stack.enter_context(BlockingEngine(settings=settings, **self._script.plugins()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def play(self, placed: Placed) -> Played:
        """Say every turn; a turn that misses an expectation does not end the conversation, one that raises does."""
        begun = time.perf_counter()
        self._played += 1
        self._script.begin(placed.conversation)
        failures: list[Failure] = []
        said: list[tuple[str, str]] = []
        for number, turn in enumerate(placed.conversation.turns):
            try:
                happened = self._say(placed, turn)
            except RucheError as error:
                miss = Miss(("say",), "an answer", f"{error.code}: {error.message}")
                failures.append(_failure(placed, number, miss))
                break
            said.append((turn.say, happened.run.reply))
            failures += [_failure(placed, number, miss) for miss in judge(turn, happened)]
        return Played(placed, tuple(failures), tuple(said), time.perf_counter() - begun)

    def _say(self, placed: Placed, turn: ScriptedTurn) -> Happened:
        if self._engine is None:
            raise RuntimeError("enter the stage first: with Stage(folder, settings) as stage:")
        script, tenant = self._script, self._bundle.tenant
        script.turn(turn)
        answered = self._engine.chat(agent=self._bundle.id, message=turn.say, tenant=tenant,
                                     user=f"test-{self._played}", channel=placed.conversation.channel)
        run = self._engine.call("run", tenant, answered.turn_id)
        session = self._engine.call("session", tenant, answered.session_id)
        return Happened(run, session, script.model.asked, tuple(script.tools.unanswered))


def _failure(placed: Placed, number: int, miss: Miss) -> Failure:
    place = ("turns", number, *(miss.place or ("say",)))
    at = placed.problem(place, "", "")
    return Failure(at.file, at.line, at.column, number + 1, miss.expected, miss.got, miss.instead, at.source)
