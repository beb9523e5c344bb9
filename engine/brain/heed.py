"""The rest of phase 5, once it is known what the message did to scenarios: a rule it merely resembles stays unsaid.

Whoever names a day for an appointment does not ask for the opening hours, however near the two are. So a message that
begins, serves or moves a scenario must mean a rule clearly. Rules of the scenario's own scope, hard rules, and those of
which a model says that they apply are not looked at.
"""

from __future__ import annotations

import msgspec

from ruche.engine.brain.doubt import AHEAD
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.match import Matched
from ruche.engine.brain.orchestrate import Orchestrated
from ruche.engine.brain.ranked import Applied
from ruche.engine.brain.relations import related
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.signals import Signals, is_about

OFFERED = "offered"
"""How a turn notes rules that would hand over, where the person is asked first."""
BEHIND = 0.25
"""How far behind the scenario that the message begins a rule may score and still be meant as well."""
SERVED, ANSWERED = 2 * AHEAD, 3 * AHEAD
"""By which a rule must exceed its threshold where the message serves a scenario, and where it answers a question."""


def heeded(who: Identified, sensed: Sensed, retrieved: Retrieved, orchestrated: Orchestrated,
           matched: Matched) -> Matched:
    """The rules that the message means; those that it merely resembles are noted as `weaker`."""
    if not matched.rules:
        return matched
    sifted = matched.notes.get("sifted", {})
    bar = round(_bar(who, sensed.signals, retrieved.threshold, orchestrated), 4)
    weak = {one.id for one in matched.rules
            if 0.0 < one.score < bar and _open(one, sifted) and not _returns(who, one, sensed)}
    away = {one.id for one in matched.rules if one.id not in weak and _open(one, sifted)
            and _gives_away(who, one, retrieved.threshold)}
    if not (weak or away):
        return matched
    noted = {**({"weaker": sorted(weak), "bar": bar} if weak else {}), **({OFFERED: sorted(away)} if away else {})}
    return msgspec.structs.replace(matched, rules=tuple(_kept(who, matched, weak | away)),
                                   notes={**matched.notes, **noted})


def _returns(who: Identified, one: Applied, sensed: Sensed) -> bool:
    """True for a rule that the author wrote for thanks or a goodbye, where the message is that."""
    if not (sensed.signals.thanks or sensed.signals.bye):
        return False
    texts = (one.rule.rule.if_, *one.rule.rule.examples)
    return is_about(sensed.signals, texts, (sensed.language, *who.agent.languages))


def _gives_away(who: Identified, one: Applied, threshold: float) -> bool:
    """True for a rule that would pass the conversation on although the message may not mean that: it is offered."""
    return (who.agent.bundle.agent.handoff.enabled and one.rule.rule.effect == "HANDOFF"
            and 0.0 < one.score < round(threshold + AHEAD, 4))


def _bar(who: Identified, signals: Signals, threshold: float, orchestrated: Orchestrated) -> float:
    """What a rule must score; 0 where the message did nothing to a scenario, and says more than thanks or goodbye."""
    clear = threshold + AHEAD
    if signals.thanks or signals.bye:
        return threshold + SERVED
    if orchestrated.began:
        return max(clear, orchestrated.began - BEHIND)
    if not orchestrated.served:
        return 0.0
    if "?" in who.text:
        return clear
    return threshold + (ANSWERED if orchestrated.answered else SERVED)


def _open(one: Applied, sifted: dict[str, str]) -> bool:
    """True for a rule that likeness alone speaks for."""
    spec = one.rule.rule
    return not spec.hard and spec.scope == "GLOBAL" and sifted.get(one.id) != "applies"


def _kept(who: Identified, matched: Matched, weak: set[str]) -> list[Applied]:
    """Without the weak ones and what only they brought."""
    kept = [one for one in matched.rules if one.id not in weak]
    derived = {name for notes in (matched.notes, matched.notes.get("entered", {}))
               for name in notes.get("related", {}).get("added", ())}
    if not derived:
        return kept
    sources = [*(one.id for one in kept if one.id not in derived), *sorted(matched.positions & who.agent.places)]
    brought = related(who.agent.edges, sources)[0]
    return [one for one in kept if one.id not in derived or one.id in brought]
