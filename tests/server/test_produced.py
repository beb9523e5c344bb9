"""Runs of other programs over HTTP: judged by the server's rules, kept whatever comes of it, and verified like ours."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.server.served import Answer, Served, served

RULES = """
- {id: cap, if: a price is named, then: At most 50., hard: true, enforce: reply.amount <= 50}
- id: mild
  if: the user asks when you open
  then: Never name an hour.
  examples: [when do you open]
  enforce: {use: phrase, options: {forbidden: [at 9]}}
"""
JUDGED = "- {id: kind, if: always, then: Never be rude., hard: true}\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("produced")
    heads = {"desk": "name: Desk\n",
             "judged": "name: Judged\nmodels: {judge: {url: 'http://127.0.0.1:9/v1', model: m}}\n"}
    for name, rules in (("desk", RULES), ("judged", JUDGED)):
        folder = root / "agents" / name
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text(heads[name])
        (folder / "rules.yaml").write_text(rules)
    with served(root / "data", root / "agents", io.StringIO()) as site:
        yield site


def send(house: Served, reply: str, said: str = "what does it cost", agent: str = "desk", key: str = "",
         **more: Any) -> Answer:
    body = {"agent_id": agent, "interlocutor_id": "ada", "said": [said], "reply": reply, "producer": "planner 2",
            **more}
    return house.request("POST", "/v1/runs", body, house.token("channel", sub="gate"),
                         {"Idempotency-Key": key} if key else None)


def test_a_run_that_keeps_the_rules_is_kept_with_the_servers_own_verdict(house: Served) -> None:
    made = send(house, "It costs 40 euros.")
    assert made.status == 201
    auditor = house.token("auditor")
    run = house.request("GET", f"/v1/runs/{made.json['id']}", token=auditor).json
    assert (run["risk"], run["engine"], run["channel"], run["said"]) == (
        "GREEN", "import planner 2", "@external", ["what does it cost"])
    assert run["turn"]["enforcement"]["checked"] == [["cap", "pass"]]
    assert house.request("GET", f"/v1/runs/{run['id']}/verify", token=auditor).json["ok"]


def test_a_rule_that_the_message_matches_is_judged_too(house: Served) -> None:
    made = send(house, "We open at 9.", said="when do you open")
    assert (made.status, made.json["risk"]) == (201, "YELLOW")


def test_a_run_that_breaks_a_hard_rule_is_refused_and_kept(house: Served) -> None:
    refused = send(house, "It costs 90 euros.")
    assert (refused.status, refused.code) == (409, "SAFETY_BLOCKED")
    details = refused.json["error"]["details"]
    assert details["violations"] == ["cap: does not hold: reply.amount <= 50"]
    kept = house.request("GET", f"/v1/runs/{details['run_id']}", token=house.token("auditor")).json
    assert (kept["risk"], kept["status"], kept["turn"]["reply"]) == ("RED", "blocked", "It costs 90 euros.")
    waiting = house.request("GET", "/v1/reviews/queue?limit=100", token=house.token("operator")).json["items"]
    assert kept["id"] in {one["id"] for one in waiting}


def test_a_run_that_nobody_can_judge_is_refused_and_kept(house: Served) -> None:
    refused = send(house, "Hello.", agent="judged")
    assert (refused.status, refused.code) == (409, "SAFETY_BLOCKED")
    assert "UNKNOWN" in refused.json["error"]["message"]


@pytest.mark.parametrize("reply", ["It costs 40 euros.", "It costs 90 euros."])
def test_a_run_that_is_sent_again_with_its_key_is_kept_once(house: Served, reply: str) -> None:
    first, again = (send(house, reply, key=f"key-{len(reply)}-{reply[9:11]}") for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
    other = send(house, "Another.", key=f"key-{len(reply)}-{reply[9:11]}")
    assert other.code == "IDEMPOTENCY_MISMATCH"


def test_what_a_producer_thinks_of_its_run_is_not_taken(house: Served) -> None:
    assert send(house, "It costs 90 euros.", risk="GREEN").status == 422
    assert send(house, "Hello.", producer="<b>").status == 422
    assert send(house, "Hello.", agent="nobody").status == 404


def test_an_erasure_reaches_runs_of_other_programs(house: Served) -> None:
    made = send(house, "It costs 40 euros.", interlocutor_id="eve").json["id"]
    assert house.request("DELETE", "/v1/interlocutors/eve", token=house.token("admin")).status == 200
    assert house.request("GET", f"/v1/runs/{made}", token=house.token("auditor")).status == 410
