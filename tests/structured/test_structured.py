"""Schemas from what users write, and values from what models write."""

import json
from enum import Enum

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestrator_nb.errors import UserError
from orchestrator_nb.structured import AnswerError, json_schema_of, parse

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
words = st.from_regex(r"[a-z]{1,5}( [a-z]{1,5})?", fullmatch=True)
simple = st.sampled_from(
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
    ]
) | st.lists(words, min_size=1, max_size=3, unique=True).map(
    lambda values: (f"enum({'|'.join(values)})", {"type": "string", "enum": values})
)
types = st.recursive(
    simple,
    lambda inner: inner.map(lambda pair: (f"list[{pair[0]}]", {"type": "array", "items": pair[1]})),
    max_leaves=3,
)
fields = st.tuples(names, st.none() | types, st.booleans(), st.none() | words)


@given(st.lists(fields, min_size=1, max_size=5, unique_by=lambda field: field[0]), st.sampled_from([", ", ",", "\n"]))
def test_the_short_form_means_the_schema_that_its_grammar_says(written, separator):
    text = separator.join(
        f"{name}{f' {kind[0]}' if kind else ''}{'?' if optional else ''}{f': {about}' if about else ''}"
        for name, kind, optional, about in written
    )
    assert json_schema_of(text) == {
        "type": "object",
        "properties": {
            name: {**(kind[1] if kind else {"type": "string"}), **({"description": about} if about else {})}
            for name, kind, _, about in written
        },
        "required": [name for name, _, optional, _ in written if not optional],
        "additionalProperties": False,
    }


def test_lines_may_hold_commas_in_their_descriptions():
    schema = json_schema_of("name: first, then last\nage int: in years, rounded")
    assert schema["properties"]["name"]["description"] == "first, then last"
    assert schema["required"] == ["name", "age"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name, age itn", "position 11: unknown type 'itn'; did you mean 'int'?"),
        ("age integer", "did you mean 'int'?"),
        ("a list[strr]", "unknown type 'strr'; did you mean 'str'?"),
        ("a,, b", "position 3"),
        ("a, a", "position 4: the field 'a' occurs twice"),
        ("a enum(x|x)", "different values"),
        ("a enum()", "different values"),
        ("1a", "position 1: '1a' is not a field"),
        ("a int\nb itn", "line 2"),
        ("", "the schema is empty"),
        ('{"type": ', "not JSON at line 1"),
        ('{"type": "array"}', "top level must be an object"),
        ('{"type": "objct"}', "not valid at $.type"),
        ('{"type": "object", "properties": {"a": {"$ref": "http://example.com/x"}}}', "outside of it"),
        ('{"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}', "does not define"),
        ("Persn", "did you mean 'Person'?"),
        ("Nothing", "define the pydantic model"),
    ],
)
def test_a_wrong_schema_is_one_sentence_with_the_place_and_the_nearest(text, words):
    class Person(BaseModel):
        name: str

    with pytest.raises(UserError) as refusal:
        json_schema_of(text, {"Person": Person})
    assert words in str(refusal.value)


def test_a_pydantic_model_is_meant_by_its_class_or_its_name():
    class Mood(Enum):
        good = "good"
        bad = "bad"

    class Person(BaseModel):
        name: str
        mood: Mood
        age: int | None = None

    schema = json_schema_of("Person", {"Person": Person})
    assert schema == json_schema_of(Person)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "mood"]
    assert parse('{"name": "Ada", "mood": "good"}', schema) == {"name": "Ada", "mood": "good"}
    with pytest.raises(AnswerError, match=r"\$\.mood"):
        parse('{"name": "Ada", "mood": "odd"}', schema)


def test_a_class_that_is_no_pydantic_model_is_refused():
    with pytest.raises(UserError, match="'int' is not a pydantic model"):
        json_schema_of(int)


def test_json_schema_text_and_dict_mean_the_same_and_their_objects_are_closed():
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "integer"}}}}}
    closed = json_schema_of(schema)
    assert closed == json_schema_of(json.dumps(schema)) == json_schema_of("spec", {"spec": schema})
    assert closed["additionalProperties"] is closed["properties"]["a"]["additionalProperties"] is False
    assert "additionalProperties" not in schema


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, st.sampled_from(["{}", "\n {} \t", "```json\n{}\n```", " ```\n{}\n```\n"]))
def test_json_is_read_back_bare_or_in_one_fence(value, around):
    assert parse(around.replace("{}", json.dumps(value))) == value


@given(st.text())
def test_any_text_is_a_value_or_an_answer_error(text):
    refused = None
    try:
        parse(text)
    except AnswerError as error:
        refused = error
    assert refused is None or (refused.kind == "invalid_json" and len(str(refused)) < 400)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("Sure! {}", "line 1, column 1"),
        ("{} {}", "Extra data"),
        ("```json\n{}\n```\n```json\n{}\n```", "not JSON"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * 100_000, "deeper than 64"),
        ("9" * 4301, "4,301 digits"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_the_reason(text, words):
    with pytest.raises(AnswerError) as refusal:
        parse(text)
    assert refusal.value.kind == "invalid_json"
    assert words in str(refusal.value)


def test_brackets_in_strings_are_not_nesting_and_64_levels_are_fine():
    assert parse(json.dumps(["[" * 500]))[0] == "[" * 500
    assert parse("[" * 64 + "]" * 64)


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    assert parse(r'{"a": "\ud83d\ude00 \ud800"}') == {"a": "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"name": "a"}', '$: "age"'),
        ('{"name": "a", "age": "x"}', "$.age"),
        ('{"name": "a", "age": 1, "tags": ["x", 2]}', "$.tags[1]"),
        ('{"name": "a", "age": 1, "more": 2}', "more"),
        ("[]", "$"),
    ],
)
def test_a_value_that_the_schema_refuses_names_the_path(text, path):
    with pytest.raises(AnswerError) as refusal:
        parse(text, json_schema_of("name, age int, tags? list[str]"))
    assert refusal.value.kind == "schema"
    assert path in str(refusal.value)


def test_every_schema_we_make_is_a_valid_schema():
    assert jsonschema_rs.meta.is_valid(json_schema_of("a, b int?, c list[enum(x|y)]: why"))


def test_a_slip_in_the_name_of_a_schema_is_not_taken_for_a_field():
    namespace = {"person": {"type": "object", "properties": {"name": {"type": "string"}}}}
    with pytest.raises(UserError, match="no schema 'persn' in the notebook; did you mean 'person'"):
        json_schema_of("persn", namespace)
    assert list(json_schema_of("persn str", namespace)["properties"]) == ["persn"]
    assert list(json_schema_of("mood", namespace)["properties"]) == ["mood"]
