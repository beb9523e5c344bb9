"""Auditing over HTTP: heads and proofs that a caller can check, advisories, erasing a person who is talking."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from ruche.storage import merkle
from ruche.storage.checkpoints import PublicKey, read_checkpoint, read_note
from tests.server.served import Answer, Served


@pytest.fixture
def auditor(site: Served) -> str:
    return site.token("auditor", sub="olga", tenant="default")


def said(site: Served, who: str, text: str = "When do you open?") -> dict[str, Any]:
    answer = site.chat(text, site.token(sub=who))
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.json
    return told


def hashes(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text) for text in texts]


def test_a_caller_checks_a_proof_with_nothing_but_the_public_key(site: Served, auditor: str) -> None:
    run = said(site, "ada")["turn_id"]
    head = site.request("GET", "/v1/audit/head", token=auditor).json
    proof = site.request("GET", f"/v1/audit/proof/{run}", token=auditor).json
    key, note = PublicKey.parse(head["keys"][0]), read_note(proof["checkpoint"])
    assert note.signed_by(key)
    checkpoint = read_checkpoint(note.text)
    leaf, path = base64.b64decode(proof["leaf"]), hashes(proof["path"])
    assert merkle.verify_inclusion(leaf, proof["index"], proof["size"], path, checkpoint.root)
    assert not merkle.verify_inclusion(leaf, proof["index"] + 1, proof["size"], path, checkpoint.root)
    said(site, "ada")
    later = site.request("GET", f"/v1/audit/head?since={head['size']}", token=auditor).json
    assert later["size"] > head["size"]
    assert merkle.verify_consistency(head["size"], later["size"], *hashes([head["root"], later["root"]]),
                                     hashes(later["consistency"]))


def test_a_head_says_what_it_cannot_prove(site: Served, auditor: str) -> None:
    assert site.request("GET", "/v1/audit/head?since=999999", token=auditor).code == "NOT_FOUND"
    assert site.request("GET", "/v1/audit/head?since=-1", token=auditor).status == 422
    assert site.request("GET", "/v1/audit/proof/unknown", token=auditor).status == 404


def test_advisories_are_added_once_and_come_to_a_state(site: Served) -> None:
    run = said(site, "bob")["turn_id"]
    eve, max_ = site.token("operator", sub="eve"), site.token("operator", sub="max")

    def add(token: str, kind: str, note: str, **more: str) -> Answer:
        return site.request("POST", f"/v1/runs/{run}/advisories", {"kind": kind, "note": note, **more}, token)

    first = add(eve, "review", "fine")
    assert (first.status, first.json["author"]) == (201, "human:eve")
    assert add(eve, "review", "fine").json == first.json
    assert add(eve, "promote", "good", subject=first.json["id"]).code == "ADVISORY_NOT_ALLOWED"
    assert add(max_, "promote", "good", subject=first.json["id"]).status == 201
    assert add(max_, "promote", "again").code == "RESOURCE_CONFLICT"
    assert add(eve, "retract", "no").code == "RESOURCE_CONFLICT"
    assert add(eve, "explanation", "x").status == 422
    assert add(eve, "note", "").status == 422
    shown = site.request("GET", f"/v1/runs/{run}/advisories", token=eve).json
    assert [one["kind"] for one in shown["items"]] == ["review", "promote"]
    assert shown["state"] == {"explanation": "NONE", "explained_by": "", "review": "PROMOTED",
                              "reviewed_by": "human:max", "override": None, "approved": True, "notes": 0}


def test_an_erased_person_is_gone_while_others_talk_on(site: Served, auditor: str) -> None:
    """Security item 43: sessions end, ids answer 410, the proof of the run holds on, and the person may come back."""
    admin = site.token("admin", sub="root")
    told, token = said(site, "gone"), site.token(sub="gone")
    other = said(site, "stays")
    session, run = told["session_id"], told["turn_id"]
    proof = site.request("GET", f"/v1/audit/proof/{run}", token=auditor).json
    erased = site.request("DELETE", "/v1/interlocutors/gone?reason=asked", token=admin)
    assert erased.status == 200, erased.body
    assert erased.json["proof"]["kind"] == "erasure"
    for path in (f"/v1/sessions/{session}", f"/v1/sessions/{session}/turns", f"/v1/runs/{run}",
                 f"/v1/runs/{run}/verify", f"/v1/runs/{run}/advisories"):
        answer = site.request("GET", path, token=admin)
        assert (answer.status, answer.code) == (410, "RESOURCE_DELETED"), path
    again = site.request("GET", f"/v1/audit/proof/{run}", token=auditor).json
    assert (again["leaf"], again["index"]) == (proof["leaf"], proof["index"])
    assert site.request("DELETE", "/v1/interlocutors/gone", token=admin).status == 404
    assert site.request("GET", f"/v1/sessions/{other['session_id']}", token=admin).status == 200
    listed = site.request("GET", "/v1/sessions?limit=100", token=admin).json["items"]
    assert session not in [one["id"] for one in listed]
    back = site.chat("When do you open?", token)
    assert back.status == 200
    assert back.json["session_id"] != session


def test_a_person_is_erased_in_the_middle_of_talking(site: Served) -> None:
    admin, token, stop = site.token("admin", sub="root"), site.token(sub="talker"), threading.Event()
    statuses: list[int] = []

    def talk() -> None:
        while not stop.is_set():
            statuses.append(site.chat("When do you open?", token).status)

    said(site, "talker")
    talkers = [threading.Thread(target=talk) for _ in range(2)]
    for one in talkers:
        one.start()
    try:
        done = [site.request("DELETE", "/v1/interlocutors/talker", token=admin).status for _ in range(3)]
    finally:
        stop.set()
        for one in talkers:
            one.join()
    assert done[0] == 200
    assert set(done) <= {200, 404}
    assert set(statuses) <= {200, 503}
    final = site.request("DELETE", "/v1/interlocutors/talker", token=admin)
    assert final.status in (200, 404)
    runs = site.request("GET", "/v1/sessions?interlocutor=talker", token=admin).json
    assert runs["items"] == []
    assert said(site, "talker")["turn_id"]


def test_a_legal_hold_stops_an_erasure(site: Served) -> None:
    admin = site.token("admin", sub="root")
    said(site, "held")

    def hold(held: bool) -> int:
        return site.request("POST", "/v1/interlocutors/held/hold", {"held": held, "reason": "trial"}, admin).status

    assert hold(True) == 204
    assert site.request("DELETE", "/v1/interlocutors/held", token=admin).status == 409
    assert hold(False) == 204
    assert site.request("DELETE", "/v1/interlocutors/held", token=admin).status == 200
    assert site.request("POST", "/v1/interlocutors/nobody/hold", {"held": True, "reason": "x"}, admin).status == 404


def test_names_and_reasons_have_limits(site: Served) -> None:
    admin = site.token("admin", sub="root")
    assert site.request("DELETE", "/v1/interlocutors/" + "x" * 201, token=admin).status == 422
    assert site.request("DELETE", "/v1/interlocutors/a%0Ab", token=admin).status in (400, 422)
    assert site.request("DELETE", "/v1/interlocutors/nobody?reason=" + "x" * 501, token=admin).status == 422
