"""Users bring the predecessor's config.yaml and models.yaml; they load as they are, from their own folder and from a project's."""

from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator_nb.catalog import Limits, Price

DATA = Path(__file__).with_name("data")


@pytest.fixture(params=["user", "project"])
def config(request, home):
    folder = home.paths.config if request.param == "user" else home.project
    home.write(folder / "config.yaml", (DATA / "predecessor/config.yaml").read_text())
    home.write(folder / "models.yaml", (DATA / "predecessor/models.yaml").read_text())
    return home.load()


def test_the_main_model_is_the_default_model(config):
    assert config.settings.model == "gemini/gemini-1.5-flash-latest"
    assert config.catalog.find(config.settings.model).id == "gemini-1.5-flash"
    assert config.why("model")[0].place.endswith("config.yaml:4")


def test_the_chain_is_kept_step_by_step(config):
    steps = config.settings.chains["research_workflow"]["steps"]

    assert [(step["role"], step["persona"], step["model"]) for step in steps] == [
        ("analyze", "researcher", "claude-3-5-sonnet"),
        ("summarize", "technical_writer", "gemini-1.5-pro"),
    ]


def test_models_keep_their_max_tokens_and_a_vendor_its_default_model(config):
    catalog = config.catalog

    assert catalog.find("claude-3-5-sonnet-20240620").max_tokens == 4096
    assert catalog.find("claude-3-haiku-20240307").max_tokens == 1000
    assert catalog.find("deepseek/deepseek-chat").max_tokens == 1024
    assert catalog.find("anthropic").id == "claude-3-5-sonnet-20240620"
    assert catalog.find("deepseek").id == "deepseek-chat"
    assert catalog.vendors["anthropic"].key_name == "ANTHROPIC_API_KEY"


def test_roles_and_personas_are_known_by_name(config):
    assert list(config.settings.roles) == ["Critique", "Summarize", "GenerateCode", "Plan"]
    assert list(config.settings.personas) == ["Developer", "ProductManager", "Poet", "TechnicalWriter", "Tester"]


def test_each_retired_model_is_named_once_per_line_with_its_successor(config):
    places = [(notice.split("/")[-1].split(": ")[0], notice.rsplit("use ", 1)[-1]) for notice in config.notices]
    texts = "\n".join(config.notices)

    assert (
        "models.yaml:6: anthropic.models[0].name: anthropic/claude-3-5-sonnet-20240620 was retired on 2025-10-28"
        in texts
    )
    assert "use 'deepseek-flash' instead" in texts
    assert (
        "config.yaml:4: main_llm.model: gemini/gemini-1.5-flash was retired on 2025-09-24; use 'gemini-3.8-flash' instead."
        in texts
    )
    assert "config.yaml:13: chains.research_workflow.steps[1].model: gemini/gemini-1.5-pro was retired" in texts
    assert len(places) == len(set(config.notices)) == 8


def test_todays_form_adds_any_server(home):
    home.user((DATA / "any-server.yaml").read_text(), "models.yaml")

    catalog = home.load().catalog
    tiny = catalog.find("mylab/tiny")

    assert tiny.vendor.base_url == "http://127.0.0.1:8000/v1"
    assert tiny.vendor.key_name == "MYLAB_KEY"
    assert tiny.vendor.limits == Limits(600, 200000, 8)
    assert (tiny.context, tiny.price) == (512, Price(Decimal(0), Decimal(0)))
    assert catalog.find("sonnet").vendor.base_url == "http://127.0.0.1:4321/anthropic"
    assert catalog.find("sonnet").vendor.key_name == "ANTHROPIC_API_KEY"
