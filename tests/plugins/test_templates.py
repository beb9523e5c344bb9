"""Templates: what they show, what they refuse, and that nothing gets out of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.errors import ConfigurationError
from ruche.plugins.templates import TemplateError, compile_template

VALUES = {"name": "Ann", "total": 1234.5, "items": ["a", "b"], "order": {"id": "A1", "lines": [{"n": 1}, {"n": 2}]},
          "late": True, "nothing": None, "profile": {"tier": "gold"}, "count": 3.0}

# Published ways out of Jinja's sandbox, and ways to exhaust it.
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ [].__class__ }}", "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}", "{{ ()|attr('__class__')|attr('__base__') }}", "{{ name.format(name) }}",
    "{{ '{0.__class__}'.format(name) }}", "{{ ('{0.__class__}'|attr('format'))(name) }}", "{{ '%s' % name }}",
    "{{ '%s'|format(name) }}", "{{ lipsum.__globals__ }}", "{{ lipsum() }}", "{{ cycler('a').next() }}",
    "{{ joiner() }}", "{{ namespace(a=1) }}", "{{ dict(a=1) }}", "{{ range(100000) }}", "{{ self.__init__ }}",
    "{{ self }}",
    "{{ config }}{{ config.items() }}", "{{ request.application() }}", "{{ url_for('x') }}",
    "{{ get_flashed_messages() }}",
    "{{ order.items() }}", "{{ order.update({}) }}", "{{ items.append(1) }}", "{{ name.upper() }}",
    "{{ 'a' * 200000000 }}",
    "{{ 10 ** 10 ** 10 }}", "{{ 7 // 2 }}", "{{ 7 / 2 }}", "{{ 7 % 2 }}", "{{ [0] * 9 }}", "{{ {'a': 1} }}",
    "{{ name[0:1] }}",
    "{{ name|center(1000000000) }}", "{{ name|indent(100000) }}", "{{ items|map('upper') }}", "{{ items|batch(3) }}",
    "{{ items|groupby('x') }}", "{{ items|sort(attribute='x') }}", "{{ name|replace('a', 'b') }}",
    "{{ name|xmlattr }}",
    "{{ name|pprint }}", "{{ name|tojson }}", "{{ name|urlize }}", "{{ name|wordwrap(1) }}", "{{ items|sum }}",
    "{% for i in range(10) %}{% endfor %}", "{% for i in items recursive %}{{ loop(i) }}{% endfor %}",
    "{% for i in items %}{% for j in items %}x{% endfor %}{% endfor %}", "{% for a, b in items %}{% endfor %}",
    "{% for i in items if i %}{% endfor %}", "{% for i in 'abc' %}{% endfor %}",
    "{% for i in items %}{{ loop.index }}{% endfor %}",
    "{% for i in items %}{{ items|join }}{% endfor %}", "{% for self in items %}{% endfor %}",
    "{% set x = 1 %}", "{% set x.y = 1 %}", "{% macro m() %}{% endmacro %}", "{% call m() %}{% endcall %}",
    "{% import 'os' as os %}", "{% from 'x' import y %}", "{% include 'x' %}", "{% extends 'x' %}",
    "{% block b %}{% endblock %}",
    "{% filter upper %}x{% endfilter %}", "{% with a = 1 %}{% endwith %}", "{% autoescape true %}{% endautoescape %}",
    "{% do 1 %}", "{% print(1) %}x{% debug %}", "{{ x is eq 1 }}", "{{ x is filter }}", "{{ x is divisibleby 3 }}",
    "{{ __builtins__ }}", "{{ _x }}", "{{ order._x }}", "{{ order['_x'] }}", "{{ order[name] }}", "{{ caller() }}",
    "{{ super() }}", "{{ varargs }}", "{{ name|default(name=1) }}", "{{ name|truncate(1, 2) }}",
    "{{ name|join(*items) }}",
    "{{ (name).x }}{{ (name ~ name).x }}", "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "{{ " + "-" * 3000 + "1 }}",
    "{{ " + "not " * 100 + "name }}", "{{ name }}" * 600, "x" * 16_385, "{{ " + "1" * 40 + " }}", "{{ 'a", "{{ }}",
    "{% if %}",
    "{% if late %}", "{{ name", "{# open", "{{ name }} {% endif %}",
]


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_every_published_way_out_is_refused_before_it_is_rendered(text: str) -> None:
    """Security item 21: the corpus of escapes; each refusal names a line."""
    with pytest.raises(ConfigurationError) as refusal:
        compile_template(text)
    assert refusal.value.details["line"] >= 1


@pytest.mark.parametrize(("text", "shown"), [
    ("Hello {{ name }}.", "Hello Ann."), ("{{ total|money }} and {{ total|round(0)|int }}", "1,234.50 and 1234"),
    ("{{ items|join(' and ') }}, {{ items }}", "a and b, a, b"), ("{{ order.id }}{{ order['id'] }}", "A1A1"),
    ("{% if late %}Late.{% else %}Fine.{% endif %}", "Late."), ("{{ 'soon' if late else 'now' }}", "soon"),
    ("{% for line in order.lines %}{{ line.n }};{% endfor %}", "1;2;"), ("{{ missing|default('there') }}", "there"),
    ("{{ nothing }}|{{ nothing|default('x') }}", "|x"), ("{{ count }}", "3"), ("{{ late }}", "yes"),
    ("{{ profile.tier|upper }}", "GOLD"), ("{single} braces { stay }", "{single} braces { stay }"),
    ("{% if name is defined and missing is not defined %}ok{% endif %}", "ok"), ("{{ name|truncate(2) }}", "A…"),
    ("{{ items|first }}{{ items|last }}{{ items|length }}", "ab2"), ("{{ total + 1 - 2 }}", "1233.5"), ("", ""),
    ("{{ name ~ '!' }}", "Ann!"), ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"), ("plain\n", "plain\n"),
    ("{{ ' x '|trim|capitalize }}{{ 'a b'|title }}{{ 'A'|lower }}{{ 5|string }}", "XA Ba5"),
])
def test_a_template_shows_what_its_author_expects(text: str, shown: str) -> None:
    assert compile_template(text).render(VALUES) == shown


@pytest.mark.parametrize(("language", "long", "short"), [
    ("en", "Thursday, 8 January 2026", "8 Jan 2026"), ("de", "Donnerstag, 8. Januar 2026", "8.1.2026"),
    ("fr", "jeudi 8 janvier 2026", "08/01/2026"), ("es", "jueves, 8 de enero de 2026", "8/1/2026"),
    ("it", "giovedì 8 gennaio 2026", "8/1/2026"), ("nl", "donderdag 8 januari 2026", "8-1-2026"),
    ("pt-BR", "quinta-feira, 8 de janeiro de 2026", "08/01/2026"), ("ja", "2026-01-08", "2026-01-08")])
def test_a_date_is_written_in_the_language_of_the_conversation(language: str, long: str, short: str) -> None:
    values = {"day": "2026-01-08", "session": {"language": language}}
    assert compile_template("{{ day | date }}").render(values) == long
    assert compile_template("{{ day | date('long') }}").render(values) == long
    assert compile_template("{% if day %}{{ day | date('short') }}{% endif %}").render(values) == short


@pytest.mark.parametrize(("text", "shown"), [
    ("{{ day | date }}", "Sunday, 1 March 2026"), ("{{ none | default('') | date }}", ""),
    ("{{ day | date('short') | upper }}", "1 MAR 2026"), ("{{ at | date }}", "Sunday, 1 March 2026")])
def test_a_date_needs_no_language(text: str, shown: str) -> None:
    assert compile_template(text).render({"day": "2026-03-01", "at": "2026-03-01T10:00"}) == shown


@pytest.mark.parametrize(("language", "first"), [("fr", "dimanche 1er mars 2026"), ("it", "domenica 1º marzo 2026")])
def test_the_first_of_a_month_has_its_own_form(language: str, first: str) -> None:
    values = {"day": "2026-03-01", "session": {"language": language}}
    assert compile_template("{{ day | date }}").render(values) == first


@pytest.mark.parametrize("text", ["{{ missing | date }}", "{{ word | date }}", "{{ number | date }}",
                                  "{{ day | date('wide') }}", "{{ day | date(3) }}", "{{ long | date }}"])
def test_what_is_no_date_is_a_template_error(text: str) -> None:
    values = {"word": "tomorrow", "number": 5, "day": "2026-03-01", "long": "2026-03-01" * 2_000}
    with pytest.raises(TemplateError):
        compile_template(text).render(values)


def test_the_language_of_dates_is_no_name_for_authors() -> None:
    with pytest.raises(ConfigurationError, match="_language is not available"):
        compile_template("{{ _language }}")


def test_names_are_listed_with_their_namespaces_and_without_loop_variables() -> None:
    text = "{{ a }}{{ profile.tier }}{{ order.id.x }}{% for i in items %}{{ i }}{{ b }}{% endfor %}"
    template = compile_template(text)
    assert template.names == {"a", "profile.tier", "order", "items", "b"}


@pytest.mark.parametrize("text", [
    "{{ missing }}", "{{ order.missing }}", "{{ name.upper }}", "{{ order.items }}", "{{ items.append }}",
    "{{ name.x }}",
    "{{ total.real }}", "{% if missing %}x{% endif %}", "{% for i in missing %}{% endfor %}",
    "{% for i in total %}{% endfor %}",
    "{{ name - 1 }}", "{{ name|round }}", "{{ total|join }}", "{{ nothing|first }}", "{{ total|round(100) }}",
    "{{ items[7] }}", "{{ name[0] }}", "{{ name|truncate('x') }}",
])
def test_a_value_that_is_missing_or_wrong_is_a_template_error(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(text).render(VALUES)


class Loud(str):
    """A text that would run code when it is looked at."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("a method of a value ran")

    __html__ = __str__


@pytest.mark.parametrize("value", [object(), Loud("x"), len, {"a": object()}, [Loud("x")], 2**64, {1, 2}, "x" * 40_000,
                                   list(range(501)), [[0] * 300, [0] * 300]], ids=range(10))
def test_only_plain_values_of_a_bounded_size_are_shown(value: Any) -> None:
    """Security item 21: no value brings code into a template."""
    with pytest.raises(TemplateError, match="plain value"):
        compile_template("{{ x }}").render({"x": value})


def test_a_rendering_ends_at_32_kilobytes() -> None:
    """Security item 21: output is bounded."""
    template = compile_template("{% for i in items %}{{ text }}{% endfor %}")
    with pytest.raises(TemplateError, match="longer than 32768"):
        template.render({"items": list(range(100)), "text": "x" * 1_000})


def test_what_a_person_says_is_shown_and_never_read_as_a_template() -> None:
    """Security item 21: a template inside a value stays text."""
    attack = "{{ profile.tier }}{% for i in range(9) %}x{% endfor %}"
    template = compile_template("You said: {{ said }}")
    assert template.render({"said": attack, "profile": {"tier": "gold"}}) == f"You said: {attack}"


def test_an_undefined_value_is_named_in_the_error() -> None:
    with pytest.raises(TemplateError, match="order_id"):
        compile_template("{{ order_id }}").render({})


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "name", "order", ".", "[", "]", "(", ")", "'a'", "|", "upper", "join",
"if",
          "else", "endif", "for", "in", "endfor", "is", "defined", "not", "and", "+", "-", "*", "~", "1", " ", "\n",
          "x"]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join), st.text(max_size=50)))
def test_whatever_is_written_only_our_own_errors_come_out(text: str) -> None:
    """Security item 21: fuzzed templates, 0 foreign exceptions."""
    try:
        found: Any = compile_template(text).render(VALUES)
    except Exception as error:
        found = error
    assert isinstance(found, str | ConfigurationError | TemplateError)
