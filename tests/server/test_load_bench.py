"""The load benchmark counts what it should, and its picture is one."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.curve import draw, seconds_of
from bench.load_client import Plan, drive, flood
from tests.server.served import Served

ROOT = Path(__file__).resolve().parents[2]


def plan(site: Served, **changes: object) -> Plan:
    return Plan(**{"url": site.url, "token": site.token("channel", sub="loader"), "sessions": 5, "rate": 40.0,  # type: ignore[arg-type]
                   "seconds": 0.5, "agent": "kiosk", **changes})


@pytest.mark.anyio
async def test_every_request_of_a_plan_is_answered_streamed_or_counted_as_a_fault(site: Served) -> None:
    strangers = tuple(site.token("interlocutor", sub=f"stranger-{number}") for number in range(3))
    seen = await drive(plan(site, streams=0.4, probes=strangers))
    assert len(seen.answered) + seen.streams == len(seen.late_ms) > 0
    assert seen.whole_streams == seen.streams == len(seen.first_text_ms) > 0
    assert len(seen.probe_ms) == 3
    assert seen.faults.total() == 0


@pytest.mark.anyio
async def test_requests_that_are_refused_are_faults_and_no_answers(site: Served) -> None:
    seen = await drive(plan(site, agent="nobody"))
    assert seen.answered == []
    assert seen.faults == {"404": len(seen.late_ms)}


@pytest.mark.anyio
async def test_a_flood_says_what_came_back_by_status(site: Served) -> None:
    assert (await flood(plan(site, connections=3, seconds=0.2)))["200"] >= 3


def test_the_curve_has_a_point_for_every_second_and_none_where_nothing_was_due() -> None:
    answered = [(0.1, 5.0), (0.9, 15.0), (2.5, 100.0)]
    curve = seconds_of(answered, [50.0, 60.0])
    assert [(one.at, one.p50, one.p99) for one in curve] == [(0, 15.0, 15.0), (1, None, None), (2, 100.0, 100.0)]
    assert [one.memory for one in curve] == [50.0, 60.0, 60.0]


def test_the_picture_is_well_formed_and_draws_each_line() -> None:
    curve = seconds_of([(at / 10, 1.0 + at % 7) for at in range(100)], [50.0 + at for at in range(10)])
    tree = ElementTree.fromstring(draw(curve, 500.0, 10_000))
    lines = tree.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [10, 10, 10, 10]
