"""Phase 7: the tools that rules and steps call. Only the author's rules and steps choose a tool; its result is data.

What has consequences is reserved first under a key that survives retries, and settled afterwards. A call whose outcome
is unknown is reported so and never repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ruche.engine.brain.bindings import arguments_of, confirmation_key, in_order
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.invoke import Invoker, Ran
from ruche.engine.brain.learn import Knowledge, remember, unlearn
from ruche.engine.brain.match import Matched
from ruche.engine.brain.names import Names, names_of
from ruche.engine.brain.orchestrate import Orchestrated
from ruche.engine.brain.parts import CompiledRule, CompiledStep, CompiledText, CompiledTool
from ruche.engine.brain.results import outputs_of, status_of
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.supplied import emptied, fill, prove, says_right
from ruche.engine.brain.undo import Done, given_up, undoing
from ruche.engine.brain.variables import due
from ruche.engine.brain.walk import Standing, lacks, missing
from ruche.storage.model.tool import Tool, ToolBinding
from ruche.storage.model.turn import ToolCall


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmation that a rule's tool needs. `subject` binds it to the rule, the tool and the exact arguments."""

    text: CompiledText
    subject: str


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    knowledge: Knowledge
    names: Names
    standings: tuple[Standing, ...]
    calls: tuple[ToolCall, ...] = ()
    failed: frozenset[str] = frozenset()
    """Steps (`scenario/step`) whose tools did not do what they were called for."""
    lacking: tuple[str, ...] = ()
    """Names without which a tool could not be called."""
    questions: tuple[Question, ...] = ()
    sayings: tuple[str, ...] = ()
    """`failed`, `unknown`, `later`, `declined`."""
    after: frozenset[str] = frozenset()
    """Steps that were left and whose last tools have run."""
    moved: bool = False
    """True when this round called something, so that scenarios may go on."""
    irreversible: bool = False


async def act(who: Identified, sensed: Sensed, orchestrated: Orchestrated, matched: Matched, invoker: Invoker,
              before: Acted | None = None) -> Acted:
    """One round of tools. `before` is the round before in the same turn: rules and variables have had their calls."""
    round_ = _Round(who, sensed, orchestrated, matched, invoker, before)
    if not who.agent.tools:
        return round_.result()
    if before is None:
        await round_.variables()
    await round_.steps()
    if before is None:
        await round_.rules()
    return round_.result()


class _Round:
    """Collects what a round of calls brings; handed on frozen by `result`."""

    def __init__(self, who: Identified, sensed: Sensed, orchestrated: Orchestrated, matched: Matched, invoker: Invoker,
                 before: Acted | None) -> None:
        self._who, self._sensed, self._matched, self._invoker = who, sensed, matched, invoker
        self._standings = list(orchestrated.standings)
        self._knowledge, self._names = orchestrated.knowledge, orchestrated.names
        self._calls: list[ToolCall] = list(before.calls) if before else list(orchestrated.knowledge.calls)
        self._failed: set[str] = set(before.failed) if before else set()
        self._lacking: list[str] = list(before.lacking) if before else []
        self._questions: list[Question] = list(before.questions) if before else []
        self._sayings: list[str] = list(before.sayings) if before else []
        self._after: set[str] = set(before.after) if before else set()
        self._irreversible = bool(before and before.irreversible)
        self._moved = False

    def result(self) -> Acted:
        return Acted(knowledge=self._knowledge, names=self._names, standings=tuple(self._standings),
                     calls=tuple(self._calls), failed=frozenset(self._failed), questions=tuple(self._questions),
                     lacking=tuple(dict.fromkeys(self._lacking)), sayings=tuple(dict.fromkeys(self._sayings)),
                     after=frozenset(self._after), moved=self._moved, irreversible=self._irreversible)

    async def variables(self) -> None:
        """Values that tools resolve; one that cannot be had is simply unknown."""
        for variable in due(self._who, self._standings, self._matched, self._names, self._knowledge.variables):
            tool = self._who.agent.tools[variable.tool or ""]
            arguments, lacking = arguments_of(tool, self._names)
            if lacking or tool.tool.policy not in ("PURE", "IDEMPOTENT"):
                continue
            ran = await self._call(tool, arguments)
            if ran.value is not None:
                value = ran.value.get(variable.name, ran.value) if isinstance(ran.value, dict) else ran.value
                self._know(remember(self._knowledge, {variable.name: value, f"@{variable.name}": self._who.now_ms}))
                self._keep(outputs_of(tool.tool, ran.value), tool.tool.id)

    async def steps(self) -> None:
        for place, standing in enumerate(self._standings):
            if standing.instance.status == "cancelled":
                await self._undo(place, given_up(standing.instance.held, self._who.agent.tools))
                continue
            for step in standing.left:
                if step.key not in self._after:
                    self._after.add(step.key)
                    await self._bound(place, step, _last(step))
            if standing.step.key in self._failed or standing.silent:
                continue
            if standing.instance.status == "active":
                await self._bound(place, standing.step, list(self._ready(standing)))
                if standing.step.spec.checkpoint:
                    self._change(place, held=())
            elif standing.instance.status == "completed" and standing.fresh and standing.step.key not in self._after:
                self._after.add(standing.step.key)
                await self._bound(place, standing.step, _last(standing.step))

    async def rules(self) -> None:
        for rule, binding, answer in self._rule_calls():
            tool = self._who.agent.tools[binding.tool]
            arguments, lacking = self._arguments(tool, binding)
            subject = f"rule:{rule.id}:{self._invoker.subject(tool, arguments)}"
            if lacking:
                self._skip(tool, arguments, lacking)
            elif (tool.confirm or tool.tool.policy == "IRREVERSIBLE") and answer != subject:
                self._questions.append(Question(text=tool.confirm or self._who.agent.confirmation, subject=subject))
            else:
                await self._run(tool, arguments, None)

    def _rule_calls(self) -> Iterator[tuple[CompiledRule, ToolBinding, str]]:
        """(rule, binding, what was just confirmed). A yes calls the tool of a rule that need not match the yes."""
        pending = self._who.turn.session.pending
        subject = pending.subject if pending is not None and pending.kind == "confirmation" else ""
        asked = subject.split(":")[1] if subject.startswith("rule:") else ""
        answer = self._sensed.signals.answer
        if asked and answer == "no":
            self._sayings.append("declined")
        rules = [one.rule for one in self._matched.rules if one.rule.rule.tools]
        if asked and answer == "yes" and asked in self._who.agent.rules:
            rules = [self._who.agent.rules[asked], *(rule for rule in rules if rule.id != asked)]
        for rule in rules:
            if rule.id != asked or answer != "no":
                for binding in in_order(rule.rule.tools):
                    yield rule, binding, subject if answer == "yes" else ""

    def _ready(self, standing: Standing) -> Iterator[ToolBinding]:
        step, instance = standing.step, standing.instance
        if not step.spec.tools:
            return
        known = self._knowledge.known
        if any(field.name not in known for field in step.requires) or lacks(step, self._names, known):
            return
        if step.confirm is not None:
            key = confirmation_key(step, self._who.agent.tools, self._names)
            if key not in instance.confirmed:
                return
        complete = not missing(step, known, self._names, instance.offered)
        yield from (one for one in step.spec.tools if one.tool not in instance.done_tools
                    and (one.when == "BEFORE" or (one.when == "DURING" and complete)))

    async def _bound(self, place: int, step: CompiledStep, bindings: list[ToolBinding]) -> None:
        bad, made = set[str](), list[Done]()
        for binding in in_order(bindings):
            tool = self._who.agent.tools[binding.tool]
            arguments, lacking = self._arguments(tool, binding)
            if lacking or bad & set(binding.depends_on):
                self._skip(tool, arguments, lacking or tuple(sorted(bad & set(binding.depends_on))))
                bad.add(binding.tool)
                continue
            ran = await self._run(tool, arguments, step)
            if ran.status in ("ok", "cached") and tool.tool.policy == "COMPENSATABLE":
                made.append(Done(tool=tool, arguments=arguments, value=ran.value, key=ran.key))
            if ran.status in ("ok", "cached", "unknown"):
                self._done(place, binding.tool)
            if ran.status not in ("ok", "cached"):
                bad.add(binding.tool)
            if ran.status in ("error", "timeout"):
                self._confirm_again(place)
        if bad:
            self._failed.add(step.key)
            await self._undo(place, list(reversed(made)))

    async def _undo(self, place: int, made: list[Done]) -> None:
        for done in made:
            found = undoing(done, self._who.agent.tools, self._names)
            if found is None:
                continue
            tool, arguments, lacking = found
            if lacking:
                self._skip(tool, arguments, lacking)
                self._sayings.append("unknown")
                continue
            ran = await self._call(tool, arguments, undoes=True)
            self._keep(status_of(tool.tool, ran.status))
            if ran.status not in ("ok", "cached"):
                self._sayings.append("unknown")
                continue
            await self._invoker.undone(done.tool.tool, done.key)
            self._not_done(place, done.tool.tool)

    def _not_done(self, place: int, tool: Tool) -> None:
        """The tool is to be called anew when its step is tried again; what it gave back holds no more."""
        instance = self._standings[place].instance
        self._change(place, done_tools=tuple(name for name in instance.done_tools if name != tool.id),
                     held=tuple(name for name in instance.held if name != tool.id))
        self._knowledge = emptied(self._who, unlearn(self._knowledge, tuple(tool.outputs)), tool.outputs)
        self._keep(status_of(tool, "undone"))

    async def _run(self, tool: CompiledTool, arguments: dict[str, Any], step: CompiledStep | None) -> Ran:
        ran = await self._call(tool, arguments)
        if ran.status in ("ok", "cached"):
            self._keep(outputs_of(tool.tool, ran.value), tool.tool.id)
            if tool.tool.verifies and says_right(ran.value) is not False:
                self._know(prove(self._who, self._knowledge, tool.tool.verifies, tool.tool.id))
        elif ran.saying:
            self._sayings.append(ran.saying)
        self._keep(status_of(tool.tool, ran.status))
        self._irreversible |= tool.tool.policy == "IRREVERSIBLE" and ran.status in ("ok", "unknown")
        return ran

    async def _call(self, tool: CompiledTool, arguments: dict[str, Any], *, undoes: bool = False) -> Ran:
        ran = await self._invoker.invoke(tool.tool, arguments, urgent=undoes)
        self._calls.append(ToolCall(name=tool.tool.id, status=ran.status, ms=ran.ms, key=ran.key, arguments=arguments,
                                    error=ran.error))
        self._moved = True
        return ran

    def _arguments(self, tool: CompiledTool, binding: ToolBinding) -> tuple[dict[str, Any], tuple[str, ...]]:
        arguments, lacking = arguments_of(tool, self._names)
        return arguments, (*lacking, *(name for name in binding.requires if name not in self._names))

    def _skip(self, tool: CompiledTool, arguments: dict[str, Any], lacking: tuple[str, ...]) -> None:
        self._lacking.extend(lacking)
        self._calls.append(ToolCall(name=tool.tool.id, status="skipped", ms=0.0, arguments=arguments,
                                    error=f"needs {', '.join(lacking)}"))

    def _done(self, place: int, tool: str) -> None:
        instance = self._standings[place].instance
        if tool not in instance.done_tools:
            self._change(place, done_tools=(*instance.done_tools, tool))
        if tool not in instance.held and self._who.agent.tools[tool].tool.policy == "COMPENSATABLE":
            self._change(place, held=(*instance.held, tool))

    def _confirm_again(self, place: int) -> None:
        """A yes is good for one attempt."""
        self._change(place, confirmed=())

    def _change(self, place: int, **changes: Any) -> None:
        standing = self._standings[place]
        instance = msgspec.structs.replace(standing.instance, **changes)
        self._standings[place] = msgspec.structs.replace(standing, instance=instance)

    def _keep(self, values: dict[str, Any], tool: str = "") -> None:
        """What a tool gave. A value whose name is a field's fills that; any other is a variable of the session."""
        if values:
            fields = self._who.agent.fields
            found = {name: value for name, value in values.items() if name in fields}
            rest = {name: value for name, value in values.items() if name not in fields} if found else values
            self._know(remember(fill(self._who, self._knowledge, found, tool), rest))

    def _know(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._names = names_of(self._who, knowledge, self._sensed.language, self._names["session"].get("intent", ""))


def _last(step: CompiledStep) -> list[ToolBinding]:
    """The tools to call when the step is left."""
    return [binding for binding in step.spec.tools if binding.when == "AFTER"]
