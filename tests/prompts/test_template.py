"""What a prompt's template means, and what it does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.errors import TemplateError
from orchestrator_nb.prompts.template import OUTPUT_CAP, fill, names


@given(st.text().filter(lambda text: "{{" not in text and "{%" not in text))
def test_a_text_without_template_signs_comes_back_unchanged(text):
    assert fill(text, {}) == text


@given(st.text(), st.text())
def test_a_value_is_put_in_once_and_never_read_as_a_template(value, secret):
    assert fill("<{{ value }}>", {"value": value + "{{ secret }}{% if 1 %}", "secret": secret}) == (
        f"<{value}{{{{ secret }}}}{{% if 1 %}}>"
    )


def test_braces_dollars_and_hash_signs_mean_themselves():
    text = "f'{x}' {#not a comment#} $x ${y} # {'a': {'b': 1} } } {{ v }}"
    assert fill(text, {"v": 1}) == text.replace("{{ v }}", "1")


def test_nothing_is_escaped_for_html():
    assert fill("{{ v }}", {"v": "<b>&"}) == "<b>&"


def test_blocks_on_their_own_lines_leave_no_empty_lines_and_the_last_newline_stays():
    assert fill("a\n{% for x in xs %}\n- {{ x }}\n{% endfor %}\nend\n", {"xs": [1, 2]}) == "a\n- 1\n- 2\nend\n"


def test_an_undefined_name_is_an_error_that_names_the_nearest():
    with pytest.raises(TemplateError, match=r"'topik' in the prompt is not defined; did you mean 'topic'\?"):
        fill("{{ topik }}", {"topic": 1, "other": 2})


def test_a_name_may_be_asked_for_without_being_defined():
    assert fill("{% if extra is defined %}{{ extra }}{% endif %}ok", {}) == "ok"
    assert fill("{{ extra | default('none') }}", {}) == "none"


def test_a_missing_attribute_is_an_error():
    with pytest.raises(TemplateError, match="no attribute 'b'"):
        fill("{{ a.b }}", {"a": {}})


def test_a_syntax_error_names_the_line():
    with pytest.raises(TemplateError, match="line 3 of the prompt"):
        fill("one\ntwo\n{% if %}", {})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ f.__globals__ }}",
        "{{ x.append(1) }}",
        "{% include 'secret' %}",
        "{{ 1 / 0 }}",
        "{{ lipsum }}",
        "{{ cycler }}",
        "{{ f() }}",
    ],
)
def test_what_a_template_may_not_do_is_a_template_error(text):
    def broken():
        raise KeyError("no")

    with pytest.raises(TemplateError):
        fill(text, {"x": [], "f": broken})


def test_the_output_is_capped():
    with pytest.raises(TemplateError, match="longer than"):
        fill("{% for i in range(1000) %}{{ s }}{% endfor %}", {"s": "x" * (OUTPUT_CAP // 500)})


def test_names_are_the_variables_needed_from_outside():
    assert names("{{ a }} {% for x in xs %}{{ x }}{% endfor %}{% set y = b %}{{ y }} {{ range(3) }}") == {
        "a",
        "b",
        "xs",
    }
    assert names("plain {x}") == frozenset()


@pytest.mark.alone
def test_ten_thousand_rows_fill_in_seconds():
    start = time.process_time()
    for number in range(10_000):
        fill("Classify {{ text }} of {{ year }}\n{% if year > 3 %}late{% endif %}", {"text": "x", "year": number})
    assert time.process_time() - start < 5
