"""An agent's test conversations as pytest tests: `pytest -p ruche.engine.rehearsal.pytest_plugin agents`.

Every `tests/*.yaml` beside an `agent.yaml` is collected; each conversation is one test. Loaded only where it is asked
for, on the command line or as `pytest_plugins = ["ruche.engine.rehearsal.pytest_plugin"]` in the top conftest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ruche.engine.authoring.conversations import Placed
    from ruche.engine.rehearsal.stage import Failure, Playbook, Played, Stage


class Missed(Exception):
    """A conversation came out otherwise than its test expects."""

    def __init__(self, played: Played) -> None:
        super().__init__(played.name)
        self.played = played


class Faulty(Exception):
    """The agent folder or its tests have errors; carries them as text."""


class _Stages:
    """One engine for each agent folder, from its first conversation to the end of the session."""

    def __init__(self) -> None:
        self._open: dict[Path, Stage] = {}
        self._playbooks: dict[Path, Playbook] = {}
        self._stack = ExitStack()

    def playbook(self, folder: Path) -> Playbook:
        from ruche.engine.rehearsal.stage import read_playbook

        if folder not in self._playbooks:
            self._playbooks[folder] = read_playbook(folder)
        return self._playbooks[folder]

    def stage(self, folder: Path) -> Stage:
        from ruche.engine.config import read_settings
        from ruche.engine.rehearsal.stage import Stage

        if folder not in self._open:
            self._open[folder] = self._stack.enter_context(Stage(self.playbook(folder).folder, read_settings()))
        return self._open[folder]

    def close(self) -> None:
        self._stack.close()


_STAGES = pytest.StashKey[_Stages]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STAGES] = stages = _Stages()
    config.add_cleanup(stages.close)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ConversationFile | None:
    folder = file_path.parent
    if file_path.suffix != ".yaml" or folder.name != "tests" or not (folder.parent / "agent.yaml").is_file():
        return None
    return ConversationFile.from_parent(parent, path=file_path)


class ConversationFile(pytest.File):
    """One file of conversations."""

    def collect(self) -> Iterable[ConversationItem]:
        playbook = self.config.stash[_STAGES].playbook(self.path.parent.parent)
        if playbook.errors:
            raise Faulty("\n".join(f"{playbook.folder.path}/{problem}" for problem in playbook.errors))
        name = f"tests/{self.path.name}"
        return [ConversationItem.from_parent(self, name=one.conversation.name, placed=one)
                for one in playbook.conversations if one.file == name]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        return str(excinfo.value) if isinstance(excinfo.value, Faulty) else super().repr_failure(excinfo)


class ConversationItem(pytest.Item):
    """One conversation."""

    def __init__(self, *, placed: Placed, **options: Any) -> None:
        super().__init__(**options)
        self.placed = placed

    def runtest(self) -> None:
        played = self.config.stash[_STAGES].stage(self.path.parent.parent).play(self.placed)
        if played.failures:
            raise Missed(played)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        if isinstance(excinfo.value, Missed):
            return "\n".join(self._lines(excinfo.value.played))
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.placed.problem((), "", "").line - 1, self.name

    def _lines(self, played: Played) -> Iterator[str]:
        for say, reply in played.said:
            yield from (f"> {say}", f"< {reply}")
        for failure in played.failures:
            yield self._located(failure)

    def _located(self, failure: Failure) -> str:
        return f"{self.path.parent.parent}/{failure}"
