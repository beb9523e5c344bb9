"""Expressions: what they mean, what they refuse, and that nothing gets out of them."""

from __future__ import annotations

import string
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import ExpressionError, Undefined, compile_expression

NAMES = {"amount": 60.0, "tier": "VIP", "items": [1, 2], "order": {"status": "open"}, "late": True, "nothing": None,
         "reply": {"amount": 60.0}, "profile": {"tier": "gold"}, "session": {"count": 3}, "now": {"hour": 9}}

# What others have used to leave simpleeval, Python's eval and their kin.
ESCAPES = [
    "().__class__.__bases__[0].__subclasses__()", "''.__class__.__mro__[1]", "tier.__class__", "items.__class__",
    "(lambda: 1).__globals__", "tier.format('{0.__class__}')", "'{0.__class__.__init__.__globals__}'.format(tier)",
    "'{}'.format_map(order)", "f'{tier.__class__}'", "f'{tier!r:>100000000}'", "(x for x in items).gi_frame.f_back",
    "(x for x in items).gi_code", "[x for x in items][0].__class__",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "{x: 1 for x in items}", "{x for x in items}", "[*items]", "len(*items)", "int(**order)", "9**9**9**9",
    "10**3999999*10**3999999", "2**100000", "1<<1000000000", "1 << 9 << 9 << 9", "1>>1", "'a'*1000000000",
    "1000000000*'a'", "[0]*1000000000", "'%500000000d' % 1", "'%s' % tier",
    "tier.center(1000000000)", "tier.split(',')", "tier.join(items)", "tier.encode()", "'x'.zfill(99999999)",
    "__import__('os').system('id')", "import os", "os.system('id')", "eval('1')", "exec('1')", "open('/etc/passwd')",
    "getattr(tier, 'x')", "globals()", "locals()", "vars()", "dir()", "type(tier)", "print(1)", "input()", "help()",
    "breakpoint()", "compile('1','','eval')", "object()", "str.__class__", "len.__self__", "max.__call__(1)",
    "len.__module__", "(len)(tier).real", "(y := 5)", "x = 5", "x; y", "lambda: 0", "yield 1", "await x",
    "async_x and (await x)", "`id`", "items[0:1]", "items[::-1]", "order[tier]", "order['__class__'].x",
    "items.append(1)",
    "reply.__class__", "profile.__init__", "session.__dict__", "now.__class__.__mro__", "reply.amount.real",
    "reply['amount'].real", "_private", "__builtins__", "__name__", "reply", "profile", "session", "len", "max",
    "rand()", "randint(5)", "max(key=len)", "sorted(items)", "list(tier)", "dict()", "set(items)", "tuple(items)",
    "sum(items)", "pow(9, 9)", "chr(1)", "map(len, items)", "operator.attrgetter('x')", "1j", "b'x'", "...", "~1",
    "tier @ tier", "1 & 1", "1 | 1", "1 ^ 1", "tier is None", "tier is not None", "{'a': 1}", "{1, 2}",
    "9223372036854775808", "1e400", "'" + "a" * 501 + "'", "(" * 300, "not " * 400 + "1", "-" * 1000 + "1",
    "1" + "+1" * 250, "[" * 40 + "]" * 40, "a" * 2049, "", "   ", "\x00", "\ud800", "1or 2", "'\\d'", "a b",
    "amount <=",
]


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_every_published_way_out_is_refused_before_it_is_evaluated(text: str) -> None:
    """Security item 19: the corpus of escapes; each refusal names a column."""
    with pytest.raises(ConfigurationError) as refusal:
        compile_expression(text)
    assert refusal.value.details["column"] >= 1


@pytest.mark.parametrize(("text", "value"), [
    ("amount <= 50", False), ("amount <= 50 or tier == 'VIP'", True), ("amount > 50 and not late", False),
    ("reply.amount == amount", True), ("profile.tier in ['gold', 'silver']", True), ("tier not in ('a', 'b')", True),
    ("lower(tier) == 'vip'", True), ("upper(profile.tier)", "GOLD"), ("len(items) * 2 + 1", 5), ("7 // 2 - 7 % 4", 0),
    ("max(1, amount, 3)", 60.0), ("min(items)", 1), ("abs(-3) / 2", 1.5), ("int('12') + float('0.5')", 12.5),
    ("str(5) + 'x'", "5x"), ("bool(items)", True), ("order['status'] == 'open'", True), ("items[1]", 2),
    ("1 < session.count <= 3", True), ("now.hour < 12", True), ("'late' if late else 'fine'", "late"),
    ("late == true and late != false", True), ("nothing == null", True), ("-amount", -60.0),
    ("  amount >= 60", True), ("'IP' in tier", True), ("2 in items", True),
])
def test_an_expression_has_the_value_that_its_author_expects(text: str, value: Any) -> None:
    assert compile_expression(text).evaluate(NAMES) == value


def test_names_are_listed_with_their_namespaces() -> None:
    expression = compile_expression("reply.amount <= limit or lower(profile.tier) == 'vip' and now.hour < 5")
    assert expression.names == {"reply.amount", "limit", "profile.tier", "now.hour"}


@pytest.mark.parametrize(("text", "outcome"), [
    ("missing <= 50 or tier == 'VIP'", True), ("tier == 'VIP' or missing <= 50", True),
    ("missing <= 50 or tier == 'basic'", None), ("tier == 'basic' or missing <= 50", None),
    ("missing <= 50 and tier == 'basic'", False), ("tier == 'basic' and missing <= 50", False),
    ("missing <= 50 and tier == 'VIP'", None), ("tier == 'VIP' and missing", None), ("not missing", None),
    ("profile.missing == 1", None), ("order['missing'] == 1", None), ("items[9] == 1", None),
    ("5 if missing else 6", None), ("not (missing and late == False)", True),
])
def test_an_unknown_name_counts_the_same_in_whichever_order_it_stands(text: str, outcome: bool | None) -> None:
    expression = compile_expression(text)
    if outcome is None:
        with pytest.raises(Undefined) as missing:
            expression.evaluate(NAMES)
        assert "missing" in missing.value.name or "9" in missing.value.name
    else:
        assert expression.evaluate(NAMES) is outcome


@pytest.mark.parametrize("text", [
    "tier < 5", "amount / 0", "amount % 0", "int('x')", "float('nan')", "float('inf') > 1", "len(5)", "lower(5)",
    "max()", "min(items, tier)", "tier - tier", "tier * 2", "str(order)", "tier + 5", "'x' in 5", "amount[0]",
    "abs(tier)",
    "int(" + "'" + "9" * 41 + "')", "-tier",
    "tier * 1000000000", "tier % 5",
])
def test_values_that_do_not_go_together_are_a_typed_error(text: str) -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_expression(text).evaluate(NAMES)
    assert not isinstance(failure.value, Undefined)


@pytest.mark.parametrize("value", [
    object(), len, string, b"x", 2**64, float("inf"), float("nan"), "x" * 100_001, [0] * 1_001, {1, 2}, type,
    (part for part in "x")], ids=range(12))
def test_only_plain_values_of_a_bounded_size_are_read(value: Any) -> None:
    """Security item 19: a host that passes an object by mistake opens nothing."""
    for names in ({"x": value}, {"reply": {"x": value}}):
        with pytest.raises(ExpressionError):
            compile_expression("x == 1" if "x" in names else "reply.x == 1").evaluate(names)


def test_texts_do_not_grow_without_bound() -> None:
    """Security item 19: memory."""
    with pytest.raises(ExpressionError, match="too large"):
        compile_expression("x + x").evaluate({"x": "a" * 60_000})


def test_a_name_outside_the_vocabulary_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match="did you mean amount"):
        compile_expression("amuont <= 50", names={"amount", "tier"})
    assert compile_expression("amount <= 50", names={"amount"}).names == {"amount"}


@pytest.mark.parametrize(("text", "hint", "column"), [
    ("amount = 50", "write ==", 8), ("a && b", "write `and`", 4), ("a || b", "write `or`", 4),
    ("a => 5", "write >=", 3),
    ("a.upper()", "lower(name)", 1), ("x > 1 and tier.x", "only reply., profile.", 11),
    ("x ** 2", "write a product", 1),
])
def test_a_refusal_says_what_to_write_instead_and_where(text: str, hint: str, column: int) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        compile_expression(text)
    assert hint in refusal.value.message
    assert refusal.value.details["column"] == column


def test_one_expression_may_be_evaluated_by_many_threads_at_once() -> None:
    expression = compile_expression("x * 2 == y and (x < limit or y > limit)")
    wrong: list[int] = []

    def work(x: int) -> None:
        wrong.extend(x for _ in range(300) if expression.evaluate({"x": x, "y": 2 * x, "limit": 10**6}) is not True)

    threads = [threading.Thread(target=work, args=(x,)) for x in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def failure(text: str, names: dict[str, Any]) -> Exception | None:
    """What came out of compiling and evaluating, None when nothing was raised."""
    try:
        compile_expression(text).evaluate(names)
    except Exception as error:
        return error
    return None


TOKENS = ["amount", "tier", "reply.amount", "profile.x", "items", "order", "missing", "now", "1", "0", "-1", "2.5",
          "'a'",
          "''", "True", "None", "+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "in", "not in", "and",
          "or",
          "not", "(", ")", "[", "]", ",", ".", "if", "else", "len(", "abs(", "min(", "max(", "lower(", "int(", "str(",
          "float(", "bool(", "lambda", ":", "for", ":=", "=", "__class__", "f'", "{", "}", "\n", "\t", "@", "\\"]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join), st.text(max_size=60)))
def test_whatever_is_written_only_our_own_errors_come_out(text: str) -> None:
    """Security item 19: fuzzed syntax and fuzzed values, 0 foreign exceptions."""
    assert isinstance(failure(text, NAMES), ConfigurationError | ExpressionError | None)


PLAIN = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
                     lambda inner: st.lists(inner, max_size=3)
                     | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                     max_leaves=6)
TEMPLATES = ["x + y", "x - y", "x * y", "x / y", "x // y", "x % y", "x < y", "x == y", "x in y", "x and y",
             "x or not y",
             "-x", "abs(x)", "len(x)", "min(x, y)", "max(x)", "lower(x)", "int(x)", "float(x)", "str(x)", "bool(x)",
             "x[0]", "x['a']", "[x, y]", "x if y else x"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEMPLATES), PLAIN, PLAIN)
def test_whatever_the_values_are_only_our_own_errors_come_out(text: str, x: Any, y: Any) -> None:
    assert isinstance(failure(text, {"x": x, "y": y}), ExpressionError | None)


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=5), st.sampled_from(["and", "or"]),
       st.randoms(use_true_random=False))
def test_the_order_of_operands_never_changes_the_verdict(values: list[bool | None], word: str, shuffler: Any) -> None:
    known = {f"n{place}": value for place, value in enumerate(values) if value is not None}

    def verdict(order: list[int]) -> bool | None:
        try:
            return bool(compile_expression(f" {word} ".join(f"n{place}" for place in order)).evaluate(known))
        except Undefined:
            return None

    order = list(range(len(values)))
    shuffled = order.copy()
    shuffler.shuffle(shuffled)
    assert verdict(order) is verdict(shuffled)
