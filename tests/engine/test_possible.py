"""What is called impossible is impossible: no value makes it true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.authoring.possible import can_be_true, limits_of
from ruche.plugins.expressions import ExpressionError, compile_expression
from ruche.storage.model.field import InterlocutorField

NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -0.5])
ATOMS = st.builds("{} {} {}".format, st.sampled_from(["a", "b"]), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
                  NUMBERS)
ATOMS |= st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["<", ">="]), st.sampled_from(["a", "b"]))
ATOMS |= st.builds("{} {} [{}, {}]".format, st.sampled_from(["a", "b"]), st.sampled_from(["in", "not in"]), NUMBERS,
                   NUMBERS)
ATOMS |= st.sampled_from(["a", "b", "not a", "True", "False", "a + b > 2", "0 < a < 2", "abs(a) > 1"])
TEXTS = st.recursive(ATOMS, lambda inner: st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
                     | st.builds("not ({})".format, inner), max_leaves=6)
VALUES = [number / 2 for number in range(-8, 9)]


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.none() | st.tuples(st.integers(-2, 0), st.integers(0, 2)))
def test_what_is_called_impossible_is_true_for_no_value(text: str, bounds: tuple[int, int] | None) -> None:
    expression = compile_expression(text)
    limits = {} if bounds is None else {"a": (float(bounds[0]), float(bounds[1]))}
    if can_be_true([expression.tree], limits):
        return
    for a in VALUES:
        for b in VALUES:
            if bounds is None or bounds[0] <= a <= bounds[1]:
                assert not expression.evaluate({"a": a, "b": b}), (a, b)


@pytest.mark.parametrize(("text", "possible"), [
    ("a > 1 and a < 1", False), ("a >= 1 and a <= 1", True), ("a > 1 and a <= 1", False), ("a == 1 and a == 2", False),
    ("a == 'x' and a != 'x'", False), ("a in [1, 2] and a > 2", False), ("a in [1, 2] and a > 1", True),
    ("a and not a", False), ("a or not a", True), ("a < 1 and b > 2 or a > 2 and a < 1", True), ("1 < a < 1", False),
    ("not (a < 1 or a >= 1)", False), ("lower(a) == 'x' and lower(a) == 'y'", True), ("a == 0 and a", False),
    ("age > 130", False), ("age > 119", True), ("profile.age < 0", False), ("now.hour == 24", False),
    ("now.hour >= 23", True), ("a == 'x' and a > 5", True),
])
def test_an_expression_is_possible_or_not(text: str, possible: bool) -> None:
    age = InterlocutorField(name="age", type="number", minimum=0, maximum=120)
    assert can_be_true([compile_expression(text).tree], limits_of([age])) is possible


def test_what_would_take_too_long_to_look_through_is_taken_for_possible() -> None:
    many: list[Any] = [f"(a == {number} or b == {number})" for number in range(40)]
    assert can_be_true([compile_expression(" and ".join(many[:12])).tree], {})


def test_an_error_is_no_truth() -> None:
    with pytest.raises(ExpressionError):
        compile_expression("a == 'x' and a > 5").evaluate({"a": "x"})
