"""What a plugin author reads first: one small protocol per kind of plugin.

A plugin that hangs, crashes or returns nonsense costs its own result only: the engine gives it a deadline and turns
whatever goes wrong into a typed error. Hard enforcement then fails closed, answer quality fails open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.tape import Tape
from ruche.storage.keyring import KeySource
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import Message, Profile, SessionState, Struct
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.rule import Rule
from ruche.storage.model.run import Run
from ruche.storage.model.tool import Tool

__all__ = [
    "Asked", "Brain", "Channel", "Draft", "Effect", "EffectOutcome", "Embedder", "Enforcer", "Generated", "Generator",
    "Hit", "Hits", "ItemKind", "KeySource", "Memory", "Prompt", "Reader", "Recalled", "Recollected", "Reranker",
    "Retrieval", "Selection", "Selector", "Spent", "Stage", "ToolGateway", "ToolResult", "TurnInput", "TurnOutput",
    "Vectors", "Verdict",
]

# --- the brain: what the runtime hosts ---------------------------------------------------------------------------


class TurnInput(Struct, frozen=True, kw_only=True):
    """Everything a turn starts from. `messages` belong together and are answered by one reply."""

    tenant: str
    agent: str
    turn_id: str
    request_id: str
    messages: tuple[Message, ...]
    session: SessionState
    profile: Profile
    deadline_ms: int | None = None
    """Milliseconds since 1970 UTC at which the turn is given up."""
    turn_group: str = ""
    """Shared by a turn and the turns that replace it: the scope of effect keys."""
    waited_ms: float = 0.0
    """How long the session waited for messages that belong together."""


class TurnOutput(Struct, frozen=True, kw_only=True):
    """Everything a turn decided, staged: nothing in it is true before the session has committed it.

    `run.reply` equals the released segments joined, when there were any.
    """

    session: SessionState
    run: Run
    profile: Profile | None = None
    """The changed profile, None when unchanged."""
    outbox: tuple[OutboxItem, ...] = ()


class Effect(Struct, frozen=True, kw_only=True):
    """A tool call with consequences, before it happens. `key` identifies it across retries of the same turn group."""

    tool: str
    key: str
    policy: Literal["PURE", "IDEMPOTENT", "COMPENSATABLE", "IRREVERSIBLE"]
    arguments: dict[str, Any] = {}


class EffectOutcome(Struct, frozen=True, kw_only=True):
    """What is known of an effect: `new` may be tried, `unknown` was started before a crash and must not be repeated."""

    status: Literal["new", "ok", "error", "timeout", "unknown"]
    result: Any = None


class Stage(Protocol):
    """What the session offers a brain while it thinks. Everything here is real: it is journalled before it returns."""

    async def release(self, text: str) -> None:
        """Hand a checked segment to the interlocutor. After the first, the turn can no longer be superseded."""

    def progress(self, phase: str, ms: float) -> None:
        """Tell subscribers that a phase ended after `ms` milliseconds."""

    def pending(self) -> bool:
        """True once newer messages wait; turns False again within a turn only when it absorbs them all."""

    async def reserve(self, effect: Effect) -> EffectOutcome:
        """Reserve an effect before it happens; the answer says whether it may."""

    async def settle(self, effect: Effect, outcome: EffectOutcome) -> None:
        """Record how a reserved effect ended."""


@runtime_checkable
class AbsorbingStage(Stage, Protocol):
    """A stage that hands newer messages to the turn that runs; sessions offer one."""

    def absorb(self) -> tuple[Message, ...]:
        """The durable messages that have come since and are this turn's from now on, oldest first, where the host's
        decider has said CONTINUE of them; `run.message_ids` and `run.said` name them as well. What is not taken is
        answered by the next turn. Goes through the tape, as everything that a turn learns from outside."""


@runtime_checkable
class Brain(Protocol):
    """Decides what an agent says. One method; it writes nothing and reads the outside world through the tape only."""

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput: ...


# --- retrieval ---------------------------------------------------------------------------------------------------

Vectors = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Text to unit vectors. Each text is encoded alone, so that its vector never depends on its neighbours.

    An embedder that answers a sentence within 0.2 ms may say so with an attribute `immediate = True`: then short texts
    are encoded where they are needed, on the event loop too, instead of on the service thread. One that reads whole
    words may list them, in lower case, in an attribute `words` (a frozenset): they are never taken for slips. One that
    several threads may call at once may say `parallel = True`: then publishing uses more than one core.
    """

    @property
    def name(self) -> str:
        """Identity of model and version: part of every index and cache key."""

    @property
    def dimensions(self) -> int: ...

    @property
    def rule_threshold(self) -> float:
        """Score (0 to 1, on the hybrid scale) that a rule must reach by default with this embedder."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """len(texts) x dimensions, float32, rows of length 1. Blocking; called on a service thread."""


@runtime_checkable
class Reranker(Protocol):
    """Scores of passages for a query, higher is better, in the order given. Blocking; called on a service thread."""

    @property
    def name(self) -> str: ...

    def score(self, query: str, passages: Sequence[str]) -> Sequence[float]: ...


class Hit(Struct, frozen=True, kw_only=True):
    """One retrieved item. Scores are rounded to 1e-4; `score` is the hybrid one."""

    id: str
    score: float
    vector: float = 0.0
    lexical: float = 0.0


ItemKind = Literal["rule", "intent", "scenario", "transition", "knowledge"]


class Hits(Struct, frozen=True, kw_only=True):
    """Candidates per kind, best first: score descending, id ascending. Transition ids are `scenario/step>to`."""

    rules: tuple[Hit, ...] = ()
    intents: tuple[Hit, ...] = ()
    scenarios: tuple[Hit, ...] = ()
    transitions: tuple[Hit, ...] = ()
    knowledge: tuple[Hit, ...] = ()
    options: tuple[Hit, ...] = ()
    """Values of fields, `field=value`, for the fields that were asked about."""
    several: bool = False
    """Each rule was decided for itself, so that all that reach the threshold are meant together."""
    repaired: tuple[tuple[str, str], ...] = ()
    """(as written, as read) of the words whose spelling was repaired before anything was compared."""


class Retrieval(Protocol):
    """The retriever as the brain sees it; indexes are per agent version and never shared between tenants."""

    async def prepare(self, bundle: AgentBundle, version: int, *, taught: bytes = b"") -> bytes:
        """Build the agent's indexes; called at publish and at start.

        The answer is what the agent's examples taught, to be kept with the version and given back as `taught`: what was
        fitted to the same data is not fitted again.
        """

    async def retrieve(self, tenant: str, agent: str, version: int, text: str, limit: int = 30,
                       scopes: Sequence[str] | None = None) -> Hits:
        """At most `limit` hits per kind.

        With `scopes` (ids of scenarios and `scenario/step`), rules of other scopes and transitions of other steps are
        left out before the cut, so that they cannot crowd out those that count. `field/NAME` asks for the options of
        a field; without it there are none.
        """


class Asked(Struct, frozen=True, kw_only=True):
    """What is looked for in one person's memory. `asker` and `other` are the speakers whom "I" and "you" mean."""

    tenant: str
    person: str
    text: str
    asker: str = ""
    other: str = ""
    now_ms: int = 0
    half_life_days: float | None = None
    """After so many days age has taken half of what it may take of a score; None: age does not count."""
    least: float | None = None
    """Cosine of the best sentence, below which a memory without telling words in common is not cited; None: what suits
    the embedder."""
    without: tuple[str, ...] = ()
    """Turns that are left out: they are known anyhow."""


class Recollected(Struct, frozen=True, kw_only=True):
    """Something that was said. Scores are rounded to 1e-4; `score` is the search's, 0 to 1, `reranked` the reranker's.

    `place` is where the search put it, from 0; `cues` names what else spoke for it: speaker, time, when.
    """

    id: str
    turn: str
    speaker: str
    at_ms: int
    text: str
    score: float
    vector: float = 0.0
    lexical: float = 0.0
    cues: tuple[str, ...] = ()
    place: int = 0
    reranked: float | None = None


class Recalled(Struct, frozen=True, kw_only=True):
    """What was found, best first; `cited` names those worth telling. `reason` says why nothing was reranked."""

    memories: tuple[Recollected, ...] = ()
    cited: tuple[str, ...] = ()
    considered: int = 0
    reason: str = ""
    method: str = ""
    """How those worth telling were chosen."""
    repeated: tuple[str, ...] = ()
    """What was left out because another one that is cited says the same."""


@runtime_checkable
class Memory(Protocol):
    """What persons said before, as the brain sees it; never of two persons at once."""

    async def recall(self, asked: Asked) -> Recalled:
        """Nothing for somebody of whom nothing is known."""


class Selection(Struct, frozen=True, kw_only=True):
    """How many of a ranked list to keep, and why. `cutoff` is the lowest kept score."""

    keep: int
    cutoff: float
    method: str
    places: tuple[int, ...] | None = None
    """The places of the kept ones, ascending, when they are not simply the first `keep`."""


@runtime_checkable
class Selector(Protocol):
    """Cuts a list of scores (descending) to those worth keeping."""

    def select(self, scores: Sequence[float], *, max_k: int = 20, min_k: int = 1) -> Selection: ...


# --- enforcement -------------------------------------------------------------------------------------------------


class Verdict(Struct, frozen=True, kw_only=True):
    """What an enforcer says of one rule. A hard rule in `error` counts as failed. `span`: offsets in the text."""

    outcome: Literal["pass", "fail", "not_applicable", "error"]
    reason: str = ""
    span: tuple[int, int] | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """The text under judgement with everything an enforcer may look at.

    `names` holds the values an expression may use: bare names (reply over session over profile) and the namespaces
    `reply`, `session`, `profile`. `whole` is False while only a prefix of the reply exists.
    """

    text: str
    question: str
    names: dict[str, Any]
    language: str = "en"
    whole: bool = True
    authored: str = ""
    """Everything that the author wrote, knowledge included: the same object in every turn of an agent version. Empty
    unless an enforcer in force says `needs_data = True`, as `found` is."""
    found: str = ""
    """What this turn knows besides: variables, fields and what tools gave back, as JSON."""
    likeness: tuple[float, float | None] | None = None
    """How alike question and reply are (cosine), and what is usual at least for the embedder, None where that is not
    known. Absent unless an enforcer in force says `needs_likeness = True`."""
    answers: bool = True
    """False for replies that refuse, ask, pass on, or say that nothing fits."""


@runtime_checkable
class Enforcer(Protocol):
    """Judges a draft against one rule. Synchronous, without side effects, fast (about 1 ms)."""

    @property
    def name(self) -> str:
        """The word an author writes after `use:`."""

    @property
    def monotone(self) -> bool:
        """True when a text that fails keeps failing however it goes on, so that prefixes can be judged."""

    def prepare(self, rule: Rule) -> Any:
        """Compile the rule's options once; raises ConfigurationError with what to write instead."""

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Verdict: ...


# --- speech ------------------------------------------------------------------------------------------------------


class Prompt(Struct, frozen=True, kw_only=True):
    """What a generator is given: everything is labelled data, only `instructions` comes from the author."""

    instructions: str
    plan: dict[str, Any]
    history: tuple[tuple[str, str], ...] = ()
    """(role, text), oldest first; role is `user` or `assistant`."""
    language: str = "en"
    max_tokens: int = 512
    temperature: float = 0.0


class Generated(Struct, frozen=True, kw_only=True):
    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    cost: float | None = None
    """By the price of the model when it answered; None where nobody counted it."""


class Spent(str):
    """An empty piece of a stream that tells what the whole answer cost; it comes last, where the endpoint tells."""

    __slots__ = ("cost", "input_tokens", "output_tokens")
    input_tokens: int
    output_tokens: int
    cost: float | None

    def __new__(cls, input_tokens: int, output_tokens: int, cost: float | None = None) -> Spent:
        made = super().__new__(cls, "")
        made.input_tokens, made.output_tokens, made.cost = input_tokens, output_tokens, cost
        return made


@runtime_checkable
class Generator(Protocol):
    """Turns a prompt into text. Raises ProviderFailed."""

    @property
    def name(self) -> str: ...

    async def generate(self, prompt: Prompt) -> Generated: ...

    def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        """Pieces of text as they arrive; joined they are the reply. The last may be `Spent`."""


@runtime_checkable
class Reader(Protocol):
    """A generator that also answers chat messages in a given shape: what judges replies and reads messages."""

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        """The model's answer, which should be JSON after `schema`; the caller verifies it. Raises ProviderFailed."""


# --- tools -------------------------------------------------------------------------------------------------------


class ToolResult(Struct, frozen=True, kw_only=True):
    """`value` is plain data; it never adds a rule, chooses a scenario or calls a tool."""

    status: Literal["ok", "error", "timeout"]
    value: Any = None
    error: str = ""
    ms: float = 0.0


class ToolGateway(Protocol):
    """Runs the author's tools with a deadline; never raises for what a tool does."""

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any],
                   context: dict[str, str]) -> ToolResult:
        """`context` carries tenant, interlocutor, session, turn and the idempotency key."""

    async def close(self) -> None: ...


# --- channels -------------------------------------------------------------------------------------------


@runtime_checkable
class Channel(Protocol):
    """Where messages come from. `window_ms` is the accumulation base; 0 means that nothing is awaited."""

    @property
    def name(self) -> str: ...

    @property
    def window_ms(self) -> int: ...

    def format(self, text: str) -> str:
        """The reply as this channel shows it."""
