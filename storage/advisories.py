"""What a run's advisories come to. They are only ever added; every later state of a run is this fold over them.

A machine may explain. It never reviews, promotes, rejects or overrides: that takes a person, and another one than the
author of what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

from ruche.storage.errors import Conflict, RucheError
from ruche.storage.model.record import AdvisoryAdded

Kind = Literal["note", "explanation_requested", "explanation", "explanation_failed", "review", "promote", "reject",
               "unreject", "override", "retract"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
MACHINE: Final = ("system:", "model:")
"""How the names of authors begin that are no persons."""
_BY_MACHINE: Final = ("note", "explanation_requested", "explanation", "explanation_failed")
_JUDGES: Final = ("promote", "reject", "unreject", "override")

Explanation = Literal["NONE", "PENDING", "READY", "ERROR"]
Review = Literal["NEW", "REVIEWED", "REJECTED", "PROMOTED"]


class NotAllowed(RucheError):
    """This author may not add this kind of advisory."""

    code, status = "ADVISORY_NOT_ALLOWED", 403


class Override(NamedTuple):
    """A decision of a person that stands against the run's: who, why, under which policy."""

    id: str
    author: str
    reason: str
    policy: str


class State(NamedTuple):
    """`explained_by` is the id of the explanation in force; `approved` only ever by a person's promotion."""

    explanation: Explanation = "NONE"
    explained_by: str = ""
    review: Review = "NEW"
    reviewed_by: str = ""
    override: Override | None = None
    notes: int = 0
    erased: bool = False

    @property
    def approved(self) -> bool:
        return self.review == "PROMOTED"


def fold(advisories: Iterable[AdvisoryAdded], *, erased: bool = False) -> State:
    """The state of a run, from its advisories in the order in which they were added. Pure.

    Promoted goes before rejected, rejected before reviewed; an unreject or a retraction takes back what it names. Of a
    run whose person was erased nothing stands but that.
    """
    if erased:
        return State(erased=True)
    added = list(advisories)
    retracted = {subject(one) for one in added if one.kind == "retract"}
    state = State()
    for one in added:
        if one.id not in retracted:
            state = _step(state, one)
    return state


def _step(state: State, one: AdvisoryAdded) -> State:
    match one.kind:
        case "note":
            return state._replace(notes=state.notes + 1)
        case "explanation_requested" if state.explanation != "READY":
            return state._replace(explanation="PENDING")
        case "explanation":
            return state._replace(explanation="READY", explained_by=one.id)
        case "explanation_failed" if state.explanation != "READY":
            return state._replace(explanation="ERROR")
        case "review" if state.review == "NEW":
            return state._replace(review="REVIEWED", reviewed_by=one.author)
        case "reject" if state.review != "PROMOTED":
            return state._replace(review="REJECTED", reviewed_by=one.author)
        case "unreject" if state.review == "REJECTED":
            return state._replace(review="REVIEWED", reviewed_by=one.author)
        case "promote":
            return state._replace(review="PROMOTED", reviewed_by=one.author)
        case "override":
            return state._replace(override=Override(one.id, one.author, text(one), str(one.body.get("policy", ""))))
        case _:
            return state


def check(advisory: AdvisoryAdded, earlier: Sequence[AdvisoryAdded]) -> None:
    """Raises NotAllowed and Conflict unless the advisory may follow those that the run has."""
    if advisory.kind not in KINDS:
        raise NotAllowed(f"there is no advisory of this kind; one of {', '.join(KINDS)}")
    if advisory.author.startswith(MACHINE) and advisory.kind not in _BY_MACHINE:
        raise NotAllowed(f"{advisory.kind} takes a person; a machine may only explain and note")
    state, known = fold(earlier), {one.id: one for one in earlier}
    named = known.get(subject(advisory))
    if subject(advisory) and named is None:
        raise Conflict("`subject` names no advisory of this run")
    if advisory.kind == "retract" and (named is None or named.kind == "retract"):
        raise Conflict("retract names, in `subject`, the advisory that it takes back")
    if advisory.kind in _JUDGES and _own(advisory, named, known, state):
        raise NotAllowed("nobody judges an advisory of their own; somebody else must")
    if advisory.kind == "promote" and state.review == "PROMOTED":
        raise Conflict("this run is promoted already")
    if advisory.kind == "unreject" and state.review != "REJECTED":
        raise Conflict("this run is not rejected")


def _own(advisory: AdvisoryAdded, named: AdvisoryAdded | None, known: dict[str, AdvisoryAdded], state: State) -> bool:
    """Whether the author judges what they wrote: the advisory that is named, else the explanation in force."""
    judged = named or known.get(state.explained_by)
    return judged is not None and judged.author == advisory.author and judged.kind != advisory.kind


def subject(advisory: AdvisoryAdded) -> str:
    """Id of the advisory that this one is about, empty when it is about the run."""
    return str(advisory.body.get("subject", ""))


def text(advisory: AdvisoryAdded) -> str:
    return str(advisory.body.get("note", ""))


def body(note: str, subject: str = "", **more: Any) -> dict[str, Any]:
    """What an advisory says; parts that are empty are left out."""
    said = {"note": note, "subject": subject, **more}
    return {name: value for name, value in said.items() if value not in ("", None)}
