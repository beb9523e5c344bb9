"""Bad input on the wire: each gets its documented error, and the server goes on."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp.http_parser
import pytest

from ruche.engine.server.app import route_table
from ruche.engine.server.wire import require_c_parser
from ruche.plugins.errors import ConfigurationError
from tests.server.conftest import make_agents
from tests.server.served import Served, served

GOOD = {"agent_id": "kiosk", "message": "When do you open?", "channel": "api"}


@pytest.fixture(scope="session")
def ada(site: Served) -> str:
    return site.token(sub="ada")


@pytest.mark.parametrize(("body", "status", "code"), [
    (b'{"agent_id": "kiosk", "message": ', 400, "INVALID_JSON"), (b"\xff\xfe{}", 400, "INVALID_JSON"),
    (b'{"agent_id":"kiosk","message":"\xff"}', 400, "INVALID_JSON"), (b"", 400, "INVALID_JSON"),
    (b"[" * 50_000, 400, "INVALID_JSON"), (b'{"a":' * 200 + b"1" + b"}" * 200, 400, "INVALID_JSON"),
    (json.dumps({**GOOD, "colour": "red"}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "message": "x" * 10_001}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "message": ""}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "message": "   "}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "message": 7}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "metadata": {"x": "y" * 9000}}).encode(), 422, "VALIDATION_ERROR"),
    (json.dumps({**GOOD, "agent_id": "nobody"}).encode(), 404, "NOT_FOUND"),
    (json.dumps({**GOOD, "session_id": "nothing"}).encode(), 404, "NOT_FOUND"),
    (b" " * 1_000_001, 413, "PAYLOAD_TOO_LARGE")])
def test_a_bad_body_gets_its_error(site: Served, ada: str, body: bytes, status: int, code: str) -> None:
    """Security items 9 and 17."""
    for path in ("/v1/chat", "/v1/chat/stream"):
        answer = site.request("POST", path, body, ada)
        assert (answer.status, answer.code) == (status, code)
        assert answer.json["error"]["request_id"] == answer.headers["x-request-id"]


def test_the_longest_message_is_taken(site: Served, ada: str) -> None:
    assert site.chat("x" * 10_000, ada).status == 200


def test_a_gzip_bomb_is_refused_before_it_is_opened(site: Served, ada: str) -> None:
    """Security item 9: 1 GiB of zeros, packed, moves the memory of the server by less than 32 MiB."""
    bomb = _bomb(1 << 30)
    before = _resident_bytes()
    answer = site.request("POST", "/v1/chat", bomb[:900_000], ada, {"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert _resident_bytes() - before < 32 << 20
    assert site.request("POST", "/v1/chat", bomb, ada, {"Content-Encoding": "gzip"}).status in (413, 415)


def _resident_bytes() -> int:
    """The server lives in this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _bomb(size: int) -> bytes:
    packed, block = io.BytesIO(), bytes(1 << 24)
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for _ in range(size // len(block)):
            file.write(block)
    return packed.getvalue()


def test_headers_that_are_too_large_are_refused(site: Served, ada: str) -> None:
    """Security item 9: one header, and all of them together."""
    for headers in ({"X-Long": "x" * 9_000}, {f"X-{number}": "x" * 400 for number in range(50)}):
        answer = site.request("GET", "/v1/sessions", None, ada, headers)
        assert (answer.status, answer.code) == (431, "HEADERS_TOO_LARGE")
    answer = site.request("GET", "/" + "x" * 9_000)
    assert answer.status in (400, 431)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(site: Served, ada: str, kind: str) -> None:
    """Security item 11: only declared content types."""
    answer = site.request("POST", "/v1/chat", json.dumps(GOOD).encode(), ada, {"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_only_declared_methods_are_known_and_no_get_changes_anything(site: Served) -> None:
    """Security item 11."""
    token = site.token("admin")
    declared = {(route.method, route.path) for route in route_table()}
    for path in sorted({path for _, path in declared}):
        for method in ("PUT", "PATCH", "POST", "DELETE", "TRACE"):
            if not any(method == one and re.fullmatch(re.sub(r"{\w+}", "[^/]+", other), path)
                       for one, other in declared):
                answer = site.request(method, re.sub(r"{\w+}", "x", path.replace("{version}", "1")), None, token)
                assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED"), (method, path)
    for path in ("/v1/chat", "/v1/chat/stream", "/v1/token/anonymous", "/v1/console/session"):
        assert site.request("GET", path, None, token).status == 405
    assert site.request("GET", "/nothing/here").code == "NOT_FOUND"


SMUGGLED = {
    "length and chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nxyzde",
    "length is a list": b"Content-Length: 4, 5\r\n\r\nxyzde", "negative length": b"Content-Length: -1\r\n\r\n",
    "length with a plus": b"Content-Length: +4\r\n\r\nxyzd", "length in hex": b"Content-Length: 0x4\r\n\r\nxyzd",
    "unknown coding": b"Transfer-Encoding: chunky\r\n\r\n0\r\n\r\n",
    "coding that is not ASCII": b"Transfer-Encoding: \xe1\xb4\x8bchunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk size is no number": b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxyz\r\n0\r\n\r\n",
    "chunk size is negative": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nxyz\r\n0\r\n\r\n",
    "bad trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\x00\r\n\r\n",
    "space before the colon": b"Content-Length : 4\r\n\r\nxyzd", "folded header": b"X-A: a\r\n b\r\n\r\n",
    "NUL in a header": b"X-A: a\x00b\r\n\r\n", "bare CR in a header": b"X-A: a\rContent-Length: 4\r\n\r\nxyzd",
    "no colon": b"X-A\r\n\r\n", "empty name": b": a\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_request_that_two_parsers_could_read_differently_is_refused_and_the_connection_closed(
        site: Served, ada: str, name: str) -> None:
    """Security item 10: answered with 400, and what follows on the connection is never read as a request."""
    head = b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "
    second = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = site.raw(head + ada.encode() + b"\r\n" + SMUGGLED[name] + second, seconds=3)
    assert received[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400"), received[:200]
    assert received.count(b"HTTP/1.") == 1
    assert b"Server: ruche\r\n" in received
    assert b"xyz" not in received.split(b"\r\n\r\n", 1)[1]


def test_the_server_does_not_start_without_the_c_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 10."""
    require_c_parser()
    monkeypatch.setattr(aiohttp.http_parser, "HttpRequestParser", aiohttp.http_parser.HttpRequestParserPy)
    with pytest.raises(ConfigurationError):
        require_c_parser()


def test_health_is_answered_within_a_second_beside_200_half_open_connections(site: Served) -> None:
    """Security item 16."""
    half = []
    try:
        for number in range(200):
            wire = socket.create_connection(("127.0.0.1", site.port))
            wire.sendall(b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nX-Slow: " if number % 2 else
                         b"POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 900\r\n\r\n{")
            half.append(wire)
        begun = time.monotonic()
        assert site.request("GET", "/healthz").json == {"status": "ok"}
        assert time.monotonic() - begun < 1.0
    finally:
        for wire in half:
            wire.close()


def test_every_answer_carries_the_security_headers(site: Served, ada: str) -> None:
    """Security items 12 and 13; no version of anything is told."""
    answers = [site.request("GET", "/"), site.request("GET", "/healthz"), site.request("GET", "/nothing"),
               site.request("GET", "/v1/sessions", None, ada, {"Origin": "https://evil.example"}),
               site.chat("When do you open?", ada), site.request("POST", "/v1/chat", b"{", ada)]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["server"] == "ruche"
        assert answer.headers["x-request-id"]
        assert "access-control-allow-origin" not in answer.headers
    assert answers[3].headers["cache-control"] == "no-store"


def test_a_request_id_is_echoed_when_it_is_one_and_replaced_when_it_is_not(site: Served) -> None:
    assert site.request("GET", "/healthz", headers={"X-Request-ID": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for bad in ("a b", "x" * 65, "<script>", ""):
        assert site.request("GET", "/healthz", headers={"X-Request-ID": bad}).headers["x-request-id"] != bad


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "colour=red", "limit=+5"])
def test_query_parameters_are_checked(site: Served, query: str) -> None:
    answer = site.request("GET", f"/v1/runs?{query}", token=site.token("auditor"))
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("query", ["risk=BLUE", "status=x", "from=yesterday", "to=2026-11-20", "cursor=nonsense"])
def test_filters_of_runs_are_checked(site: Served, query: str) -> None:
    assert site.request("GET", f"/v1/runs?{query}", token=site.token("auditor")).status in (400, 422)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root: Path = tmp_path_factory.mktemp("strict")
    with served(root / "data", make_agents(root / "agents"), io.StringIO(), limits={"requests_per_minute": 30},
                server={"cors_origins": ["https://shop.example", "*"], "anonymous_per_hour": 20}) as running:
        yield running


def test_a_tenant_over_its_rate_is_told_when_to_come_back_and_others_are_served(strict: Served) -> None:
    """Security item 15."""
    token, other = strict.token("operator"), strict.token("operator", tenant="rival")
    answers = [strict.request("GET", "/v1/sessions", token=token) for _ in range(40)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 5
    assert refused[0].code == "RATE_LIMIT_EXCEEDED"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert strict.request("GET", "/v1/sessions", token=other).status == 200


def test_an_address_gets_twenty_anonymous_tokens_an_hour(strict: Served) -> None:
    statuses = [strict.request("POST", "/v1/token/anonymous", {"agent_id": "kiosk"}).status for _ in range(22)]
    assert statuses == [201] * 20 + [429] * 2


def test_cross_origin_calls_are_allowed_from_listed_origins_only(strict: Served) -> None:
    """Security item 12: exact origins, never a star, never credentials."""
    for origin, allowed in (("https://shop.example", True), ("https://shop.example.evil.example", False),
                            ("null", False), ("https://other.example", False)):
        answer = strict.request("GET", "/healthz", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-credentials" not in answer.headers
        preflight = strict.request("OPTIONS", "/v1/chat", headers={"Origin": origin,
                                                                   "Access-Control-Request-Method": "POST"})
        assert preflight.status == (204 if allowed else 405)


def test_a_kept_alive_connection_serves_many_requests(site: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    for _ in range(5):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
    connection.close()
