"""Replays recorded dialogues against a started server and compares what it does with what a human operator did.

python -m bench.converse --data DIR --agent NAME --dialogues N [--agents DIR] [--seed S] [--json] [--quick]

The folder holds `*.jsonl` files of dialogues {id, happy, tasks, events: [{who: user|agent, text, action}]} and, in
files `*.json` anywhere below, the tasks' graphs {task, replies, graph: {action: next action}}. An agent's scenarios,
steps and rules that bear the names of tasks and actions are the same thing; dialogues are used whose tasks are all
scenarios of the agent. A deed that no graph names is not compared; one that the agent does not have counts against it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.report import count, emit, percentile, progress, table
from ruche.engine.authoring.load import find_folders, load_folder
from ruche.engine.authoring.samples import sample_folder
from ruche.storage.model.bundle import AgentBundle

OUT_OF_SCOPE = "out_of_scope"
"""The action by which an operator says that something is not the agent's business."""


@dataclass(frozen=True)
class Utterance:
    """What a user said, and what the operator did next: an action's name, or empty where it has none."""

    text: str
    action: str


@dataclass(frozen=True)
class Dialogue:
    name: str
    happy: bool
    utterances: tuple[Utterance, ...]


@dataclass
class Outcome:
    """What one replay showed, summed over all turns."""

    ms: list[float] = field(default_factory=list)
    empty: int = 0
    fallback: int = 0
    failed: int = 0
    unmatched: int = 0
    risk: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    compared: Counter[bool] = field(default_factory=Counter)
    agreed: Counter[bool] = field(default_factory=Counter)
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)
    status: Counter[str] = field(default_factory=Counter)


def read_actions(folder: Path) -> frozenset[str]:
    """Every action that a graph below the folder names."""
    actions: set[str] = set()
    for file in sorted(folder.rglob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        graph = data.get("graph") if isinstance(data, dict) else None
        if isinstance(graph, dict):
            actions.update(graph, graph.values(), data.get("replies", {}))
    return frozenset(actions)


def read_dialogues(folder: Path, tasks: frozenset[str]) -> list[Dialogue]:
    """The dialogues that lie wholly inside the tasks, in the order of their names."""
    found = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            data = json.loads(line)
            if data.get("tasks") and set(data["tasks"]) <= tasks:
                found.append(Dialogue(str(data["id"]), bool(data.get("happy")), tuple(_utterances(data["events"]))))
    return sorted((one for one in found if one.utterances), key=lambda one: one.name)


def _utterances(events: list[dict[str, Any]]) -> Iterator[Utterance]:
    """A user's words with the operator's first deed after them; nothing when the user went on speaking."""
    said: str | None = None
    for event in events:
        if event.get("who") == "user" and str(event.get("text", "")).strip():
            if said is not None:
                yield Utterance(said, "")
            said = str(event["text"])
        elif event.get("who") == "agent" and "action" in event and said is not None:
            yield Utterance(said, event["action"] or "")
            said = None
    if said is not None:
        yield Utterance(said, "")


class Server:
    """`ruche serve` in a process of its own, spoken to over one kept connection."""

    def __init__(self, data: Path, agents: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ruche.engine.cli.main", "serve", "--json", "--port", "0", "--data", str(data),
             "--agents", str(agents)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"the server ended with {self.process.wait()}; ruche check {agents} may tell why")
        ready = json.loads(line)
        parts = urlsplit(ready["url"])
        self._connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {ready['token']}", "Content-Type": "application/json"}

    def say(self, agent: str, user: str, text: str, *, fresh: bool) -> dict[str, Any] | None:
        """The answer with its reasons; None when the server refused."""
        body = {"agent_id": agent, "message": text, "channel": "api", "channel_user_id": user, "new_session": fresh}
        self._connection.request("POST", "/v1/chat", json.dumps(body), self._headers)
        response = self._connection.getresponse()
        read = response.read()
        return json.loads(read) if response.status == 200 else None

    def cpu_seconds(self) -> float | None:
        """CPU time of the server's process; None where the system does not tell."""
        try:
            after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._connection.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


@contextmanager
def serving(agents: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ruche-converse-") as place:
        server = Server(Path(place) / "data", agents)
        try:
            yield server
        finally:
            server.stop()


def replay(server: Server, agent: str, dialogues: list[Dialogue], comparable: frozenset[str]) -> Outcome:
    outcome = Outcome()
    for number, dialogue in enumerate(dialogues, 1):
        for position, utterance in enumerate(dialogue.utterances):
            began = time.perf_counter()
            answer = server.say(agent, f"converse-{dialogue.name}", utterance.text, fresh=position == 0)
            outcome.ms.append((time.perf_counter() - began) * 1_000)
            if answer is None:
                outcome.failed += 1
            else:
                _count(outcome, answer, utterance, dialogue.happy, comparable)
        if number % 10 == 0:
            progress(f"{number} of {len(dialogues)} dialogues")
    return outcome


def _count(outcome: Outcome, answer: dict[str, Any], utterance: Utterance, happy: bool,
           comparable: frozenset[str]) -> None:
    outcome.empty += not answer["reply"].strip()
    outcome.fallback += answer["enforcement"]["fallback"] is not None
    outcome.risk[answer["enforcement"]["risk"]] += 1
    outcome.status[answer["status"]] += 1
    for move in answer["scenarios"]:
        outcome.steps[f"{move['id']}/{move['step']}"] += 1
    did = action_of(answer)
    outcome.unmatched += did == OUT_OF_SCOPE
    if utterance.action in comparable:
        outcome.compared[happy] += 1
        outcome.agreed[happy] += did == utterance.action
        if did != utterance.action:
            outcome.missed[utterance.action, did] += 1


def action_of(answer: dict[str, Any]) -> str:
    """The one thing the turn did: where its scenario stands, else the rule that spoke, else nothing in its scope."""
    moves = [move for move in answer["scenarios"] if move["action"] not in ("PAUSE", "CANCEL")]
    if moves:
        return str(moves[0]["step"])
    return str(answer["rules"][0]["id"]) if answer["rules"] else OUT_OF_SCOPE


def summary(outcome: Outcome, dialogues: list[Dialogue], bundle: AgentBundle, cpu: float | None) -> dict[str, Any]:
    turns = len(outcome.ms)
    compared = sum(outcome.compared.values())
    all_steps = sum(len(scenario.steps) for scenario in bundle.scenarios)
    return {
        "dialogues": len(dialogues), "turns": turns, "empty": outcome.empty, "fallback": outcome.fallback,
        "failed": outcome.failed, "unmatched": outcome.unmatched,
        "next_action_agreement": _share(sum(outcome.agreed.values()), compared), "compared": compared,
        "agreement_happy": _share(outcome.agreed[True], outcome.compared[True]),
        "agreement_unhappy": _share(outcome.agreed[False], outcome.compared[False]),
        "steps_reached": len(outcome.steps), "steps_total": all_steps, "steps": dict(outcome.steps.most_common()),
        "risk": {name: outcome.risk[name] for name in ("GREEN", "YELLOW", "RED", *sorted(
            set(outcome.risk) - {"GREEN", "YELLOW", "RED"}))},
        "status": dict(outcome.status.most_common()),
        "missed": [{"operator": wanted, "engine": did, "turns": count}
                   for (wanted, did), count in outcome.missed.most_common(15)],
        "p50_ms": round(percentile(outcome.ms, 0.5), 3), "p95_ms": round(percentile(outcome.ms, 0.95), 3),
        "cpu_ms_per_turn": None if cpu is None else round(1_000 * cpu / turns, 3)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def shown(result: dict[str, Any]) -> str:
    """The table for people."""
    single = ("dialogues", "turns", "empty", "fallback", "failed", "unmatched", "compared", "next_action_agreement",
              "agreement_happy", "agreement_unhappy", "steps_reached", "steps_total", "p50_ms", "p95_ms",
              "cpu_ms_per_turn")
    rows = [(name, result[name]) for name in single]
    rows += [(f"risk {name}", count) for name, count in result["risk"].items()]
    misses = [(one["operator"], one["engine"], one["turns"]) for one in result["missed"]]
    steps = list(result["steps"].items())
    return "\n\n".join([table("Conversations replayed over HTTP", ("what", "value"), rows),
                        table("Steps reached", ("scenario/step", "turns"), steps),
                        table("Where the operator did otherwise", ("operator", "engine", "turns"), misses)])


def agent_folder(agents: Path | None, name: str) -> Path:
    """The folder of the agent: below `agents`, else a shipped sample. Ends the program when there is none."""
    found = [folder for folder in find_folders(agents) if folder.name == name] if agents else []
    if agents is None:
        try:
            return sample_folder(name)
        except KeyError:
            found = []
    if not found:
        raise SystemExit(f"there is no agent {name}; name its folder with --agents")
    return found[0]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.converse", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded dialogues")
    parser.add_argument("--agent", required=True)
    parser.add_argument("--agents", type=Path, help="folder of agent folders (default: the shipped samples)")
    parser.add_argument("--dialogues", type=count, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="at most 10 dialogues")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    folder = agent_folder(options.agents, options.agent)
    bundle = load_folder(folder).require()
    dialogues = read_dialogues(options.data, frozenset(scenario.id for scenario in bundle.scenarios))
    if not dialogues:
        raise SystemExit(f"{options.data}: no dialogue lies inside the scenarios of {options.agent}")
    wanted = min(options.dialogues, len(dialogues), 10 if options.quick else len(dialogues))
    chosen = random.Random(options.seed).sample(dialogues, wanted)
    progress(f"{wanted} of {len(dialogues)} dialogues inside the agent's scenarios")
    comparable = read_actions(options.data)
    with serving(folder) as server:
        before = server.cpu_seconds()
        outcome = replay(server, options.agent, chosen, comparable)
        after = server.cpu_seconds()
    result = summary(outcome, chosen, bundle, None if before is None or after is None else after - before)
    emit(result, shown(result), as_json=options.json)


if __name__ == "__main__":
    main()
