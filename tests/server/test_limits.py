"""How much may be asked for, and how large it may be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.server.limits import JSON_DEPTH, Rate, check_depth
from ruche.plugins.errors import Malformed, RateLimited


class Hand:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_burst_passes_and_the_next_request_is_told_when_to_come_back() -> None:
    """Security item 15: a limit per tenant, with Retry-After."""
    clock = Hand()
    rate = Rate(2.0, 10, "tenant", clock)
    for _ in range(10):
        rate.take("acme")
    with pytest.raises(RateLimited) as refused:
        rate.take("acme")
    assert refused.value.retry_after == pytest.approx(0.5)
    clock.at = 0.5
    rate.take("acme")


def test_one_tenants_flood_takes_nothing_from_another() -> None:
    rate = Rate(1.0, 3, "tenant", Hand())
    for _ in range(50):
        try:
            rate.take("loud")
        except RateLimited:
            continue
    for _ in range(3):
        rate.take("quiet")


@given(st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=60))
def test_no_pattern_of_requests_gets_more_than_burst_plus_rate_times_time(gaps: list[float]) -> None:
    clock = Hand()
    rate = Rate(0.5, 4, "tenant", clock)
    passed = 0
    for gap in gaps:
        clock.at += gap
        try:
            rate.take("acme")
        except RateLimited:
            continue
        passed += 1
    assert passed <= 4 + 0.5 * clock.at + 1e-6


def test_a_million_addresses_take_no_more_memory_than_ten_thousand() -> None:
    rate = Rate(1.0, 3, "address", Hand())
    for number in range(30_000):
        rate.take(str(number))
    assert len(rate._levels) == 10_000


def test_json_as_deep_as_the_limit_passes_and_one_deeper_does_not() -> None:
    """Security item 9: depth of JSON."""
    check_depth(b"[" * JSON_DEPTH + b"]" * JSON_DEPTH)
    for deep in (b"[" * (JSON_DEPTH + 1), b'{"a":' * 100_000, b'["\\"]", ' + b"[" * JSON_DEPTH):
        with pytest.raises(Malformed):
            check_depth(deep)


def test_many_brackets_side_by_side_or_inside_text_are_not_deep() -> None:
    check_depth(json.dumps([{"a": []}] * 500).encode())
    check_depth(json.dumps({"text": '[{"' * 500 + "\\"}).encode())
