"""Memory over HTTP: texts are filed, found, replaced, cited in conversations, and gone with their person."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ruche.engine.filing import PIECE_CHARACTERS, pieces
from ruche.storage.model.record import EpisodeKept
from tests.server.served import Answer, Served, served

AGENT = {
    "agent.yaml": "name: Desk\nmemory: true\nunmatched: I do not know.\n",
    "rules.yaml": "- {id: dog, if: the user asks about their dog, examples: [what is my dog called],\n"
                  "   then: 'You wrote: {{ memory_text }}'}\n"}
NOTE = "My dog is called Rex. He is a brown poodle. The vet is in Elm Street."
OTHER = "The heating was repaired in March. The invoice is in the blue folder."


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("memory")
    for name, text in AGENT.items():
        path = root / "agents" / "desk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with served(root / "data", root / "agents", io.StringIO()) as site:
        yield site


def file(house: Served, who: str, text: str, name: str = "note", token: str | None = None, **more: Any) -> Answer:
    return house.request("POST", "/v1/memory/index", {"document_id": name, "text": text, **more},
                         token or house.token(sub=who))


def ask(house: Served, who: str, text: str, token: str | None = None, **more: Any) -> Any:
    found = house.request("POST", "/v1/memory/query", {"query": text, **more}, token or house.token(sub=who))
    assert found.status == 200, found.body
    return found.json


def test_what_is_filed_is_found_with_its_scores_and_all_that_was_said_of_it(house: Served) -> None:
    made = file(house, "ada", NOTE, at="2026-03-01T10:00:00Z", speaker="Ada", source="email", metadata={"page": 3})
    assert (made.status, made.json["status"], len(made.json["chunk_ids"])) == (201, "indexed", 1)
    file(house, "ada", OTHER, "house")
    found = ask(house, "ada", "what is the name of the dog")
    best = found["items"][0]
    assert (best["text"], best["document_id"], best["chunk_id"]) == (NOTE, "note", made.json["chunk_ids"][0])
    assert (best["speaker"], best["source"], best["at"], best["metadata"]) == (
        "Ada", "email", "2026-03-01T10:00:00.000Z", {"page": 3})
    assert [one["rank"] for one in found["items"]] == list(range(len(found["items"])))
    assert found["timings_ms"]["search"] > 0
    assert (len(ask(house, "ada", "dog", k=1)["items"]), found["considered"]) == (1, 2)


def test_an_agent_that_remembers_cites_what_was_filed(house: Served) -> None:
    file(house, "bea", NOTE)
    assert "Rex" in house.chat("what is my dog called", house.token(sub="bea"), agent="desk").json["reply"]


def test_the_same_again_changes_nothing_and_something_else_takes_its_place(house: Served) -> None:
    first = file(house, "cy", NOTE).json["chunk_ids"]
    again = file(house, "cy", NOTE)
    assert (again.status, again.json["status"], again.json["chunk_ids"]) == (200, "skipped", first)
    changed = file(house, "cy", NOTE.replace("Rex", "Bruno"))
    assert (changed.status, changed.json["status"]) == (200, "updated")
    texts = [one["text"] for one in ask(house, "cy", "dog")["items"]]
    assert (len(texts), "Bruno" in texts[0]) == (1, True)
    assert file(house, "cy", NOTE.replace("Rex", "Bruno"), metadata={"page": 1}).json["status"] == "updated"


def test_a_document_is_taken_out_again(house: Served) -> None:
    file(house, "dan", NOTE)
    token = house.token(sub="dan")
    assert house.request("DELETE", "/v1/memory/documents/note", token=house.token(sub="eve")).status == 404
    assert house.request("DELETE", "/v1/memory/documents/note", token=token).status == 204
    assert ask(house, "dan", "dog")["items"] == []
    assert house.request("DELETE", "/v1/memory/documents/note", token=token).status == 404


def test_questions_can_be_limited_to_sources_and_times(house: Served) -> None:
    file(house, "flo", NOTE, at="2026-01-10T00:00:00Z", source="upload")
    file(house, "flo", NOTE, "later", at="2026-02-10T00:00:00+01:00", source="email")
    house.chat("my dog is called Rex", house.token(sub="flo"), agent="desk")

    def documents(**more: Any) -> set[str]:
        return {one["document_id"] for one in ask(house, "flo", "dog", **more)["items"]}

    assert documents(sources=["upload"]) == {"note"}
    assert documents(sources=["upload", "email"]) == {"note", "later"}
    assert documents(since="2026-02-01T00:00:00Z", sources=["upload", "email"]) == {"later"}
    assert documents(until="2026-02-09T23:00:00Z", sources=["upload", "email"]) == {"note"}


def test_nobody_reads_or_writes_the_memory_of_another_but_channels_and_admins(house: Served) -> None:
    file(house, "gus", NOTE)
    for role in ("channel", "admin"):
        token = house.token(role, sub="desk")
        assert file(house, "gus", OTHER, "house", token, interlocutor_id="gus").status in (200, 201)
        assert len(ask(house, "", "dog", token, interlocutor_id="gus")["items"]) == 2
    own = house.token(sub="eve")
    assert file(house, "", NOTE, token=own, interlocutor_id="gus").status == 403
    assert house.request("POST", "/v1/memory/query", {"query": "dog", "interlocutor_id": "gus"}, own).status == 403
    assert house.request("DELETE", "/v1/memory/documents/note?interlocutor=gus", token=own).status == 403
    assert ask(house, "eve", "dog")["items"] == []
    rival = house.token("admin", tenant="rival")
    assert ask(house, "", "dog", rival, interlocutor_id="gus")["items"] == []
    guest = house.token(sub="anonymous-1", agents=["desk"])
    assert file(house, "", NOTE, token=guest).status == 403


def test_an_erasure_takes_what_was_filed(house: Served) -> None:
    file(house, "hal", NOTE)
    assert house.request("DELETE", "/v1/interlocutors/hal", token=house.token("admin")).status == 200
    assert ask(house, "hal", "dog")["items"] == []


def test_linked_names_share_one_memory(house: Served) -> None:
    file(house, "ida", NOTE)
    file(house, "kiosk-1", OTHER, "house")
    house.request("POST", "/v1/interlocutors/ida/identities", {"identity": "kiosk-1"}, house.token("admin"))
    for who in ("ida", "kiosk-1"):
        assert {one["document_id"] for one in ask(house, who, "dog")["items"]} == {"note", "house"}
    house.request("DELETE", "/v1/interlocutors/ida/identities/kiosk-1", token=house.token("admin"))
    assert {one["document_id"] for one in ask(house, "ida", "dog")["items"]} == {"note"}
    assert {one["document_id"] for one in ask(house, "kiosk-1", "dog")["items"]} == {"house"}


@pytest.mark.parametrize(("body", "field"), [
    ({"text": "x"}, "document_id"), ({"document_id": "d"}, "text"), ({"document_id": "d", "text": ""}, "text"),
    ({"document_id": "d", "text": "  \n "}, "text"), ({"document_id": "d", "text": "x" * 50_001}, "text"),
    ({"document_id": "d", "text": "x", "source": "web"}, "source"), ({"document_id": "", "text": "x"}, "document_id"),
    ({"document_id": "d", "text": "x", "metadata": {"a": "x" * 10_240}}, "metadata"),
    ({"document_id": "d", "text": "x", "at": "2026-01-01T00:00:00"}, "at"),
    ({"document_id": "d", "text": "x", "colour": 1}, "colour")], ids=str)
def test_what_cannot_be_filed_is_refused_with_the_field(house: Served, body: dict[str, Any], field: str) -> None:
    refused = house.request("POST", "/v1/memory/index", body, house.token())
    assert (refused.status, refused.json["error"]["details"]["fields"][0]["path"]) == (422, field)


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": " "}, {"query": "x" * 2_001}, {"query": "x", "k": 0},
                                  {"query": "x", "k": 101}, {"query": "x", "sources": ["web"]}], ids=str)
def test_what_is_no_question_is_refused(house: Served, body: dict[str, Any]) -> None:
    assert house.request("POST", "/v1/memory/query", body, house.token()).status == 422


def test_what_other_programs_remembered_is_listed_by_kind(tmp_path: Path) -> None:
    from ruche.engine.config import read_settings
    from ruche.engine.host import key_source
    from ruche.storage.store import Store

    (tmp_path / "agents" / "desk").mkdir(parents=True)
    (tmp_path / "agents" / "desk" / "agent.yaml").write_text("name: Desk\n")
    store = Store.open(tmp_path / "data", key_source(tmp_path / "data", read_settings(environment={}).storage))
    for number, kind in enumerate(("episode", "episode", "wisdom", "companion", "cluster")):
        store.append([EpisodeKept(tenant="default", at_ms=number * 86_400_000, kind=kind,  # type: ignore[arg-type]
                                  id=f"e{number}", interlocutor="ada" if number else "", body=b'{"a":%d}' % number)])
    store.close()
    with served(tmp_path / "data", tmp_path / "agents", io.StringIO()) as site:
        admin = site.token("admin")
        listed = site.request("GET", "/v1/memory/episodes", token=admin).json["items"]
        assert [(one["id"], one["content"]) for one in listed] == [("e1", {"a": 1}), ("e0", {"a": 0})]
        assert [one["id"] for one in site.request("GET", "/v1/memory/episodes?interlocutor=ada",
                                                  token=admin).json["items"]] == ["e1"]
        for name, kept in (("wisdom", "e2"), ("companions", "e3"), ("clusters", "e4")):
            assert [one["id"] for one in site.request("GET", f"/v1/memory/{name}", token=admin).json["items"]] == [kept]
        other = site.token("admin", tenant="rival")
        assert site.request("GET", "/v1/memory/wisdom", token=other).json["items"] == []


@given(some.text(alphabet=some.sampled_from("ab. \n!?é"), min_size=1, max_size=6_000))
def test_pieces_hold_every_word_in_order_and_none_is_too_long(text: str) -> None:
    made = pieces(text)
    assert "".join("".join(made).split()) == "".join(text.split())
    assert all(0 < len(piece) <= PIECE_CHARACTERS for piece in made)
