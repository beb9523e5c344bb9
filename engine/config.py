"""One frozen Settings object, read once from `ruche.toml` and `RUCHE_*` variables, and passed down."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ruche.engine.refused import refusal
from ruche.plugins.errors import ConfigurationError

_NOT_SETTINGS = ("RUCHE_ROOT_KEY", "RUCHE_SECRET_")
"""The root key, and what tools' headers may name."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    body_bytes: int = Field(default=1_000_000, ge=1_000)
    header_bytes: int = Field(default=16_384, ge=1_024)
    cors_origins: tuple[str, ...] = ()
    token_public_key: Path | None = None
    """PEM file of an Ed25519 key: tokens that somebody else signs with it (EdDSA) are accepted as well."""
    token_issuer: str = "ruche"  # noqa: S105 - a name, not a secret
    """The `iss` that such tokens must carry, exactly."""
    token_hours: float = Field(default=24.0, gt=0)
    anonymous_per_hour: int = Field(default=20, ge=0)
    failed_logins_per_minute: int = Field(default=60, ge=0)
    """Requests of one address with a token or code that is not valid, before it is told to wait; 0: no limit."""


class TenantLimits(Section):
    """What one tenant may use where that differs from the others; None takes what holds for all."""

    requests_per_minute: int | None = Field(default=None, ge=0)
    turns_at_once: int | None = Field(default=None, ge=1)
    waiting: int | None = Field(default=None, ge=1)
    storage_mb: int | None = Field(default=None, ge=0)
    tokens_per_day: int | None = Field(default=None, ge=0)


class LimitSettings(Section):
    """What tenants may use; `[limits.tenants.NAME]` says otherwise for one. 0 means no limit, where 0 is allowed."""

    requests_per_minute: int = Field(default=6_000, ge=0)
    """Per tenant."""
    turns_at_once: int = Field(default=64, ge=1)
    turns_at_once_per_tenant: int = Field(default=32, ge=1)
    waiting_per_tenant: int = Field(default=1_000, ge=1)
    """Messages that may be without an answer at once; the next is refused, so that a crowd gets answers in time."""
    storage_mb_per_tenant: int = Field(default=0, ge=0)
    """Megabytes (10**6 bytes) of turn records; what else is kept of a tenant is about as much again."""
    tokens_per_day_per_tenant: int = Field(default=0, ge=0)
    """Tokens that language models read and wrote for the tenant, by UTC day."""
    tenants: dict[str, TenantLimits] = {}
    turn_seconds: float = Field(default=60.0, gt=0)
    active_sessions: int = Field(default=20_000, ge=1)
    idle_seconds: float = Field(default=300.0, gt=0)
    mailbox: int = Field(default=100, ge=1)

    def for_tenant(self, tenant: str) -> TenantLimits:
        """What holds for a tenant, every value filled in."""
        own = self.tenants.get(tenant, TenantLimits())
        every = {"requests_per_minute": self.requests_per_minute, "turns_at_once": self.turns_at_once_per_tenant,
                 "waiting": self.waiting_per_tenant, "storage_mb": self.storage_mb_per_tenant,
                 "tokens_per_day": self.tokens_per_day_per_tenant}
        return TenantLimits(**{**every, **own.model_dump(exclude_none=True)})


class Price(Section):
    """What a million tokens of a model cost, in whatever currency the operator counts in."""

    input: float = Field(default=0.0, ge=0)
    output: float = Field(default=0.0, ge=0)


class ModelSettings(Section):
    embedder: str = "auto"
    """`auto` (MiniLM when its weights are there, else hashing), `minilm`, `hashing`, `folder`, or a plugin's name."""
    embedder_path: Path | None = None
    """Of `folder`: any sentence-embedding model as model.onnx with tokenizer.json; of `minilm`: its weights."""
    embedder_sha256: str | None = None
    """Pins the model.onnx of `folder`."""
    embedder_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Where a rule matches with `folder`; calibrated on unrelated sentences when absent."""
    embedder_prefix: str = ""
    """Stands in front of every text for `folder`, where a model was trained so."""
    embedder_seconds: float = Field(default=120.0, gt=0)
    """Within which an embedder must be made at a start, and then give its first vector; else the start is refused."""
    reranker: str = ""
    """A plugin's name; without one, `reranker_path` decides."""
    reranker_path: Path | None = None
    """A cross-encoder's folder; without one sentences are compared, which needs no further weights."""
    reranker_sha256: str | None = None
    """Of the folder's model.onnx; without it any model is accepted."""
    reranker_threads: int = Field(default=2, ge=1)
    """Batches of one request that a cross-encoder runs at once on a CPU, where cores are idle."""
    rerank_enabled: bool = True
    rerank: tuple[Literal["memory", "documents", "rules"], ...] = ("memory", "documents", "rules")
    """What is reordered; rules only by a cross-encoder, and where no example teaches them."""
    rerank_timeout_ms: int = Field(default=250, ge=1, le=10_000)
    device: str = "auto"
    threads: int = Field(default=1, ge=1)
    prices: dict[str, Price] = {}
    """By the model's name, as agents write it under `models`."""


class ToolSettings(Section):
    """What tools of agents may reach, whatever the agents say."""

    hosts: tuple[str, ...] = ()
    """Host names that HTTP tools may call, `*.example.org` for all below one; any where it is empty. Private addresses
    need `allow_private` of the tool besides."""
    at_once: int = Field(default=4, ge=1)
    """Calls of one tool at the same time."""


class RetentionSettings(Section):
    """Days after which something goes by itself; what is not set is kept for ever. A legal hold keeps it anyway."""

    runs: int | None = Field(default=None, ge=1)
    """Runs with their advisories, whole days at once."""
    sessions: int | None = Field(default=None, ge=1)
    """Closed sessions with their events, by when they began."""
    idempotency: int | None = Field(default=None, ge=1)
    effects: int | None = Field(default=None, ge=1)
    dead_letters: int | None = Field(default=None, ge=1)
    utterances: int | None = Field(default=None, ge=1)
    """What agents with `memory` remember, by when it was said."""
    deliveries: int | None = Field(default=None, ge=1)
    """What became of calls to webhooks, by when that happened which they told of."""
    episodes: int | None = Field(default=None, ge=1)
    """What `ruche migrate memories` brought in, by when it happened."""

    def rules(self) -> dict[str, int]:
        """Those that are set."""
        return {name: days for name, days in self.model_dump().items() if days is not None}


class StorageSettings(Section):
    key_source: str = "file"
    """`file`, `env` (RUCHE_ROOT_KEY), `keyring` or `command`."""
    key_file: Path | None = None
    """`<data>/keys/root.key` when absent."""
    key_command: str | None = None
    reserve_bytes: int = Field(default=4_000_000, ge=0)
    backup_to: Path | None = None
    """A folder that is brought up to date again and again; `ruche restore` reads it."""
    backup_minutes: float = Field(default=5.0, gt=0)
    backup_keep_days: float = Field(default=7.0, ge=0)
    retention: RetentionSettings = RetentionSettings()


class WebhookSettings(Section):
    """`[webhooks.NAME]`: an address that hears of a tenant's conversations."""

    url: str
    """https; http only where `allow_private` is set. No redirect is followed."""
    secret: str
    """The variable RUCHE_SECRET_<secret> holds at least 32 characters, which sign each delivery."""
    tenant: str = "default"
    agents: tuple[str, ...] = ()
    """Of these agents only; of all where it is empty."""
    events: tuple[Literal["turn.accepted", "turn.completed", "turn.failed", "turn.superseded", "session.handoff",
                          "session.closed"], ...] = ("turn.completed", "turn.failed", "session.handoff")
    texts: bool = False
    """Whether what was said and the reply go along."""
    allow_private: bool = False
    """Whether the host may be one that is not on the open Internet."""


class CallbackSettings(Section):
    """Which addresses admins may give to webhooks that they make over the API."""

    hosts: tuple[str, ...] = ()
    """Host names, `*.example.org` for all below one; any where it is empty."""
    allow_private: bool = False
    """Whether a host may be one that is not on the open Internet, and http instead of https."""


class ConversationSettings(Section):
    newer_message: str = "supersede"
    """What becomes of a turn when a newer message comes while it is thought about: `supersede`, `absorb`, `continue`,
    `queue`, or the name of a plugin of kind `decider`."""


class LogSettings(Section):
    level: str = "INFO"
    json_lines: bool = True
    file: Path | None = None


class Settings(Section):
    """Everything that can be set. Unknown names are refused."""

    data: Path = Path("data")
    agents: Path | None = None
    samples: bool = False
    """Serve the shipped sample agents where `agents` is absent; `ruche serve` does."""
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    models: ModelSettings = ModelSettings()
    storage: StorageSettings = StorageSettings()
    tools: ToolSettings = ToolSettings()
    webhooks: dict[str, WebhookSettings] = {}
    callbacks: CallbackSettings = CallbackSettings()
    conversation: ConversationSettings = ConversationSettings()
    log: LogSettings = LogSettings()


def read_settings(file: Path | None = None, environment: Mapping[str, str] | None = None,
                  **overrides: Any) -> Settings:
    """File, then variables (`RUCHE_SERVER__PORT=8701`), then overrides (nested dicts; None means unset).

    Raises ConfigurationError naming the file or the setting at fault.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = _from_file(file)
    for name, text in environment.items():
        if name.startswith("RUCHE_") and not name.startswith(_NOT_SETTINGS):
            _place(values, name.removeprefix("RUCHE_").lower().split("__"), text)
    _merge(values, overrides)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(refusal(Settings, error, environment)) from None


def _from_file(file: Path | None) -> dict[str, Any]:
    path = file or Path("ruche.toml")
    if not path.exists():
        if file is not None:
            raise ConfigurationError(f"{path}: no such settings file")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _place(values: dict[str, Any], parts: list[str], text: str) -> None:
    for number, part in enumerate(parts[:-1], 1):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise _not_a_section(".".join(parts[:number]))
    values[parts[-1]] = text


def _merge(values: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            section = values.setdefault(name, {})
            if not isinstance(section, dict):
                raise _not_a_section(name)
            _merge(section, value)
        elif value is not None:
            values[name] = value


def _not_a_section(name: str) -> ConfigurationError:
    return ConfigurationError(f"setting {name}: a section is wanted here, [{name}] with settings below it")
