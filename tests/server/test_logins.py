"""Tokens and codes that are not valid: an address that tries many has to wait, unless it has a good one."""

from __future__ import annotations

import io
from pathlib import Path

from tests.server.conftest import make_agents
from tests.server.served import Served, served


def tries(site: Served, count: int) -> list[int]:
    return [site.request("GET", "/v1/sessions", token=f"bad-{number}").status for number in range(count)]


def test_an_address_with_many_bad_tokens_is_told_to_wait_and_a_good_token_still_passes(tmp_path: Path) -> None:
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO(),
                server={"failed_logins_per_minute": 5}) as site:
        states = tries(site, 30)
        assert states[:5] == [401] * 5
        assert states.count(429) >= 20
        late = site.request("GET", "/v1/sessions", token="bad")
        assert (late.status, late.code) == (429, "RATE_LIMIT_EXCEEDED")
        assert int(late.headers["retry-after"]) >= 1
        assert site.request("GET", "/v1/sessions", token=site.token()).status == 200
        assert site.request("GET", "/v1/sessions").status == 401, "nobody tried to log in"


def test_codes_of_the_console_count_as_well_and_a_limit_of_nought_is_none(tmp_path: Path) -> None:
    agents = make_agents(tmp_path / "agents")
    with served(tmp_path / "one", agents, io.StringIO(), server={"failed_logins_per_minute": 3}) as site:
        states = [site.request("POST", "/v1/console/session", {"code": "x" * 43}).status for _ in range(20)]
        assert states[:3] == [401] * 3
        assert 429 in states
    with served(tmp_path / "two", agents, io.StringIO(), server={"failed_logins_per_minute": 0}) as site:
        assert set(tries(site, 100)) == {401}
