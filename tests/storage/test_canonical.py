"""One value has one byte form: sorted names, composed letters, no number that JSON lacks; that form is stored."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage.model.canonical import as_written, canonical
from ruche.storage.model.run import Run, digest
from tests.storage.conftest import Opener
from tests.storage.records import Conversation

texts = st.text(alphabet=st.sampled_from(list("ae\u0301\u0308o\u00e9\u00f6\n\"\\n\u1100\u1161 z")), max_size=12)
plain = st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**64 - 1) | texts
                     | st.floats(allow_nan=False, allow_infinity=False),
                     lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
                     max_leaves=8)


@given(plain)
def test_the_form_of_the_form_is_itself(value: Any) -> None:
    form = canonical(value)
    assert canonical(msgspec.json.decode(form)) == form


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6))
def test_the_order_in_which_names_came_does_not_matter(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(texts)
def test_letters_have_one_form_and_nothing_else_changes(text: str) -> None:
    forms = {canonical({"said": unicodedata.normalize(form, text)}) for form in ("NFC", "NFD")}
    assert len(forms) == 1
    assert msgspec.json.decode(forms.pop()) == {"said": unicodedata.normalize("NFC", text)}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [lambda one: one, lambda one: [1, {"x": [one]}],
                                   lambda one: {"a": None, "b": {"c": one}, "big": 2**64 - 1}])
def test_a_number_that_json_lacks_is_refused(number: float, place: Any) -> None:
    with pytest.raises(ValueError, match="finite"):
        canonical(place(number))


@pytest.mark.parametrize("value", [None, [None], {"a": "null"}, b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"])
def test_what_only_looks_like_one_is_kept(value: Any) -> None:
    assert canonical(value) == as_written(value)


def test_a_run_with_such_a_number_is_not_kept_and_the_next_one_is(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    record = talk.turn()
    broken = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, decisions={"x": float("nan")}))
    with pytest.raises(ValueError, match="finite"):
        store.append([broken])
    store.append([record])
    assert store.tenant("acme").verify_session("s1").runs == 1


def test_a_run_in_letters_that_are_not_composed_is_kept_composed_and_its_chain_holds(open_store: Opener) -> None:
    store, talk = open_store(), Conversation()
    for _ in range(3):
        store.append([talk.turn("cafe\u0301\n\u0301", "na\u0308chste", answered=())])
    view = store.tenant("acme")
    assert view.verify_session("s1") == ("s1", 3, ())
    kept, body = view.run("s1-t00001"), view.canonical_run("s1-t00001")
    assert kept is not None
    assert body is not None
    assert (kept.said, kept.reply) == (("caf\u00e9\n\u0301",), "n\u00e4chste")
    assert canonical(kept) == body
    assert hashlib.sha256(body).hexdigest() == digest(kept)
    assert msgspec.json.decode(body, type=Run) == kept
