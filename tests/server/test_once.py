"""Writes over HTTP that are sent again with their Idempotency-Key are done once."""

from __future__ import annotations

import threading
from typing import Any

from tests.server.served import Answer, Served


def post(site: Served, path: str, body: Any, key: str, sub: str = "wanda") -> Answer:
    return site.request("POST", path, body, site.token("agent_author", sub=sub), {"Idempotency-Key": key})


def test_the_same_write_again_is_answered_as_the_first_time_and_done_once(site: Served) -> None:
    begin = {"id": "once", "agent": {"name": "Once"}}
    first, again = post(site, "/v1/agents", begin, "k-1"), post(site, "/v1/agents", begin, "k-1")
    assert (first.status, again.status, again.body, again.headers["etag"]) == (
        201, 201, first.body, first.headers["etag"])
    rule = {"id": "r", "if": "somebody asks", "then": "Answer."}
    made = post(site, "/v1/agents/once/rules", rule, "k-2")
    site.request("DELETE", "/v1/agents/once/rules/r", token=site.token("agent_author", sub="wanda"))
    assert post(site, "/v1/agents/once/rules", rule, "k-2").body == made.body
    left = site.request("GET", "/v1/agents/once/rules", token=site.token("agent_author", sub="wanda"))
    assert left.json["items"] == []


def test_the_key_with_another_body_or_address_is_a_conflict(site: Served) -> None:
    post(site, "/v1/agents", {"id": "twice", "agent": {"name": "Twice"}}, "k-3")
    other = post(site, "/v1/agents", {"id": "twice", "agent": {"name": "Thrice"}}, "k-3")
    assert (other.status, other.code) == (409, "IDEMPOTENCY_MISMATCH")
    elsewhere = post(site, "/v1/agents/twice/publish", {}, "k-3")
    assert (elsewhere.status, elsewhere.code) == (409, "IDEMPOTENCY_MISMATCH")


def test_a_key_belongs_to_who_sent_it(site: Served) -> None:
    for sub, name in (("xena", "Mine"), ("yves", "Yours")):
        assert post(site, "/v1/agents", {"id": f"own-{sub}", "agent": {"name": name}}, "k-4", sub).status == 201


def test_what_was_refused_may_be_mended_under_its_key(site: Served) -> None:
    assert post(site, "/v1/agents", {"id": "a b", "agent": {"name": "X"}}, "k-5").status == 422
    assert post(site, "/v1/agents", {"id": "mended", "agent": {"name": "X"}}, "k-5").status == 201


def test_the_same_write_at_the_same_time_is_done_once(site: Served) -> None:
    post(site, "/v1/agents", {"id": "race", "agent": {"name": "Race"}}, "k-6")
    answers = list[Answer]()
    rule = {"id": "r", "if": "somebody asks", "then": "Answer."}
    threads = [threading.Thread(target=lambda: answers.append(post(site, "/v1/agents/race/rules", rule, "k-7")))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(one.status, one.body, one.headers["etag"]) for one in answers} == {
        (201, answers[0].body, answers[0].headers["etag"])}


def test_a_key_of_other_signs_is_refused(site: Served) -> None:
    assert post(site, "/v1/agents", {"id": "x", "agent": {"name": "X"}}, "k" * 201).status == 422
