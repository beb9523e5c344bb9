"""Runs a recorded turn again from its tape alone, and finds the first thing that comes out otherwise.

The state before the turn is not kept: it is rebuilt by running the session's earlier turns again, each checked against
the hash that its run recorded. No model, no tool, no index, no clock and no network is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.turn import PhasedBrain
from ruche.engine.unheard import RANKED, Deaf, Nothing, Ranked, Shelf, Silent, nothing
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import Enforcer, TurnOutput
from ruche.plugins.errors import IntegrityError, NotFound
from ruche.plugins.given import SITE, Given, input_again
from ruche.plugins.tape import Divergence, ReplayTape
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Exchange, SessionKey, SessionState
from ruche.storage.model.handoff import after_intervention, intervention_of
from ruche.storage.model.record import AgentPublished
from ruche.storage.model.run import DEAD_LETTERED, HISTORY, KEYED, Run, canonical, counted, state_hash
from ruche.storage.tenant import TenantStore

_PHASES = ("sense", "learn", "retrieve", "match", "orchestrate", "act", "plan")
_FIELDS = ("rules", "scenarios", "tools", "response_type", "categories", "language", "segments", "reply", "enforcement",
           "risk", "status", "outcome", "usage")
_EARLY = ("failed", "interrupted", "superseded")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise. `turn` is its number in the session, from 0."""

    turn: int
    site: str
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """`earlier` turns were run again to rebuild the state. `notes` say what limits the comparison."""

    run: Run
    earlier: int
    difference: Difference | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run with everything that it takes to run it again."""

    runs: tuple[Run, ...]
    """The session's runs from its first to this one."""
    links: tuple[str, ...]
    """SHA-256 of each run's stored bytes, hexadecimal."""
    created_ms: int
    bundles: Mapping[int, AgentBundle]
    hashes: Mapping[int, str] = field(default_factory=dict)
    """Version to the hash under which it was published."""
    content_key: bytes = b""
    """What the runs' hashes are keyed with, those of KEYED runs."""


def load(store: TenantStore, run_id: str) -> Recorded:
    """Read what a replay needs. Raises NotFound (run, session, agent version), IntegrityError (a gap in the chain)."""
    run = store.run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    session = store.session_by_id(run.session)
    if session is None:
        raise NotFound(f"the session of run {run_id} is not kept any more, so it cannot be replayed")
    runs = tuple(_chain(store, run))
    if [one.sequence for one in runs] != list(range(run.sequence + 1)):
        raise IntegrityError(f"session {run.session} has a gap before run {run_id}; ruche verify tells where")
    links = tuple(hashlib.sha256(store.canonical_run(one.id) or b"").hexdigest() for one in runs)
    versions = {one.agent_version for one in runs if one.status not in _EARLY and intervention_of(one) is None}
    published = {version: _published(store, run, version) for version in versions}
    bundles = {version: AgentBundle.model_validate_json(one.bundle) for version, one in published.items()}
    return Recorded(runs, links, session.created_ms, bundles, {version: one.hash for version, one in published.items()},
                    store.content_key)


def _chain(store: TenantStore, run: Run) -> Iterator[Run]:
    cursor: str | None = None
    while True:
        page = store.runs(session=run.session, oldest_first=True, limit=100, cursor=cursor)
        for one in page.items:
            yield one
            if one.id == run.id:
                return
        cursor = page.next_cursor
        if cursor is None:
            return


def _published(store: TenantStore, run: Run, version: int) -> AgentPublished:
    published = store.agent(run.agent, version)
    if published is None:
        raise NotFound(f"version {version} of agent {run.agent} is not kept, so its turns cannot be replayed")
    return published


async def replay(recorded: Recorded, enforcers: Mapping[str, Enforcer], *,
                 instead: AgentBundle | None = None) -> Replayed:
    """Run the last of the recorded runs again; `instead` takes the place of the agent version that it was made with.

    Raises ConfigurationError when an agent version needs an enforcer that is not there.
    """
    state = _first_state(recorded)
    run = recorded.runs[-1]
    agents = {version: CompiledAgent(bundle, version, enforcers, recorded.hashes.get(version, ""))
              for version, bundle in recorded.bundles.items()}
    for number, one in enumerate(recorded.runs):
        agent = agents.get(one.agent_version)
        if one is run and instead is not None:
            agent = CompiledAgent(instead, run.agent_version, enforcers)
        key = recorded.content_key if one.hashes.version == KEYED else b""
        difference, state = await _again(one, msgspec.structs.replace(state, content_key=key), agent)
        if difference is not None:
            return Replayed(run, number, difference, _notes(run, instead))
        state = msgspec.structs.replace(state, previous_run=recorded.links[number])
    return Replayed(run, len(recorded.runs) - 1, None, _notes(run, instead))


def _first_state(recorded: Recorded) -> SessionState:
    run, created = recorded.runs[0], recorded.created_ms
    key = SessionKey(tenant=run.tenant, agent=run.agent, interlocutor=run.interlocutor, channel=run.channel)
    return SessionState(id=run.session, key=key, created_ms=created, last_activity_ms=created)


def _notes(run: Run, instead: AgentBundle | None) -> tuple[str, ...]:
    notes = []
    if intervention_of(run) is not None:
        notes.append("a person did this: its record and the states around it are right, there is nothing to run again")
    elif run.status in _EARLY:
        how = f"{run.status} ({run.error})" if run.error else run.status
        notes.append(f"the turn ended {how} before anything was decided: its record and the state before it are right, "
                     "there is nothing to run again")
    elif instead is not None:
        notes.append(f"run again with another agent than version {run.agent_version}")
    return tuple(notes)


async def _again(run: Run, state: SessionState,
                 agent: CompiledAgent | None) -> tuple[Difference | None, SessionState]:
    """The first difference of one turn, and the session's state after it."""
    before = state_hash(state)
    if run.hashes.state_before != before:
        return Difference(run.sequence, "state before the turn", run.hashes.state_before, before), state
    what = intervention_of(run)
    if what is not None:
        return _after(run, after_intervention(state, what, run.id, run.created_ms))
    if run.status in _EARLY or agent is None:
        return _closed(run, state)
    try:
        output = await _think(run, state, agent)
    except Divergence as error:
        return Difference(run.sequence, error.details.get("site", "tape"), *_sides(error)), state
    except Exception as error:  # whatever fails now and did not fail then is a difference
        return Difference(run.sequence, "the turn", "a reply", f"{type(error).__name__}: {error}"), state
    return _compare(run, output.run), output.session


def _closed(run: Run, state: SessionState) -> tuple[Difference | None, SessionState]:
    """A turn that decided nothing: the state after it follows from its record (`closed_early`, `superseded`)."""
    exchange = Exchange(turn_id=run.id, said=run.said, reply=run.reply)
    unsaid = run.status == "superseded" or run.error == DEAD_LETTERED
    after = counted(state) if unsaid else msgspec.structs.replace(
        state, turn_count=state.turn_count + 1, last_activity_ms=run.created_ms, hint_ms=0,
        history=(*state.history, exchange)[-HISTORY:])
    return _after(run, after)


def _after(run: Run, after: SessionState) -> tuple[Difference | None, SessionState]:
    """A state that follows from the record alone, against what the record says of it."""
    made = state_hash(after)
    if run.hashes.state_after != made:
        return Difference(run.sequence, "state after the turn", run.hashes.state_after, made), after
    return None, after


async def _think(run: Run, state: SessionState, agent: CompiledAgent) -> TurnOutput:
    tape = ReplayTape(run.tape)
    turn = input_again(tape.ask_now(SITE, None, nothing, Given), run, state)
    asked = {entry.site for entry in run.tape}  # what a host may lack was there if it was asked
    brain = PhasedBrain(agents=Shelf(agent), retrieval=Nothing(), tools=Nothing(), enforcement=Nothing(),
                        generators=Silent, channels=built_in_channels(), engine_version=run.engine, rule_threshold=0.0,
                        memory=Nothing() if "recall" in asked else None,
                        ranking=Ranked(asked) if asked & RANKED.keys() else None)
    return await brain.think(turn, tape, Deaf())


def _compare(recorded: Run, replayed: Run) -> Difference | None:
    """By phase, then field by field in the order in which a turn makes them, then everything else."""
    if _bytes(recorded) == _bytes(replayed):
        return None
    for phase in _PHASES:
        sides = recorded.decisions.get(phase), replayed.decisions.get(phase)
        if canonical(sides[0]) != canonical(sides[1]):
            return _difference(recorded, f"decisions: {phase}", *sides)
    for name in (*_FIELDS, *(name for name in Run.__struct_fields__ if name not in ("tape", "hashes", "timings_ms"))):
        sides = getattr(recorded, name), getattr(replayed, name)
        if canonical(sides[0]) != canonical(sides[1]):
            return _difference(recorded, name, *sides)
    unasked = recorded.tape[len(replayed.tape):]
    if unasked:
        return Difference(recorded.sequence, unasked[0].site, "asked here", "did not ask")
    return _difference(recorded, "hashes", recorded.hashes, replayed.hashes)


def _bytes(run: Run) -> bytes:
    """A run without what replay does not give again: how long things took."""
    return canonical(msgspec.structs.replace(run, timings_ms={}))


def _difference(run: Run, site: str, recorded: Any, replayed: Any) -> Difference:
    return Difference(run.sequence, site, _text(recorded), _text(replayed))


def _text(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False, sort_keys=True)


def _sides(error: Divergence) -> tuple[str, str]:
    return str(error.details.get("recorded", "")), str(error.details.get("replayed", error.message))
