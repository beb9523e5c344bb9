"""Any endpoint that speaks OpenAI's chat completions (llama.cpp, vLLM, Ollama, hosted), over aiohttp.

Every failure is a ProviderFailed that says whether another try makes sense; no answer's body is quoted in an error.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from ruche.plugins.contracts import Generated, Prompt, Spent
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.generators.dialect import Dialect
from ruche.plugins.generators.prompt import messages

MAX_BODY = 1_000_000
MAX_EVENT = 65_536
MAX_REFUSAL = 4_096
MAX_TEXT = 65_536
"""Characters of a reply; a model that says more has lost its way."""
_REFUSED = frozenset({400, 422})
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class OpenAICompatible:
    """One endpoint and one model. `url` ends before `/chat/completions`, usually in `/v1`.

    `seconds` bounds a whole call, `quiet_seconds` the silence between two pieces of an answer. `extra` is merged into
    every request (a grammar, a seed). Connections are kept until `close`.
    """

    def __init__(self, url: str, model: str, api_key: str | None = None, *, seconds: float = 60.0,
                 quiet_seconds: float = 30.0, extra: dict[str, Any] | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"the model endpoint {url!r} is no address; write for example "
                                     "http://127.0.0.1:8080/v1")
        self._address = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = aiohttp.ClientTimeout(total=seconds, connect=5.0, sock_read=quiet_seconds)
        self._extra = extra or {}
        self._session: aiohttp.ClientSession | None = None
        self._dialect = Dialect()

    @property
    def name(self) -> str:
        return f"openai:{self._model}"

    async def generate(self, prompt: Prompt) -> Generated:
        """One reply. Raises ProviderFailed."""
        return await self.complete(messages(prompt), max_tokens=prompt.max_tokens, temperature=prompt.temperature)

    async def complete(self, chat: list[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0,
                       schema: dict[str, Any] | None = None) -> Generated:
        """The answer to chat messages; with `schema` the endpoint is asked for JSON of that shape (not verified)."""
        body = {"model": self._model, "messages": chat, "max_tokens": max_tokens, "temperature": temperature,
                **self._extra}
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema,
                                                                              "strict": True}}
        async with self._posted(body) as response:
            return _generated(await _read_all(response), self._model)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        """Pieces as they arrive. Raises ProviderFailed; leaving early closes the connection at once."""
        body = {"model": self._model, "messages": messages(prompt), "max_tokens": prompt.max_tokens,
                "temperature": prompt.temperature, "stream": True,
                "stream_options": {"include_usage": True}, **self._extra}
        size = 0
        async with self._posted(body) as response:
            async for piece in _pieces(response):
                size += len(piece)
                if size > MAX_TEXT:
                    raise failure("the model's answer does not end", again=False, of_request=True)
                yield piece
        if size == 0:
            raise failure("the model answered nothing", again=True)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def _posted(self, body: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a request, put as the endpoint understands it. Raises ProviderFailed."""
        known = dialect = self._dialect
        while True:
            try:
                async with self._open().post(self._address, json=dialect.worded(body),
                                             allow_redirects=False) as response:
                    if response.status == 200:
                        if dialect is not known:
                            self._dialect = dialect
                        yield response
                        return
                    other = None
                    if response.status in _REFUSED:
                        other = dialect.without(await _refusal(response), body)
                    if other is None:
                        raise _refused(response)
                    dialect = other
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _unreachable(error) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout,
                                                  read_bufsize=MAX_EVENT)
        return self._session

    def __repr__(self) -> str:
        return f"OpenAICompatible({self._address!r}, {self._model!r})"


def failure(message: str, *, again: bool, after: float | None = None, of_request: bool = False) -> ProviderFailed:
    """A ProviderFailed with `retryable` set; `after` is the number of seconds that the endpoint asked to wait,
    `of_request` tells that another request may well be answered."""
    error = ProviderFailed(message, retry_after=after)
    error.retryable, error.of_request = again, of_request  # type: ignore[misc]
    return error


def _unreachable(error: Exception) -> ProviderFailed:
    if isinstance(error, TimeoutError):
        return failure("the model endpoint did not answer in time", again=True)
    return failure(f"the model endpoint cannot be reached ({type(error).__name__})", again=True)


def _refused(response: aiohttp.ClientResponse) -> ProviderFailed:
    return failure(f"the model endpoint answered {response.status}", again=response.status in _AGAIN,
                   after=_retry_after(response.headers.get("Retry-After", "")),
                   of_request=response.status in _REFUSED or response.status == 413)


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """The beginning of what an endpoint says about a request that it refuses; it is quoted nowhere."""
    return (await response.content.read(MAX_REFUSAL)).decode(errors="replace")


def _retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header, which holds a number or a date; None when it is neither."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_BODY:
            response.close()
            raise failure(f"the model endpoint answered more than {MAX_BODY} bytes", again=False)
        parts.append(part)
    return b"".join(parts)


def _generated(body: bytes, model: str) -> Generated:
    answer = _object(body)
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (LookupError, TypeError):
        raise failure("the model endpoint answered in another shape than chat completions", again=True) from None
    _check_choice(choice)
    if not isinstance(text, str) or not text.strip():
        raise failure("the model answered nothing", again=True)
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Generated(text=text.strip()[:MAX_TEXT], input_tokens=_count(usage.get("prompt_tokens")),
                     output_tokens=_count(usage.get("completion_tokens")), model=model)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise failure("the model endpoint did not answer in JSON", again=True) from None
    if not isinstance(found, dict):
        raise failure("the model endpoint answered in another shape than chat completions", again=True)
    return found


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _check_choice(choice: Any) -> None:
    if isinstance(choice, dict) and choice.get("finish_reason") == "content_filter":
        raise failure("the model endpoint's filter refused to answer", again=False, of_request=True)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """The texts of a server-sent event stream, up to its `[DONE]`, then what it cost where the endpoint tells; a stream
    that breaks off before is a failure."""
    spent: Spent | None = None
    async for data in _events(response):
        if data == b"[DONE]":
            if spent is not None:
                yield spent
            return
        event = _object(data)
        if "error" in event:
            raise failure("the model endpoint broke off with an error", again=True)
        usage, choices = event.get("usage"), event.get("choices")
        if isinstance(usage, dict):
            spent = Spent(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        if not isinstance(choices, list) or not choices:
            continue
        _check_choice(choices[0])
        delta = choices[0].get("delta") if isinstance(choices[0], dict) else None
        text = delta.get("content") if isinstance(delta, dict) else None
        if isinstance(text, str) and text:
            yield text
    raise failure("the model endpoint broke off its answer", again=True)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The `data:` fields; OpenAI's streams have one per event."""
    rest = b""
    async for part in response.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_EVENT:
            raise failure("the model endpoint sent an event without an end", again=False)
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
