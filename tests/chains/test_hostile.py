"""Whatever text comes in, reading and planning it ends quickly, in a chain or in problems, and in nothing else."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import chains

from orchestrator_nb.chains import World, check, load, plan, to_plain
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.planning import planned
from orchestrator_nb.errors import ChainError

PAGE = (Path(__file__).parents[2] / "docs" / "chain-format.md").read_text()
EXAMPLES = [
    *re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE),
    "analyze:researcher@sonnet | summarize:technical_writer@flash",
]
ODD = ["{{", "}}", "{%", "'", '"', ":", "- ", "[", "]", "{", "}", "#", "|", "&a", "*a", "!!x", "\t", "\n", "null", "true", "1e400", "-", "@", "each", "steps", "_", "\u2028", "input", "goto", "💥"]  # fmt: skip


@st.composite
def damaged(draw):
    text = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(["", *ODD]) | st.text(max_size=3)) + text[end:]
    return text


def holds(text):
    for problem in check(text, file="f.yaml", world=World(chains={}, trusted=False)):
        assert problem.message
        assert problem.line >= 1
        assert str(problem).startswith("f.yaml:")


@settings(max_examples=120, deadline=None)
@given(damaged())
def test_a_damaged_chain_gives_problems_and_no_other_error(text):
    holds(text)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None)
@given(damaged())
def test_twenty_thousand_damaged_chains_give_problems_and_no_other_error(text):
    holds(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "a", "{{ a }}", "{{ a.b }}", "x | y", "default"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["steps", "id", "prompt", "switch", "on", "ask", "cases", "default", "parallel", "each", "over", "repeat", "until", "max", "inputs", "outputs", "use", "with", "input", "schema", "options", "a"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(values, values)
def test_any_json_value_is_a_chain_or_has_problems(first, rest):
    for value in (
        first,
        {"steps": first, "inputs": rest},
        {"steps": [first, {"prompt": "x", **rest}] if isinstance(rest, dict) else rest},
    ):
        reading = read_value(value, "x")
        assert reading.problems or reading.chain
        if reading.chain:
            planned(reading.chain)


@settings(max_examples=60, deadline=None)
@given(chains)
def test_any_chain_of_the_language_is_planned_or_has_problems(chain):
    made, problems = planned(chain, World(chains={}))
    assert made or problems


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_a_name_from_a_hostile_file_is_shown_and_never_becomes_part_of_a_terminals_commands(name):
    problems = read_value({"steps": [{"prompt": "x", name: 1}]}, "x").problems
    with pytest.raises(ChainError) as failure:
        raise ChainError(problems or [name])
    assert not any(sign != "\n" and not sign.isprintable() and sign != "\t" for sign in str(failure.value))


def test_problems_print_no_control_signs():
    (problem,) = read_value({"steps": [{"prompt": "x", "\x1b[31m": 1}]}, "x").problems
    assert "\x1b" not in str(problem)


def test_a_plan_holds_no_name_of_an_untrusted_chain_that_calls_python():
    text = "steps: [{python: os.system, with: {command: ls}}]"
    with pytest.raises(ChainError, match="not trusted"):
        plan(load(text), World(trusted=False))
    assert (
        to_plain(load(text))["steps"][0]["python"] == "os.system"
    )  # a name to look up among registered functions, never code
