"""The built-in catalogue: complete, without two meanings for one name, and true to what it says of itself."""

from collections import Counter
from datetime import date

import pytest

from orchestrator_nb.config import Paths, load
from orchestrator_nb.config.loading import builtin
from orchestrator_nb.errors import UnknownModel
from orchestrator_nb.providers.compatible import KNOWN

TODAY = date(2026, 11, 22)
CATALOG = builtin(TODAY)

NAMES = {
    "sonnet": "anthropic/claude-sonnet-5-5",
    "opus": "anthropic/claude-opus-5-5",
    "haiku": "anthropic/claude-haiku-5-5",
    "fable": "anthropic/claude-fable-5-2",
    "anthropic": "anthropic/claude-sonnet-5-5",
    "flash": "gemini/gemini-3.8-flash",
    "flash-lite": "gemini/gemini-3.5-flash-lite",
    "pro": "gemini/gemini-3.1-pro-preview",
    "gemini": "gemini/gemini-3.8-flash",
    "gpt": "openai/gpt-6.1-sol",
    "mini": "openai/gpt-5.4-mini",
    "openai/mini": "openai/gpt-5.4-mini",
    "deepseek": "deepseek/deepseek-flash",
    "deepseek-v4-flash": "deepseek/deepseek-flash",
    "mistral": "mistral/mistral-medium-latest",
    "codestral": "mistral/codestral-2508",
    "claude-sonnet-4-5-20250929": "anthropic/claude-sonnet-4-5",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_short_name_means(name):
    assert CATALOG.find(name).ref == NAMES[name]


def test_no_name_has_two_meanings():
    aliases = [alias for model in CATALOG.models for alias in model.aliases]
    ids = [model.id for model in CATALOG.models]

    assert [name for name, times in Counter([*aliases, *ids]).items() if times > 1] == []


@pytest.mark.parametrize("vendor", ["anthropic", "gemini", "openai", "deepseek", "mistral"])
def test_each_vendors_key_keeps_the_predecessors_name(vendor):
    assert CATALOG.vendors[vendor].key_name == f"{vendor.upper()}_API_KEY"
    assert CATALOG.vendors[vendor].base_url.startswith("https://")


def test_local_servers_need_no_key_and_are_asked_by_server_and_model():
    for name in ("ollama", "vllm", "llamacpp", "lmstudio"):
        assert CATALOG.vendors[name].key_name is None
        assert CATALOG.vendors[name].is_local
    assert CATALOG.find("ollama/qwen3.5:8b").id == "qwen3.5:8b"
    assert CATALOG.find("openrouter/meta-llama/llama-4").id == "meta-llama/llama-4"


def test_every_successor_is_a_model_that_still_answers():
    for model in CATALOG.models:
        if model.successor:
            assert CATALOG.find(f"{model.vendor.name}/{model.successor}") in CATALOG.models
            assert CATALOG.find(model.successor).retired is None


def test_every_retired_model_names_a_successor_and_matches_no_glob():
    retired = [model for model in CATALOG.models if model.retired]

    assert {model.id for model in retired} == {
        "claude-3-5-sonnet-20240620", "claude-3-haiku-20240307", "gemini-1.5-pro", "gemini-1.5-flash", "deepseek-chat", "deepseek-reasoner",
    }  # fmt: skip
    assert all(model.successor for model in retired)
    assert not set(retired) & set(CATALOG.match("*/*"))


def test_an_announced_retirement_counts_from_its_day():
    assert builtin(date(2026, 11, 29)).find("claude-sonnet-4-5").retired is None
    assert builtin(date(2026, 11, 30)).find("claude-sonnet-4-5").retired == "2026-11-30"
    assert builtin(date(2026, 12, 11)).find("gpt-5").successor == "gpt-6.1-sol"


def test_default_models_and_short_names_never_mean_a_model_that_is_to_be_retired_within_months():
    later = builtin(date(2027, 3, 31))

    for name in NAMES.keys() - {"claude-sonnet-4-5-20250929"}:
        assert later.find(name).retired is None, name


def test_what_a_model_states_fits_together():
    for model in CATALOG.models:
        assert "text" in model.features, model.ref
        assert bool(model.efforts) <= (model.thinking != "none"), model.ref
        assert (model.thinking != "none") <= ("thinking" in model.features), model.ref
        assert not (model.thinking in {"adaptive", "level", "effort", "toggle"} and not model.efforts), model.ref
        if model.context and model.max_output:
            assert model.max_output <= model.context, model.ref
        if model.max_tokens:
            assert model.max_tokens <= (model.max_output or model.max_tokens), model.ref


def test_new_anthropic_models_refuse_sampling_and_old_ones_take_it():
    assert {"temperature", "top_p", "top_k"} <= CATALOG.find("opus").refuses
    assert "temperature" not in CATALOG.find("claude-haiku-4-5").refuses
    assert "thinking_off" in CATALOG.find("opus").refuses
    assert "thinking_off" not in CATALOG.find("haiku").refuses
    assert CATALOG.find("claude-haiku-4-5").thinking == "budget"


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(UnknownModel, match="did you mean 'sonnet'"):
        CATALOG.find("sonet")


def test_a_users_alias_wins_over_a_built_in_one(home):
    home.user("openai: {models: [{name: gpt-6-luna, aliases: [sonnet]}]}\n", "models.yaml")

    catalog = home.load().catalog

    assert catalog.find("sonnet").ref == "openai/gpt-6-luna"
    assert "sonnet" not in catalog.find("claude-sonnet-5-5").aliases


def test_a_users_entry_changes_only_what_it_says(home):
    home.user(
        "openai: {models: [{name: gpt-6.1-sol, context: 5, price: {input: 0.1, output: 2, cached: 0}}]}\n",
        "models.yaml",
    )

    before, after = CATALOG.find("gpt"), home.load().catalog.find("gpt")

    assert (after.context, str(after.price.input), str(after.price.cached)) == (5, "0.1", "0")
    assert (after.efforts, after.refuses, after.features, after.aliases) == (
        before.efforts, before.refuses, before.features, before.aliases,
    )  # fmt: skip


def test_a_second_server_of_a_kind_has_that_kinds_quirks(home):
    home.user(
        "eu: {kind: openai, base_url: 'https://eu.example/v1', api_key_name: EU_KEY, quirks: {api_version: v2, lacks: [seed]}}\n",
        "models.yaml",
    )

    quirks = home.load().catalog.vendors["eu"].quirks

    assert (quirks.dialect, quirks.api_version, quirks.lacks) == ("responses", "v2", frozenset({"seed"}))


@pytest.mark.parametrize("name", KNOWN)
def test_a_compatible_servers_quirks_are_those_that_its_dialect_knows(name):
    assert CATALOG.vendors[name].quirks == KNOWN[name]


def test_a_key_can_be_taken_away_from_a_vendor(home):
    home.user("openai: {base_url: 'http://proxy.example/v1', api_key_name: null}\n", "models.yaml")

    assert home.load().catalog.vendors["openai"].key_name is None


def test_a_model_without_stated_capabilities_is_refused_nothing_in_advance(home):
    home.user("ollama: {models: [{name: my-model}]}\n", "models.yaml")

    assert "unlisted" in home.load().catalog.find("ollama/my-model").features


@pytest.mark.slow
@pytest.mark.alone
def test_loading_takes_a_blink(tmp_path):
    import time

    paths = Paths.find({"ORCHESTRATOR_NB_HOME": str(tmp_path)}, tmp_path)
    load(paths, tmp_path, {})
    times = []
    for _ in range(5):
        builtin.cache_clear()
        began = time.process_time()
        load(paths, tmp_path, {}, today=TODAY).settings  # noqa: B018
        times.append(time.process_time() - began)

    assert min(times) < 0.04
