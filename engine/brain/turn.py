"""The turn: eleven phases in order, each in its own file, each handing on one frozen object; none reaches back.

identify -> sense -> learn -> retrieve -> match -> orchestrate -> act -> plan -> speak -> enforce -> record

A turn that takes newer messages in begins anew with all of them (`absorb.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from ruche.engine.brain.absorb import Newer
from ruche.engine.brain.act import Acted, act
from ruche.engine.brain.calls import Budget, Enforcing, asked
from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.consult import consult, intended
from ruche.engine.brain.contributions import Speaker
from ruche.engine.brain.doubt import reconsider
from ruche.engine.brain.endpoint import Mute
from ruche.engine.brain.enforce import enforce
from ruche.engine.brain.explain import Explained, explain
from ruche.engine.brain.gate import Gate
from ruche.engine.brain.heed import heeded
from ruche.engine.brain.identify import Identified, identify
from ruche.engine.brain.invoke import Invoker
from ruche.engine.brain.judge import Judge
from ruche.engine.brain.learn import learn
from ruche.engine.brain.match import Matched, match, match_entered
from ruche.engine.brain.memory import recall, to_be_learnt
from ruche.engine.brain.names import names_of
from ruche.engine.brain.orchestrate import Orchestrated, follow, orchestrate, waiting
from ruche.engine.brain.outside import Evaluated, judged
from ruche.engine.brain.plan import Planned, plan
from ruche.engine.brain.private import Private
from ruche.engine.brain.quiet import keep_quiet
from ruche.engine.brain.record import Decided, record
from ruche.engine.brain.rerank import Ranking, reorder
from ruche.engine.brain.retrieve import Retrieved, retrieve
from ruche.engine.brain.sense import Sensed, sense
from ruche.engine.brain.sift import Sifter
from ruche.engine.brain.sight import kept_away, screened
from ruche.engine.brain.sources import found_of
from ruche.engine.brain.speak import Voice
from ruche.engine.brain.verify import verify
from ruche.plugins.contracts import (
    Channel,
    Generator,
    Memory,
    Retrieval,
    Selector,
    Stage,
    ToolGateway,
    TurnInput,
    TurnOutput,
)
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.selectors import selector_for
from ruche.plugins.tape import Tape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.handoff import is_away, is_taken
from ruche.storage.model.migration import Changes
from ruche.storage.model.turn import Usage

ROUNDS = 3
"""Rounds of tools in one turn: a result may lead on to a step with tools of its own (security item 35)."""
KEPT_GENERATORS = 64
SECONDS = 5.0
"""For finding out what changed between two versions of an agent."""


class Agents(Protocol):
    """Where the brain finds the agent that answers now."""

    def current(self, tenant: str, agent_id: str) -> CompiledAgent: ...


class Changing(Protocol):
    """What the scenarios of one version of an agent became in another (tenant, agent, then, now)."""

    async def __call__(self, tenant: str, agent_id: str, then: int, now: int, /) -> Changes: ...


async def _unchanged(tenant: str, agent_id: str, then: int, now: int, /) -> Changes:
    return Changes()


class PhasedBrain:
    """The built-in brain (implements `contracts.Brain`). Holds no state of any conversation."""

    def __init__(self, *, agents: Agents, retrieval: Retrieval, tools: ToolGateway,
                 generators: Callable[[ModelUse], Generator], enforcement: Enforcing, channels: Mapping[str, Channel],
                 engine_version: str, selector: Selector | None = None, rule_threshold: float | None = None,
                 changes: Changing | None = None, memory: Memory | None = None, ranking: Ranking | None = None) -> None:
        """`channels` must hold `unknown`, for channels that are not listed. `rule_threshold` is the embedder's own
        where it is not given."""
        self._agents, self._retrieval, self._tools, self._generators = agents, retrieval, tools, generators
        self._enforcement, self._channels, self._engine = enforcement, channels, engine_version
        self._selector = selector or selector_for("rule", 0.0)[0]
        embedder = getattr(retrieval, "embedder", None)
        self._threshold = rule_threshold if rule_threshold is not None else getattr(embedder, "rule_threshold", 0.35)
        self._changes = changes or _unchanged
        self._memory, self._ranking = memory, ranking
        self._open: dict[str, Generator] = {}

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        """Raises NotFound for an unknown agent; whatever else fails outside costs its own result only."""
        watch, newer = _Watch(stage), Newer(turn, tape, stage)
        output = await self._once(newer, watch, tape, stage)
        while output is None:
            output = await self._once(newer, watch, tape, stage)
        return output

    async def _once(self, newer: Newer, watch: _Watch, tape: Tape, stage: Stage) -> TurnOutput | None:
        """All phases over the messages that the turn has; None as soon as it has taken in newer ones."""
        turn = newer.turn
        agent = self._agents.current(turn.tenant, turn.agent)
        who = identify(turn, agent, tape)
        if self._memory is not None and agent.bundle.agent.memory:
            who = await recall(who, self._memory, tape)
        if agent.screened or agent.screens:
            who = await screened(who, self._enforcement, tape)
        watch.ended("identify")
        if is_taken(turn.session, who.now_ms):
            return keep_quiet(who, self._engine, watch.total(turn.waited_ms), tape.entries())
        budget = Budget(who.now_ms, turn.deadline_ms)
        sensed = sense(who)
        if agent.sensor is not None and not who.orders:
            sensed = await consult(who, sensed, agent.sensor, self._generators, tape, budget)
        watch.ended("sense")
        if newer.came("sense", sensed.usage):
            return None
        knowledge = learn(who, sensed)
        watch.ended("learn")
        retrieved = await retrieve(who, self._retrieval, self._threshold, tape)
        retrieved = await reorder(who, intended(retrieved, sensed), self._ranking, tape)
        sensed, knowledge = reconsider(who, sensed, knowledge, retrieved)
        invoker = Invoker(who, self._tools, tape, stage)
        if agent.verifiers:
            knowledge = await verify(who, knowledge, sensed.language, invoker)
        names = names_of(who, knowledge, sensed.language, retrieved.intent)
        watch.ended("retrieve")
        sifter = (None if agent.sifter is None or who.orders else
                  Sifter(who, agent.sifter, self._generators, tape, budget))
        changes = await self._changed(who, tape)
        if agent.bundle.agent.handoff.enabled and is_away(turn.session, who.now_ms):
            matched, orchestrated = Matched(), waiting(who, sensed, knowledge, retrieved, names, changes)
            acted = Acted(knowledge=orchestrated.knowledge, names=orchestrated.names,
                          standings=orchestrated.standings, calls=orchestrated.knowledge.calls)
        else:
            matched = await match(who, retrieved, names, self._selector, sifter)
            watch.ended("match")
            orchestrated = orchestrate(who, sensed, knowledge, retrieved, names, matched, changes)
            matched = await match_entered(who, retrieved, orchestrated.names, self._selector, matched,
                                          orchestrated.positions(), sifter)
            watch.ended("orchestrate")
            if newer.came("orchestrate", _usage(sensed, Usage(), sifter)):
                return None
            matched = heeded(who, sensed, retrieved, orchestrated, matched)
            orchestrated, acted = await self._act(who, sensed, retrieved, orchestrated, matched, invoker)
            matched = await match_entered(who, retrieved, acted.names, self._selector, matched,
                                          orchestrated.positions(), sifter)
            watch.ended("act")
        planned = plan(who, sensed, matched, orchestrated, acted, retrieved)
        watch.ended("plan")
        judge = None if agent.judge is None else Judge(who, acted.knowledge.known, agent.judge, self._generators, tape,
                                                       budget)
        gate = Gate(who, matched, acted.names, sensed.language, _said(planned), self._enforcement, tape, judge,
                    found_of(agent.authored, acted.names, invoker.results),
                    likeness=getattr(self._retrieval, "likeness", None),
                    answers=planned.response_type in ("ANSWER", "MIXED") and not planned.unmatched)
        withheld = "" if not (agent.screened or agent.screens) else await kept_away(
            who, acted.names, invoker.results, self._enforcement, tape)
        voice = Voice(who, planned, matched, sensed.language, self._generator(agent), self._channel(turn), tape, budget,
                      withheld=bool(withheld), private=_private(who, acted))
        spoken = await voice.speak(gate, stage)
        watch.ended("speak")
        if not (invoker.acts or spoken.segments) and newer.came("speak", _usage(sensed, spoken.usage, judge, sifter)):
            return None
        enforced = await enforce(spoken, gate, voice, Speaker(who, sensed.language, acted.names), matched, stage)
        watch.ended("enforce")
        decided = Decided(who=who, sensed=sensed, retrieved=retrieved, matched=matched, orchestrated=orchestrated,
                          acted=acted, planned=planned, enforced=enforced, withheld=withheld,
                          absorbed=tuple(newer.taken),
                          usage=newer.all_told(_usage(sensed, enforced.usage, judge, sifter)))
        output = record(decided, self._engine, watch.total(turn.waited_ms), tape.entries())
        return output if who.recalled is None else to_be_learnt(output, who)

    async def _changed(self, who: Identified, tape: Tape) -> Changes | None:
        """What became of scenarios in progress that began with another version of the agent. Fails open: without an
        answer they go on at the steps of their names."""
        then, now = who.turn.session.agent_version, who.agent.version
        if not who.instances or then in (0, now):
            return None
        request = (who.turn.tenant, who.agent.id, then, now)
        found, _ = await asked(tape, "changes", request, lambda: self._changes(*request), Changes, SECONDS)
        return found

    async def explain(self, turn: TurnInput, tape: Tape) -> Explained:
        """What `think` would match and where scenarios would go. The agent's model reads the message and filters rules
        where it would in a turn; nothing else is called, said or kept. Raises NotFound."""
        agent = self._agents.current(turn.tenant, turn.agent)
        who = identify(turn, agent, tape)
        if self._memory is not None and who.agent.bundle.agent.memory:
            who = await recall(who, self._memory, tape)
        if agent.screened or agent.screens:
            who = await screened(who, self._enforcement, tape)
        sensed, budget = sense(who), Budget(who.now_ms, turn.deadline_ms)
        if agent.sensor is not None and not who.orders:
            sensed = await consult(who, sensed, agent.sensor, self._generators, tape, budget)
        sifter = (None if agent.sifter is None or who.orders else
                  Sifter(who, agent.sifter, self._generators, tape, budget))
        changes = await self._changed(who, tape)
        return await explain(who, sensed, self._retrieval, self._selector, self._threshold, tape, sifter, changes,
                             self._ranking)

    async def judge(self, turn: TurnInput, reply: str, tape: Tape) -> Evaluated:
        """What the agent's rules say of a reply that another program made. Raises NotFound."""
        agent = self._agents.current(turn.tenant, turn.agent)
        who = identify(turn, agent, tape)
        judge = None if agent.judge is None else Judge(who, (), agent.judge, self._generators, tape,
                                                       Budget(who.now_ms, turn.deadline_ms))
        return await judged(who, reply, self._retrieval, self._threshold, self._selector, self._enforcement, tape,
                            judge, getattr(self._retrieval, "likeness", None))

    async def _act(self, who: Identified, sensed: Sensed, retrieved: Retrieved, orchestrated: Orchestrated,
                   matched: Matched, invoker: Invoker) -> tuple[Orchestrated, Acted]:
        """Tools, then the steps that their results lead to, while there are any."""
        acted = await act(who, sensed, orchestrated, matched, invoker)
        for _ in range(ROUNDS):
            if not acted.moved:
                break
            orchestrated = follow(who, orchestrated, acted.knowledge, acted.names, acted.standings, acted.failed)
            acted = await act(who, sensed, orchestrated, matched, invoker, acted)
        return orchestrated, acted

    def _generator(self, agent: CompiledAgent) -> Generator:
        generator = self._open.get(agent.configuration)
        if generator is None:
            try:
                generator = self._generators(agent.bundle.agent.models)
            except ConfigurationError as error:
                return Mute(error.message)
            while len(self._open) >= KEPT_GENERATORS:
                del self._open[next(iter(self._open))]
            self._open[agent.configuration] = generator
        return generator

    def _channel(self, turn: TurnInput) -> Channel:
        return self._channels.get(turn.session.key.channel) or self._channels["unknown"]


def _private(who: Identified, acted: Acted) -> Private | None:
    """What hides personal data, where a model speaks and a field is marked."""
    if not (who.agent.worded and who.agent.personal):
        return None
    return Private(who.agent.fields, {name: value.value for name, value in acted.knowledge.known.items()})


def _usage(sensed: Sensed, spoken: Usage, *others: Judge | Sifter | None) -> Usage:
    """What all model calls cost."""
    asked = [one.usage for one in others if one is not None]
    return sum((sensed.usage, *asked), spoken) if asked or sensed.usage.model_calls else spoken


def _said(planned: Planned) -> frozenset[str]:
    """Rules whose own text is said as the author wrote it."""
    return frozenset(one.rule for one in planned.contributions if one.rule is not None and one.kind == "INFORM")


class _Watch:
    """Times the phases. Wall time is told, never decided on, so it stays off the tape."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._begun = self._last = time.perf_counter()
        self._timings: dict[str, float] = {}

    def ended(self, phase: str) -> None:
        now = time.perf_counter()
        ms = round((now - self._last) * 1000, 3)
        self._timings[phase] = round(self._timings[phase] + ms, 3) if phase in self._timings else ms
        self._last = now
        self._stage.progress(phase, ms)

    def total(self, waited_ms: float) -> dict[str, float]:
        ms = round((time.perf_counter() - self._begun) * 1000, 3)
        return {"accumulate": round(waited_ms, 3), **self._timings, "total": ms}
