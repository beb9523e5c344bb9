"""Service calls of recorded dialogues: each is made once its required slots are known, never before, and nothing that
is known is asked for again.

The user's words are as recorded; so is what the recorded agent said and put forward, in place of the engine's own
replies. What the engine understands, asks, calls and keeps is its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.suites.asking import Asking, sampled, share
from bench.suites.services import Services, services_of
from bench.suites.talking import Room, Talk
from ruche.engine.brain.bindings import confirmation_key
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.conversation import FieldValue, Pending
from ruche.storage.model.run import Run

TODAY_MS = int(datetime(2019, 3, 1, 14, tzinfo=UTC).timestamp() * 1000)
"""The day on which all dialogues of this format take place (its authors' paper, section 3)."""
_PUT_FORWARD = ("OFFER", "CONFIRM", "INFORM")


@dataclass
class Tally:
    """What became of the calls, over all dialogues."""

    gold: int = 0
    made: int = 0
    right: int = 0
    premature: int = 0
    reasked: int = 0
    unwanted: int = 0
    states: Counter[bool] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)


def read(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(schemas, dialogues) of every folder with a `schema.json` at or below this one. Raises ConfigurationError."""
    schemas: dict[str, dict[str, Any]] = {}
    dialogues: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("schema.json")):
        schemas.update({one["service_name"]: one for one in json.loads(path.read_text(encoding="utf-8"))})
        for file in sorted(path.parent.glob("dialogues*.json")):
            dialogues += json.loads(file.read_text(encoding="utf-8"))
    known = [one for one in dialogues if all(name in schemas for name in one["services"])]
    if not known:
        raise ConfigurationError(f"{folder} has no schema.json with dialogues*.json beside it")
    return list(schemas.values()), known


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Counts of premature calls and of fields asked again; per cent for the rest."""
    schemas, dialogues = read(folder)
    rooms: dict[tuple[str, ...], tuple[Room, Services]] = {}
    tally = Tally()
    chosen = sampled(dialogues, limit, seed)
    for one in chosen:
        names = tuple(sorted(one["services"]))
        if names not in rooms:
            services = services_of([schema for schema in schemas if schema["service_name"] in names])
            rooms[names] = (await Room.open(asking.retriever, services.bundle, asking.times, len(rooms) + 1), services)
        room, services = rooms[names]
        await _Replay(room, services, tally).dialogue(one)
    missed = ", ".join(f"{name} {count}" for name, count in tally.missed.most_common(5))
    return {"n": len(chosen), "premature_calls": tally.premature, "reasked_fields": tally.reasked,
            "calls_made_of_gold": round(tally.made / max(tally.gold, 1), 3),
            "calls_right_of_gold": round(tally.right / max(tally.gold, 1), 3), "gold_calls": tally.gold,
            "unwanted_calls": tally.unwanted,
            "joint_goal_accuracy": share(tally.states[True], tally.states.total()),
            "notes": [f"required slots most often unknown at a gold call: {missed or 'none'}"]}


class _Replay:
    """One dialogue."""

    def __init__(self, room: Room, services: Services, tally: Tally) -> None:
        self.services, self.tally = services, tally
        self.talk: Talk = room.talk()
        self.talk.now_ms = TODAY_MS
        self.talk.room.tools.functions = {one.tool: self._answer for one in services.intents.values()}
        self.open: list[tuple[str, dict[str, Any]]] = []
        """Calls that the engine made and no gold call has claimed."""
        self.alike: dict[str, set[str]] = {}
        """A value as the dialogue has it, to its other forms: `the 10th` and `2019-03-10`, `NY` and `New York`."""

    async def dialogue(self, one: dict[str, Any]) -> None:
        for turn in one["turns"]:
            self._learn_forms(turn)
            if turn["speaker"] == "USER":
                await self._said(turn)
            else:
                self._answered(turn)
        wanted = {self.services.intents[frame["service"], frame["service_call"]["method"]].tool
                  for turn in one["turns"] for frame in turn["frames"] if "service_call" in frame}
        self.tally.unwanted += sum(tool not in wanted for tool, _ in self.open)

    def _learn_forms(self, turn: dict[str, Any]) -> None:
        for action in (action for frame in turn["frames"] for action in frame["actions"]):
            for value, canonical in zip(action["values"], action["canonical_values"], strict=False):
                forms = {str(value), str(canonical)}
                for form in forms:
                    self.alike.setdefault(form.lower(), set()).update(forms)

    def _forms(self, values: Iterable[Any]) -> set[str]:
        found = {str(value) for value in values}
        return found.union(*(self.alike.get(value.lower(), ()) for value in found))

    async def _said(self, turn: dict[str, Any]) -> None:
        run = await self.talk.say(turn["utterance"])
        known = self.talk.known()
        for call in run.tools:
            if call.status in ("ok", "cached"):
                self.open.append((call.name, call.arguments))
                required = next(one.required for one in self.services.intents.values() if one.tool == call.name)
                self.tally.premature += any(call.arguments.get(name) is None for name in required)
        self.tally.reasked += len(_asked(run, self.talk) & known.keys())
        for frame in turn["frames"]:
            if "state" in frame:
                self.tally.states[self._same_state(frame, known)] += 1

    def _answered(self, turn: dict[str, Any]) -> None:
        """The recorded agent's turn: its calls are compared, its words and what it put forward become the engine's."""
        asked: list[str] = []
        for frame in turn["frames"]:
            if "service_call" in frame:
                self._compare(frame)
            for action in frame["actions"]:
                name = self.services.field_of.get((frame["service"], action["slot"]))
                if name is not None and action["act"] == "REQUEST":
                    asked.append(name)
                elif name is not None and action["act"] in _PUT_FORWARD and action["canonical_values"]:
                    self._put_forward(name, action["canonical_values"][0])
        confirms = any(action["act"] == "CONFIRM" for frame in turn["frames"] for action in frame["actions"])
        self._say(turn["utterance"], asked)
        if confirms:
            self._confirm()

    def _compare(self, frame: dict[str, Any]) -> None:
        call = frame["service_call"]
        intent = self.services.intents[frame["service"], call["method"]]
        self.tally.gold += 1
        mine = [arguments for tool, arguments in self.open if tool == intent.tool]
        if not mine:
            self.tally.missed.update(name for name in intent.required if name not in self.talk.known())
            return
        self.open = [(tool, arguments) for tool, arguments in self.open if tool != intent.tool]
        gold = {self.services.field_of[frame["service"], slot]: value for slot, value in call["parameters"].items()
                if (frame["service"], slot) in self.services.field_of}
        self.tally.made += 1
        self.tally.right += all(_same(mine[-1].get(name), self._forms([gold[name]]))
                                for name in intent.required if name in gold)

    def _put_forward(self, name: str, value: Any) -> None:
        """A value from the recorded agent's service; the person's own stands before it."""
        known = self.talk.session.fields.get(name)
        if known is None or known.source == "tool_result":
            parsed = _as_field(self.talk.room.agent.fields[name].kind, value)
            self.talk.session = msgspec.structs.replace(self.talk.session, fields={
                **self.talk.session.fields,
                name: FieldValue(value=parsed, source="tool_result", at_ms=self.talk.now_ms)})
            variables = {**self.talk.session.variables, f"asked_{name}"[:50]: parsed}
            self.talk.session = msgspec.structs.replace(self.talk.session, variables=variables)

    def _say(self, text: str, asked: list[str]) -> None:
        session = self.talk.session
        history = session.history
        if history:
            history = (*history[:-1], msgspec.structs.replace(history[-1], reply=text))
        wanted = tuple(name for name in dict.fromkeys(asked) if name not in session.fields)
        scenarios = tuple(msgspec.structs.replace(one, asked=wanted if place == 0 else ()) if one.status == "active"
                          else one for place, one in enumerate(session.scenarios))
        pending = session.pending
        if wanted and not any(one.status == "active" for one in scenarios):
            pending = Pending(kind="field", subject=wanted[0])
        self.talk.session = msgspec.structs.replace(session, history=history, scenarios=scenarios, pending=pending)

    def _confirm(self) -> None:
        """The recorded agent asked for a yes to what it put forward; so did the engine, where a scenario in progress
        has a step that needs one and knows everything for it."""
        session, agent = self.talk.session, self.talk.room.agent
        for place, one in enumerate(session.scenarios):
            steps = agent.scenarios[one.scenario].steps.values() if one.status == "active" else ()
            step = next((step for step in steps if step.confirm is not None
                         and all(field.name in session.fields for field in step.requires)), None)
            if step is not None:
                names = {**agent.defaults, **self.talk.known()}
                key = confirmation_key(step, agent.tools, names)
                moved = msgspec.structs.replace(one, step=step.id, asked=(), done_tools=(), confirmed=())
                pending = Pending(kind="confirmation", subject=key, scenario=one.scenario, step=step.id)
                scenarios = (moved, *session.scenarios[:place], *session.scenarios[place + 1:])
                self.talk.session = msgspec.structs.replace(session, scenarios=scenarios, pending=pending)
                return

    def _answer(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What every service gives back: what it was asked for. Its results come with the recorded agent's words."""
        return {"asked": arguments}

    def _same_state(self, frame: dict[str, Any], known: dict[str, Any]) -> bool:
        """All slots of the gold state, and none that the person gave besides."""
        gold = {self.services.field_of[frame["service"], slot]: values
                for slot, values in frame["state"]["slot_values"].items()}
        own = {name for (service, _), name in self.services.field_of.items() if service == frame["service"]}
        given = {name: one.value for name, one in self.talk.session.fields.items()
                 if name in own and (name in gold or one.source != "tool_result")}
        return given.keys() == gold.keys() and all(
            _same(given[name], self._forms(gold[name])) for name in gold)


def _asked(run: Run, talk: Talk) -> set[str]:
    """Fields that the engine's own reply asks for."""
    del run
    return {name for one in talk.session.scenarios if one.status == "active" for name in one.asked}


def _as_field(kind: str, value: Any) -> Any:
    if kind == "boolean":
        return str(value).lower() == "true"
    if kind == "number":
        return float(value) if str(value).replace(".", "", 1).isdigit() else value
    return value


def _same(value: Any, wanted: Iterable[Any]) -> bool:
    """Equal as text, whatever the case and the articles; a number by its value, a longer text that holds the other."""
    text = _plain(value)
    return any(text == _plain(one) or (len(_plain(one)) > 3 and _plain(one) in text) for one in wanted)


def _plain(value: Any) -> str:
    if isinstance(value, dict) and "amount" in value:
        value = value["amount"]
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return " ".join(str(value).lower().replace(",", " ").split())
