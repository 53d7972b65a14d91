"""The pages say what is so: each key with its default, each quirk, and examples that load."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator_nb.catalog import Quirks
from orchestrator_nb.config import json_schema
from orchestrator_nb.config.project import MAX_TOKENS_WITHOUT_USER
from orchestrator_nb.config.schema import keys
from orchestrator_nb.config.steps import ALLOWED_OPTIONS
from orchestrator_nb.config.vendors import ModelEntry, VendorEntry
from orchestrator_nb.config.yaml import read

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / name).read_text("utf-8") for name in ("configuration.md", "vendors.md")}
EXAMPLES = [
    pytest.param(text, id=f"{name}-{number}")
    for name, page in PAGES.items()
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
]


def rows(page, *, cells):
    """The rows of a page's tables with so many cells whose first is one `key`."""
    found = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("` "): row[1].strip("| ") for row in found if len(row) == cells}


def plain(text):
    """A default as the page writes it."""
    return read(f"v: {text}\n".encode(), "page").value["v"]


def test_each_setting_is_documented_with_its_default():
    documented = {key: plain(text) for key, text in rows(PAGES["configuration.md"], cells=3).items()}

    assert documented == json.loads(json.dumps(keys()))


def test_each_quirk_is_documented_with_its_default():
    documented = {key: plain(text) for key, text in rows(PAGES["vendors.md"], cells=3).items()}

    assert documented == {f.name: [] if f.default == frozenset() else f.default for f in fields(Quirks)}


@pytest.mark.parametrize("shape", [VendorEntry, ModelEntry])
def test_each_key_of_a_vendor_and_a_model_is_documented(shape):
    named = set(
        re.findall(
            r"`([a-z_]+)`", "\n".join(line for line in PAGES["configuration.md"].splitlines() if line.startswith("|"))
        )
    )

    assert shape.model_fields.keys() <= named


def test_the_page_names_what_a_project_may_set():
    assert f"{MAX_TOKENS_WITHOUT_USER:,}" in PAGES["configuration.md"]
    assert all(f"`{key}`" in PAGES["configuration.md"] for key in {"python", "mode"} | ALLOWED_OPTIONS)


def test_what_only_a_file_may_say_is_documented():
    for key in json_schema("config")["properties"].keys() - {key.partition(".")[0] for key in keys()}:
        assert f"`{key}" in PAGES["configuration.md"]


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_loads(home, text):
    name = text.splitlines()[0].removeprefix("# ")
    home.write((home.project if name == "orchestrator-nb.yaml" else home.paths.config) / name, text)

    config = home.load()

    assert config.notices == ()
    assert config.settings
    assert len(config.layers) > 2 or len(config.catalog.vendors) > 11


def test_the_page_has_an_example_of_each_file():
    names = {text.values[0].splitlines()[0] for text in EXAMPLES}

    assert names == {"# config.yaml", "# models.yaml", "# orchestrator-nb.yaml"}
