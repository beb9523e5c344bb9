"""Slips are repaired against the agent's own words, and nothing else is touched."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from ruche.storage.index.passages import vocabulary
from ruche.storage.index.spelling import Spelling, one_slip
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.field import InterlocutorField
from ruche.storage.model.wording import GlossaryTerm

KNOWN = frozenset({"form", "card", "looking"})
TEXTS = ("where is my transfer", "my transfer failed", "the invoice is wrong", "block the card")
WORD = st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=12)


def test_a_letter_too_many_missing_wrong_or_swapped_is_repaired() -> None:
    spelling = Spelling(TEXTS)
    for slip in ("transferr", "trasfer", "tranzfer", "tarnsfer"):
        assert spelling.repaired(f"my {slip}!", KNOWN) == ("my transfer!", ((slip, "transfer"),))


def test_what_the_agent_or_the_embedder_knows_stays_as_it_is() -> None:
    spelling = Spelling((*TEXTS, "from the bank"))
    for text in ("the form", "wrong card", "a looking glass", "ab 12345", "Zürich", ""):
        assert spelling.repaired(text, KNOWN) == (text, ())


def test_the_commonest_word_is_meant_and_the_first_in_the_alphabet_among_equals() -> None:
    spelling = Spelling(["paste", "paste", "taste", "haste"])
    assert spelling.repaired("vaste", frozenset()) == ("paste", (("vaste", "paste"),))
    assert Spelling(["taste", "haste"]).repaired("vaste", frozenset()) == ("haste", (("vaste", "haste"),))


def test_without_a_list_of_words_only_long_words_with_the_right_first_letter_are_repaired() -> None:
    spelling = Spelling(TEXTS)
    assert spelling.repaired("crad", None) == ("crad", ())
    assert spelling.repaired("bransfer", None) == ("bransfer", ())
    assert spelling.repaired("trasnfer", None)[0] == "transfer"


def test_a_text_full_of_strange_words_or_a_very_long_one_is_left_alone() -> None:
    words = ["parcels", "invoice", "voucher", "account", "address", "payment", "balance", "deliver", "program"]
    spelling = Spelling(words)
    slips = " ".join(word + "x" for word in words)
    assert spelling.repaired(slips, KNOWN) == (slips, ())
    assert spelling.repaired("invoicex " + "a" * 600, KNOWN)[1] == ()


def test_terms_and_values_of_fields_are_words_of_the_agent() -> None:
    bundle = AgentBundle(id="a", agent=Agent(name="A"), glossary=(GlossaryTerm(term="escrow", definition="held"),),
                         fields=(InterlocutorField(name="town", allowed=("Vienna",)),))
    assert Spelling(vocabulary(bundle)).repaired("escorw in Viena", KNOWN)[0] == "escrow in vienna"


@given(WORD, WORD)
def test_one_slip_is_damerau_distance_one(left: str, right: str) -> None:
    assert one_slip(left, right) == (right in _one_away(left))
    assert one_slip(left, right) == one_slip(right, left)


@given(WORD, st.randoms(use_true_random=False))
def test_every_word_one_away_is_found_to_be_one_away(word: str, source: object) -> None:
    near = sorted(_one_away(word) - {word})
    assert all(one_slip(word, other) for other in near[::7])


def _one_away(word: str) -> set[str]:
    letters = string.ascii_lowercase
    parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    found = {a + b[1:] for a, b in parts if b} | {a + x + b for a, b in parts for x in letters}
    found |= {a + x + b[1:] for a, b in parts if b for x in letters}
    found |= {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
    return found - {word}
