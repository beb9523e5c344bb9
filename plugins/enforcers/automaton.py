"""Regular expressions that run in linear time, whatever the pattern (security item 20).

Python parses the pattern, a program of a few instructions is made of it, and all its threads advance together, one
character at a time (Thompson 1968, Pike's virtual machine); sets of threads are remembered, so that ordinary text costs
one dictionary look-up a character. Nothing backtracks. There are no back references and no look-around.
"""

from __future__ import annotations

import re
import warnings
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from ruche.plugins.errors import ConfigurationError

MAX_PATTERN = 500
"""Characters of a pattern."""
MAX_PROGRAM = 400
"""Instructions; bounded repetitions are written out, so `[a-z]{100}` takes a hundred."""
_MAX_STATES = 1_000
"""Remembered sets of threads; all are forgotten when there are more."""

_WORD = re.compile(r"\w")
_CLASSES = {
    _constants.CATEGORY_DIGIT: r"\d", _constants.CATEGORY_NOT_DIGIT: r"\D", _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S", _constants.CATEGORY_WORD: r"\w", _constants.CATEGORY_NOT_WORD: r"\W",
}


class _Step(NamedTuple):
    """One instruction. `one`: consume a character that `accepts` matches; `fork`: go on at both; `at`: a condition."""

    kind: str
    accepts: re.Pattern[str] | None = None
    at: str = ""
    first: int = 0
    second: int = 0


class _State:
    """A set of threads before a character, with what is known of the character before it."""

    __slots__ = ("after_word", "fresh", "next", "threads")

    def __init__(self, threads: frozenset[int], after_word: bool, fresh: bool) -> None:
        self.threads, self.after_word, self.fresh = threads, after_word, fresh
        self.next: dict[str, _State | None] = {}
        """Next character ('' at the end) to the next state; None when the pattern has matched before it."""


class Automaton:
    """A compiled pattern. `search` may be called by one thread at a time, like every enforcer."""

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        """Raises ConfigurationError for what is not a regular expression of the supported kind."""
        self.pattern = pattern
        tree = _parsed(pattern)
        self.width = int(tree.getwidth()[0])
        """The fewest characters that match."""
        self._program = _compile(pattern, tree, re.IGNORECASE if ignore_case else re.NOFLAG)
        self.needs_end = any(step.at == "end" for step in self._program)
        """True when `$` occurs: a match in a prefix may be none in the whole."""
        self._states: dict[tuple[frozenset[int], bool, bool], _State] = {}

    def search(self, text: str) -> int | None:
        """The offset behind the shortest match that ends first, None when nothing matches. O(len(text))."""
        state: _State = self._state(frozenset(), False, True)
        for offset, char in enumerate(text):
            try:
                following = state.next[char]
            except KeyError:
                following = self._advance(state, char)
            if following is None:
                return offset
            state = following
        return len(text) if self._matches_at_end(state) else None

    def count(self, text: str, most: int) -> int:
        """How many matches follow one another without overlap, each the shortest that ends first; counting stops behind
        `most`. Raises ValueError for a pattern that matches no character at all."""
        if not self.width:
            raise ValueError("a pattern that matches nothing cannot be counted")
        found, offset = 0, 0
        state: _State = self._state(frozenset(), False, True)
        while offset < len(text) and found <= most:
            char = text[offset]
            following = state.next[char] if char in state.next else self._advance(state, char)
            if following is None:
                found += 1
                state = self._state(frozenset(), bool(_WORD.match(text[offset - 1])), False)
            else:
                state, offset = following, offset + 1
        return found + (found <= most and self._matches_at_end(state))

    def _matches_at_end(self, state: _State) -> bool:
        if "" not in state.next:
            self._advance(state, "")
        return state.next[""] is None

    def _advance(self, state: _State, char: str) -> _State | None:
        is_word = bool(char and _WORD.match(char))
        threads = self._closure(state, is_word, char == "")
        if threads is None:
            state.next[char] = None
            return None
        survivors = frozenset(place + 1 for place in threads
                              if char and self._program[place].accepts.match(char))  # type: ignore[union-attr]
        state.next[char] = following = self._state(survivors, is_word, False)
        return following

    def _closure(self, state: _State, before_word: bool, at_end: bool) -> list[int] | None:
        """The threads that wait for a character, a new one from the start among them; None when one has matched."""
        met = {"start": state.fresh, "end": at_end, "boundary": state.after_word != before_word,
               "inside": state.after_word == before_word}
        seen: set[int] = set()
        waiting: list[int] = []
        stack = [*state.threads, 0]
        while stack:
            place = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            step = self._program[place]
            if step.kind == "match":
                return None
            if step.kind == "one":
                waiting.append(place)
            elif step.kind == "fork":
                stack += (step.first, step.second)
            elif met[step.at]:
                stack.append(place + 1)
        return waiting

    def _state(self, threads: frozenset[int], after_word: bool, fresh: bool) -> _State:
        key = (threads, after_word, fresh)
        state = self._states.get(key)
        if state is None:
            if len(self._states) > _MAX_STATES:
                self._states.clear()
            state = self._states[key] = _State(threads, after_word, fresh)
        return state


def _parsed(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise ConfigurationError(f"the pattern is longer than {MAX_PATTERN} characters; split it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ConfigurationError(f"the pattern {pattern!r} is not a regular expression: {error}") from None
    if tree.state.flags & ~re.UNICODE.value:
        raise ConfigurationError(f"the pattern {pattern!r} sets flags; case is ignored unless `case: true` is written")
    return tree


def _compile(pattern: str, tree: Any, flags: re.RegexFlag) -> list[_Step]:
    maker = _Maker(pattern, flags)
    maker.sequence(tree)
    maker.add(_Step("match"))
    return maker.program


class _Maker:
    """Writes the program of a parsed pattern."""

    def __init__(self, pattern: str, flags: re.RegexFlag) -> None:
        self._pattern = pattern
        self._flags = flags
        self._visits = 0
        self.program: list[_Step] = []

    def add(self, step: _Step) -> int:
        if len(self.program) >= MAX_PROGRAM:
            raise ConfigurationError(f"the pattern {self._pattern!r} is too large; use smaller repetitions")
        self.program.append(step)
        return len(self.program) - 1

    def sequence(self, tree: Any) -> None:
        for kind, value in tree:
            self._one(kind, value)

    def _one(self, kind: Any, value: Any) -> None:
        self._visits += 1
        if self._visits > 10 * MAX_PROGRAM:
            self._refuse("repetitions of repetitions of this size")
        if kind is _constants.LITERAL:
            self._accept(re.escape(chr(value)))
        elif kind is _constants.NOT_LITERAL:
            self._accept(f"[^{_in_class(value)}]")
        elif kind is _constants.ANY:
            self._accept(".")
        elif kind is _constants.IN:
            self._accept(_class(value))
        elif kind is _constants.SUBPATTERN:
            self._group(value)
        elif kind is _constants.BRANCH:
            self._branch(value[1])
        elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            self._repeat(*value)
        elif kind is _constants.AT:
            self._condition(value)
        else:
            self._refuse(str(kind).lower().replace("_", " "))

    def _accept(self, source: str) -> None:
        self.add(_Step("one", accepts=re.compile(source, self._flags)))

    def _group(self, value: Any) -> None:
        _, add_flags, remove_flags, tree = value
        if add_flags or remove_flags:
            self._refuse("flags inside a group")
        self.sequence(tree)

    def _branch(self, choices: list[Any]) -> None:
        ends: list[int] = []
        for choice in choices[:-1]:
            fork = self.add(_Step("fork"))
            self.sequence(choice)
            ends.append(self.add(_Step("fork")))
            self.program[fork] = _Step("fork", first=fork + 1, second=len(self.program))
        self.sequence(choices[-1])
        for end in ends:
            self.program[end] = _Step("fork", first=len(self.program), second=len(self.program))

    def _repeat(self, least: int, most: Any, tree: Any) -> None:
        if least > MAX_PROGRAM:
            self._refuse(f"a repetition of {least}")
        for _ in range(least):
            self.sequence(tree)
        if most is _constants.MAXREPEAT:
            fork = self.add(_Step("fork"))
            self.sequence(tree)
            self.add(_Step("fork", first=fork, second=fork))
            self.program[fork] = _Step("fork", first=fork + 1, second=len(self.program))
            return
        forks: list[int] = []
        for _ in range(most - least):
            forks.append(self.add(_Step("fork")))
            self.sequence(tree)
        for fork in forks:
            self.program[fork] = _Step("fork", first=fork + 1, second=len(self.program))

    def _condition(self, value: Any) -> None:
        known = {_constants.AT_BEGINNING: "start", _constants.AT_BEGINNING_STRING: "start", _constants.AT_END: "end",
                 _constants.AT_END_STRING: "end", _constants.AT_BOUNDARY: "boundary",
                 _constants.AT_NON_BOUNDARY: "inside"}
        if value not in known:
            self._refuse(str(value))
        self.add(_Step("at", at=known[value]))

    def _refuse(self, what: str) -> None:
        raise ConfigurationError(f"the pattern {self._pattern!r} uses {what}, which is not supported; use literals, "
                                 "classes, groups, |, repetitions, ^, $ and \\b")


def _class(members: list[Any]) -> str:
    parts: list[str] = []
    for kind, value in members:
        if kind is _constants.NEGATE:
            parts.append("^")
        elif kind is _constants.LITERAL:
            parts.append(_in_class(value))
        elif kind is _constants.RANGE:
            parts.append(f"{_in_class(value[0])}-{_in_class(value[1])}")
        else:
            parts.append(_CLASSES[value])
    return f"[{''.join(parts)}]"


def _in_class(code: int) -> str:
    return f"\\U{code:08x}"
