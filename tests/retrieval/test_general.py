"""Rules that may fire together know what people mean before their author has given a single example."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.embedders.minilm import MiniLmEmbedder
from ruche.plugins.errors import ConfigurationError
from ruche.storage.index import general
from ruche.storage.index.agent import AgentIndex, Teaching
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.general import Untaught, general_of, packed, shipped
from ruche.storage.index.grams import SIZE, gram_row
from ruche.storage.index.passages import Passage
from ruche.storage.index.telling import Overlap, telling_texts, telling_words

SENTENCES = {
    "change": "the user wants to change something", "deny": "the user says no",
    "garden": "the user asks something about the garden", "massage": "the user asks something about a massage",
    "person": "the user wants to speak to a person", "towels": "the user asks something about towels",
}


def index(embedder: MiniLmEmbedder | HashingEmbedder, examples: dict[str, tuple[str, ...]] | None = None,
          sentences: dict[str, str] = SENTENCES) -> AgentIndex:
    entries = [Passage("rule", name, text) for name, said in sentences.items()
               for text in (said, *(examples or {}).get(name, ()))]
    telling = embedder.encode(telling_texts([sentences[name] for name in sorted(sentences)]))
    teaching = Teaching(embedder.rule_threshold, embedder.encode(BACKGROUND), True, shipped(embedder.name),
                        telling=telling)
    return AgentIndex(entries, embedder.encode([entry.text for entry in entries]), teaching)


def fired(agent: AgentIndex, embedder: MiniLmEmbedder, text: str) -> set[str]:
    found = agent.search(embedder.encode([text])[0], text, 10)["rule"]
    return {name for name, score in zip(found.ids, found.scores, strict=True) if score >= embedder.rule_threshold}


@pytest.mark.parametrize(("text", "meant"), [
    ("let me speak to a human being", {"person"}),
    ("no, I didn't say that", {"deny"}),
    ("could you change my massage to another hour", {"change", "massage"}),
    ("are the towels fresh", {"towels"}),
    ("how is the garden", {"garden"}),
    ("who painted the ceiling of that chapel", set()),
])
def test_without_an_example_all_that_is_meant_fires_and_nothing_else(
        minilm: MiniLmEmbedder, text: str, meant: set[str]) -> None:
    agent = index(minilm)
    assert agent.several
    assert fired(agent, minilm, text) == meant


def test_examples_move_a_rule_step_by_step(minilm: MiniLmEmbedder) -> None:
    said = "my back is killing me"
    vector = minilm.encode([said])[0]
    examples = (said, "my shoulders are stiff", "everything aches", "my neck hurts so much", "I am all tense")
    scores = []
    for count in (0, 2, 5):
        found = index(minilm, {"massage": examples[:count], "towels": ("they are wet",) * min(count, 1)}).search(
            vector, said, 10)["rule"]
        scores.append(dict(zip(found.ids, found.scores, strict=True))["massage"])
    assert scores[0] < scores[1] < scores[2]


def test_other_embedders_go_by_likeness_alone() -> None:
    embedder = HashingEmbedder()
    assert shipped(embedder.name) is None
    assert not index(embedder).several


def test_one_rule_and_many_alike_have_finite_scores(minilm: MiniLmEmbedder) -> None:
    for sentences in ({"only": "the user says no"}, {f"r{n}": "the user says no" for n in range(5)}):
        found = index(minilm, sentences=sentences).search(minilm.encode(["no"])[0], "no", 10)["rule"]
        assert bool(np.isfinite(found.scores).all())
        assert len(set(found.scores)) == 1


def test_only_sentences_that_mean_the_same_are_decided_by_a_shipped_head(minilm: MiniLmEmbedder) -> None:
    names = sorted(SENTENCES)
    found = shipped(minilm.name)
    assert found is not None
    rows = minilm.encode([SENTENCES[name] for name in names])
    rules = Untaught([SENTENCES[name] for name in names], rows, rows, minilm.encode(BACKGROUND), found)
    assert [name for name, known in zip(names, rules.known.tolist(), strict=True) if known] == [
        "change", "deny", "person"]


def test_telling_words_are_those_that_few_rules_have() -> None:
    sentences = [f"is it about the {word}?" for word in ("swimming pool", "room service", "wifi", "pets", "the spa")]
    assert telling_words(sentences)[:2] == [["swimming", "pool"], ["room", "service"]]
    assert telling_texts(["is it about the"]) == ["is it about the"]


def test_a_telling_word_is_recognised_in_its_other_forms() -> None:
    overlap = Overlap(["cancelling a booking", "the parking"])
    assert overlap.shares(["cancel"]).share.tolist() == [0.5, 0.0]
    assert overlap.shares(["park", "can"]).share.tolist() == [0.0, 1.0]


def test_one_of_several_alternatives_is_enough() -> None:
    overlap = Overlap(["is it about a transfer, payment or deposit?", "the parking", "a bed, which is broken"])
    for word in ("transfer", "payment", "deposit"):
        assert overlap.shares([word]).share.tolist() == [1.0, 0.0, 0.0]
    assert overlap.shares(["bed"]).share[2] == 0.5


def test_a_rare_word_tells_more_than_one_that_other_rules_have_too() -> None:
    overlap = Overlap(["the savings account", "the business account", "the parking", "a massage"])
    assert overlap.shares(["saving"]).share[0] > 0.5 > overlap.shares(["account"]).share[0]


def test_words_of_a_rule_of_which_everything_was_said_tell_nothing_for_another() -> None:
    overlap = Overlap(["the account", "the savings account", "the parking"])
    shares = overlap.shares(["account"])
    assert shares.share[1] > 0.0
    assert shares.own.tolist() == [1.0, 0.0, 0.0]
    assert overlap.shares(["saving", "account"]).own.tolist() == [1.0, 1.0, 0.0]


def test_words_of_a_few_letters_and_their_order_count_for_what_people_mean_everywhere() -> None:
    rows = [gram_row(text) for text in ("no", "not now", "now not", "", "a" * 5_000)]
    assert [round(float(np.linalg.norm(row)), 4) for row in rows] == [1.0, 1.0, 1.0, 0.0, 1.0]
    assert len({row.tobytes() for row in rows}) == 5
    assert bool((gram_row("Not now!") == rows[1]).all())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.lists(st.text(max_size=12), max_size=6))
def test_shares_of_any_words_lie_between_0_and_1(sentences: list[str], asked: list[str]) -> None:
    shares = Overlap(sentences).shares(asked)
    for values in shares:
        assert values.shape == (len(sentences),)
        assert bool(((values >= 0.0) & (values <= 1.0)).all())
    assert bool((shares.own <= shares.share + 1e-9).all())


def test_damaged_parameters_are_refused() -> None:
    content = json.loads(Path(general.__file__).with_name("general.json").read_text(encoding="utf-8"))
    for name, value in (("anchors", "nonsense"), ("transfer", [1.0]), ("heads", [0]),
                        ("weights", packed(np.full((25, 385 + SIZE), np.nan, dtype=np.float32)))):
        with pytest.raises(ConfigurationError, match="damaged"):
            general_of({**content, name: value})


def test_what_is_shipped_holds_numbers_only_and_is_small() -> None:
    path = Path(general.__file__).with_name("general.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content.keys() == {"embedder", "dimensions", "heads", "transfer", "anchors", "weights"}
    assert path.stat().st_size < 300_000
