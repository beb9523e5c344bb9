"""Which scenario a message begins, or takes up again: at most one, and only where it clearly is meant."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.bindings import is_confirmed
from ruche.engine.brain.candidates import Candidate
from ruche.engine.brain.desk import Desk
from ruche.engine.brain.doubt import AHEAD
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.guided import SAYS, led_in, linked
from ruche.engine.brain.learn import Knowledge, forget, keep, learn_more
from ruche.engine.brain.match import Matched
from ruche.engine.brain.onward import taken_up
from ruche.engine.brain.recall import recalled
from ruche.engine.brain.sense import sense_for, without
from ruche.engine.brain.signals import words_of
from ruche.engine.brain.walk import Standing, begin, open_demands, waits, walk
from ruche.engine.brain.words import STOPWORDS
from ruche.plugins.selectors import selector_for
from ruche.storage.model.conversation import ScenarioInstance

MAX_SCENARIOS = 5
RIVAL = 0.05
"""By which a new scenario must resemble the message more than one in progress does."""
APART = 0.3
"""By which a rule must exceed a scenario to answer in its place."""
EVIDENCE, MOST_EVIDENCE = 0.05, 0.2
"""What each value for a field that only one scenario collects adds to that scenario's score."""


def begun(desk: Desk, matched: Matched) -> None:
    """The likeliest scenario that is not in progress begins, or returns when it was resting. One that a rule brings
    goes before what the message is like; one that is barred does neither, nor one that a rule answers far better."""
    closed = matched.barred | {one.scenario.id for one in desk.standings if one.instance.status != "paused"}
    for name in matched.begins:
        scenario = desk.who.agent.scenarios[name]
        if scenario.spec.enabled and name not in closed:
            return _take_up(desk, scenario, "a rule brought it")
    if desk.words and _by_word(desk, closed):
        return
    signals = desk.sensed.signals
    if signals.thanks or signals.bye or _spent(desk):
        return
    needed = _claim(desk)
    for score, name, told in _clear(desk, needed):
        found = desk.who.agent.scenarios.get(name)
        if found is None or not found.spec.enabled or name in closed:
            if name in matched.barred:
                desk.notes.setdefault("barred", []).append(name)
            continue
        if name in desk.words and desk.words[name].move != "go":
            desk.notes.setdefault("not_begun", []).append(name)
            continue
        if not told and (rule := _answer(desk, matched, score)):
            desk.notes["outdone"] = f"{name} scored {score:.4f}, and the rule {rule} answers the message"
            break
        desk.began = score
        values = f" with {told} of its fields named" if told else ""
        _take_up(desk, found, f"the message scored {score:.4f}{values}, at least {needed:g}")
        break


def _spent(desk: Desk) -> bool:
    """True where the message is the answer that was asked for and nothing besides: it asks for nothing more."""
    source = desk.sensed.source
    if not desk.answered or source is None:
        return False
    rest = source.lower
    for one in desk.sensed.candidates:
        if one.field in desk.sensed.asked and one.field in desk.knowledge.learned:
            rest = f"{rest[:one.start]}{' ' * (one.end - one.start)}{rest[one.end:]}"
    little = STOPWORDS.get(desk.sensed.language[:2], STOPWORDS["en"])
    return all(word in little for word in words_of(rest))


def _by_word(desk: Desk, closed: frozenset[str] | set[str]) -> bool:
    """The likeliest scenario that a model says is wanted begins, however little the message is like it."""
    for name, word in desk.words.items():
        found = desk.who.agent.scenarios[name]
        resting = any(one.scenario.id == name for one in desk.standings)
        if word.move == "go" and found.spec.enabled and name not in closed and (
                resting or linked(desk, found, word.path)):
            _take_up(desk, found, SAYS, word.path)
            return True
    return False


def _answer(desk: Desk, matched: Matched, score: float) -> str:
    """The rule for everywhere that the message asks for, far more clearly than for a scenario of this score."""
    least = max(desk.retrieved.threshold + AHEAD, score + APART)
    return next((one.id for one in matched.rules
                 if one.score >= least and one.rule.rule.scope == "GLOBAL" and not one.rule.rule.hard), "")


def _claim(desk: Desk) -> float:
    """What a new scenario must score: more than one in progress, and clearly more where the message has served it.
    `I do not know the number` is an answer as well."""
    running = {one.scenario.id for one in desk.standings if one.instance.status == "active"}
    own = max((hit.score for hit in desk.retrieved.hits.scenarios if hit.id in running), default=0.0)
    answered = desk.answered or (bool(running) and desk.sensed.signals.unsure)
    if not (desk.served or answered):
        return round(max(desk.view.threshold, own + RIVAL if own else 0.0), 4)
    return round(max(desk.view.threshold, own) + (2 * AHEAD if answered else AHEAD), 4)


def _clear(desk: Desk, needed: float) -> list[tuple[float, str, int]]:
    """The likeliest scenarios, as far as they stand out: a distant second does not begin in place of a first that may
    not."""
    likely = [one for one in _likely(desk) if one[0] >= needed]
    if len(likely) < 2:
        return likely
    selector, most = selector_for("scenario", needed)
    chosen = selector.select([one[0] for one in likely], max_k=most)
    if chosen.keep < len(likely):
        desk.notes["cut"] = {"method": chosen.method, "cutoff": chosen.cutoff,
                             "left_out": [name for _, name, _ in likely[chosen.keep:]]}
    return likely[:chosen.keep]


def _likely(desk: Desk) -> list[tuple[float, str, int]]:
    """(score, scenario, fields that only it collects and that the message named), likeliest first."""
    telling = desk.who.agent.telling
    named = [telling[field] for field in desk.knowledge.learned if field in telling]
    found = [(round(hit.score + min(EVIDENCE * named.count(hit.id), MOST_EVIDENCE), 4), hit.id, named.count(hit.id))
             for hit in desk.retrieved.hits.scenarios]
    return sorted(found, key=lambda one: (-one[0], one[1]))


def _take_up(desk: Desk, scenario: CompiledScenario, why: str, path: tuple[str, ...] = ()) -> None:
    """`path` is where a model says that it goes."""
    resting = next((place for place, one in enumerate(desk.standings) if one.scenario.id == scenario.id), None)
    if resting is not None:
        desk.standings.insert(0, taken_up(desk, desk.standings.pop(resting), why, path))
        return
    if sum(one.instance.status in ("active", "paused") for one in desk.standings) >= MAX_SCENARIOS:
        desk.notes["full"] = f"{scenario.id} did not begin: {MAX_SCENARIOS} scenarios are in progress"
        return
    _fresh_case(desk, scenario)
    if _blocked(desk, scenario):
        return
    known, turn = desk.known, desk.who.number
    view = msgspec.structs.replace(desk.view, words=False)
    standing = _by_path(desk, scenario, path, why) or begin(scenario, view, known, turn, why)
    names, tools = desk.ledger.names, desk.who.agent.tools
    confirmed = is_confirmed(standing.step, standing.instance.confirmed, tools, names)
    words = not path and (standing.step.spec.can_skip or not waits(standing, known, names, confirmed))
    view = msgspec.structs.replace(desk.view, words=words)
    desk.standings.insert(0, walk(standing, view, known, turn, desk.reopen, confirmed=confirmed))


def _by_path(desk: Desk, scenario: CompiledScenario, path: tuple[str, ...], why: str) -> Standing | None:
    """The scenario that begins where a model says, None where it says nothing or nothing that can be followed."""
    if not path:
        return None
    instance = ScenarioInstance(scenario=scenario.id, version=scenario.spec.version, step="",
                                started_turn=desk.who.number, last_turn=desk.who.number)
    return led_in(desk, Standing(scenario=scenario, instance=instance, actions=(("START", why),)), path)


def _fresh_case(desk: Desk, scenario: CompiledScenario) -> None:
    """A new case begins without the values of the last one, with what this message says, and with what the scenario
    takes out of what was said before."""
    shared = {field.name for one in desk.standings if one.instance.status in ("active", "paused")
              for field in one.scenario.collects}
    old = tuple(field.name for field in scenario.collects if field.spec.scope == "CASE"
                and field.name not in desk.knowledge.learned and field.name not in shared)
    knowledge = forget(desk.knowledge, old)
    wanted = tuple(field for field in scenario.collects if field.name not in knowledge.known)
    knowledge, found = _given_over(desk, scenario, knowledge, wanted)
    knowledge = learn_more(desk.who, knowledge, found)
    if scenario.extracts:
        knowledge = recalled(desk.who, knowledge, scenario.extracts)
    if knowledge is not desk.knowledge:
        desk.ledger.know(knowledge)


def _given_over(desk: Desk, scenario: CompiledScenario, knowledge: Knowledge,
                wanted: tuple[CompiledField, ...]) -> tuple[Knowledge, tuple[Candidate, ...]]:
    """(the knowledge, values for the new scenario). What another scenario took of the message without having asked for
    it belongs to the one that the message begins: `a table at seven` sets no alarm."""
    own, running = {field.name for field in scenario.collects}, {
        field.name for one in desk.standings if one.instance.status == "active" for field in one.scenario.collects}
    taken = tuple(one for one in desk.sensed.candidates if one.field in running - own
                  and one.field not in desk.sensed.asked and one.field not in desk.who.known)
    if not taken:
        return knowledge, sense_for(desk.sensed, wanted)
    found = sense_for(without(desk.sensed, taken), wanted)
    for one in taken:
        if any(one.start < other.end and other.start < one.end for other in found):
            knowledge = msgspec.structs.replace(keep(desk.who, knowledge, one.field, None), learned=tuple(
                name for name in knowledge.learned if name != one.field))
    return knowledge, found


def _blocked(desk: Desk, scenario: CompiledScenario) -> bool:
    """True when the scenario may not begin while a field is unknown; the person is told which."""
    for one in open_demands(scenario.first, desk.known, desk.ledger.names):
        if one.spec in scenario.spec.needs and one.spec.level == "HARD" and one.spec.fallback == "BLOCK":
            desk.notes["blocked"] = f"{scenario.id} did not begin: {one.field.name} is not known"
            desk.say(f"blocked:{one.field.label}")
            desk.served = True
            return True
    return False
