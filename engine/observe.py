"""Logs and metrics. Both deny by default: a log line holds only the fields listed here, a label only known values.

No message text, no token and no name of a person is ever given to this module; what identifies somebody is hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ruche.engine.config import LogSettings

LOGGED = frozenset({
    "address", "agent", "agents", "code", "component", "count", "event", "exception", "host", "level", "logger",
    "method", "ms", "port", "reason", "request_id", "roles", "route", "run_id", "session_id", "state", "status",
    "subject", "tenant", "time", "turn_id", "version", "where",
})
"""The only fields that reach a log line."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST = 300
_encode = msgspec.json.Encoder(enc_hook=lambda value: type(value).__name__).encode


def fingerprint(secret: str) -> str:
    """12 hexadecimal digits that tell two tokens, subjects or addresses apart and lead back to neither."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()[:12]


class Sink:
    """Where lines go; the stream and the level can be changed while running."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self.level = logging.INFO
        self.json_lines = True

        self.gathering = False
        self._gathered: list[str] = []

    def msg(self, line: str) -> None:
        """Write a line now, after those that wait."""
        self._gathered.append(line)
        self.flush()

    def info(self, line: str) -> None:
        """Write a line now, or while lines are gathered on an event loop with those of the next tenth of a second."""
        loop = asyncio._get_running_loop() if self.gathering else None
        if loop is None:
            return self.msg(line)
        if not self._gathered:
            loop.call_later(_GATHER_S, self.flush)
        self._gathered.append(line)

    def flush(self) -> None:
        lines, self._gathered = self._gathered, []
        if lines:
            print("\n".join(lines), file=self.stream or sys.stderr, flush=True)

    debug = info
    warning = error = critical = msg


_GATHER_S = 0.1
_sink = Sink()


def _below_level(_: Any, name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if getattr(logging, name.upper()) < _sink.level:
        raise structlog.DropEvent
    fields["level"] = name
    return fields


def keep_listed(_: Any, __: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
    """Drops every field that is not listed, and encodes control characters in those that are."""
    line: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
    for name, value in fields.items():
        if name in LOGGED:
            line[name] = _printable(value) if isinstance(value, str) else value
    return line


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:_LONGEST])


def _render(_: Any, __: str, fields: MutableMapping[str, Any]) -> str:
    if _sink.json_lines:
        return _encode(fields).decode()
    words = " ".join(f"{name}={value}" for name, value in fields.items() if name not in ("time", "event", "level"))
    return f"{fields['time']} {fields.get('level', '')} {fields.get('event', '')} {words}"


log: Any = structlog.wrap_logger(_sink, processors=[_below_level, keep_listed, _render],
                                 wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG)).bind()
"""The engine's logger: `log.info("event", field=value)`."""


class Foreign(logging.Handler):
    """Lines of other libraries, reduced to who spoke and which exception it was: their text may quote anybody."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        spoken = str(record.msg) if record.name.startswith("ruche.") else "library"
        log.log(max(record.levelno, logging.DEBUG) // 10 * 10, spoken, logger=record.name, exception=exception)


@contextmanager
def gathered_lines() -> Iterator[None]:
    """Write lines of information ten times a second instead of one by one: each write gives up the interpreter.

    Warnings and errors are written at once, after what came before them.
    """
    _sink.gathering = True
    try:
        yield
    finally:
        _sink.gathering = False
        _sink.flush()


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send the engine's lines to `settings.file`, `stream` or standard error, and those of libraries after them."""
    _sink.level = logging.getLevelNamesMapping().get(settings.level.upper(), logging.INFO)
    _sink.json_lines = settings.json_lines
    _sink.stream = settings.file.open("a", encoding="utf-8") if settings.file else stream
    logging.root.handlers[:] = [Foreign()]
    logging.root.setLevel(max(_sink.level, logging.WARNING))


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Metrics:
    """The engine's Prometheus metrics, in a registry of their own. Labels take values from fixed lists only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter("ruche_http_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram("ruche_http_request_seconds", "Time to answer, by route.", ("route",),
                                 buckets=_SECONDS, registry=self.registry)
        self.turns = Counter("ruche_turns", "Turns answered.", ("status", "risk"), registry=self.registry)
        self.errors = Counter("ruche_errors", "Requests refused or failed, by code.", ("code",),
                              registry=self.registry)
        self.unhandled = Counter("ruche_unhandled_errors", "Errors that nobody foresaw.", registry=self.registry)
        self.streams = Gauge("ruche_event_streams", "Open event streams.", registry=self.registry)
        self.up = Gauge("ruche_component_up", "1 while a component works.", ("component",), registry=self.registry)
        self._answered: dict[tuple[str, str, int], Any] = {}
        self._timed: dict[str, Any] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request. `route` is a path of the route table, never the path that was asked for."""
        key = (route, method, status)
        counter = self._answered.get(key)
        if counter is None:
            counter = self._answered[key] = self.requests.labels(route, method, str(status))
            self._timed[route] = self.seconds.labels(route)
        counter.inc()
        self._timed[route].observe(seconds)

    def turn(self, status: str, risk: str) -> None:
        self.turns.labels(status, risk).inc()

    def error(self, code: str) -> None:
        self.errors.labels(code).inc()

    def render(self) -> bytes:
        """The text form that Prometheus reads."""
        return generate_latest(self.registry)
