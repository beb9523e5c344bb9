"""Reviewing over HTTP: a queue by risk, verdicts of people, and explanations that come from the record."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.server.served import Served, served

RULES = """
- {id: price, if: the user asks what it costs, then: It costs 90 euros., examples: [what does it cost]}
- {id: hours, if: the user asks when you open, then: We open at 9., examples: [when do you open]}
- {id: cap, if: a price is named, then: At most 50., hard: true, enforce: reply.amount <= 50}
- id: mild
  if: the user asks when you open
  then: Never name an hour.
  examples: [when do you open]
  enforce: {use: phrase, options: {forbidden: [at 9]}}
"""


@pytest.fixture
def house(tmp_path: Any) -> Any:
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")
    (folder / "rules.yaml").write_text(RULES)
    with served(tmp_path / "data", tmp_path / "agents", io.StringIO(), storage={
            "backup_to": tmp_path / "backup", "retention": {"runs": 30}}) as site:
        yield site


def say(house: Served, text: str) -> str:
    answer = house.chat(text, house.token(sub="ada"), agent="desk")
    assert answer.status == 200, answer.body
    return str(answer.json["turn_id"])


def queue(house: Served, **more: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    return house.request("GET", f"/v1/reviews/queue?{query}", token=house.token("operator")).json


def test_the_queue_has_the_gravest_first_and_what_was_reviewed_no_more(house: Served) -> None:
    mild, (grave, later) = say(house, "when do you open"), [say(house, "what does it cost") for _ in range(2)]
    say(house, "hello")
    assert [one["id"] for one in queue(house)["items"]] == [grave, later, mild]
    assert [one["risk"] for one in queue(house)["items"]] == ["RED", "RED", "YELLOW"]
    for run, verdict in ((grave, "approve"), (mild, "rate")):
        done = house.request("POST", f"/v1/runs/{run}/review", {"verdict": verdict, "note": "seen"},
                             house.token("operator", sub="eve"))
        assert (done.status, done.json["author"]) == (201, "human:eve")
    assert [one["id"] for one in queue(house)["items"]] == [later]


def test_page_by_page_the_queue_shows_each_run_once(house: Served) -> None:
    said = [say(house, "what does it cost") for _ in range(3)] + [say(house, "when do you open") for _ in range(2)]
    seen, cursor = list[str](), ""
    for _ in range(10):
        page = queue(house, limit="2", **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            break
    assert seen == said
    assert house.request("GET", "/v1/reviews/queue?cursor=x", token=house.token("operator")).status == 422


def test_an_explanation_says_what_decided_and_nothing_that_was_said(house: Served) -> None:
    run = say(house, "what does it cost")
    first, again = (house.request("POST", f"/v1/runs/{run}/explain", token=house.token("operator")) for _ in range(2))
    assert (first.status, first.body) == (201, again.body)
    note = first.json["note"]
    assert (first.json["kind"], first.json["author"]) == ("explanation", "system:record")
    assert "Rule price applied: scored" in note
    assert "The hard rule cap was broken (deterministic)" in note
    assert "The risk is RED." in note
    assert "what does it cost" not in note
    state = house.request("GET", f"/v1/runs/{run}/advisories", token=house.token("auditor")).json["state"]
    assert (state["explanation"], state["approved"]) == ("READY", False)


def test_a_rating_is_kept_with_the_run(house: Served) -> None:
    run = say(house, "hello")
    path, eve = f"/v1/runs/{run}/review", house.token("operator", sub="eve")
    made = house.request("POST", path, {"verdict": "rate", "note": "good", "rating": 5}, eve).json
    assert (made["kind"], made["body"]["rating"]) == ("review", 5)
    assert house.request("POST", path, {"verdict": "rate", "note": "good", "rating": 6}, eve).status == 422
    assert house.request("POST", path, {"verdict": "praise", "note": "good"}, eve).status == 422


def test_a_backup_is_shipped_and_what_is_too_old_goes_when_it_is_asked_for(house: Served, tmp_path: Any) -> None:
    say(house, "hello")
    admin = house.token("admin")
    shipped = house.request("POST", "/v1/admin/backup", token=admin)
    assert (shipped.status, shipped.json["files"] > 0, any((tmp_path / "backup").iterdir())) == (200, True, True)
    assert house.request("GET", "/v1/admin/retention", token=admin).json == {"days": {"runs": 30}}
    assert house.request("POST", "/v1/admin/retention", token=admin).json == {"days": [], "held": [], "rows": {}}


def test_without_a_folder_for_it_no_backup_is_shipped(site: Served) -> None:
    refused = site.request("POST", "/v1/admin/backup", token=site.token("admin"))
    assert (refused.status, "backup_to" in refused.json["error"]["message"]) == (409, True)
    assert site.request("POST", "/v1/admin/retention", token=site.token("admin")).json["days"] == []
