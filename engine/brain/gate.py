"""Judges text against every rule in force in this turn: matched rules, and all GLOBAL hard rules, matched or not, whose
`when` is not false.

A rule without `enforce` needs a judge that reads, and what a judge must read depends on who wrote the text:
- a model wrote it: every such rule in force;
- the author wrote it: hard rules that matched and whose own text is not said. Of the others no model could have said
  something else: passed where the rule's own text is said, not applicable where it did not match.
The same call reads facts of the reply that expressions need and patterns do not find (`facts.py`).

Where there is no judge, what one would have to read is in error, which a hard rule counts as broken; soft rules are
left out. The author's check refuses hard rules that nothing can judge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from ruche.engine.brain.calls import Enforcing, asked
from ruche.engine.brain.facts import merged, missing, unreadable
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.judge import Judge
from ruche.engine.brain.match import Matched, in_force
from ruche.engine.brain.names import Names
from ruche.engine.brain.parts import CompiledRule
from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers import draft_names, extract_names, judges_prefixes
from ruche.plugins.errors import RucheError
from ruche.plugins.generators.facts import Facts
from ruche.plugins.tape import Tape
from ruche.storage.model.rule import Rule
from ruche.storage.model.turn import Violation

_NAMELESS = frozenset({"phrase", "pattern", "length", "grounding", "count", "form", "relevance"})
"""Enforcers that read the text alone, so that its names need not be worked out."""
_ERROR = Verdict(outcome="error", reason="nobody could judge the text")

_RESTS = Verdict(outcome="not_applicable", reason="its when is false")


Likeness = Callable[[str, str], Awaitable[tuple[float, float | None]]]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on one text."""

    verdicts: tuple[tuple[Rule, Verdict], ...] = ()

    @property
    def allowed(self) -> bool:
        """No hard rule failed, and none is in error."""
        return not any(rule.hard and verdict.outcome in ("fail", "error") for rule, verdict in self.verdicts)

    @property
    def broken(self) -> bool:
        """A hard rule was judged and failed."""
        return any(rule.hard and verdict.outcome == "fail" for rule, verdict in self.verdicts)

    @property
    def unsure(self) -> bool:
        """A soft rule could not be judged."""
        return any(not rule.hard and verdict.outcome == "error" for rule, verdict in self.verdicts)

    def hints(self) -> tuple[str, ...]:
        """What the next draft must mend. A judge's reason is a model's text and instructs nobody (security item 29):
        the author's words stand for it."""
        return tuple(f"If {rule.if_}: {rule.then}" if rule.enforce is None else verdict.reason
                     for rule, verdict in self.verdicts if verdict.outcome == "fail")

    def violations(self) -> tuple[Violation, ...]:
        return tuple(Violation(rule=rule.id, lane="judge" if rule.enforce is None else "deterministic",
                               severity="hard" if rule.hard else "soft",
                               reason=verdict.reason or verdict.outcome, span=verdict.span)
                     for rule, verdict in self.verdicts
                     if verdict.outcome == "fail" or (rule.hard and verdict.outcome == "error"))

    def checked(self) -> tuple[tuple[str, str], ...]:
        return tuple((rule.id, verdict.outcome) for rule, verdict in self.verdicts)


class Gate:
    """Nothing is said that did not pass here. One per turn."""

    def __init__(self, who: Identified, matched: Matched, names: Names, language: str, said: frozenset[str],
                 service: Enforcing, tape: Tape, judge: Judge | None = None, found: str = "",
                 likeness: Likeness | None = None, answers: bool = True) -> None:
        """`said`: ids of the rules whose own text is in the plan. `found`: what the turn knows, for enforcers that
        compare replies with it. `likeness` compares two texts; `answers` is False where the plan answers nothing."""
        self._who, self._names, self._language, self._said = who, names, language, said
        self._service, self._tape, self._judge = service, tape, judge
        self._found, self._likeness, self._answers = found, likeness, answers
        self._matched = frozenset(one.id for one in matched.rules)
        rules = {rule.id: rule for rule in (*in_force(who, names), *(one.rule for one in matched.rules))}
        self._resting = tuple((rule.rule, _RESTS) for rule in who.agent.conditional if rule.id not in rules)
        checked = [rule for rule in rules.values() if rule.check is not None]
        self._checks = [rule.check for rule in checked if rule.check is not None]
        self._facts = [rule.facts for rule in checked] if any(rule.facts for rule in checked) else []
        self._wanted = frozenset[str]().union(*self._facts)
        self.facts: dict[str, Any] = {}
        """What a model read in the last text."""
        self._unread = [rule for rule in rules.values() if rule.check is None and (rule.rule.hard or judge is not None)]
        self._whole = bool(self._unread) and any(rule.rule.hard for rule in self._unread)
        self._needs_likeness = any(getattr(check[2], "needs_likeness", False) for check in self._checks)
        self._needs_names = any(check[2].name not in _NAMELESS for check in self._checks)

    @property
    def idle(self) -> bool:
        """True when there is nothing to judge."""
        return not self._checks and not self._unread and not self._resting

    @property
    def by_segments(self) -> bool:
        """True when every rule that may stop a reply can be judged on a prefix, so that checked segments may go out."""
        return not self._whole and not self._wanted and all(judges_prefixes(enforcer, prepared)
                                                            for _, prepared, enforcer in self._checks)

    async def judge(self, text: str, *, model: bool, whole: bool = True, safe: bool = False) -> Judged:
        """The verdicts on exactly these bytes. `safe`: the text is a fallback that the author wrote for refusals."""
        reply = self._reply_names(text)
        verdicts, facts = await self._read(text, reply, model=model, safe=safe) if whole else ([], Facts())
        if self._checks:
            names = None if reply is None else self._draft_names(merged(reply, facts))
            found = await self._judged(text, names, facts, whole, answers=self._answers and not safe)
            verdicts.extend((check[0], verdict) for check, verdict in zip(self._checks, found, strict=True))
        return Judged(verdicts=(*verdicts, *self._resting))

    async def _judged(self, text: str, names: dict[str, Any] | None, facts: Facts, whole: bool, *,
                      answers: bool) -> list[Verdict]:
        if names is None:
            return [_ERROR] * len(self._checks)
        draft = Draft(text=text, question=self._who.text, names=names, language=self._language, whole=whole,
                      authored=self._who.agent.authored, found=self._found, answers=answers)
        request = [text, whole, [check[0].id for check in self._checks], *([facts.values] if facts.values else ())]
        found, _ = await asked(self._tape, "enforce", request, lambda: self._complete(draft), list[Verdict], None)
        if found is None:
            return [_ERROR] * len(self._checks)
        return [unreadable(verdict, wanted, facts) for verdict, wanted in zip(found, self._facts, strict=True)] \
            if facts.unread else found

    async def _complete(self, draft: Draft) -> list[Verdict]:
        """One verdict per check, whatever the service gave."""
        if self._needs_likeness and draft.whole and draft.answers and self._likeness is not None:
            with suppress(RucheError):  # whoever needs it says that it is missing
                draft = msgspec.structs.replace(draft, likeness=await self._likeness(draft.question, draft.text))
        found = list(await self._service.check(draft, self._checks))
        if len(found) != len(self._checks):
            return [_ERROR] * len(self._checks)
        return [verdict if isinstance(verdict, Verdict) else _ERROR for verdict in found]

    def _reply_names(self, text: str) -> dict[str, Any] | None:
        """What patterns find in the text; None when that could not be worked out: then nothing that reads it can be
        judged."""
        if not self._needs_names:
            return {}
        try:
            return extract_names(text, self._language)
        except Exception:
            return None

    def _draft_names(self, reply: dict[str, Any]) -> dict[str, Any]:
        if not self._needs_names:
            return self._names
        kept = [name for name, field in self._who.agent.fields.items() if field.kept]
        return draft_names(reply, self._names["session"], self._names["profile"], self._names["now"], kept)

    async def _read(self, text: str, reply: dict[str, Any] | None, *, model: bool,
                    safe: bool) -> tuple[list[tuple[Rule, Verdict]], Facts]:
        """The verdicts on the rules that nothing else can judge and the facts that no pattern finds, from one call at
        most."""
        settled = {rule.id: self._by_author(rule, model=model, safe=safe) for rule in self._unread}
        open_ = [rule.rule for rule in self._unread if settled[rule.id] is None]
        wanted = {} if safe or not self._wanted else missing(self._wanted, reply or {}, self._who.agent.facts,
                                                             by_model=model)
        facts = Facts(unread=frozenset(wanted))
        if self._judge is not None and (open_ or wanted):
            found, facts = await self._judge.read(text, open_, wanted, by_model=model)
            settled.update(zip((rule.id for rule in open_), found, strict=True))
        self.facts = facts.values
        return [(rule.rule, settled[rule.id] or _ERROR) for rule in self._unread], facts

    def _by_author(self, rule: CompiledRule, *, model: bool, safe: bool) -> Verdict | None:
        """The verdict that follows from who wrote the text; None when somebody must read it."""
        if safe:
            return Verdict(outcome="not_applicable", reason="the text was written for refusals")
        if model:
            return None
        if rule.id not in self._matched:
            return Verdict(outcome="not_applicable", reason="the rule did not match and the author wrote the text")
        if rule.id in self._said:
            return Verdict(outcome="pass", reason="the rule's own text is said")
        return None if rule.rule.hard else Verdict(outcome="not_applicable", reason="the author wrote the text")
