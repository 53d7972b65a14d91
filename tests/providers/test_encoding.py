"""What goes out: each vendor's form of each wish, nothing that was not wished for, and a sentence for what cannot go."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import KINDS, ask

from orchestrator_nb.calls import Params, Request, Tool
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.types import Wire

FOLDERS = tuple(KINDS)
PNG = Image(b"\x89PNG", "image/png")
B64 = "iVBORw=="
WEATHER = Tool("get_weather", "w", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
USED = (
    Message.user("see"),
    Message("assistant", (Thinking("hm", "c2VhbA=="), ToolCall("call_1", "get_weather", {"city": "Oslo"}))),
    Message("tool", (ToolResult("call_1", "get_weather", "4 C"),)),
)


def wire(request: Request) -> Wire:
    return PROVIDERS[request.model.vendor.kind].encode(request)


def body(request: Request) -> dict[str, Any]:
    sent = wire(request).body
    assert sent is not None
    return json.loads(sent)


def asked(
    folder: str, *, spec: dict[str, Any] | None = None, stream: bool = False, system: str | None = None, **params: Any
) -> Request:
    request = ask(folder, "see", stream=stream)
    return replace(request, model=replace(request.model, **(spec or {})), params=Params(**params), system=system)


BARE: dict[str, tuple[str, dict[str, Any]]] = {
    "anthropic": (
        "/v1/messages",
        {
            "model": "some-model",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}]}],
            "max_tokens": 4096,
        },
    ),
    "gemini": ("/v1/models/some-model:generateContent", {"contents": [{"role": "user", "parts": [{"text": "see"}]}]}),
    "openai_chat": ("/chat/completions", {"model": "some-model", "messages": [{"role": "user", "content": "see"}]}),
    "openai_responses": (
        "/responses",
        {
            "model": "some-model",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}]}],
            "store": False,
        },
    ),
    "deepseek": ("/chat/completions", {"model": "some-model", "messages": [{"role": "user", "content": "see"}]}),
    "mistral": ("/v1/chat/completions", {"model": "some-model", "messages": [{"role": "user", "content": "see"}]}),
    "ollama": ("/api/chat", {"model": "some-model", "messages": [{"role": "user", "content": "see"}], "stream": False}),
    "openai_compat": ("/chat/completions", {"model": "some-model", "messages": [{"role": "user", "content": "see"}]}),
}
STREAMED: dict[str, dict[str, Any]] = {
    "gemini": {},
    "openai_chat": {"stream": True, "stream_options": {"include_usage": True}},
    "deepseek": {"stream": True, "stream_options": {"include_usage": True}},
    "openai_compat": {"stream": True, "stream_options": {"include_usage": True}},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_bare_question_is_sent_bare(folder: str):
    path, expected = BARE[folder]
    sent = wire(asked(folder))
    assert (sent.method, sent.path, json.loads(sent.body or b""), sent.notices) == ("POST", path, expected, ())


@pytest.mark.parametrize("folder", FOLDERS)
def test_streaming_adds_its_switch_and_nothing_else(folder: str):
    path, expected = BARE[folder]
    sent = wire(asked(folder, stream=True))
    if folder == "gemini":
        path = "/v1/models/some-model:streamGenerateContent?alt=sse"
    assert (sent.path, json.loads(sent.body or b"")) == (path, expected | STREAMED.get(folder, {"stream": True}))


LEAVES = {
    "temperature": 0.25,
    "top_p": 0.75,
    "top_k": 41,
    "max_tokens": 2049,
    "stop": ("END",),
    "seed": 7919,
    "effort": "high",
    "presence_penalty": 0.125,
    "frequency_penalty": 0.375,
    "json": True,
}
NAMES = {
    "temperature": {"temperature"},
    "top_p": {"top_p", "topP"},
    "top_k": {"top_k", "topK"},
    "max_tokens": {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict"},
    "stop": {"stop", "stop_sequences", "stopSequences"},
    "seed": {"seed", "random_seed"},
    "effort": {"effort", "reasoning_effort", "thinkingLevel", "think"},
    "presence_penalty": {"presence_penalty", "presencePenalty"},
    "frequency_penalty": {"frequency_penalty", "frequencyPenalty"},
    "json": {"response_format", "responseMimeType", "format"},
    "thinking": {"thinking", "think", "thinkingConfig", "includeThoughts", "chat_template_kwargs", "summary"},
    "tools": {"tools"},
    "tool_choice": {"tool_choice", "toolConfig"},
    "schema": {"responseJsonSchema", "schema", "json_schema"},
}


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys(item) for item in value.values()))
    return set().union(*(keys(item) for item in value)) if isinstance(value, list) else set()


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(FOLDERS), st.sets(st.sampled_from(sorted(LEAVES))), st.booleans())
def test_what_the_user_did_not_set_is_never_sent_and_what_is_left_out_is_said(
    folder: str, chosen: set[str], stream: bool
):
    request = asked(folder, stream=stream, **{name: LEAVES[name] for name in chosen})
    sent = wire(request)
    found = keys(json.loads(sent.body or b""))
    for name, theirs in NAMES.items():
        if name in chosen:
            said = any(name in notice or "JSON" in notice for notice in sent.notices)
            assert found & theirs or said, f"{name} went missing"
            assert not (found & theirs and any(f"no {name};" in notice for notice in sent.notices))
        elif not (name == "max_tokens" and folder == "anthropic") and not (name == "thinking" and "effort" in chosen):
            assert not found & theirs, f"{name} was not asked for"


def test_the_names_above_cover_every_parameter():
    assert set(NAMES) == {field.name for field in fields(Params)} - {"extra"}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("anthropic", {"temperature": 0.25, "top_p": 0.75, "top_k": 41, "max_tokens": 2049, "stop_sequences": ["END"]}),
        ("gemini", {"generationConfig": {
            "temperature": 0.25, "topP": 0.75, "topK": 41, "maxOutputTokens": 2049, "stopSequences": ["END"], "seed": 7919,
            "presencePenalty": 0.125, "frequencyPenalty": 0.375}}),
        ("openai_chat", {"temperature": 0.25, "top_p": 0.75, "max_completion_tokens": 2049, "stop": ["END"], "seed": 7919,
                         "presence_penalty": 0.125, "frequency_penalty": 0.375}),
        ("openai_responses", {"temperature": 0.25, "top_p": 0.75, "max_output_tokens": 2049}),
        ("deepseek", {"temperature": 0.25, "top_p": 0.75, "max_tokens": 2049, "stop": ["END"],
                      "presence_penalty": 0.125, "frequency_penalty": 0.375}),
        ("mistral", {"temperature": 0.25, "top_p": 0.75, "top_k": 41, "max_tokens": 2049, "stop": ["END"], "random_seed": 7919,
                     "presence_penalty": 0.125, "frequency_penalty": 0.375}),
        ("ollama", {"options": {"temperature": 0.25, "top_p": 0.75, "top_k": 41, "num_predict": 2049, "stop": ["END"], "seed": 7919,
                                "presence_penalty": 0.125, "frequency_penalty": 0.375}}),
        ("openai_compat", {"temperature": 0.25, "top_p": 0.75, "top_k": 41, "max_tokens": 2049, "stop": ["END"], "seed": 7919,
                           "presence_penalty": 0.125, "frequency_penalty": 0.375}),
    ],
)  # fmt: skip
def test_each_parameter_has_its_vendors_name(folder: str, expected: dict[str, Any]):
    plain = {name: value for name, value in LEAVES.items() if name not in {"effort", "json"}}
    request = asked(folder, **plain)
    assert body(request) == BARE[folder][1] | expected
    left_out = set(plain) - {ours for ours in plain if NAMES[ours] & keys(expected)}
    notices = wire(request).notices
    assert len(notices) == len(left_out)
    assert all(any(f" takes no {name}; it was not sent." in notice for notice in notices) for name in left_out)


def test_a_parameter_that_the_model_refuses_is_left_out_with_a_sentence():
    request = asked("anthropic", spec={"refuses": frozenset({"temperature"})}, temperature=0.2)
    assert "temperature" not in body(request)
    assert wire(request).notices == ("anthropic/some-model takes no temperature; it was not sent.",)


@pytest.mark.parametrize("folder", ["gemini", "openai_chat", "openai_responses", "mistral", "ollama"])
def test_a_dialect_that_has_the_parameter_leaves_it_out_too(folder: str):
    request = asked(folder, spec={"refuses": frozenset({"temperature"})}, temperature=0.2)
    assert body(request) == BARE[folder][1]
    assert wire(request).notices == (f"{folder}/some-model takes no temperature; it was not sent.",)


def test_anthropic_gets_the_old_version_only_for_sampling_that_the_model_takes():
    assert wire(asked("anthropic")).headers["anthropic-version"] == "2026-10-21"
    assert wire(asked("anthropic", temperature=0.2)).headers["anthropic-version"] == "2023-06-01"
    refusing = asked("anthropic", spec={"refuses": frozenset({"temperature"})}, temperature=0.2)
    assert wire(refusing).headers["anthropic-version"] == "2026-10-21"


def test_anthropic_max_tokens_come_from_the_user_then_the_model_then_a_default():
    assert body(asked("anthropic", max_tokens=5, spec={"max_tokens": 6}))["max_tokens"] == 5
    assert body(asked("anthropic", spec={"max_tokens": 6}))["max_tokens"] == 6
    assert body(asked("anthropic"))["max_tokens"] == 4096


# System, images, tools.

SYSTEM: dict[str, dict[str, Any]] = {
    "anthropic": {"system": "Be brief."},
    "gemini": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    "openai_chat": {"role": "developer", "content": "Be brief."},
    "openai_responses": {"instructions": "Be brief."},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_system_prompt_stands_where_the_vendor_wants_it(folder: str):
    sent = body(asked(folder, system="Be brief."))
    expected = SYSTEM.get(folder, {"role": "system", "content": "Be brief."})
    if "role" in expected:
        assert sent["messages"][0] == expected
    else:
        assert expected.items() <= sent.items()


IMAGES: dict[str, Any] = {
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": B64}},
    "openai_responses": {"type": "input_image", "image_url": f"data:image/png;base64,{B64}"},
    "mistral": {"type": "image_url", "image_url": f"data:image/png;base64,{B64}"},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_image_goes_in_the_vendors_form(folder: str):
    sent = body(replace(asked(folder), messages=(Message.user("see", PNG),)))
    (message,) = sent.get("messages") or sent.get("contents") or sent["input"]
    if folder == "ollama":
        assert message == {"role": "user", "content": "see", "images": [B64]}
        return
    expected = IMAGES.get(folder, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{B64}"}})
    assert (message.get("content") or message["parts"])[1] == expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_model_listed_without_vision_is_not_sent_an_image(folder: str):
    request = replace(asked(folder, spec={"features": frozenset({"text"})}), messages=(Message.user("see", PNG),))
    with pytest.raises(UserError, match="cannot see images"):
        wire(request)


TURNS: dict[str, list[dict[str, Any]]] = {
    "anthropic": [
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2VhbA=="},
                                          {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "4 C"}]}],
    "gemini": [
        {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "get_weather", "args": {"city": "Oslo"}},
                                     "thoughtSignature": "c2VhbA=="}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "call_1", "name": "get_weather", "response": {"output": "4 C"}}}]}],
    "openai_responses": [
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "4 C"}],
    "ollama": [
        {"role": "assistant", "content": "", "thinking": "hm",
         "tool_calls": [{"id": "call_1", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}]},
        {"role": "tool", "tool_name": "get_weather", "tool_call_id": "call_1", "content": "4 C"}],
}  # fmt: skip


def chat_turns(call_id: str, **more: Any) -> list[dict[str, Any]]:
    function = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    call = {"id": call_id, "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, **more, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "4 C"},
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_tool_turn_goes_back_with_its_thoughts_sealed(folder: str):
    sent = body(replace(asked(folder, tools=(WEATHER,)), messages=USED))
    turns = (sent.get("messages") or sent.get("contents") or sent["input"])[1:]
    expected = TURNS.get(folder) or chat_turns(
        "call_1", **({"reasoning_content": "hm"} if folder == "deepseek" else {})
    )
    if folder == "mistral":
        call_id = turns[0]["tool_calls"][0]["id"]
        assert len(call_id) == 9
        assert call_id.isalnum()
        expected = chat_turns(call_id)
        expected[1]["name"] = "get_weather"
    assert turns == expected


def test_openai_gets_its_sealed_thoughts_back():
    from orchestrator_nb.providers.responses import seal

    item = {"id": "rs_1", "encrypted_content": "ZW5j"}
    turns = (Message.user("see"), Message("assistant", (Thinking("hm", seal(item)), Text("4"))), Message.user("why?"))
    request = replace(asked("openai_responses", tools=(WEATHER,)), messages=turns)
    assert body(request)["input"][1:3] == [
        {"type": "reasoning", "summary": [], **item},
        {"role": "assistant", "content": [{"type": "output_text", "text": "4"}]},
    ]
    assert body(request)["include"] == ["reasoning.encrypted_content"]


TOOLS: dict[str, Any] = {
    "anthropic": {"name": "get_weather", "description": "w", "input_schema": dict(WEATHER.schema)},
    "gemini": {
        "functionDeclarations": [
            {"name": "get_weather", "description": "w", "parametersJsonSchema": dict(WEATHER.schema)}
        ]
    },
    "openai_responses": {
        "type": "function",
        "name": "get_weather",
        "description": "w",
        "parameters": dict(WEATHER.schema),
        "strict": False,
    },
}
NESTED = {
    "type": "function",
    "function": {"name": "get_weather", "description": "w", "parameters": dict(WEATHER.schema)},
}
CHOICES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "any": {"type": "any"},
        "auto": {"type": "auto"},
        "get_weather": {"type": "tool", "name": "get_weather"},
    },
    "openai_responses": {"any": "required", "auto": "auto", "get_weather": {"type": "function", "name": "get_weather"}},
    "mistral": {"any": "any"},
}
FUNCTION = {"any": "required", "auto": "auto", "get_weather": {"type": "function", "function": {"name": "get_weather"}}}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("choice", ["any", "auto", "get_weather"])
def test_tools_and_the_choice_among_them_go_in_the_vendors_form(folder: str, choice: str):
    request = asked(folder, tools=(WEATHER,), tool_choice=choice)
    sent = body(request)
    assert sent["tools"] == [TOOLS.get(folder, NESTED)]
    if folder == "gemini":
        assert sent["toolConfig"]["functionCallingConfig"] == {
            "any": {"mode": "ANY"}, "auto": {"mode": "AUTO"}, "get_weather": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        }[choice]  # fmt: skip
    elif folder == "ollama":
        assert "tool_choice" not in sent
        assert "takes no tool_choice" in wire(request).notices[0]
    else:
        assert sent["tool_choice"] == (FUNCTION | CHOICES.get(folder, {}))[choice]


def test_a_tool_may_not_be_forced_where_the_model_refuses_it():
    request = asked("anthropic", spec={"refuses": frozenset({"tool_choice"})}, tools=(WEATHER,), tool_choice="any")
    with pytest.raises(UserError, match="cannot be forced"):
        wire(request)
    assert body(replace(request, params=replace(request.params, tool_choice="auto")))["tool_choice"] == {"type": "auto"}


# JSON.

FORMATS: dict[str, dict[str, Any]] = {
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
    "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": CLOSED}},
    "openai_responses": {
        "text": {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": CLOSED}}
    },
    "deepseek": {"response_format": {"type": "json_object"}},
    "ollama": {"format": CLOSED},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_schema_goes_in_the_vendors_form(folder: str):
    named = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": CLOSED}}
    }
    request = asked(folder, schema=CLOSED)
    assert FORMATS.get(folder, named).items() <= body(request).items()
    assert len(wire(request).notices) == (folder == "deepseek")


def test_a_vendor_without_schemas_reads_it_in_the_system_prompt():
    request = asked("deepseek", schema=CLOSED, system="Be brief.")
    system = body(request)["messages"][0]["content"]
    assert system.startswith("Be brief.\n\nAnswer only with JSON")
    assert json.dumps(CLOSED) in system
    assert "named in the system prompt" in wire(request).notices[0]


def test_a_vendor_that_cannot_answer_by_a_schema_says_so():
    request = ask("openai_compat", json_schema="none")
    with pytest.raises(UserError, match="cannot answer by a schema"):
        wire(replace(request, params=Params(schema=CLOSED)))


def test_an_open_schema_is_not_called_strict():
    sent = body(asked("openai_chat", schema={"type": "object", "properties": {"a": {"type": "integer"}}}))
    assert sent["response_format"]["json_schema"]["strict"] is False


@pytest.mark.parametrize("folder", ["openai_chat", "deepseek", "anthropic", "mistral", "openai_responses"])
def test_json_mode_has_the_word_json_in_the_prompt(folder: str):
    request = asked(folder, json=True)
    assert "Answer only with JSON." in (wire(request).body or b"").decode()
    assert len(wire(request).notices) == 1
    said = replace(request, messages=(Message.user("Give me JSON"),))
    assert wire(said).notices == ()


def test_anthropic_schemas_are_closed_and_say_in_words_what_cannot_be_enforced():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "description": "years"},
            "when": {"type": "string", "format": "date"},
            "tel": {"type": "string", "format": "phone"},
            "pick": {"oneOf": [{"type": "object", "properties": {}}, {"type": "null"}]},
        },
        "$defs": {
            "inner": {
                "type": "object",
                "properties": {"x": {"type": "array", "items": {"type": "object"}, "minItems": 2}},
            }
        },
    }
    sent = body(asked("anthropic", schema=schema))["output_config"]["format"]["schema"]
    assert sent == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "age": {"type": "integer", "description": "years (minimum: 0)"},
            "when": {"type": "string", "format": "date"},
            "tel": {"type": "string", "description": 'format: "phone"'},
            "pick": {"anyOf": [{"type": "object", "properties": {}, "additionalProperties": False}, {"type": "null"}]},
        },
        "$defs": {
            "inner": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "x": {
                        "type": "array",
                        "items": {"type": "object", "additionalProperties": False},
                        "description": "minItems: 2",
                    }
                },
            }
        },
    }
    assert "additionalProperties" not in schema


def test_a_property_may_be_called_like_a_keyword():
    schema = {"type": "object", "properties": {"oneOf": {"type": "string"}, "minimum": {"type": "integer"}}}
    for folder in ("anthropic", "gemini"):
        text = (wire(asked(folder, schema=schema)).body or b"").decode()
        assert '"properties":{"oneOf":{"type":"string"},"minimum":{"type":"integer"}}' in text


# Effort and thinking.


def test_an_effort_that_the_model_lacks_names_those_it_has():
    with pytest.raises(UserError, match=r"no effort 'max'; it takes low, high\."):
        wire(asked("openai_chat", spec={"efforts": ("low", "high")}, effort="max"))


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("anthropic", {"output_config": {"effort": "low"}}),
        ("gemini", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}),
        ("openai_chat", {"reasoning_effort": "low"}),
        ("openai_responses", {"reasoning": {"effort": "low"}}),
        ("deepseek", {"reasoning_effort": "low"}),
        ("mistral", {"reasoning_effort": "low"}),
        ("ollama", {"think": "low"}),
        ("openai_compat", {"reasoning_effort": "low"}),
    ],
)
def test_an_effort_goes_in_the_vendors_field(folder: str, expected: dict[str, Any]):
    assert body(asked(folder, effort="low")) == BARE[folder][1] | expected


EFFORTS = {"efforts": ("none", "low", "high"), "thinking": "effort"}


@pytest.mark.parametrize(
    ("folder", "spec", "wish", "expected"),
    [
        ("anthropic", {"thinking": "adaptive"}, True, {"thinking": {"type": "adaptive", "display": "summarized"}}),
        ("anthropic", {"thinking": "adaptive"}, False, {"thinking": {"type": "disabled"}}),
        ("anthropic", {"thinking": "budget"}, 2000, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ("gemini", {"thinking": "budget"}, 500, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 500, "includeThoughts": True}}}),
        ("gemini", {"thinking": "budget"}, False, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
        ("gemini", {"thinking": "level"}, True, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}),
        ("gemini", {"thinking": "level", "efforts": ("minimal",)}, False,
         {"generationConfig": {"thinkingConfig": {"thinkingLevel": "minimal"}}}),
        ("openai_responses", EFFORTS, True, {"reasoning": {"summary": "auto"}}),
        ("openai_responses", EFFORTS, False, {"reasoning": {"effort": "none"}}),
        ("openai_chat", EFFORTS, False, {"reasoning_effort": "none"}),
        ("deepseek", {"thinking": "toggle"}, False, {"thinking": {"type": "disabled"}}),
        ("deepseek", {"thinking": "toggle"}, True, {"thinking": {"type": "enabled"}}),
        ("mistral", EFFORTS, True, {"reasoning_effort": "high"}),
        ("mistral", EFFORTS, False, {"reasoning_effort": "none"}),
        ("ollama", {"thinking": "toggle"}, True, {"think": True}),
        ("ollama", {"thinking": "toggle"}, False, {"think": False}),
        ("openai_compat", {"thinking": "toggle"}, False, {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)  # fmt: skip
def test_thinking_goes_in_the_models_style(
    folder: str, spec: dict[str, Any], wish: bool | int, expected: dict[str, Any]
):
    request = asked(folder, spec=spec, thinking=wish)
    assert body(request) == BARE[folder][1] | expected
    assert wire(request).notices == ()


def test_a_model_that_always_thinks_is_not_told_to_stop_and_the_user_is_told():
    request = asked("anthropic", spec={"thinking": "adaptive", "refuses": frozenset({"thinking_off"})}, thinking=False)
    assert "thinking" not in body(request)
    assert "it thinks all the same" in wire(request).notices[0]


@pytest.mark.parametrize("budget", [1, 1023, 4096, 9999])
def test_a_thinking_budget_must_fit(budget: int):
    with pytest.raises(UserError, match="max_tokens=4096"):
        wire(asked("anthropic", spec={"thinking": "budget"}, thinking=budget))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_budget_for_a_model_without_one_is_said(folder: str):
    spec: dict[str, Any] = {
        "thinking": "adaptive" if folder == "anthropic" else "level" if folder == "gemini" else "toggle"
    }
    assert any("thinking tokens" in notice for notice in wire(asked(folder, spec=spec, thinking=2000)).notices)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_model_known_not_to_think_is_not_asked_to(folder: str):
    spec = {"features": frozenset({"text"})}
    assert body(asked(folder, spec=spec, thinking=False)) == BARE[folder][1]
    assert wire(asked(folder, spec=spec, thinking=False)).notices == ()
    loud = wire(asked(folder, spec=spec, thinking=True, effort="high"))
    assert json.loads(loud.body or b"") == BARE[folder][1]
    assert len(loud.notices) == 2


# The rest.


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_empty_prompt_is_refused(folder: str):
    with pytest.raises(UserError, match="empty"):
        wire(replace(asked(folder), messages=()))


@pytest.mark.parametrize("folder", FOLDERS)
def test_extra_goes_into_the_body_as_it_is(folder: str):
    sent = body(asked(folder, extra={"x": {"y": 1}}, max_tokens=5))
    assert sent["x"] == {"y": 1}


def test_extra_is_merged_into_objects():
    assert body(asked("ollama", seed=3, extra={"options": {"num_ctx": 8192}}))["options"] == {
        "seed": 3,
        "num_ctx": 8192,
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_body_is_utf8_and_lone_surrogates_are_replaced_with_a_sentence(folder: str):
    sent = wire(replace(asked(folder), messages=(Message.user("é\u2028😀 \ud800 \ud83d\ude00"),)))
    assert "é\u2028😀 \ufffd 😀".encode() in (sent.body or b"")
    assert any("valid Unicode" in notice for notice in sent.notices)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(UserError, match="not JSON"):
        wire(asked("openai_chat", temperature=float("nan")))


def test_a_paused_answer_goes_on_by_its_token():
    assert body(replace(asked("gemini"), resume="dG9r"))["continuationToken"] == "dG9r"


def test_gemini_model_names_cannot_leave_their_path():
    assert wire(asked("gemini", spec={"id": "../x?key=1"})).path == "/v1/models/..%2Fx%3Fkey%3D1:generateContent"


def test_gemini_speaks_the_version_of_its_entry():
    request = ask("gemini", api_version="v1beta", stream=False)
    assert wire(request).path.startswith("/v1beta/")


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_no_translation_needs_a_catalogue_entry(kind: str):
    request = ask(next(folder for folder, name in KINDS.items() if name == kind))
    model = ModelSpec(replace(request.model.vendor, quirks=type(request.model.vendor.quirks)()), "m")
    assert wire(replace(request, model=model)).notices == ()


def test_answers_to_parallel_calls_stand_together_for_gemini():
    results = tuple(Message("tool", (ToolResult(name, name, "x"),)) for name in ("a", "b"))
    contents = body(replace(asked("gemini"), messages=(Message.user("see"), Message.assistant("hm"), *results)))[
        "contents"
    ]
    assert [(content["role"], len(content["parts"])) for content in contents] == [
        ("user", 1),
        ("model", 1),
        ("user", 2),
    ]


def test_a_later_system_message_is_not_put_into_the_users_mouth():
    messages = (Message.user("see"), Message("system", (Text("Now in French."),)))
    sent = body(replace(asked("gemini", system="Be brief."), messages=messages))
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief.\n\nNow in French."}]}
    assert len(sent["contents"]) == 1
    assert body(replace(asked("anthropic"), messages=messages))["messages"][1]["role"] == "system"


def test_anthropic_is_sent_no_empty_text():
    sent = body(replace(asked("anthropic"), messages=(Message.user("", PNG), Message("assistant", (Thinking("hm"),)))))
    assert [[block["type"] for block in message["content"]] for message in sent["messages"]] == [["image"]]
