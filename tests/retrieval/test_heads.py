"""Heads: what examples teach, on which scale, and that an agent without examples is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.embedders import HashingEmbedder
from ruche.storage.index.agent import AgentIndex, Found, Teaching
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.head import WORDS, WORDS_MOST, Head, scaled_to
from ruche.storage.index.lift import Lift
from ruche.storage.index.logistic import MOST_STEPS, fit_each, fit_one, sigmoid, steps_for
from ruche.storage.index.passages import Passage

EMBEDDER = HashingEmbedder()
RULES = {
    "refund": ("the user wants a refund", "give me my money back", "I want my money returned", "pay me back please"),
    "parcel": ("the user asks where the parcel is", "my box has not come", "track my delivery", "where is my order"),
    "hours": ("the user asks for the opening hours", "when do you open", "are you open on monday", "when do you close"),
    "price": ("the user asks for a price", "how much is it", "what does a bag cost", "is it expensive"),
    "plain": ("the user sings a song",),
}


def index(rules: dict[str, tuple[str, ...]], several: bool | None = None, *, taught: bool = True,
          kind: str = "rule", lifted: bool = False) -> AgentIndex:
    entries = [Passage(kind, name, text) for name, texts in rules.items() for text in texts]
    rows = EMBEDDER.encode([entry.text for entry in entries])
    teaching = Teaching(EMBEDDER.rule_threshold, EMBEDDER.encode(BACKGROUND), several)
    lines = dict.fromkeys(("rule", "intent", "scenario"), EMBEDDER.rule_threshold)
    return AgentIndex(entries, rows, teaching if taught else None, lines=lines if lifted else None)


def found(agent: AgentIndex, text: str, kind: str = "rule") -> Found:
    return agent.search(EMBEDDER.encode([text])[0], text, 10, None)[kind]


def scores(agent: AgentIndex, text: str) -> dict[str, float]:
    hits = found(agent, text)
    return dict(zip(hits.ids, hits.scores, strict=True))


def test_examples_teach_which_rule_is_meant_and_others_fall_behind() -> None:
    taught, plain = scores(index(RULES), "when is my money paid back"), scores(index(RULES, taught=False),
                                                                                "when is my money paid back")
    assert max(taught, key=lambda name: taught[name]) == "refund"
    assert taught["refund"] - taught["hours"] > plain["refund"] - plain["hours"]


@pytest.mark.parametrize("several", [False, True])
def test_scores_stay_between_0_and_1_and_an_example_itself_matches(several: bool) -> None:
    agent = index(RULES, several)
    for name, texts in RULES.items():
        hits = scores(agent, texts[-1])
        assert all(0.0 <= score <= 1.0 for rule, score in hits.items() if rule != "plain")
        assert hits[name] == max(hits.values()) >= EMBEDDER.rule_threshold


def test_a_rule_without_examples_keeps_its_likeness_where_each_is_decided_for_itself() -> None:
    for text in ("sing a song", "where is my parcel", "what about a refund"):
        assert scores(index(RULES, several=True), text)["plain"] == scores(index(RULES, taught=False), text)["plain"]


def test_a_rule_without_examples_stands_its_ground_beside_rules_that_have_some() -> None:
    """Above the threshold it is lifted; what did not match by its likeness does not match now."""
    threshold, lifted = EMBEDDER.rule_threshold, 0
    plain, beside = index(RULES, taught=False), index(RULES, several=False, lifted=True)
    for text in ("sing a song", "the user sings", "sing it to the user", "where is my parcel", "what about a refund"):
        before, now = (scores(one, text)["plain"] for one in (plain, beside))
        assert now == before if before < threshold else before <= now <= 1.0
        lifted += now > before
    assert lifted >= 2


@settings(deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=20), st.integers(1, 200))
def test_lifting_keeps_the_order_and_the_line(likeness: list[float], examples: int) -> None:
    values = np.sort(np.array(likeness))
    lift = Lift(np.array([0] * len(values) + [examples]), 0.35)
    lifted = lift(np.append(values, 0.9))
    assert lifted[-1] == 0.9
    assert lift(values[:1], np.array([0])) == lifted[:1]
    lifted = lifted[:-1]
    assert (np.diff(lifted) >= 0.0).all()
    assert ((lifted >= 0.35) == (values >= 0.35)).all()
    assert (lifted[values < 0.35] == values[values < 0.35]).all()
    assert (lifted <= 1.0).all()


PLAIN = {name: texts[:1] for name, texts in RULES.items()}


def test_without_examples_nothing_changes() -> None:
    for text in ("give me the money", "when do you open", ""):
        assert found(index(PLAIN, lifted=True), text) == found(index(PLAIN, taught=False), text)


def test_one_rule_with_examples_does_not_take_the_messages_of_the_others() -> None:
    rules = {**PLAIN, "refund": (*RULES["refund"], "where is my money, it has not come yet, tell me where it is")}
    text = "where is my parcel, it has not come yet"
    assert found(index(rules, taught=False), text).ids[0] == "refund"
    assert found(index(rules, lifted=True), text).ids[0] == "parcel"
    assert found(index(rules, taught=False, kind="scenario", lifted=True), text, "scenario").ids[0] == "parcel"
    before, now = (scores(one, "when do you open") for one in (index(rules, taught=False), index(rules, lifted=True)))
    assert now["refund"] == before["refund"]
    assert {name for name, score in now.items() if score >= EMBEDDER.rule_threshold} == \
        {name for name, score in before.items() if score >= EMBEDDER.rule_threshold}


def test_only_rules_and_intents_learn() -> None:
    for kind, learns in (("rule", True), ("intent", True), ("scenario", False)):
        taught, plain = index(RULES, kind=kind), index(RULES, taught=False, kind=kind)
        assert (found(taught, "my money", kind) != found(plain, "my money", kind)) is learns


def test_rules_that_share_an_example_may_both_be_meant() -> None:
    shared = {**RULES, "angry": ("the user complains", "give me my money back", "this is a shame", "I am angry")}
    together = scores(index(shared), "give me my money back")
    apart = scores(index(shared, several=False), "give me my money back")
    threshold = EMBEDDER.rule_threshold
    assert min(together["angry"], together["refund"]) >= threshold
    assert together["hours"] < threshold
    assert together != apart


def test_scopes_leave_the_scores_of_what_is_left_to_the_same_head() -> None:
    entries = [Passage("rule", name, text, "here" if name == "hours" else None)
               for name, texts in RULES.items() for text in texts]
    rows = EMBEDDER.encode([entry.text for entry in entries])
    agent = AgentIndex(entries, rows, Teaching(0.35, EMBEDDER.encode(BACKGROUND)))
    row = EMBEDDER.encode(["track my delivery"])[0]
    everywhere, here = (agent.search(row, "track my delivery", 10, scopes)["rule"] for scopes in ((), ("here",)))
    assert "hours" not in everywhere.ids
    assert dict(zip(here.ids, here.scores, strict=True)).items() >= dict(
        zip(everywhere.ids, everywhere.scores, strict=True)).items()


def test_the_same_texts_give_the_same_scores_whatever_the_order_of_the_rules() -> None:
    first, second = index(RULES), index(dict(reversed(RULES.items())))
    for text in ("where is it", "when can I have my money"):
        assert found(first, text) == found(second, text)


# --- the fit


def test_a_fit_separates_what_can_be_separated_and_lies_where_its_slope_is_small() -> None:
    source = np.random.default_rng(3)
    rows = np.vstack([source.normal(centre, 0.3, (20, 6)) for centre in np.eye(6)[:3] * 2.0])
    labels = np.repeat(np.arange(3), 20)
    weights = fit_one(rows, labels, 3).weights
    assert ((rows @ weights.T).argmax(axis=1) == labels).all()
    shares = np.exp(rows @ weights.T)
    shares /= shares.sum(axis=1, keepdims=True)
    slope = (shares - np.eye(3)[labels]).T @ rows / 60 + weights / (20.0 * 60)
    assert np.abs(slope).max() < 1e-3
    owned = np.eye(3, dtype=bool)[labels]
    each = fit_each(np.hstack([rows, np.ones((60, 1))]), owned).weights
    assert ((sigmoid(np.hstack([rows, np.ones((60, 1))]) @ each.T) > 0.5) == owned).mean() > 0.97


def test_large_fits_take_fewer_steps_and_the_number_hangs_on_the_size_alone() -> None:
    assert steps_for(100, 384, 10) == MOST_STEPS
    assert steps_for(11_000, 384, 1_000) < MOST_STEPS
    assert steps_for(1_000_000, 384, 10_000) == 3


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 2), min_size=2, max_size=9), st.floats(0.05, 0.9), st.floats(0.1, 0.9))
def test_the_scale_keeps_the_order_and_puts_the_line_on_the_threshold(values: list[float], line: float,
                                                                     threshold: float) -> None:
    scaled = scaled_to(np.array(sorted(values)), line, threshold)
    assert (np.diff(scaled) >= 0.0).all()
    assert ((scaled >= 0.0) & (scaled <= 1.0)).all()
    assert scaled_to(np.array([line]), line, threshold)[0] == pytest.approx(threshold)


@pytest.mark.parametrize(("several", "few", "many"), [(True, 4, 36), (False, 40, 60)])
def test_many_examples_teach_the_order_of_words_that_a_vector_does_not_hold(several: bool, few: int, many: int) -> None:
    """The same words in another order have the same hashed vector; a head of enough examples tells them apart."""
    pairs = [f"{one} {other}" for one in ("parcel", "letter", "invoice", "ticket", "contract", "coat", "bag", "lamp")
             for other in ("bicycle", "window", "mirror", "camera", "ladder", "blanket", "heater", "garden")]

    def rules(count: int) -> dict[str, tuple[str, ...]]:
        there, back = (tuple(f"{pair} {way}" for pair in pairs[:count]) for way in (
            "goes from me to you", "goes to me from you"))
        return {"to": ("the user sends something to somebody", *there),
                "from": ("the user gets something from somebody", *back)}

    for count, told in ((few, False), (many, True)):
        agent = index(rules(count), several)
        first, second = scores(agent, "door key goes from me to you"), scores(agent, "door key goes to me from you")
        assert (first["to"] > first["from"] and second["from"] > second["to"]) is told


def test_words_weigh_more_the_more_examples_there_are() -> None:
    def words(*counts: int) -> float:
        size = len(counts)
        return Head(weights=np.zeros((size, 4), dtype=np.float32), intercepts=None, counts=np.array(counts), share=0.5,
                    own=1.0, line=0.3, threshold=0.3).words

    assert words(0, 0) == words(1, 2) == words(10, 10, 0) == WORDS
    assert WORDS < words(30, 30) < words(100, 0, 100) < words(1_000_000, 1_000_000) == WORDS_MOST
