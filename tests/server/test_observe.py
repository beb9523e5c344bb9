"""Logs hold what is listed and nothing else."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.config import LogSettings
from ruche.engine.observe import Metrics, configure, fingerprint, gathered_lines, keep_listed, log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    configure(LogSettings(), stream)
    yield stream
    configure(LogSettings())
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_a_field_that_is_not_listed_does_not_reach_the_log(lines: io.StringIO) -> None:
    """Security item 42: deny by default."""
    log.info("answered", route="/v1/chat", message="canary", token="canary", details={"text": "canary"})
    assert "canary" not in lines.getvalue()
    assert json.loads(lines.getvalue())["route"] == "/v1/chat"


def test_what_a_library_says_is_dropped_but_who_said_it_is_kept(lines: io.StringIO) -> None:
    try:
        raise ValueError("canary in an exception")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "canary")
    line = json.loads(lines.getvalue())
    assert (line["logger"], line["exception"]) == ("aiohttp.server", "ValueError")
    assert "canary" not in lines.getvalue()


@given(st.text(max_size=80))
def test_no_value_can_begin_a_second_line_or_colour_a_terminal(text: str) -> None:
    kept = keep_listed(None, "info", {"event": "x", "request_id": text})["request_id"]
    assert not set(kept) & {chr(code) for code in [*range(32), *range(127, 160), 0x2028, 0x2029, 0x202E]}


def test_lines_below_the_level_are_not_written(lines: io.StringIO) -> None:
    log.debug("answered")
    assert lines.getvalue() == ""


@pytest.mark.anyio
async def test_gathered_lines_keep_their_order_and_are_all_written_in_the_end(lines: io.StringIO) -> None:
    with gathered_lines():
        log.info("answered", count=1)
        assert lines.getvalue() == "", "an answer does not wait for the log"
        log.warning("refused", count=2)
        assert [json.loads(line)["count"] for line in lines.getvalue().splitlines()] == [1, 2]
        log.info("answered", count=3)
    assert [json.loads(line)["count"] for line in lines.getvalue().splitlines()] == [1, 2, 3]


def test_a_fingerprint_tells_tokens_apart_without_showing_them() -> None:
    assert fingerprint("secret-token") == fingerprint("secret-token") != fingerprint("other-token")
    assert "secret" not in fingerprint("secret-token")
    assert len(fingerprint("\udcff")) == 12


def test_metrics_render_for_prometheus_with_the_labels_of_the_route_table() -> None:
    metrics = Metrics()
    metrics.answered("/v1/chat", "POST", 200, 0.004)
    metrics.turn("complete", "GREEN")
    metrics.error("NOT_FOUND")
    text = metrics.render().decode()
    assert 'ruche_http_requests_total{method="POST",route="/v1/chat",status="200"} 1.0' in text
    assert 'ruche_http_request_seconds_bucket{le="0.005",route="/v1/chat"} 1.0' in text
    assert 'ruche_turns_total{risk="GREEN",status="complete"} 1.0' in text
