"""Answers are deterministic, readable, and keep to what the request asks for."""

from __future__ import annotations

import json
from random import Random

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import DOORS, PROMPT, Client

from orchestrator_nb.simulator import Simulator, models
from orchestrator_nb.simulator.asking import tokens
from orchestrator_nb.simulator.instance import instance
from orchestrator_nb.simulator.prose import write


def text(client, prompt, model="claude-haiku-4-5", **body):
    seen = client.ask("anthropic", model=model, body={"messages": [{"role": "user", "content": prompt}], **body})
    return "".join(block.get("text", "") for block in seen.json["content"])


@pytest.mark.parametrize("vendor", DOORS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_gets_the_same_bytes(client, vendor, stream):
    first, second = client.ask(vendor, stream=stream), client.ask(vendor, stream=stream)

    assert first.status == 200
    assert first.body == second.body
    assert first.headers["x-simulated"] == "1"


def test_another_seed_or_prompt_or_model_gets_another_answer(client):
    with Simulator(seed=1) as other:
        answers = {
            text(client, PROMPT, "claude-opus-5-5"),
            text(Client(other), PROMPT, "claude-opus-5-5"),
            text(client, "Why is grass green?", "claude-opus-5-5"),
            text(client, PROMPT, "claude-fable-5-2"),
        }

    assert len(answers) == 4


def test_a_seed_in_the_request_changes_the_answer_and_repeats_it(client):
    def ask(seed):
        return client.ask("openai", model="gpt-4o", body={"seed": seed}).json["choices"][0]["message"]["content"]

    assert len({ask(seed) for seed in range(5)}) > 1
    assert ask(3) == ask(3)


def test_models_differ_in_length_so_that_a_comparison_is_worth_reading(client):
    lengths = [
        len(text(client, PROMPT, model)) for model in ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-fable-5-2")
    ]

    assert lengths == sorted(lengths)
    assert lengths[2] > 2 * lengths[0]


def test_a_lively_simulator_answers_a_repeated_prompt_differently_unless_it_is_seeded():
    with Simulator(lively=True) as sim:
        client = Client(sim)
        free = {
            client.ask("mistral", model="codestral-2508").json["choices"][0]["message"]["content"] for _ in range(4)
        }
        tied = {
            client.ask("mistral", model="codestral-2508", body={"random_seed": 3}).json["choices"][0]["message"][
                "content"
            ]
            for _ in range(3)
        }

    assert len(free) > 1
    assert len(tied) == 1


@pytest.mark.parametrize(
    ("prompt", "fits"),
    [
        ("Is water wet? Answer yes or no.", lambda said: said in ("Yes", "No")),
        ("Describe the sea in one word.", lambda said: len(said.split()) == 1),
        ("What is 17 * 23?", lambda said: said == "391"),
        ("Rate this on a scale of 1 to 5: nice boat", lambda said: 1 <= int(said) <= 5),
        ("Sentiment of: 'I love this wonderful boat'", lambda said: said == "positive"),
        ("Classify as positive, negative or neutral: 'The boat is broken and awful'", lambda said: said == "negative"),
        ("Pick one of: red, green or blue.", lambda said: said in ("red", "green", "blue")),
        ("Explain tides in two sentences.", lambda said: said.count(". ") == 1 and said.endswith((".", "?"))),
        ("Explain tides in exactly 12 words", lambda said: len(said.split()) == 12),
        ("Give four reasons for tides", lambda said: said.count("\n- ") == 4),
        ("Reply with exactly the word OK", lambda said: said == "OK"),
        ("What are the main risks of remote work?", lambda said: "isks of remote work" in said),
        ("Why do ocean tides follow the moon?", lambda said: "ocean" in said.lower()),
    ],
)
def test_the_answer_has_the_form_that_the_prompt_asks_for(client, prompt, fits):
    for model in ("claude-haiku-4-5", "claude-opus-4-6"):
        assert fits(text(client, prompt, model)), text(client, prompt, model)


@pytest.mark.parametrize("vendor", ["anthropic", "gemini", "openai", "responses", "deepseek", "mistral", "ollama"])
def test_the_limit_of_tokens_is_kept_and_told(client, vendor):
    limit = {
        "anthropic": {"max_tokens": 3}, "gemini": {"generationConfig": {"maxOutputTokens": 3}}, "openai": {"max_completion_tokens": 3},
        "responses": {"max_output_tokens": 3}, "deepseek": {"max_tokens": 3}, "mistral": {"max_tokens": 3}, "ollama": {"options": {"num_predict": 3}},
    }[vendor]  # fmt: skip
    body = client.ask(vendor, body=limit).json

    assert any(word in json.dumps(body) for word in ('"max_tokens"', "MAX_TOKENS", '"length"', "max_output_tokens"))
    made = body.get("usage") or body.get("usageMetadata") or body
    output = (
        made.get("output_tokens")
        or made.get("completion_tokens")
        or made.get("eval_count")
        or made["candidatesTokenCount"] + made.get("thoughtsTokenCount", 0)
    )
    assert 0 < output <= 3


def test_a_stop_sequence_ends_the_answer_before_it(client, sim):
    sim.say("count", "one two three four")
    seen = client.ask(
        "anthropic",
        model="claude-haiku-4-5",
        body={"messages": [{"role": "user", "content": "count"}], "stop_sequences": ["four", "three"]},
    ).json

    assert (seen["content"][0]["text"], seen["stop_reason"], seen["stop_sequence"]) == (
        "one two ",
        "stop_sequence",
        "three",
    )


def test_several_choices_are_different_answers(client):
    choices = client.ask("openai", model="gpt-4o", body={"n": 3}).json["choices"]

    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) > 1


def test_json_mode_gives_json(client):
    seen = client.ask("ollama", model="llama3.2", body={"format": "json"})

    assert isinstance(json.loads(seen.json["message"]["content"]), dict)


REVIEW = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "negative", "neutral"]},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "reasons": {"type": "array", "items": {"$ref": "#/$defs/reason"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["sentiment", "score", "reasons"],
    "additionalProperties": False,
    "$defs": {"reason": {"type": "string", "minLength": 3, "maxLength": 60}},
}


@pytest.mark.parametrize(
    ("vendor", "body"),
    [
        ("anthropic", {"output_config": {"format": {"type": "json_schema", "schema": REVIEW}}}),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": REVIEW}}),
        (
            "openai",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "r", "strict": True, "schema": REVIEW},
                }
            },
        ),
        ("responses", {"text": {"format": {"type": "json_schema", "name": "r", "schema": REVIEW}}}),
        ("mistral", {"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": REVIEW}}}),
        ("ollama", {"format": REVIEW}),
    ],
)
def test_every_vendor_that_takes_a_schema_keeps_to_it(client, vendor, body):
    seen = client.ask(vendor, body=body).json
    said = [value for value in strings(seen) if value.startswith('{"sentiment"')]

    assert jsonschema_rs.is_valid(REVIEW, json.loads(said[0]))


def strings(value):
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in strings(part)]


leaves = st.one_of(
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "null"},
            {"const": 7},
            {"enum": ["a", "b", None]},
            {"type": ["string", "null"]},
            {"type": "string", "format": "date"},
        ]
    ),
    st.integers(-20, 20).flatmap(
        lambda low: st.integers(low, low + 9).map(lambda high: {"type": "integer", "minimum": low, "maximum": high})
    ),
    st.integers(0, 9).map(lambda low: {"type": "number", "exclusiveMinimum": low, "maximum": low + 1}),
    st.integers(0, 30).map(lambda size: {"type": "string", "minLength": size, "maxLength": size + 4}),
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["name", "summary", "score", "tags", "mood", "city"]), inner, min_size=1).map(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            }
        ),
        inner.flatmap(
            lambda item: st.integers(0, 3).map(
                lambda least: {"type": "array", "items": item, "minItems": least, "maxItems": least + 1}
            )
        ),
        inner.map(lambda one: {"anyOf": [{"type": "null"}, one]}),
    ),
    max_leaves=8,
)


@given(schemas, st.text(max_size=60), st.integers(0, 2**32))
def test_an_instance_is_valid_for_its_schema(schema, prompt, seed):
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(instance(schema, prompt, Random(seed)))


def test_a_recursive_schema_ends():
    tree = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
                "required": ["name"],
            }
        },
    }

    assert jsonschema_rs.is_valid(tree, instance(tree, "a tree", Random(0)))


@given(
    st.text(max_size=300),
    st.sampled_from(["plain", "careful", "warm", "brisk", "essay", "list", "unknown"]),
    st.integers(0, 2**32),
)
def test_any_prompt_gets_some_text(prompt, style, seed):
    assert write(prompt, style, Random(seed)).strip()


@given(st.text(max_size=500))
def test_about_four_characters_are_a_token(said):
    assert 4 * tokens(said) - 4 < len(said) <= 4 * tokens(said)


def test_every_model_of_the_data_file_answers(client, sim):
    for family, vendor in (
        ("anthropic", "anthropic"),
        ("gemini", "gemini"),
        ("openai", "openai"),
        ("deepseek", "deepseek"),
        ("mistral", "mistral"),
        ("ollama", "ollama"),
        ("compat", "compat"),
    ):
        for model in models.of(family):
            for name in (model.id, *model.aliases):
                assert (
                    client.ask(vendor, model=name, body={"max_tokens": 64} if vendor == "anthropic" else {}).status
                    == 200
                ), name


def test_pace_and_latency_are_kept():
    import time

    with Simulator(latency=0.1, pace=0.02) as sim:
        client = Client(sim)
        start = time.monotonic()
        client.ask("ollama")
        assert time.monotonic() - start >= 0.1
        start = time.monotonic()
        events = client.ask("ollama", stream=True).data
        assert time.monotonic() - start >= 0.1 + 0.02 * len(events)


@pytest.mark.parametrize("vendor", DOORS)
def test_awkward_bytes_still_say_the_same(vendor):
    with Simulator(awkward=True) as sim:
        seen = Client(sim).ask(vendor, stream=True)

    said = "".join(strings_of_text(seen.data))
    assert "\u2028– naïve 𝛑." in said
    assert not seen.body.endswith(b"\n\n\n")


def strings_of_text(value):
    if isinstance(value, dict):
        if value.get("type") in (
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ):
            return []
        return [
            part
            for key, inner in value.items()
            for part in (
                [inner] if key in ("text", "content", "delta") and isinstance(inner, str) else strings_of_text(inner)
            )
        ]
    return [part for inner in value for part in strings_of_text(inner)] if isinstance(value, list) else []
