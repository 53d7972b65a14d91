"""Model lists and token counts: what is asked, and how the recorded answers are read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from recorded import ALL, KINDS, Case, ask

from orchestrator_nb.calls import Params
from orchestrator_nb.errors import BadResponse, UserError
from orchestrator_nb.providers import PROVIDERS

LISTS = [case for case in ALL if case.name == "models"]
COUNTS = [case for case in ALL if case.name == "count_tokens"]

IDS = {
    "anthropic": ["claude-opus-5-5"],
    "gemini": ["gemini-3.8-flash"],
    "openai_chat": ["gpt-6.1-sol"],
    "deepseek": ["deepseek-flash", "deepseek-v4-pro"],
    "mistral": ["mistral-medium-3-5"],
    "ollama": ["qwen3.5:latest"],
    "openai_compat": ["local-model"],
}


def vendor(folder: str):
    return ask(folder).model.vendor


def test_every_vendor_has_a_recorded_list():
    assert {case.folder for case in LISTS} == set(IDS)


@pytest.mark.parametrize("case", LISTS, ids=lambda case: case.id)
def test_a_recorded_list_is_read(case: Case):
    provider = PROVIDERS[KINDS[case.folder]]
    sent = provider.models()
    assert (sent.method, sent.body) == ("GET", None)
    assert sent.path.partition("?")[0].endswith(
        case.path.removeprefix("/v1") if case.folder.startswith("openai") else case.path
    )
    models, page = provider.read_models(vendor(case.folder), case.body)
    assert [model.id for model in models] == IDS[case.folder]
    assert page == ("tok" if case.folder == "gemini" else None)
    assert all("text" in model.features for model in models)


def read(folder: str, body: Any):
    return PROVIDERS[KINDS[folder]].read_models(vendor(folder), json.dumps(body).encode())


def test_what_a_vendor_says_of_its_models_is_kept():
    (opus,), _ = PROVIDERS["anthropic"].read_models(
        vendor("anthropic"), next(c.body for c in LISTS if c.folder == "anthropic")
    )
    assert (opus.context, opus.max_output) == (1_000_000, 128_000)
    (flash,), _ = PROVIDERS["gemini"].read_models(vendor("gemini"), next(c.body for c in LISTS if c.folder == "gemini"))
    assert (flash.context, flash.max_output) == (1_048_576, 65_536)
    (medium,), _ = PROVIDERS["mistral"].read_models(
        vendor("mistral"), next(c.body for c in LISTS if c.folder == "mistral")
    )
    assert medium.aliases == ("mistral-medium-latest",)
    assert medium.features == {"text", "system", "json", "json_schema", "tools", "vision", "thinking"}
    (local,), _ = PROVIDERS["openai-compatible"].read_models(
        vendor("openai_compat"), next(c.body for c in LISTS if c.folder == "openai_compat")
    )
    assert local.context == 8192


def test_anthropic_says_what_its_models_can():
    can = {
        "effort": {"low": {"supported": True}, "max": {"supported": False}},
        "thinking": {"types": {"adaptive": {"supported": True}}},
    }
    (model,), page = read("anthropic", {"data": [{"id": "c", "capabilities": can}], "has_more": True, "last_id": "c"})
    assert (model.efforts, model.thinking) == (("low",), "adaptive")
    assert page == "c"
    assert PROVIDERS["anthropic"].models("c").path == "/v1/models?limit=1000&after_id=c"
    assert PROVIDERS["gemini"].models("t k").path == "/v1/models?pageSize=1000&pageToken=t+k"


def test_a_retired_model_says_when():
    row = {"id": "c", "lifecycle": "retired", "retires_at": "2026-11-30T00:00:00Z"}
    (model,), _ = read("anthropic", {"data": [row]})
    assert model.retired == "2026-11-30"
    (active,), _ = read("anthropic", {"data": [row | {"lifecycle": "deprecated"}]})
    assert active.retired is None


def test_models_that_do_not_chat_are_not_listed():
    assert read("gemini", {"models": [{"name": "models/e", "supportedGenerationMethods": ["embedContent"]}]})[0] == []
    assert read("mistral", {"data": [{"id": "ocr", "capabilities": {"completion_chat": False}}]})[0] == []


@pytest.mark.parametrize("folder", list(IDS))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"data": 7, "models": 7}', b"{"])
def test_what_is_no_list_is_a_bad_response(folder: str, body: bytes):
    with pytest.raises(BadResponse):
        PROVIDERS[KINDS[folder]].read_models(vendor(folder), body)


@pytest.mark.parametrize("case", COUNTS, ids=lambda case: case.id)
def test_a_recorded_count_is_read(case: Case):
    assert PROVIDERS[KINDS[case.folder]].read_count(case.body) == 17


def counted(folder: str) -> tuple[str, dict[str, Any]]:
    request = replace(ask(folder, "see"), system="Be brief.", params=Params(max_tokens=5, temperature=0.5))
    sent = PROVIDERS[KINDS[folder]].count(request)
    assert sent is not None
    return sent.path, json.loads(sent.body or b"")


def test_a_count_asks_for_the_question_alone():
    assert counted("anthropic") == (
        "/v1/messages/count_tokens",
        {
            "model": "some-model",
            "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}]}],
        },
    )
    assert counted("gemini") == (
        "/v1/models/some-model:countTokens",
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Be brief."}]},
                {"role": "user", "parts": [{"text": "see"}]},
            ]
        },
    )
    assert counted("openai_responses") == (
        "/responses/input_tokens",
        {
            "model": "some-model",
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}]}],
        },
    )
    assert PROVIDERS["openai"].read_count(b'{"object": "response.input_tokens", "input_tokens": 17}') == 17


@pytest.mark.parametrize("folder", ["openai_chat", "deepseek", "mistral", "ollama", "openai_compat"])
def test_a_vendor_that_cannot_count_says_so(folder: str):
    assert PROVIDERS[KINDS[folder]].count(ask(folder)) is None


@pytest.mark.parametrize("kind", ["deepseek", "mistral", "ollama", "openai-compatible"])
def test_there_is_no_count_to_read(kind: str):
    with pytest.raises(UserError, match="does not count"):
        PROVIDERS[kind].read_count(b"{}")


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "openai"])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"input_tokens": -1, "totalTokens": "x"}'])
def test_what_is_no_count_is_a_bad_response(kind: str, body: bytes):
    with pytest.raises(BadResponse):
        PROVIDERS[kind].read_count(body)
