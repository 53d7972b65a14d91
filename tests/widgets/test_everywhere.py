"""Where no widget can be shown: a real kernel's output as a page of nbconvert, in which the static form stands."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

sys.path.insert(0, str(Path(__file__).parents[1] / "magics"))
from kernels import kernel as fresh

VIEW = "application/vnd.jupyter.widget-view+json"
SAID = {"%llm pick": "models can be asked now", "%vault panel": "the vault of profile 'default' is not made yet"}

pytestmark = pytest.mark.slow


def test_each_widget_leaves_a_static_form_that_an_exported_page_shows(tmp_path):
    cells = []
    with fresh(tmp_path) as kernel:
        assert kernel.run("%load_ext orchestrator_nb\n%llm simulate on", timeout=60).status == "ok"
        for code, said in SAID.items():
            shown = kernel.run(code, timeout=60)
            view, still = shown.outputs.values()
            assert VIEW in view
            assert "needs a front end with widgets" in view["text/plain"]
            assert said in still["text/plain"]
            outputs = [nbformat.v4.new_output("display_data", data=data) for data in (view, still)]
            cells.append(nbformat.v4.new_code_cell(code, outputs=outputs))
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    words = re.sub(r"<[^>]*>", "", page.replace("&#39;", "'").replace("&#x27;", "'"))
    assert all(said in words for said in SAID.values())
