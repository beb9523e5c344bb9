"""Advisories: added once, chained, never changed; what they come to, and who may add what."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import merkle
from ruche.storage.advisories import KINDS, NotAllowed, Override, State, body, check, fold
from ruche.storage.entries import entry
from ruche.storage.errors import Conflict, NotFound
from ruche.storage.fields import Clear, Id, Sealed, Stored
from ruche.storage.model.record import AdvisoryAdded
from tests.storage.conftest import Opener
from tests.storage.records import NOW_MS, Conversation


def made(kind: str, number: int = 1, author: str = "human:eve", subject: str = "", note: str = "",
         **more: Any) -> AdvisoryAdded:
    return AdvisoryAdded(tenant="acme", at_ms=NOW_MS + number, id=f"a{number}", run_id="s1-t00000", kind=kind,
                         author=author, body=body(note or f"n{number}", subject, **more))


def kinds(*names: str) -> State:
    return fold([made(name, number) for number, name in enumerate(names)])


# --- in the store ----------------------------------------------------------------------------------------------------


def test_the_same_advisory_twice_is_kept_once(open_store: Opener) -> None:
    store = open_store()
    store.append([Conversation().turn()])
    store.append([made("note", 1, note="same"), made("note", 2, note="same"), made("note", 3, note="other")])
    for _ in range(2):
        store.append([made("note", 4, note="same"), made("review", 5, note="same")])
        store.apply()
    assert [one.id for one in store.tenant("acme").advisories("s1-t00000")] == ["a1", "a3", "a5"]
    assert store.audit.head("acme").size == 4
    assert store.audit.proof("acme", "advisory", "a2") is None


def test_each_advisory_names_the_one_before_it_and_the_first_the_run(open_store: Opener) -> None:
    store = open_store()
    store.append([Conversation().turn(), made("note", 1)])
    store.apply()
    store.append([made("note", 2), made("review", 3)])
    store.close()
    store = open_store()
    store.append([made("note", 4)])
    store.apply()
    previous = None
    for found in list(store._files.days.everything(1_000)):
        collection = store._collections[found.number]
        assert found.values is not None
        if previous is not None:
            assert found.values[collection.columns.index("previous")] == previous.hex()
        previous = merkle.leaf_hash(entry(found.tag, collection, found.values))
        assert previous == found.leaf


def test_an_advisory_on_no_run_or_on_another_tenants_is_refused(open_store: Opener) -> None:
    store = open_store()
    store.append([Conversation().turn()])
    for wrong in (msgspec.structs.replace(made("note"), run_id="s1-t00009"),
                  msgspec.structs.replace(made("note"), tenant="rival")):
        with pytest.raises(NotFound, match="no such run"):
            store.append([wrong])
    assert store.tenant("acme").advisories("s1-t00000") == []


def test_what_is_logged_is_declared_so_that_it_can_be_kept() -> None:
    with pytest.raises(TypeError, match="written once"):
        type("Wrong", (Stored,), {"__annotations__": {"id": Clear[Id], "at_ms": Clear[int], "x": Sealed[bytes]},
                                  "table": "wrong", "key": "id", "logged": "at_ms"}, frozen=True, kw_only=True)
    with pytest.raises(TypeError, match="clear number"):
        type("Wrong", (Stored,), {"__annotations__": {"id": Clear[Id], "x": Sealed[bytes]}, "table": "wrong",
                                  "key": "id", "aged": "id"}, frozen=True, kw_only=True)


# --- the fold --------------------------------------------------------------------------------------------------------


def test_a_run_without_advisories_is_new_and_unexplained() -> None:
    assert fold([]) == State("NONE", "", "NEW", "", None, 0, False)
    assert not fold([]).approved


def test_of_an_erased_run_nothing_stands_but_that() -> None:
    assert fold([made("promote"), made("override", 2)], erased=True) == State(erased=True)


@pytest.mark.parametrize(("names", "status"), [
    (("explanation_requested",), "PENDING"), (("explanation_requested", "explanation_failed"), "ERROR"),
    (("explanation_requested", "explanation"), "READY"), (("explanation", "explanation_requested"), "READY"),
    (("explanation", "explanation_failed"), "READY"), (("explanation_failed", "explanation"), "READY"),
    (("note",), "NONE")])
def test_explanations_are_pending_ready_or_failed(names: tuple[str, ...], status: str) -> None:
    assert kinds(*names).explanation == status


@pytest.mark.parametrize(("names", "status"), [
    (("review",), "REVIEWED"), (("reject",), "REJECTED"), (("promote",), "PROMOTED"),
    (("review", "reject"), "REJECTED"), (("reject", "review"), "REJECTED"), (("reject", "unreject"), "REVIEWED"),
    (("promote", "reject"), "PROMOTED"),
    (("reject", "promote"), "PROMOTED"), (("unreject",), "NEW"), (("reject", "unreject", "reject"), "REJECTED"),
    (("note", "explanation"), "NEW")])
def test_promoted_goes_before_rejected_and_rejected_before_reviewed(names: tuple[str, ...], status: str) -> None:
    found = kinds(*names)
    assert found.review == status
    assert found.approved == (status == "PROMOTED")


def test_every_order_of_a_review_a_rejection_and_a_promotion_ends_promoted() -> None:
    for order in permutations(("review", "reject", "promote", "unreject")):
        assert kinds(*order).review == "PROMOTED"


def test_a_retraction_takes_back_what_it_names_and_nothing_else() -> None:
    added = [made("review", 1), made("override", 2, note="why", policy="p1"), made("promote", 3)]
    assert fold(added).override == Override("a2", "human:eve", "why", "p1")
    assert fold([*added, made("retract", 4, subject="a3")]) == fold(added[:2])
    assert fold([*added, made("retract", 4, subject="a2")]).override is None
    assert fold([*added, made("retract", 4, subject="a9")]) == fold(added)


_some = st.lists(st.sampled_from(KINDS), max_size=12).map(
    lambda names: [made(name, number, subject=f"a{number - 1}" if name == "retract" else "")
                   for number, name in enumerate(names)])


@given(_some)
def test_the_fold_forgets_nothing_but_what_is_retracted_and_depends_on_the_order_alone(added: list[Any]) -> None:
    state = fold(added)
    assert state == fold(iter(added))
    retracted = {one.body["subject"] for one in added if one.kind == "retract"}
    left = [one for one in added if one.id not in retracted and one.kind != "retract"]
    assert fold(left) == state
    assert state.notes == sum(one.kind == "note" for one in left)
    assert state.approved == any(one.kind == "promote" for one in left)


@given(_some, st.sampled_from(["system:policy-1", "model:small"]), st.sampled_from(KINDS))
def test_a_machine_never_approves(added: list[Any], author: str, kind: str) -> None:
    """Whatever came before, what a machine may add leaves review and override as they were."""
    one = made(kind, 99, author)
    try:
        check(one, added)
    except (NotAllowed, Conflict):
        return
    before, after = fold(added), fold([*added, one])
    assert (after.review, after.override) == (before.review, before.override)


def test_nobody_judges_what_they_wrote_themselves() -> None:
    """Security item 7: a reviewer cannot review their own advisory."""
    explained = [made("explanation", 1, "human:eve")]
    for kind in ("promote", "reject", "override"):
        with pytest.raises(NotAllowed, match="their own"):
            check(made(kind, 2, "human:eve"), explained)
        check(made(kind, 2, "human:bob"), explained)
    with pytest.raises(NotAllowed):
        check(made("promote", 3, "human:bob", subject="a2"), [*explained, made("review", 2, "human:bob")])


@pytest.mark.parametrize(("one", "earlier", "error"), [
    (made("approve"), [], NotAllowed), (made("retract"), [], Conflict), (made("retract", subject="a9"), [], Conflict),
    (made("unreject"), [], Conflict), (made("promote", 2, "human:bob"), [made("promote", 1)], Conflict),
    (made("note", subject="a9"), [], Conflict),
    (made("retract", 3, subject="a2"), [made("note", 1), made("retract", 2, subject="a1")], Conflict)])
def test_what_makes_no_sense_is_refused(one: AdvisoryAdded, earlier: list[AdvisoryAdded],
                                        error: type[Exception]) -> None:
    with pytest.raises(error):
        check(one, earlier)
