"""Which step of a scenario comes next: a journey becomes a scenario that stands where the case says, and the last
message is said. The engine has its embedder, and a scripted model where one is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from bench.suites.asking import Asking, sampled
from bench.suites.cases import Case, Part, read_journeys
from bench.suites.oracle import Label
from bench.suites.posed import Posed, alone
from bench.suites.scripted import hostile, perfect
from ruche.storage.model.conversation import ScenarioInstance, SessionState, StepVisit
from ruche.storage.model.run import Run

WHY = {
    "going back": "what was answered before is in free words, so nothing tells that an answer changed",
    "several steps": "answers to later questions were given in free words, and no field says that they are known",
    "leaving": "that the matter is settled is told in passing",
    "next step": "the condition of the step is about what was said before",
}
SCENARIO = "journey"
_ASKS = re.compile(r"(?i)^(?:welcome|ask|find out|confirm)\b|\?$")
_ALWAYS = ("", "always")
_Stand = str | None


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent of the cases of each family in which the scenario comes to stand at the right step. With a scripted
    model `scripted.perfect` or `scripted.hostile`."""
    cases = [posed(journey, case) for journey, case in sampled(read_journeys(folder), limit, seed)]
    if asking.model == "hostile":
        return await hostile(asking, cases)
    if asking.model == "perfect":
        return await perfect(asking, cases)
    return (await alone(asking, cases, WHY.__getitem__))[0]


def posed(journey: Part, case: Case) -> Posed:
    before = [f"n{one}" for one in case.part.get("journey_previous_path") or () if one is not None]
    if (case.part.get("journey_previous_path") or ())[-1:] == [None]:
        before = []

    def begun(session: SessionState) -> SessionState:
        return msgspec.structs.replace(session, history=case.exchanges[-10:], turn_count=len(case.exchanges),
                                       scenarios=(_instance(before),) if before else ())

    bundle = bundle_of(journey)
    steps = frozenset(step["id"] for step in bundle["scenarios"][0]["steps"])
    wanted = _expected(case.part)
    return Posed(case=case, bundle=bundle, session=begun, label=_label(case.part, before, wanted),
                 outcome=lambda run: _stands(run, before), wanted=wanted, known=steps | {None})


def _expected(part: Part) -> _Stand:
    """The step, or None where the scenario is to be left; a path stands for its last step."""
    wanted = part.get("expected_next_node_index")
    last = wanted[-1] if isinstance(wanted, list) else wanted
    return None if last is None else f"n{last}"


def _label(part: Part, before: list[str], wanted: _Stand) -> Label:
    """The word of somebody who knows: what of the expected path is new, or to leave."""
    at = before[-1] if before else ""
    if wanted is None:
        return Label(rules=frozenset(), move="leave", at=at, been=tuple(before))
    listed = part.get("expected_next_node_index")
    path = [f"n{one}" for one in part.get("expected_path") or (listed if isinstance(listed, list) else [listed])]
    new = path[len(before):] if path[:len(before)] == before else path
    return Label(rules=frozenset(), move="go", path=tuple(new), at=at, been=tuple(before))


def _stands(run: Run, before: list[str]) -> _Stand:
    """The step that was carried out last, also where the scenario ended with it; None where it was left."""
    moves = [move for move in run.scenarios if move.id == SCENARIO]
    if not moves:
        return before[-1] if before else None
    last = moves[-1]
    if last.action in ("CANCEL", "PAUSE") or (last.action == "COMPLETE" and not any(move.path for move in moves)):
        return None
    return last.step


def _instance(before: list[str]) -> ScenarioInstance:
    visits = tuple(StepVisit(step=one, turn=place, reason="") for place, one in enumerate(before))
    return ScenarioInstance(scenario=SCENARIO, version=1, step=before[-1], visits=visits, last_turn=len(before) - 1)


def bundle_of(journey: Part) -> dict[str, Any]:
    """A step per node: what asks waits for an answer, a fork is passed, conditions are compared by meaning. What a
    person has answered already need not be asked, but for what a tool does."""
    nodes = {node["id"]: node for node in journey["nodes"]}
    scenario = {"id": SCENARIO, "entry": journey["triggers"][0], "examples": journey["triggers"][1:],
                "description": journey.get("title", ""), "steps": [_step(node, nodes) for node in journey["nodes"]]}
    return {"id": "measured", "agent": {"name": "Measured"}, "scenarios": [scenario]}


def _step(node: Part, nodes: dict[str, Part]) -> Part:
    action = (node.get("action") or "").replace("{", "(").replace("}", ")")
    waits = node.get("kind") != "FORK" and bool(action) and bool(
        node.get("customer_dependent_action") or node.get("kind") == "TOOL" or _ASKS.search(action))
    step: Part = {"id": f"n{node['id']}", "description": action or "fork", "can_skip": node.get("kind") != "TOOL"}
    if action:
        step["ask" if waits and node.get("follow_up_ids") else "say"] = action
    follow = [one for one in node.get("follow_up_ids", ()) if one in nodes]
    step["next"] = [_edge(one, nodes[one].get("condition"), alone=len(follow) == 1) for one in follow]
    return step


def _edge(target: str, condition: str | None, *, alone: bool) -> Part:
    """The only way on is open whatever its condition says of the answer that the step waits for."""
    if alone or (condition or "").strip().lower() in _ALWAYS:
        return {"to": f"n{target}"}
    return {"to": f"n{target}", "if": condition}
