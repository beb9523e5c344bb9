"""The scenarios' part of the rule filter's prompt: where a scenario may go, and what of a model's word on it is usable.

A word names steps of the author's graph; whether a way really leads there is for the engine to find out.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from ruche.storage.model.conversation import Struct

Move = Literal["stay", "go", "rest", "leave"]
MOVES: tuple[Move, ...] = get_args(Move)
MOST_HOPS = 12
"""Steps that one word may name."""

PART = """\

The author's scenarios. Each step has what the agent does there (`does`) and the steps that may follow with their \
conditions (`next`); `last` is a step that ends it. `at` is the step that the agent carried out last, `path` the steps \
that it came through, oldest first. A scenario without `at` is not in progress; one that is `resting` was put off.
<scenarios from="author">
{scenarios}
</scenarios>
"""

KEY = """\
- `scenarios`: each scenario's id as a key, no other key, and for each an object with `move` and `path`:
  - "stay": nothing leads on, so that the agent carries out the step `at` again; a scenario that is not in progress \
is not wanted. `path` is empty.
  - "go": the agent goes on to another step, or begins. `path` has the ids of the steps on the way, each one following \
the one before by its `next`; steps whose question is answered already are on it too. The last one is the step that \
the agent carries out now. The first one follows `at`; it is an earlier step of the scenario's `path` where the person \
changes what was settled there or wants it once more, and the scenario's first step where it begins. Of several steps \
that may follow, it is the one whose condition holds.
  - "rest": the person wants something else first. `path` is empty.
  - "leave": the matter is settled or no longer wanted. `path` is empty.
"""


class StepShown(Struct, frozen=True, kw_only=True):
    """A step as a model sees it."""

    id: str
    does: str
    next: tuple[tuple[str, str], ...]
    """(step, its condition or an empty text)"""


class ScenarioShown(Struct, frozen=True, kw_only=True):
    """A scenario as a model sees it. `at` is empty while it is not in progress."""

    id: str
    about: str
    steps: tuple[StepShown, ...]
    at: str = ""
    path: tuple[str, ...] = ()
    resting: bool = False

    @property
    def moves(self) -> tuple[Move, ...]:
        return MOVES if self.at and not self.resting else ("stay", "go")


class Word(Struct, frozen=True, kw_only=True):
    """What a model says of one scenario."""

    move: Move
    path: tuple[str, ...] = ()


def plainly(one: ScenarioShown) -> dict[str, Any]:
    """The scenario as it stands in the prompt."""
    steps = [{"id": step.id, "does": step.does,
              **({"next": [{"to": to, **({"if": condition} if condition else {})} for to, condition in step.next]}
                 if step.next else {"last": True})} for step in one.steps]
    place = {"at": one.at, "path": list(one.path)} if one.at else {}
    return {"id": one.id, "about": one.about, "steps": steps, **place, **({"resting": True} if one.resting else {})}


def word_schema(one: ScenarioShown) -> dict[str, Any]:
    """The JSON Schema of the word on one scenario."""
    path = {"type": "array", "items": {"enum": [step.id for step in one.steps]}, "maxItems": MOST_HOPS}
    return {"type": "object", "required": ["move", "path"], "additionalProperties": False,
            "properties": {"move": {"enum": list(one.moves)}, "path": path}}


def read_word(value: Any, one: ScenarioShown) -> Word | str:
    """The word, or why what was said is none."""
    if not isinstance(value, dict) or not value.keys() <= {"move", "path"}:
        return "the word is no move"
    move, path = value.get("move"), value.get("path", [])
    if not isinstance(move, str) or move not in one.moves:
        return "there is no such move"
    if not isinstance(path, list) or len(path) > MOST_HOPS or not all(isinstance(name, str) for name in path):
        return "the path is no list of steps"
    unknown = [name for name in path if name not in {step.id for step in one.steps}]
    if unknown:
        return "the path names a step that is not there"
    if move == "go" and not path:
        return "the path is empty"
    return Word(move=move, path=tuple(path) if move == "go" else ())
