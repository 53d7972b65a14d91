"""The notebooks as they are saved: whole, with outputs, and with nothing of the machine or of a key in them.

That they run is nbmake's work (``make notebooks``).
"""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PRIVATE = re.compile(r"/(?:home|root|tmp|work|Users)/|\bsk-[A-Za-z0-9]{8}|AIza[A-Za-z0-9]{8}|_API_KEY\s*=|\x1b")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def notebook(request):
    found = nbformat.read(request.param, as_version=4)
    nbformat.validate(found)
    return found


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_both_stories_are_there():
    assert [path.name for path in NOTEBOOKS][:2] == ["01_quickstart.ipynb", "02_compare_models.ipynb"]


def test_every_cell_ran_in_order_and_asking_cells_show_their_result(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        if cell.source.startswith(("%%llm", "%%chain")):
            assert cell.outputs, cell.source


def test_only_cells_that_say_so_end_with_an_error(notebook):
    for cell in code_cells(notebook):
        ended = any(output.output_type == "error" for output in cell.outputs)
        assert ended == ("raises-exception" in cell.metadata.get("tags", []))


def test_answers_are_marked_simulated(notebook):
    for cell in code_cells(notebook):
        if (
            cell.source.startswith("%%llm")
            and "--dry-run" not in cell.source
            and "raises-exception" not in cell.metadata.get("tags", [])
        ):
            assert "simulated" in str(cell.outputs)


def test_nothing_of_the_machine_and_no_key_is_saved(notebook):
    assert not PRIVATE.search(nbformat.writes(notebook).replace("\\u001b", "\x1b"))


def test_live_progress_does_not_stay_in_a_saved_notebook(notebook):
    assert "<progress" not in nbformat.writes(notebook)


def test_the_chains_story_shows_its_picture_before_and_after_and_keeps_what_a_failure_left():
    cells = code_cells(nbformat.read(NOTEBOOKS[0].with_name("05_chains.ipynb"), as_version=4))
    before, after = (
        output.data for cell in cells for output in cell.outputs if "image/svg+xml" in output.get("data", {})
    )
    assert "done" not in before["text/plain"]
    assert "[done · 5 calls" in after["text/plain"]
    said = [cell for cell in cells if re.search(r"calls: \d+ simulated", str(cell.outputs))]
    assert len(said) == 5  # every run says that the answers were played
    [resumed] = [cell for cell in cells if "%chain resume" in cell.source]
    assert "4 answers kept from before" in str(resumed.outputs)
