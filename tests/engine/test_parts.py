"""The parts of the library's face (people, memory, webhooks) for a host without an event loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound, ReadOnly
from ruche.storage.model.conversation import Profile


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")
    (tmp_path / "agents" / "desk").mkdir(parents=True)
    (tmp_path / "agents" / "desk" / "agent.yaml").write_text("name: Desk\n")
    return tmp_path / "agents"


def test_people_are_linked_without_an_event_loop(tmp_path: Path, agents: Path) -> None:
    with Engine.blocking(tmp_path / "data", agents=agents) as engine:
        engine.chat(agent="desk", user="ada", message="hello")
        link = engine.call("people.link", "default", "ada", "kiosk-7", by="ann")
        assert (link.interlocutor, link.linked) == ("ada", True)
        assert [one.identity for one in engine.call("people.identities", "default", "kiosk-7")] == ["kiosk-7"]
        engine.chat(agent="desk", user="kiosk-7", message="hello")
        page = engine.call("sessions", "default", interlocutor="kiosk-7")
        assert [(one.key.interlocutor, one.turn_count) for one in page.items] == [("ada", 2)]
        profile: Profile = engine.call("people.profile", "default", "kiosk-7")
        assert profile.interlocutor == "ada"
        engine.call("people.unlink", "default", "ada", "kiosk-7", by="ann")
        with pytest.raises(NotFound):
            engine.call("people.profile", "default", "kiosk-7")
        for person, name, error in (("ada", "ada", InvalidRequest), ("ada", "", InvalidRequest),
                                    ("nobody", "kiosk-7", NotFound)):
            with pytest.raises(error):
                engine.call("people.link", "default", person, name, by="ann")


def test_texts_are_filed_and_found_without_an_event_loop(tmp_path: Path, agents: Path) -> None:
    with Engine.blocking(tmp_path / "data", agents=agents) as engine:
        filed = engine.call("memory.index", "default", "ada", "The key is under the mat.", "note")
        assert filed.status == "indexed"
        found = engine.call("memory.query", "default", "ada", "where is the key")
        assert [hit.found.utterance.text for hit in found.hits] == ["The key is under the mat."]
        assert engine.call("memory.drop", "default", "ada", "note") == 1
        assert engine.call("memory.query", "default", "ada", "where is the key").hits == ()
        with pytest.raises(InvalidRequest):
            engine.call("memory.query", "default", "ada", "x" * 2_001)


def test_webhooks_are_made_without_an_event_loop_and_those_of_the_settings_stay(
        tmp_path: Path, agents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUCHE_SECRET_CRM", "s" * 32)
    (tmp_path / "ruche.toml").write_text('[webhooks.crm]\nurl = "https://example.org/x"\nsecret = "CRM"\n')
    monkeypatch.chdir(tmp_path)
    with Engine.blocking(tmp_path / "data", agents=agents) as engine:
        made = engine.call("webhooks.create", "default", "https://example.org/y", by="ann")
        assert (made.state, len(made.secret)) == ("pending", 64)
        assert {hook.url for hook in engine.engine.webhooks.all("default")} == {
            "https://example.org/x", "https://example.org/y"}
        assert engine.engine.webhooks.all("rival") == []
        with pytest.raises(Conflict):
            engine.call("webhooks.resume", "default", made.id)
        with pytest.raises(ReadOnly):
            engine.call("webhooks.delete", "default", "crm")
        with pytest.raises(NotFound):
            engine.call("webhooks.delete", "rival", made.id)
        engine.call("webhooks.delete", "default", made.id)
        assert len(engine.engine.webhooks.all("default")) == 1
