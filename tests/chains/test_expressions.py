"""What expressions and templates of a chain give, what they refuse, and that no model's answer is ever read as one."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains.expressions import Expression, Template, faults, filled
from orchestrator_nb.chains.functions import FUNCTIONS
from orchestrator_nb.chains.work import ExpressionError

VALUES = {
    "text": "Hello, World",
    "number": 3,
    "yes": True,
    "nothing": None,
    "items": ["b", "a", "b"],
    "scores": [1, 2.5, 4],
    "object": {"title": "T", "my key": 1, "list": [{"n": 1}, {"n": 2}]},
    "draft": "one two three",
}

GIVES = {
    "text": "Hello, World",
    "object.title": "T",
    "object['my key']": 1,
    "object.list[0].n": 1,
    "object.list[-1].n": 2,
    "items[1:]": ["a", "b"],
    "text[:5]": "Hello",
    "number >= 3 and not yes": False,
    "1 < number < 4": True,
    "'b' in items": True,
    "'title' in object": True,
    "'ell' in text": True,
    "5 not in items": True,
    "number + 1.5 - 0.5 * 2 / 4": 4.25,
    "-number": -3,
    "'a' ~ number ~ items": 'a3["b", "a", "b"]',
    "'x' if nothing is none else 'y'": "x",
    "object.absent | default('d')": "d",
    "nothing | default('d')": "d",
    "nothing.part | default('d')": "d",
    "object.absent is defined": False,
    "object.title is defined": True,
    "text is string and number is number and yes is boolean and object is mapping and items is sequence": True,
    "nothing or text": "Hello, World",
    "[1, text]": [1, "Hello, World"],
    "yes == 1": False,
    "true == yes": True,
    "{{ number > 2 }}": True,
    "text | upper": "HELLO, WORLD",
    "items | join('-')": "b-a-b",
    "text | truncate(6)": "Hello…",
    "object | tojson | length": 57,
    "length(text)": 12,
    "contains(text, 'WORLD')": True,
    "contains(items, 'a')": True,
    "starts_with(text, 'hello')": True,
    "ends_with(text, 'WORLD')": True,
    "lower(text)": "hello, world",
    "trim('  a ')": "a",
    "number('about -3.5 of 10')": -3.5,
    "number('7 of 10')": 7,
    "words(draft)": 3,
    "lines('- a\n\n2) b\n  c ')": ["a", "b", "c"],
    "split('a, b,c', ',')": ["a", "b", "c"],
    "chunks('aaa bbb ccc', 8)": ["aaa bbb", "ccc"],
    "chunks('aaaaaaa', 3)": ["aaa", "aaa", "a"],
    "join(items, '')": "bab",
    "first(items)": "b",
    "last(items)": "b",
    "first([])": None,
    "unique(items)": ["b", "a"],
    "flatten([[1], 2, [3, [4]]])": [1, 2, 3, [4]],
    "pluck(object.list, 'n')": [1, 2],
    "sum(scores)": 7.5,
    "mean(scores)": 2.5,
    "min(scores)": 1,
    "max(scores)": 4,
    "round(2.567, 1)": 2.6,
    "round(2.5)": 2,
    "most_common(['Yes.', 'no', 'yes'])": "Yes.",
    "agreement(['Yes.', 'no', 'yes', 'YES!'])": 0.75,
    "agreement([])": 0.0,
    "keys(object)": ["title", "my key", "list"],
    "values(object)[1]": 1,
    "similarity(text, 'hello,   world')": 1.0,
    "similarity(nothing, text)": 0.0,
}


@pytest.mark.parametrize("text", GIVES)
def test_an_expression_gives(text):
    value = Expression.of(text).value(VALUES)
    assert value == GIVES[text]
    assert type(value) is type(GIVES[text])


def test_every_function_of_the_page_has_an_example():
    assert {name for name in FUNCTIONS if not any(f"{name}(" in text for text in GIVES)} <= {"upper"}


def test_a_template_fills_tests_and_loops():
    text = "{% if yes %}\nA {{ number }}\n{% elif text %}\nB\n{% else %}\nC\n{% endif %}\n{% for x in items if x == 'b' %}\n{{ loop.index }}/{{ loop.length }} {{ x }}\n{% else %}\nnone\n{% endfor %}\n$5 {#no#} {x}"
    assert Template.of(text).text(VALUES) == "A 3\n1/2 b\n2/2 b\n$5 {#no#} {x}"


def test_a_lone_expression_keeps_its_value_and_anything_beside_it_makes_a_text():
    assert filled({"a": ["{{ items }}", " {{ items }}", 5, None]}, VALUES) == {
        "a": [["b", "a", "b"], ' ["b", "a", "b"]', 5, None]
    }


def test_a_loops_names_end_with_it():
    assert Template.of("{% for text in items %}{{ text }}{% endfor %} {{ text }}").text(VALUES) == "bab Hello, World"
    assert Template.of("{% for x in y %}{{ x }}{{ z }}{{ loop.index }}{% endfor %}").names == {"y", "z"}


REFUSED = [
    "text.__class__", "text['__class__']", "_x", "text.upper()", "object.list.append(1)", "range(10)", "open('x')", "2 ** 9", "7 % 2", "7 // 2",
    "{'a': 1}", "(1, 2)", "text | replace('a', 'b')", "text | attr('x')", "items | map('upper')", "text is callable", "text is divisibleby 2",
    "lambda: 1", "items[number]", "items[text]", "items[true]", "text[1:number]", "join(items, by='x')", "join(*items)", "similarity('a')", "f(x)(y)",
    "text text", "1 +", "", "a.b.", "((((", "'a", "a }} b", "9" * 5000, "(" * 3000 + "1" + ")" * 3000, "[" * 3000, "not " * 5000 + "true", "loop(x)", "self.x()",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30] or "empty")
def test_an_expression_is_refused_before_it_is_evaluated(text):
    assert faults(text, expression=True)
    with pytest.raises(ExpressionError):
        Expression.of(text)


REFUSED_TEMPLATES = [
    "{% set x = 1 %}", "{% macro m() %}{% endmacro %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}",
    "{% block b %}{% endblock %}", "{% call x() %}{% endcall %}", "{% filter upper %}a{% endfilter %}", "{% with x = 1 %}{% endwith %}",
    "{% for a, b in items %}{% endfor %}", "{% for a in items recursive %}{{ loop(a) }}{% endfor %}", "{% for loop in items %}{% endfor %}",
    "{% for a in items %}{% for b in items %}{% for c in items %}{% endfor %}{% endfor %}{% endfor %}", "{% autoescape true %}{% endautoescape %}",
    "{{ cycler('a').__init__.__globals__ }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ lipsum.__globals__ }}", "{{ namespace() }}", "{% if x %}", "{{ x",
    "{{ self._TemplateReference__context }}", "{{ x|format(y) }}", "{{ '%s' % 'a' }}",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED_TEMPLATES)
def test_a_template_is_refused_before_it_is_evaluated(text):
    assert faults(text, expression=False)


FAILS = {
    "absent": "'absent' is not known here",
    "txt": "did you mean 'text'?",
    "object.titel": "did you mean 'title'?",
    "text.part": "'part' is a part of an object, not of a text",
    "items[9]": "no [9] in a list of 3",
    "text + 'a'": "Join texts with ~",
    "'a' * 10": "takes numbers",
    "items * 10": "takes numbers",
    "1 / 0": "no number",
    "1e308 * 10": "no number",
    "text < 3": "have no order",
    "sum(items)": "takes a number, not a text",
    "mean([])": "not empty",
    "lines(items)": "takes a text, not a list",
    "number('none')": "no number in the text",
    "chunks(text, 0)": "whole number from 1",
    "5 in text": "takes a text",
}


@pytest.mark.parametrize("text", FAILS)
def test_what_cannot_be_evaluated_says_why(text):
    with pytest.raises(ExpressionError) as failure:
        Expression.of(text).value(VALUES)
    assert FAILS[text] in str(failure.value)


@pytest.mark.parametrize("text", ["text", "number", "items", "nothing", "object"])
def test_a_condition_must_be_true_or_false(text):
    with pytest.raises(ExpressionError, match="true or false"):
        Expression.of(text).condition(VALUES)


def test_a_python_object_has_no_parts_and_is_no_value():
    for text in ("x", "x.y", "x.real", "x ~ ''", "length(x)"):
        with pytest.raises(ExpressionError):
            Expression.of(text).value({"x": object()})


@settings(max_examples=60, deadline=None)
@given(
    st.text()
    | st.sampled_from(
        ["{{ secret }}", "{% for x in y %}", "}}{{ 1/0 }}", "{% raw %}", "{{ '{{ secret }}' }}", "\x00", "{{"]
    )
)
def test_whatever_a_model_answers_is_put_in_as_it_is(answer):
    context = {"answer": answer, "secret": "S"}
    assert Template.of("<{{ answer }}>").text(context) == f"<{answer}>"
    again = Template.of("{{ first }}").value({"first": Template.of("{{ answer }}").value(context), "secret": "S"})
    assert again == answer
    assert filled({"a": "{{ answer }}"}, context) == {"a": answer}


BOMBS = [
    "{% for a in many %}{% for b in many %}{% if a == b %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in many %}{{ big }}{% endfor %}",
    "{% for a in many %}{% if big == big ~ 'x' %}{% endif %}{% endfor %}",
    "{% for a in many %}{% if big in big %}{% endif %}{% endfor %}",
    "{% for a in many %}{{ similarity(big, big ~ 'x') }}{% endfor %}",
    "{% for a in many %}{{ lines(big) | length }}{% endfor %}",
    "{% for a in many %}{{ many | tojson | length }}{% endfor %}",
    "{% for a in many %}{{ unique(many) | length }}{% endfor %}",
    "{{ big ~ big ~ big ~ big ~ big }}",
    "{{ chunks(big, 1) }}",
    "{{ chunks(big, 1) | join(big) }}",
    "{{ join(many, big) }}",
    "{{ twin }}",
    "{{ twin == twin }}",
    "{{ deep }}",
    "{{ [twin, twin] }}",
]


@pytest.fixture(scope="module")
def heavy():
    deep = []
    for _ in range(5000):
        deep = [deep]
    twin = ["x"]
    for _ in range(50):
        twin = [twin, twin]  # 2 ** 50 parts, in a few lists
    return {"many": list(range(10_000)), "big": "ab \n" * 250_000, "deep": deep, "twin": twin}


@pytest.mark.parametrize("text", BOMBS)
def test_a_bomb_stops_after_a_fixed_amount_of_work(text, heavy):
    began = time.process_time()
    with pytest.raises(ExpressionError):
        Template.of(text).value(heavy)
    assert time.process_time() - began < 15  # about 2 s on a machine of its own


def test_work_for_a_real_document_is_far_below_the_bound():
    document = "A paragraph of a book, with some words in it.\n\n" * 20_000
    assert len(Expression.of("chunks(d, 12000)").value({"d": document})) > 70
    assert Expression.of("similarity(d, d ~ 'x')").value({"d": document}) > 0.99
    assert (
        len(Template.of("{% for c in chunks(d, 100) %}{{ loop.index }}: {{ c }}\n{% endfor %}").text({"d": document}))
        > 900_000
    )
