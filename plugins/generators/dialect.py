"""Which of OpenAI's parameters an endpoint understands. It is learned from refusals, so that each is met once.

Older servers know no JSON schema, newer models no `max_tokens`, some no `temperature` but their own.
"""

from __future__ import annotations

from typing import Any

import msgspec

_FORMS = 2
"""A JSON schema, then any JSON object, then free text: the prompt asks for the object in words in any case."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out. `lost` are parameters that the endpoint refuses, `form` how it is asked for JSON."""

    form: int = 0
    lost: frozenset[str] = frozenset()

    def worded(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as this endpoint understands it."""
        found = {name: value for name, value in body.items() if name not in self.lost}
        if "max_tokens" in body and "max_tokens" in self.lost:
            found["max_completion_tokens"] = body["max_tokens"]
        if "response_format" in body and self.form:
            del found["response_format"]
            if self.form < _FORMS:
                found["response_format"] = {"type": "json_object"}
        return found

    def without(self, refusal: str, body: dict[str, Any]) -> Dialect | None:
        """What to try after this refusal of the request; None when there is nothing that it may have meant."""
        for name in ("max_tokens", "temperature", "stream_options"):
            if name in body and name not in self.lost and name in refusal:
                return msgspec.structs.replace(self, lost=self.lost | {name})
        if "response_format" in body and self.form < _FORMS:
            return msgspec.structs.replace(self, form=self.form + 1)
        return None
