"""A chain is the same value wherever it was written: YAML, JSON, one line, or Python."""

import json
import pickle

import pytest
from hypothesis import given, settings
from made import chains

from orchestrator_nb.chains import load, load_all, to_plain, to_yaml
from orchestrator_nb.chains.load import read_value


@settings(max_examples=40, deadline=None)
@given(chains)
def test_every_chain_is_read_back_from_its_yaml_as_it_was(chain):
    assert load(to_yaml(chain)) == chain


@pytest.mark.soak
@settings(max_examples=3000, deadline=None)
@given(chains)
def test_every_chain_of_thousands_is_read_back_as_it_was(chain):
    assert load(to_yaml(chain)) == chain


@settings(max_examples=20, deadline=None)
@given(chains)
def test_the_canonical_yaml_of_what_was_read_is_the_same_text(chain):
    text = to_yaml(chain)
    assert to_yaml(load(text)) == text


@settings(max_examples=20, deadline=None)
@given(chains)
def test_every_chain_survives_json_and_pickle(chain):
    assert read_value(json.loads(json.dumps(to_plain(chain))), "x").sound == chain
    assert pickle.loads(pickle.dumps(chain)) == chain


def test_one_line_and_the_predecessors_form_are_the_same_chain():
    old = """
main_llm: {provider: gemini, model: gemini-1.5-flash-latest}
chains:
  research_workflow:
    steps:
      - role: "analyze"
        persona: "researcher"
        model: "claude-3-5-sonnet"
      - role: "Summarize"
        persona: "TechnicalWriter"
        model: "gemini-1.5-pro"
"""
    line = "analyze:researcher@claude-3-5-sonnet | summarize:technical_writer@gemini-1.5-pro"
    assert load_all(old)["research_workflow"] == load(line, name="research_workflow")
    assert load(old) == load(old, name="research_workflow")


def test_one_line_takes_odd_models_several_models_and_lone_roles():
    chain = load("Generate Code:developer@ollama/llama3:8b | critique@sonnet, flash | plan")
    assert [step.id for step in chain.steps] == ["generate_code", "critique", "plan"]
    assert [step.do.model for step in chain.steps] == [("ollama/llama3:8b",), ("sonnet", "flash"), ()]


def test_a_role_used_twice_has_two_names():
    assert [step.id for step in load("critique | critique | critique").steps] == [
        "critique",
        "critique_2",
        "critique_3",
    ]


def test_equal_chains_are_equal_wherever_they_stand_in_a_file():
    assert load("steps:\n- prompt: a\n") == load("\n\n# later\nsteps: [{prompt: a}]\n")
