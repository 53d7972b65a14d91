"""The page of the ready chains tells of each template what is in it: its parameters, their defaults and descriptions, and an example that runs it."""

import re
from pathlib import Path

import pytest

from orchestrator_nb.chains.templates import ready

PAGE = (Path(__file__).parents[2] / "docs" / "chain-templates.md").read_text()
PARTS = {part.partition("\n")[0].strip(): part for part in PAGE.split("\n## ")[1:]}


def shown(default):
    return "the session's" if default is None else f"`{default}`" if isinstance(default, str) else str(default)


def test_each_template_has_its_part():
    assert PARTS.keys() == ready().keys()


@pytest.mark.parametrize("name", ready())
def test_the_table_of_parameters_is_the_templates(name):
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", PARTS[name], re.MULTILINE)
    told = {row[0]: (row[1], re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", row[2])) for row in rows}
    assert told == {key: (shown(of.default), of.description) for key, of in ready()[name].parameters.items()}


@pytest.mark.parametrize("name", ready())
def test_its_example_runs_it(name):
    made = f'template("{name}")' in PARTS[name] or (name == "refine" and "run_chain(essay" in PARTS[name])
    assert made
    assert "s.run_chain(" in PARTS[name]
