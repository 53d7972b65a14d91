"""An error names file, line and key, what was found, what is accepted, and the nearest name; never a secret."""

import pytest

from orchestrator_nb.errors import ConfigError

WRONG = {
    "limits:\n  paralel: 4\n": "config.yaml:2: limits.paralel: unknown key; did you mean 'parallel'? Accepted: parallel, attempts, run_timeout_s, confirm_calls, max_cost_usd, max_cost_call_usd, max_cost_day_usd.",
    "limts: {}\n": "config.yaml:1: limts: unknown key; did you mean 'limits'? Accepted: model, source, params,",
    "limits:\n\n  parallel: lots\n": "config.yaml:3: limits.parallel: found 'lots', expected a whole number.",
    "limits: {parallel: true}\n": "config.yaml:1: limits.parallel: found True, expected a whole number.",
    "limits: {parallel: '8'}\n": "config.yaml:1: limits.parallel: found '8', expected a whole number.",
    "limits: 3\n": "config.yaml:1: limits: found 3, expected 'key: value' lines.",
    "params: {effort: hard}\n": "params.effort: found 'hard', expected 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'.",
    "params: {temperature: 3}\n": "params.temperature: found 3, expected less than or equal to 2.",
    "params: {thinking: maybe}\n": "params.thinking: found 'maybe', expected true or false or a whole number.",
    "params:\n  stop: END\n": "config.yaml:2: params.stop: found 'END', expected a list.",
    "main_llm: {provider: gemini}\n": "config.yaml:1: main_llm: 'model' is missing.",
    "model: opus\nmain_llm: {provider: gemini, model: flash}\n": "config.yaml:2: main_llm: says the same as 'model'; keep one of them.",
    "chains:\n  a: 3\n": "config.yaml:2: chains.a: found 3, expected a chain: 'steps', or one line of role:persona@model.",
    "chains:\n  a: [{role: plan}]\n": "config.yaml:2: chains.a: found [{'role': 'plan'}], expected a chain",
    "prices: {'*': {input: cheap, output: 1}}\n": "prices.*.input: found 'cheap', expected a number.",
    "prices: {'*': {input: -1, output: 1}}\n": "prices.*.input: found -1, expected greater than or equal to 0.",
    "system_prompts: {roles: 3}\n": "system_prompts.roles: found 3, expected a list or 'key: value' lines.",
    "limits: {parallel: 0}\ntimeouts: {gap_s: 0, total_s: -1}\n": "limits.parallel: found 0, expected greater than or equal to 1 (2 more).",
    "model: 7\n": "config.yaml:1: model: found 7, expected text.",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_one_sentence_with_its_place(home, text):
    home.user(text)

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert WRONG[text] in str(failure.value)
    assert str(failure.value).startswith(str(home.paths.settings))
    assert failure.value.__context__ is None


WRONG_MODELS = {
    "mylab:\n  kind: openai\n": "models.yaml:1: mylab: unknown vendor; accepted: anthropic, gemini, openai,",
    "antropic:\n  api_key_name: ANTHROPIC_API_KEY\n": "models.yaml:1: antropic: unknown vendor; did you mean 'anthropic'?",
    "a:\n  kind: opnai\n": "models.yaml:2: a.kind: found 'opnai', expected 'anthropic', 'gemini',",
    "openai:\n  models:\n    - nam: x\n": "models.yaml:3: openai.models[0].nam: unknown key; did you mean 'name'?",
    "openai:\n  models:\n    - max_tokens: 4\n": "models.yaml:3: openai.models[0]: 'name' is missing.",
    "openai: {quirks: {dialekt: chat}}\n": "openai.quirks.dialekt: unknown key; did you mean 'dialect'?",
    "openai: {models: [{name: a, aliases: [x]}, {name: b, aliases: [x]}]}\n": "alias 'x' is 'openai/a' already; choose another.",
    "openai: {models: [{name: a, capabilities: [visoin]}]}\n": "openai.models[0].capabilities[0]: found 'visoin', expected 'text', 'vision'",
    "openai: {models: [{name: a, retired: soon}]}\n": "found 'soon', expected a date such as 2026-11-30.",
    "lab: {kind: openai-compatible, base_url: 'http://lab.example/v1', api_key_name: LAB_KEY}\n": "lab.base_url: a key would travel unencrypted",
    "lab: {kind: openai-compatible, base_url: 'ftp://lab'}\n": "lab.base_url: expected an address such as https://host/v1.",
}


@pytest.mark.parametrize("text", WRONG_MODELS)
def test_a_wrong_vendor_or_model_is_one_sentence_with_its_place(home, text):
    home.user(text, "models.yaml")

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert WRONG_MODELS[text] in str(failure.value)


SECRET = "sk-ant-api03-verysecret"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models.yaml", f"anthropic: {{api_key_name: {SECRET}}}\n"),
        ("models.yaml", f"anthropic: {{api_key: {SECRET}}}\n"),
        ("models.yaml", f"anthropic: {{base_url: 'https://me:{SECRET}@host'}}\n"),
        ("models.yaml", f"anthropic: {{base_url: 'https://host/?key={SECRET}'}}\n"),
        ("config.yaml", f"network: {{proxy: 'http://me:{SECRET}@host:1'}}\n"),
        ("config.yaml", f"api_key: {SECRET}\n"),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_shown(home, name, text):
    home.user(text, name)

    with pytest.raises(ConfigError) as failure:
        home.load()

    assert SECRET not in str(failure.value)


def test_a_server_without_a_key_may_be_plain_http_anywhere(home):
    home.user("lab: {kind: openai-compatible, base_url: 'http://lab.example:8000/v1/'}\n", "models.yaml")

    assert home.load().catalog.vendors["lab"].base_url == "http://lab.example:8000/v1"
