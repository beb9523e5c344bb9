"""The head of an agent folder: how the agent presents itself, and which models it uses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Name
from ruche.storage.model.rule import EnforcerUse


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
    steps: bool | None = None
    """Whether the same call also says where scenarios go; when absent, wherever rules are filtered."""
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
