"""Which step of a scenario comes next: a journey becomes a scenario that stands where the case says, and the last
message is said. The engine has its embedder and no language model."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bench.suites.asking import Asking, sampled, share
from bench.suites.cases import Case, Part, read_journeys
from bench.suites.talking import Room, Talk
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import ScenarioInstance, StepVisit

WHY = {
    "going back": "what was answered before is in free words, so nothing tells that an answer changed",
    "several steps": "answers to later questions were given in free words, and no field says that they are known",
    "leaving": "that the matter is settled is told in passing",
    "next step": "the condition of the step is about what was said before",
}
_ASKS = re.compile(r"(?i)^(?:welcome|ask|find out|confirm)\b|\?$")
_ALWAYS = ("", "always")


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent of the cases of each family in which the scenario comes to stand at the right step."""
    cases = sampled(read_journeys(folder), limit, seed)
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for number, (journey, case) in enumerate(cases):
        total[case.family] += 1
        passed[case.family] += await _stands(asking, journey, case, number + 1) in _expected(case.part)
    metrics: dict[str, Any] = {"n": len(cases), "passed": share(passed.total(), total.total())}
    metrics |= {family: share(passed[family], total[family]) for family in sorted(total)}
    notes = [f"{family}: {passed[family]} of {total[family]} pass; the rest needs a model, because {WHY[family]}"
             for family in sorted(total) if passed[family] < total[family]]
    return {**metrics, "notes": notes}


def _expected(part: Part) -> tuple[str | None, ...]:
    """The step, or None where the scenario is to be left; a path stands for its last step."""
    wanted = part.get("expected_next_node_index")
    return (wanted[-1] if isinstance(wanted, list) else wanted,)


async def _stands(asking: Asking, journey: Part, case: Case, version: int) -> str | None:
    room = await Room.open(asking.retriever, bundle_of(journey), asking.times, version)
    talk = room.talk()
    before = [one for one in case.part.get("journey_previous_path") or () if one is not None]
    done = case.part.get("journey_previous_path", ())[-1:] == [None]
    talk.session = msgspec.structs.replace(talk.session, history=case.exchanges[-10:], turn_count=len(case.exchanges),
                                           scenarios=() if done or not before else (_instance(before),))
    await talk.say(case.message)
    return _place(talk)


def _place(talk: Talk) -> str | None:
    active = [one for one in talk.session.scenarios if one.status == "active"]
    return active[0].step.removeprefix("n") if active else None


def _instance(before: list[str]) -> ScenarioInstance:
    visits = tuple(StepVisit(step=f"n{one}", turn=place, reason="") for place, one in enumerate(before))
    return ScenarioInstance(scenario="journey", version=1, step=f"n{before[-1]}", visits=visits,
                            last_turn=len(before) - 1)


def bundle_of(journey: Part) -> AgentBundle:
    """A step per node: what asks waits for an answer, a fork is passed, conditions are compared by meaning."""
    nodes = {node["id"]: node for node in journey["nodes"]}
    steps = [_step(node, nodes) for node in journey["nodes"]]
    scenario = {"id": "journey", "entry": journey["triggers"][0], "examples": journey["triggers"][1:],
                "description": journey.get("title", ""), "steps": steps}
    return AgentBundle.model_validate({"id": "measured", "agent": {"name": "Measured"}, "scenarios": [scenario]})


def _step(node: Part, nodes: dict[str, Part]) -> Part:
    action = (node.get("action") or "").replace("{", "(").replace("}", ")")
    waits = node.get("kind") != "FORK" and bool(action) and bool(
        node.get("customer_dependent_action") or node.get("kind") == "TOOL" or _ASKS.search(action))
    step: Part = {"id": f"n{node['id']}", "description": action or "fork"}
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
