"""The page of the language says what the code does: its examples load, its tables name every key, function and filter."""

import re
from pathlib import Path

import pytest

from orchestrator_nb.chains import check, load, plan, to_yaml
from orchestrator_nb.chains.functions import FILTERS, FUNCTIONS, TESTS
from orchestrator_nb.chains.language import (
    RESERVED,
    ChainPiece,
    Common,
    EachPiece,
    InputPiece,
    PlanPiece,
    RepeatPiece,
    RetryPiece,
    StepPiece,
    SwitchPiece,
)
from orchestrator_nb.chains.roles import PERSONAS, ROLES
from orchestrator_nb.chains.templates import ready

PAGE = (Path(__file__).parents[2] / "docs" / "chain-format.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text[:30])
def test_every_example_loads_plans_and_is_written_back(text):
    assert check(text) == ()
    chain = load(text)
    assert plan(chain).graph.waves()
    assert load(to_yaml(chain)) == chain


def keys(*pieces):
    return {field.alias or name for piece in pieces for name, field in piece.model_fields.items()}


def test_every_key_stands_in_a_table():
    named = set(re.findall(r"`(\w+)`", " ".join(line for line in PAGE.splitlines() if line.startswith(("|", "`use`")))))
    inner = {*re.findall(r"\w+", " ".join(re.findall(r"`\{[^`]*\}`", PAGE)))}
    assert keys(ChainPiece, Common, StepPiece, SwitchPiece, PlanPiece) <= named
    assert keys(EachPiece, RepeatPiece, RetryPiece) <= named | inner


@pytest.mark.parametrize(
    "piece", [ChainPiece, Common, StepPiece, EachPiece, RepeatPiece, SwitchPiece, PlanPiece, RetryPiece, InputPiece]
)
def test_every_key_says_what_it_is_to_editors_and_to_models(piece):
    described = piece.model_json_schema(by_alias=True)
    keys_of = described.get("properties") or described["$defs"][piece.__name__]["properties"]
    assert [key for key, field in keys_of.items() if not field.get("description")] == []


def test_every_function_filter_and_test_stands_in_a_table():
    assert {name for name in FUNCTIONS if f"`{name}(" not in PAGE} == set()
    assert {name for name in FILTERS if f"`{name}`" not in PAGE and f"`{name}(" not in PAGE} == set()
    assert {name for name in TESTS if f"is {name}" not in PAGE} == set()


def test_every_role_persona_reserved_name_and_template_is_on_the_page():
    told = set(re.findall(r"\w+", PAGE))
    assert {*ROLES, *PERSONAS, *ready()} <= told
    assert RESERVED - {"loop", "true", "false", "none", "True", "False", "None"} <= told
