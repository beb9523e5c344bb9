"""One message of a person to an agent, as a host program gives it, checked before anything is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Required, TypedDict

from ruche.engine.plain import is_utf8, json_bytes, unkeepable
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.conversation import SessionKey

MESSAGE_CHARACTERS = 10_000
NAME_CHARACTERS = 256
METADATA_BYTES = 8_192
METADATA_DEPTH = 16


class Said(TypedDict, total=False):
    """The keywords of `Engine.chat`, `accept`, `stream` and `follow_up`."""

    agent: Required[str]
    """The id of the agent: its folder's name."""
    message: Required[str]
    """1 to 10,000 characters."""
    user: Required[str]
    """Who speaks, 1 to 256 characters: the same name is the same person, in every agent and channel of a tenant."""
    tenant: str
    """Whose agents and persons these are; `default`."""
    channel: str
    """`api` answers each message at once; on others (`web`) an engine waits a moment for what belongs together."""
    session_id: str | None
    """The conversation that this must go on in; NotFound when it is not the person's open one."""
    new_session: bool
    """Close the open conversation and begin another."""
    request_id: str | None
    """Your name for this request: in the log, and in the run."""
    idempotency_key: str | None
    """A repeat with the same key is not said again, and gets the first answer; also after a restart."""
    fingerprint: str | None
    """Stands for the whole request: the same key with another fingerprint raises IdempotencyMismatch."""
    metadata: dict[str, Any] | None
    """Kept with the message: plain data, at most 8 KB as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What `Said` describes, with its defaults."""

    agent: str
    message: str
    user: str
    tenant: str = "default"
    channel: str = "api"
    session_id: str | None = None
    new_session: bool = False
    request_id: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    metadata: dict[str, Any] | None = None

    def check(self) -> None:
        """Raises InvalidRequest with the field at fault: what is let in here must be readable for ever."""
        _check_text("message", self.message, MESSAGE_CHARACTERS)
        if not self.message.strip():
            raise _invalid("message", f"1 to {MESSAGE_CHARACTERS:,} characters that are not all spaces")
        for name in ("agent", "user", "tenant", "channel"):
            _check_text(name, getattr(self, name), NAME_CHARACTERS)
        for name in ("session_id", "request_id", "idempotency_key", "fingerprint"):
            if getattr(self, name) is not None:
                _check_text(name, getattr(self, name), NAME_CHARACTERS, least=0)
        if self.metadata is not None:
            _check_metadata(self.metadata)

    @property
    def key(self) -> SessionKey:
        return SessionKey(tenant=self.tenant, agent=self.agent, interlocutor=self.user, channel=self.channel)


def check_utf8(name: str, value: object) -> None:
    """Raises InvalidRequest for what is no text, or holds half of a surrogate pair and could never be written down."""
    if not isinstance(value, str):
        raise _invalid(name, f"text is wanted here, and this is {type(value).__name__}")
    if not is_utf8(value):
        raise _invalid(name, "half of a surrogate pair, which is no text")


def check_texts(**texts: object) -> None:
    """`check_utf8` of several, each by its name."""
    for name, value in texts.items():
        check_utf8(name, value)


def _check_text(name: str, value: object, most: int, least: int = 1) -> None:
    check_utf8(name, value)
    if not least <= len(str(value)) <= most:
        raise _invalid(name, f"{least} to {most:,} characters")


def _check_metadata(metadata: object) -> None:
    fault = unkeepable(metadata, METADATA_DEPTH) if isinstance(metadata, dict) else "an object is wanted here"
    if not fault and json_bytes(metadata) > METADATA_BYTES:
        fault = "larger than 8 KB"
    if fault:
        raise _invalid("metadata", fault)


def _invalid(path: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {fault}", fields=[{"path": path, "message": fault}])
