"""Phase 11: what the session remembers and what the run proves. Nothing is written here; the session commits it."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.act import Acted
from ruche.engine.brain.contributions import RECENT
from ruche.engine.brain.enforce import Enforced
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.match import Matched
from ruche.engine.brain.memory import explained, hits
from ruche.engine.brain.orchestrate import Orchestrated
from ruche.engine.brain.plan import Planned
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.walk import Standing, holds_back
from ruche.plugins.contracts import TurnOutput
from ruche.storage.model.conversation import Exchange, Handover, ScenarioInstance, SessionState
from ruche.storage.model.handoff import is_away
from ruche.storage.model.run import HISTORY, Run, TapeEntry, chain_link, digest, group_of, hashed
from ruche.storage.model.turn import MemoryHit, Status, Usage

FIELD_HINT_MS, FOLLOW_UP_HINT_MS = 1_000, 500
"""What an open question adds to the next accumulation window (specification section 3)."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the phases before this one found and decided."""

    who: Identified
    sensed: Sensed
    retrieved: Retrieved
    matched: Matched
    orchestrated: Orchestrated
    acted: Acted
    planned: Planned
    enforced: Enforced
    usage: Usage
    withheld: str = ""
    """What kept models from speaking in this turn: `message` or `values`."""
    absorbed: tuple[dict[str, Any], ...] = ()
    """After which phase the turn took which newer messages in and began anew."""


def record(decided: Decided, engine: str, timings: dict[str, float], tape: tuple[TapeEntry, ...]) -> TurnOutput:
    who = decided.who
    session = _session(decided)
    run = _run(decided, session, engine, timings, tape)
    profile = decided.acted.knowledge.profile
    return TurnOutput(session=msgspec.structs.replace(session, previous_run=digest(run)), run=run,
                      profile=None if profile is who.turn.profile else profile)


def _session(decided: Decided) -> SessionState:
    who, planned, acted = decided.who, decided.planned, decided.acted
    before, blocked = who.turn.session, decided.enforced.blocked
    fires, last = _counters(decided)
    said = tuple(message.text for message in who.turn.messages)
    exchange = Exchange(turn_id=who.turn.turn_id, said=said, reply=decided.enforced.text)
    return msgspec.structs.replace(
        before, last_activity_ms=who.now_ms, turn_count=before.turn_count + 1, agent_version=who.agent.version,
        language=decided.sensed.language, scenarios=_instances(decided), fields=acted.knowledge.session,
        variables=acted.knowledge.variables, rule_fires=fires, rule_last_turn=last,
        history=(*before.history, exchange)[-HISTORY:], last_intent=decided.retrieved.intent or before.last_intent,
        pending=None if blocked else planned.pending, hint_ms=0 if blocked else _hint(planned),
        unmatched_streak=before.unmatched_streak + 1 if planned.unmatched else 0,
        **_handed(decided))


def _handed(decided: Decided) -> dict[str, Any]:
    """Whether a person has the conversation now, or is waited for, and for how long."""
    before, now = decided.who.turn.session, decided.who.now_ms
    if is_away(before, now):
        return {"handed_off": True, "handover": before.handover}
    if not decided.planned.handoff or decided.enforced.blocked:
        return {"handed_off": False, "handover": None}
    minutes = decided.who.agent.bundle.agent.handoff.minutes
    return {"handed_off": True,
            "handover": Handover(since_ms=now, until_ms=now + 60_000 * minutes) if minutes else None}


def _instances(decided: Decided) -> tuple[ScenarioInstance, ...]:
    """Scenarios still in progress, in id order. What a refused reply would have asked was not asked."""
    pending = None if decided.enforced.blocked else decided.planned.pending
    turn = decided.who.number
    found = []
    for one in decided.acted.standings:
        if one.instance.status not in ("active", "paused"):
            continue
        asked = decided.planned.asked if pending is not None and pending.scenario == one.scenario.id else ()
        touched = one.instance.status == "active" and bool(one.actions)
        found.append(msgspec.structs.replace(one.instance, asked=asked, version=one.scenario.spec.version,
                                             unsaid=_unsaid(decided, one),
                                             last_turn=turn if touched else one.instance.last_turn))
    return tuple(sorted(found, key=lambda one: one.scenario))


def _unsaid(decided: Decided, one: Standing) -> bool:
    """True while what the current step says waits for something that the step requires."""
    knowledge, step = decided.acted.knowledge, one.step
    return ((one.fresh or one.unsaid == step.key) and step.say is not None and not step.spec.tools
            and holds_back(step, knowledge.known, decided.acted.names, one.instance.offered))


def _counters(decided: Decided) -> tuple[dict[str, int], dict[str, int]]:
    """Counted only where a rule limits its firings, and where a model must know what was said a moment ago, so that a
    session stays small."""
    before, turn = decided.who.turn.session, decided.who.number
    limited = [one.rule.rule for one in decided.matched.rules if one.rule.rule.cooldown or one.rule.rule.max_fires]
    agent = decided.who.agent
    told = [one.id for one in decided.matched.rules] if agent.worded or agent.sifter is not None else []
    if not limited and not told:
        return before.rule_fires, before.rule_last_turn
    fires = {**before.rule_fires, **{rule.id: before.rule_fires.get(rule.id, 0) + 1 for rule in limited}}
    rules, kept = decided.who.agent.rules, before.rule_last_turn
    last = {name: at for name, at in kept.items()
            if turn - at < RECENT or (name in rules and (rules[name].rule.cooldown or rules[name].rule.max_fires))}
    return fires, {**last, **dict.fromkeys((*(rule.id for rule in limited), *told), turn)}


def _hint(planned: Planned) -> int:
    if planned.asked:
        return FIELD_HINT_MS
    return FOLLOW_UP_HINT_MS if any(one.kind in ("ASK", "CONFIRM") for one in planned.contributions) else 0


def _run(decided: Decided, session: SessionState, engine: str, timings: dict[str, float],
         tape: tuple[TapeEntry, ...]) -> Run:
    who, enforced, planned = decided.who, decided.enforced, decided.planned
    turn, before = who.turn, who.turn.session
    categories = (*planned.categories, *(("POLICY_RESTRICTION",) if enforced.blocked else ()))
    return Run(
        id=turn.turn_id, sequence=before.turn_count, previous=chain_link(before, engine), tenant=turn.tenant,
        agent=who.agent.id, agent_version=who.agent.version, session=before.id, interlocutor=before.key.interlocutor,
        channel=before.key.channel, request_id=turn.request_id, created_ms=who.now_ms, engine=engine,
        outcome="BLOCKED" if enforced.blocked else "OK", status=_status(decided),
        response_type="REFUSE" if enforced.blocked else planned.response_type, risk=enforced.enforcement.risk,
        language=decided.sensed.language, message_ids=tuple(message.id for message in turn.messages),
        said=session.history[-1].said, reply=enforced.text, segments=enforced.segments, categories=categories,
        rules=decided.matched.matches(), scenarios=decided.orchestrated.moves(), tools=decided.acted.calls,
        enforcement=enforced.enforcement,
        memory=(*hits(who), *(MemoryHit(chunk_id=hit.id, score=hit.score)
                              for hit in decided.retrieved.hits.knowledge[:5])),
        timings_ms=timings, usage=decided.usage, decisions=_decisions(decided), tape=tape,
        turn_group_id=group_of(turn.turn_id, turn.turn_group),
        hashes=hashed(before, session, asked=turn.messages, enforcement=enforced.enforcement, reply=enforced.text,
                      configuration=who.agent.configuration))


def _status(decided: Decided) -> Status:
    if decided.enforced.blocked:
        return "blocked"
    if decided.planned.handoff:
        return "handed_off"
    pending = decided.planned.pending
    return "awaiting" if pending is not None and pending.kind == "confirmation" else "complete"


def _decisions(decided: Decided) -> dict[str, Any]:
    """Per phase what was considered, and why; what the tape or another field of the run holds is not repeated."""
    sensed, knowledge = decided.sensed, decided.acted.knowledge
    signals = msgspec.structs.asdict(sensed.signals)
    if decided.who.agent.sensor is not None:
        signals.update(intent=sensed.intent, tone=sensed.tone, fault=sensed.fault)
    return {
        "sense": {name: value for name, value in signals.items() if value},
        "learn": _filled(learned=knowledge.learned, corrected=knowledge.corrected, rejected=knowledge.rejected),
        "retrieve": _filled(intent=decided.retrieved.intent, score=decided.retrieved.intent_score,
                            rivals=decided.retrieved.rivals,
                            repaired=decided.retrieved.hits.repaired, fault=decided.retrieved.fault,
                            ranked=decided.retrieved.ranked, unranked=decided.retrieved.unranked,
                            rule_ranks=decided.retrieved.rule_ranks, rules_unranked=decided.retrieved.rules_unranked,
                            cut=decided.retrieved.cut),
        "match": decided.matched.notes, "orchestrate": decided.orchestrated.notes,
        "act": _filled(lacking=decided.acted.lacking),
        "plan": decided.planned.notes,
        **_filled(recall=explained(decided.who), withheld=decided.withheld, absorbed=decided.absorbed,
                  facts=decided.enforced.facts, unspoken=decided.enforced.fault),
    }


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
