"""The builder's forms are made of the language's own schema, so that a new key has a field at once."""

import json
from pathlib import Path

from orchestrator_nb.chains.language import schema

TRIED = Path(__file__).parents[2] / "extensions/widgets/tests/editor-chain.json"


def test_the_front_ends_tests_use_the_schema_of_the_language_as_it_is():
    assert json.loads(TRIED.read_text())["schema"]["schema"] == json.loads(json.dumps(schema()))
