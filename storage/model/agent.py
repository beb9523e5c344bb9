"""What an author writes: an agent and its rules, scenarios, templates, fields, tools and words.

The YAML keys `if` and `from` are Python keywords and carry an underscore here. `if_` is always natural language,
`when` always an expression.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ruche.storage.model.run import canonical

Name = str
Expression = str


class Authored(BaseModel):
    """A frozen part of an agent; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ToolBinding(Authored):
    """A tool that a rule or a step calls, and the moment in the step at which it is called."""

    tool: Name
    when: Literal["BEFORE", "DURING", "AFTER"] = "DURING"
    requires: tuple[Name, ...] = ()
    depends_on: tuple[Name, ...] = ()


class EnforcerUse(Authored):
    """A named enforcer with its options, as an alternative to an expression in `enforce`."""

    use: Name
    options: dict[str, Any] = Field(default_factory=dict)


class Rule(Authored):
    """If (natural language) the condition holds and `when` (an expression) is true, then act so.

    A `hard` rule is a constraint: a reply that breaks it is never sent. `cooldown` counts turns, `max_fires` counts
    firings per session (0: no limit).
    """

    id: Name
    if_: str = Field(alias="if", min_length=1)
    then: str = Field(min_length=1)
    examples: tuple[str, ...] = ()
    when: Expression | None = None
    scope: Literal["GLOBAL", "SCENARIO", "STEP"] = "GLOBAL"
    scope_id: Name | None = None
    """The scenario's id for SCENARIO, `scenario/step` for STEP, none for GLOBAL."""
    priority: int = Field(default=0, ge=-100, le=100)
    enabled: bool = True
    hard: bool = False
    enforce: Expression | EnforcerUse | None = None
    requires: tuple[Name, ...] = ()
    extract: dict[Name, str] = Field(default_factory=dict)
    """Facts of the reply that `enforce` reads and no pattern finds: name to what it is, for a model to look for."""
    tools: tuple[ToolBinding, ...] = ()
    templates: tuple[Name, ...] = ()
    cooldown: int = Field(default=0, ge=0)
    max_fires: int = Field(default=0, ge=0)
    effect: Literal["ANSWER", "REFUSE", "ESCALATE", "HANDOFF"] = "ANSWER"
    topic: str = ""
    """What the rule is about, as it is named where the agent asks which of two is meant."""
    must_include: tuple[str, ...] = ()
    must_avoid: tuple[str, ...] = ()
    """What a reply that the rule is applied to should and should not hold. Guidance: only `enforce` stops a reply."""


class Relationship(Authored):
    """An edge from a rule, a scenario or a step (`scenario/step`) to a rule or a scenario."""

    source: Name
    kind: Literal["depends_on", "implies", "excludes", "specializes", "related"]
    target: Name


class Transition(Authored):
    """An edge to another step; `if_` is compared by meaning, `when` is evaluated. Without either it always holds.

    `reopen` names fields whose values are forgotten on the way, so that they are asked for anew.
    """

    to: Name
    if_: str | None = Field(default=None, alias="if")
    when: Expression | None = None
    intent: Name | None = None
    priority: int = 0
    reopen: tuple[Name, ...] = ()


class Requirement(Authored):
    """A field that a scenario or a step cannot do without (HARD) or would like to know (SOFT).

    `fallback` says what happens while it is unknown: ASK for it (a SOFT one once), SKIP the step, BLOCK it (a scenario
    does not begin), or EXTRACT it from what was said earlier, and ask where that gives nothing.
    """

    field: Name
    level: Literal["HARD", "SOFT"] = "HARD"
    fallback: Literal["ASK", "SKIP", "BLOCK", "EXTRACT"] = "ASK"
    when: Expression | None = None
    depends_on: tuple[Name, ...] = ()
    """Fields that must be known before this one matters."""
    order: int = 0
    """Lower ones are asked for first."""


class Step(Authored):
    """One position of a scenario. `say` and `ask` are text with placeholders, or the id of a template."""

    id: Name
    description: str = ""
    say: str | None = None
    ask: str | None = None
    collects: tuple[Name, ...] = ()
    requires: tuple[Name, ...] = ()
    when: Expression | None = None
    tools: tuple[ToolBinding, ...] = ()
    checkpoint: str | bool = False
    """True, or the sentence that describes what becomes irreversible here."""
    confirm: str | None = None
    """A question that must be answered with yes before the step's tools run."""
    can_skip: bool = False
    required_action: bool = False
    reachable_from_anywhere: bool = False
    effect: Literal["ANSWER", "REFUSE", "ESCALATE", "HANDOFF"] = "ANSWER"
    needs: tuple[Requirement, ...] = ()
    scenario: Name | None = None
    """Another scenario that is gone through here; `NAME_outcome` tells how it ended."""
    next: tuple[Transition, ...] = ()

    @property
    def terminal(self) -> bool:
        return not self.next


class Scenario(Authored):
    """A graph of steps with an entry condition; the first step is where it begins unless `start` names another."""

    id: Name
    entry: str = Field(min_length=1)
    description: str = ""
    examples: tuple[str, ...] = ()
    start: Name | None = None
    enabled: bool = True
    version: int = 1
    cancel: tuple[str, ...] = ()
    """Sentences by which the interlocutor leaves the scenario; the shipped ones are always understood."""
    needs: tuple[Requirement, ...] = ()
    """What all of its steps require; with BLOCK, what it does not begin without."""
    steps: tuple[Step, ...]

    @property
    def first(self) -> str:
        return self.start or self.steps[0].id


class Template(Authored):
    """Text with placeholders: EXCLUSIVE goes out verbatim, SUGGEST may be reworded, FALLBACK replaces a refused one."""

    id: Name
    text: str = Field(min_length=1)
    mode: Literal["SUGGEST", "EXCLUSIVE", "FALLBACK"] = "SUGGEST"
    when: Expression | None = None
    language: str | None = None


FieldType = Literal["string", "email", "phone", "date", "time", "number", "money", "boolean", "iban", "card",
                    "json"]


class InterlocutorField(Authored):
    """Something that an agent may know about its interlocutor."""

    name: Name = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    type: FieldType = "string"
    description: str = ""
    ask: str | None = None
    scope: Literal["IDENTITY", "BUSINESS", "CASE", "SESSION"] = "IDENTITY"
    persist: bool = True
    pii: bool = False
    encrypted: bool = True
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    examples: tuple[str, ...] = ()
    validation: Literal["strict", "warn", "disabled"] = "strict"
    retention_days: int | None = Field(default=None, ge=1)
    freshness_seconds: int | None = Field(default=None, ge=1)
    verify: Name | None = None
    """The tool that says whether a value is right: a lone truth value, or `valid` in its result."""


class GlossaryTerm(Authored):
    term: str
    definition: str
    aliases: tuple[str, ...] = ()


class Intent(Authored):
    id: Name
    description: str = ""
    examples: tuple[str, ...] = ()


class Variable(Authored):
    """A value that a tool resolves; `policy` says when it is refreshed. `default` stands while there is no other."""

    name: Name = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    tool: Name | None = None
    default: bool | int | float | str | None = None
    policy: Literal["ON_EACH_TURN", "ON_DEMAND", "ON_SCENARIO_ENTRY", "ON_SESSION_START"] = "ON_DEMAND"
    cache_seconds: int = Field(default=0, ge=0)


class Tool(Authored):
    """A function the engine may call for the author, in Python (`file.py:function`) or over HTTP."""

    id: Name
    description: str = ""
    python: str | None = None
    http: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    allow_private: bool = False
    arguments: dict[str, Expression] = Field(default_factory=dict)
    """Parameter name to expression over known fields; a parameter that is not listed takes the field of its name."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """A JSON Schema of type object; its `required` names gate the call."""
    outputs: dict[str, Name] = Field(default_factory=dict)
    """Field or session variable to key of the result (dots descend)."""
    verifies: tuple[Name, ...] = ()
    """Fields whose values are proven once it has succeeded; by `valid` in its result, where that is there."""
    policy: Literal["PURE", "IDEMPOTENT", "COMPENSATABLE", "IRREVERSIBLE"] = "PURE"
    compensation: Name | None = None
    confirm: str | None = None
    timeout_ms: int = Field(default=5000, ge=1, le=60_000)


class Handoff(Authored):
    enabled: bool = False
    text: str = "I am passing you on to a person."
    minutes: int = Field(default=0, ge=0, le=10_080)
    """How long a person is waited for, and may be silent, before the agent speaks again; 0: for ever."""


class JudgeUse(Authored):
    """Another endpoint: one that judges, or stands in. Without `url` the agent's own; without `model` the agent's
    model."""

    url: str | None = None
    model: str | None = None
    api_key: str | None = None
    """The name of an environment variable that holds the key, never the key."""


class ModelUse(Authored):
    """Which generator speaks for the agent: the template composer, or an OpenAI-compatible endpoint."""

    generator: Name = "composer"
    url: str | None = None
    model: str | None = None
    api_key: str | None = None
    """The name of an environment variable that holds the key, never the key."""
    temperature: float = 0.0
    max_tokens: int = 512
    fallbacks: tuple[JudgeUse, ...] = ()
    """Endpoints that are asked in turn where the one before does not answer; before the first word only."""
    judge: JudgeUse | None = None
    """Judges replies against rules without `enforce`. With preset `balanced` or `maximum` the agent's own endpoint does
    so when this is absent."""
    filter: bool | None = None
    """Whether a model says of each candidate rule if it applies; when absent, with preset `maximum`."""
    unsure: Literal["exclude", "include", "log_only"] = "exclude"
    """What becomes of a rule of which it is not sure."""
    extract: bool | None = None
    """Whether a model also looks for sums and percentages that patterns do not find in a reply, where a rule reads
    them; when absent, with preset `maximum`."""


class Agent(Authored):
    """The head of an agent folder."""

    name: str = Field(min_length=1, max_length=100)
    description: str = ""
    languages: tuple[str, ...] = ("en",)
    timezone: str = "UTC"
    public: bool = False
    greeting: str | None = None
    unmatched: str = "I am sorry, I cannot help with that."
    refusal: str = "I am sorry, I cannot say that."
    preset: Literal["minimal", "balanced", "maximum"] = "minimal"
    persona: str = ""
    models: ModelUse = ModelUse()
    handoff: Handoff = Handoff()
    rule_threshold: float | None = None
    """Score a rule must reach, on the embedder's own scale; the embedder's calibrated default when absent."""
    scenario_threshold: float | None = None
    memory: bool = False
    """Whether what is said is remembered beyond the conversation, and recalled where it bears on a message."""
    memory_half_life_days: float | None = Field(default=None, gt=0)
    """After so many days a memory counts for less: age takes a quarter of its score then, never more than half; when
    absent age does not count."""
    screen: bool = True
    """Whether texts that give orders to the agent are kept from the language models that it uses."""
    screens: tuple[EnforcerUse, ...] = ()
    """Enforcers that judge messages, memories, values and results of tools: what one of them fails is kept from
    language models too."""
    repair_spelling: bool = True
    """Whether slips are repaired against the agent's own words before a message is compared with anything."""
    foresight: bool = True
    """Whether the next step may be foreseen from how conversations go, where a scenario's conditions leave it open."""
    several_rules: bool | None = None
    """Whether several rules with examples may fit one message; when absent, they may if two share an example."""

    scoring: Literal["hybrid", "weighted"] = "hybrid"
    """What orders rules: their likeness alone, or likeness, priority and nearness weighted."""
    review: bool = False
    """Whether a version that moves running conversations is published through an approved plan alone."""
    knowledge_threshold: float | None = None
    """Score a passage of the knowledge must reach to be said; that of rules when absent. Above 1 none is said."""

    @property
    def judging(self) -> ModelUse | None:
        """The endpoint that judges replies, None when there is none."""
        judge, own = self.models.judge, self.models
        if judge is None:
            return self.sensing
        elsewhere = judge.url is not None
        return _endpoint(judge.url if elsewhere else own.url, judge.model or own.model,
                         judge.api_key if elsewhere or judge.api_key else own.api_key,
                         () if elsewhere else own.fallbacks)

    @property
    def sensing(self) -> ModelUse | None:
        """The endpoint that reads messages, None when there is none or the preset is `minimal`."""
        own = self.models
        return None if self.preset == "minimal" else _endpoint(own.url, own.model, own.api_key, own.fallbacks)

    @property
    def extracting(self) -> bool:
        """Whether the judge also reads sums and percentages where patterns find none."""
        own = self.models
        return self.judging is not None and (self.preset == "maximum" if own.extract is None else own.extract)

    @property
    def filtering(self) -> ModelUse | None:
        """The endpoint that filters candidate rules, None when there is none."""
        own = self.models
        wanted = self.preset == "maximum" if own.filter is None else own.filter
        return _endpoint(own.url, own.model, own.api_key, own.fallbacks) if wanted else None


def _endpoint(url: str | None, model: str | None, key: str | None,
              fallbacks: tuple[JudgeUse, ...]) -> ModelUse | None:
    if not url or not model:
        return None
    return ModelUse(generator="openai", url=url, model=model, api_key=key, fallbacks=fallbacks)


class Habit(Authored):
    """How often a step followed a moment in logged conversations, and how often that was expected beforehand."""

    scenario: Name
    moment: str
    """The last step, `|`, and what was answered (`yes`, `no`) or what its tool did (`done`, `refused`); else none."""
    step: Name
    times: float = Field(ge=0)
    expected: float = Field(ge=0)


class AgentBundle(Authored):
    """A whole agent as it is published: immutable, content-addressed."""

    id: Name
    tenant: Name = "default"
    agent: Agent
    rules: tuple[Rule, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    templates: tuple[Template, ...] = ()
    fields: tuple[InterlocutorField, ...] = ()
    glossary: tuple[GlossaryTerm, ...] = ()
    intents: tuple[Intent, ...] = ()
    variables: tuple[Variable, ...] = ()
    tools: tuple[Tool, ...] = ()
    habits: tuple[Habit, ...] = ()
    """What `ruche publish --learn-from runs` counted."""
    knowledge: dict[str, str] = Field(default_factory=dict)
    """File name to text."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Python files that tools come from: name to text, so that the bundle's hash covers them."""


def canonical_bundle(bundle: AgentBundle) -> bytes:
    """The bytes under which a bundle is stored and hashed: canonical JSON with the keys that authors write. What has
    its default is left out, so that a key which a later engine knows changes no hash."""
    return canonical(bundle.model_dump(mode="json", by_alias=True, exclude_defaults=True))
