"""The simulator refuses what the vendor refuses, in the vendor's words."""

from __future__ import annotations

import json

import pytest
from simulator_client import CHAT, DOORS, Client

from orchestrator_nb.simulator import Simulator

MODELS = {"role": "user", "content": "hi"}


def at(value, *path):
    for step in path:
        value = value[step]
    return value


NO_KEY = {
    "anthropic": (401, ("error", "type"), "authentication_error"),
    "gemini": (403, ("error", "status"), "PERMISSION_DENIED"),
    "openai": (401, ("error", "message"), "You didn't provide an API key."),
    "responses": (401, ("error", "type"), "invalid_request_error"),
    "deepseek": (401, ("error", "type"), "authentication_error"),
    "mistral": (401, ("detail",), "Unauthorized"),
    "openrouter": (401, ("error", "message"), "No auth credentials found"),
    "groq": (401, ("error", "type"), "invalid_request_error"),
}
BAD_KEY = {
    **NO_KEY,
    "gemini": (400, ("error", "details", 0, "reason"), "API_KEY_INVALID"),
    "openai": (401, ("error", "code"), "invalid_api_key"),
    "openrouter": (401, ("error", "code"), 401),
}


@pytest.mark.parametrize("vendor", NO_KEY)
def test_a_missing_key_gets_the_vendors_own_answer(client, vendor):
    path, model, fields, auth = DOORS[vendor]
    silent = {name: value for name, value in auth.items() if name == "anthropic-version"}
    seen = client.send(
        "POST",
        path.format(model=model, method="generateContent"),
        json.dumps({"model": model, **fields}).encode(),
        silent,
    )

    status, where, said = NO_KEY[vendor]
    assert (seen.status, at(seen.json, *where)) == (status, said)


@pytest.mark.parametrize("vendor", BAD_KEY)
def test_a_key_that_starts_with_bad_is_refused_in_the_vendors_own_form(client, vendor):
    auth = {
        name: value.replace("k", "bad-key") if "version" not in name and not value.startswith("Bearer") else value
        for name, value in DOORS[vendor][3].items()
    }
    auth = {name: value.replace("Bearer k", "Bearer bad-key") for name, value in auth.items()}
    seen = client.ask(vendor, headers=auth)

    status, where, said = BAD_KEY[vendor]
    assert (seen.status, at(seen.json, *where)) == (status, said)


def test_with_a_key_of_its_own_the_simulator_takes_no_other():
    with Simulator(key="secret") as sim:
        assert Client(sim).ask("openai").status == 401
        assert Client(sim).ask("ollama").status == 401
        assert Client(sim).ask("openai", headers={"authorization": "Bearer secret"}).status == 200


@pytest.mark.parametrize("vendor", ["ollama", "compat", "vllm", "llamacpp", "lmstudio"])
def test_local_servers_need_no_key_but_refuse_an_empty_bearer(client, vendor):
    assert client.ask(vendor).status == 200
    if vendor != "ollama":
        assert client.ask(vendor, headers={"authorization": "Bearer "}).status == 401


def test_claude_takes_its_key_in_either_header(client):
    assert client.ask("anthropic").status == 200
    assert client.ask("anthropic", headers={"x-api-key": "", "authorization": "Bearer k"}).status == 200


UNKNOWN_MODEL = {
    "anthropic": (404, ("error", "message"), "model: nope"),
    "gemini": (404, ("error", "status"), "NOT_FOUND"),
    "openai": (404, ("error", "code"), "model_not_found"),
    "responses": (404, ("error", "code"), "model_not_found"),
    "deepseek": (400, ("error", "message"), "Model Not Exist"),
    "mistral": (400, ("type",), "invalid_model"),
    "ollama": (404, ("error",), "model 'nope' not found"),
    "ollama-v1": (404, ("error", "type"), "not_found_error"),
    "vllm": (404, ("error", "type"), "NotFoundError"),
    "openrouter": (400, ("error", "message"), "nope is not a valid model ID"),
}


@pytest.mark.parametrize("vendor", UNKNOWN_MODEL)
def test_an_unknown_model_gets_the_vendors_own_answer(client, vendor):
    seen = client.ask(vendor, model="nope")

    status, where, said = UNKNOWN_MODEL[vendor]
    assert (seen.status, at(seen.json, *where)) == (status, said)


@pytest.mark.parametrize("vendor", DOORS)
def test_a_body_that_is_not_json_is_refused(client, vendor):
    path, model, _, auth = DOORS[vendor]
    seen = client.send("POST", path.format(model=model, method="generateContent"), b'{"model": ', auth)

    assert seen.status == (422 if vendor == "mistral" else 400)
    assert seen.headers["x-simulated"] == "1"


@pytest.mark.parametrize(
    ("vendor", "body"),
    [
        ("anthropic", {"messages": [3]}),
        ("gemini", {"contents": "x"}),
        ("openai", {"messages": {"a": 1}}),
        ("ollama", {"options": 3}),
        ("mistral", {"messages": [[]]}),
    ],
)
def test_values_of_a_wrong_type_are_refused_and_break_nothing(client, vendor, body):
    assert client.ask(vendor, body=body).status in (400, 422)
    assert client.ask(vendor).status == 200


def refused(client, vendor, *, model=None, headers=(), **body):
    seen = client.ask(vendor, model=model, headers=headers, body=body)
    assert seen.status == 400, seen.body
    return seen.json["error"]


def test_claude_wants_max_tokens_and_a_version(client):
    path, model, fields, auth = DOORS["anthropic"]
    seen = client.send("POST", path, json.dumps({"model": model, **CHAT}).encode(), auth)
    assert (seen.status, seen.json["error"]["message"]) == (400, "max_tokens: Field required")

    seen = client.send("POST", path, json.dumps({"model": model, **fields}).encode(), {"x-api-key": "k"})
    assert (seen.status, seen.json["error"]["message"]) == (400, "anthropic-version: header is required")


@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_claude_takes_sampling_fields_only_of_old_models_under_the_old_version(client, field):
    old = {"anthropic-version": "2023-06-01"}
    assert field in refused(client, "anthropic", **{field: 1})["message"]
    assert field in refused(client, "anthropic", model="claude-opus-5-5", headers=old, **{field: 1})["message"]
    assert client.ask("anthropic", model="claude-opus-4-6", headers=old, body={field: 1}).status == 200


def test_claude_refuses_unknown_fields_a_prefill_and_thinking_it_cannot_switch_off(client):
    assert "Extra inputs" in refused(client, "anthropic", seed=1)["message"]
    assert (
        "prefill"
        in refused(client, "anthropic", messages=[*CHAT["messages"], {"role": "assistant", "content": "Because of"}])[
            "message"
        ]
    )
    assert "thinking" in refused(client, "anthropic", model="claude-opus-5-5", thinking={"type": "disabled"})["message"]
    assert "128000" in refused(client, "anthropic", max_tokens=200_000)["message"]


def test_reasoning_models_of_openai_refuse_max_tokens(client):
    error = refused(client, "openai", max_tokens=5)

    assert (error["param"], error["code"]) == ("max_tokens", "unsupported_parameter")


def test_reasoning_models_of_openai_take_a_temperature_only_without_effort(client):
    assert refused(client, "openai", temperature=0.2)["code"] == "unsupported_value"
    assert client.ask("openai", body={"temperature": 1}).status == 200
    assert client.ask("openai", body={"temperature": 0.2, "reasoning_effort": "none"}).status == 200
    assert client.ask("openai", model="gpt-5.4", body={"temperature": 0.2}).status == 200
    assert client.ask("openai", model="gpt-4o", body={"temperature": 0.2, "max_tokens": 9}).status == 200


def test_openai_refuses_tools_with_effort_on_chat_but_not_on_responses(client):
    function = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    assert refused(client, "openai", tools=[{"type": "function", "function": function}])["param"] == "reasoning_effort"
    assert (
        client.ask(
            "openai", body={"tools": [{"type": "function", "function": function}], "reasoning_effort": "none"}
        ).status
        == 200
    )
    assert client.ask("responses", body={"tools": [{"type": "function", **function}]}).status == 200


def test_openai_knows_which_efforts_a_model_has(client):
    assert refused(client, "openai", model="gpt-6.1-sol", reasoning_effort="none")["code"] == "unsupported_value"
    assert refused(client, "openai", reasoning_effort="max")["code"] == "unsupported_value"
    assert refused(client, "openai", model="gpt-4o", reasoning_effort="low")["code"] == "unsupported_parameter"
    assert client.ask("responses", body={"reasoning": {"effort": "max"}}).status == 200


def test_openai_names_a_field_that_it_does_not_know(client):
    assert refused(client, "openai", thinking={"type": "enabled"})["code"] == "unknown_parameter"
    assert refused(client, "responses", seed=1)["param"] == "seed"


def test_gemini_names_a_field_that_it_does_not_know_and_wants_the_mime_type_with_a_schema(client):
    assert (
        refused(client, "gemini", generationConfig={"maxTokens": 3})["details"][0]["fieldViolations"][0]["field"]
        == "generation_config"
    )
    assert (
        "response_mime_type"
        in refused(client, "gemini", generationConfig={"responseJsonSchema": {"type": "object"}})["message"]
    )
    assert (
        "thinking"
        in refused(
            client, "gemini", generationConfig={"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 5}}
        )["message"]
    )
    assert client.ask("gemini", body={"generation_config": {"max_output_tokens": 9}}).status == 200


def test_mistral_refuses_an_unknown_field_with_422(client):
    seen = client.ask("mistral", body={"seed": 7})

    assert (seen.status, seen.json["message"]["detail"][0]["loc"]) == (422, ["body", "seed"])
    assert client.ask("mistral", body={"random_seed": 7}).status == 200


def test_deepseek_refuses_schemas_and_answers_a_missing_field_in_plain_text(client):
    assert (
        refused(client, "deepseek", response_format={"type": "json_schema", "json_schema": {}})["type"]
        == "invalid_request_error"
    )
    path, model, _, auth = DOORS["deepseek"]
    seen = client.send("POST", path, json.dumps({"model": model}).encode(), auth)
    assert (seen.status, seen.headers["content-type"]) == (422, "text/plain; charset=utf-8")


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "responses", "deepseek", "mistral", "vllm", "llamacpp"])
def test_a_prompt_longer_than_the_context_is_refused(client, vendor):
    long = "word " * 900_000 if vendor not in ("vllm", "llamacpp") else "word " * 40_000
    body = {"input": long} if vendor == "responses" else {"messages": [{"role": "user", "content": long}]}
    seen = client.ask(vendor, body=body)

    assert seen.status == 400
    assert any(
        word in seen.body
        for word in (b"too long", b"maximum context length", b"available context size", b"too large for model")
    )


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/anthropic/v1/nothing",
        "/gemini/v1/nothing",
        "/openai/v1/nothing",
        "/mistral/v1/nothing",
        "/ollama/nothing",
    ],
)
def test_a_path_that_does_not_exist_is_a_404(client, path):
    headers = {"authorization": "Bearer k", "x-goog-api-key": "k", "anthropic-version": "2026-10-21"}
    assert client.send("GET", path, headers=headers).status == 404


def test_bytes_that_are_not_http_are_refused(client):
    assert client.send("GE T", "/anthropic").status == 400
