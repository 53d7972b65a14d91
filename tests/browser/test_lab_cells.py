"""What a person sees in JupyterLab: the quickstart, text that streams in, the interrupt button, Tab."""

import itertools
import shutil
from pathlib import Path

import pytest

CHAIN = """%%chain rows << --input topic="lighthouses"
inputs: {topic: text}
defaults: {model: sonnet}
steps:
  - {id: draft, prompt: "Tell me about {{ topic }}."}
  - {id: questions, each: [light, storms, ships], prompt: "Ask about {{ topic }} and {{ item }}.", model: haiku}
  - id: polished
    input: "{{ draft }}"
    repeat: {until: turn > 4, max: 2}
    steps: [{id: critique, role: critique, model: haiku}, {id: revise, prompt: "Revise: {{ previous }} {{ critique }}"}]
  - {id: title, prompt: "A title for this: {{ polished }}", model: haiku}
outputs: {title: "{{ title }}", text: "{{ polished }}", questions: "{{ questions }}"}
"""
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
START = "%load_ext orchestrator_nb\n%llm simulate on"
SLOW = """
from orchestrator_nb.sessions import session
session().simulator.say("lighthouse", "The lamp turned, and the sea kept its own slow time. " * 20)
"""

ENDLESS = """
from orchestrator_nb.sessions import session
session().simulator.say("lighthouse", "It stands where the land ends.", delay=600)
session().simulator.say("lighthouse", "It stands where the land ends.", model="gemini")
"""


def test_the_quickstart_runs_from_top_to_bottom(open_notebook, server):
    for name in ("01_quickstart.ipynb", "answers.yaml"):
        shutil.copy(NOTEBOOKS / name, server.root)
    notebook = open_notebook("01_quickstart.ipynb")
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.run_all()
    notebook.shoot_all("quickstart")
    [wrong] = notebook.errors()
    assert "unknown model 'sonet'; did you mean 'sonnet'" in wrong  # the one cell that shows an error
    [compared] = [i for i, cell in enumerate(notebook.sources()) if cell.startswith("%%llm answers <<")]
    assert "5 calls: 5 simulated" in notebook.output(compared)


def test_text_streams_in_and_the_final_answer_replaces_it(open_notebook):
    notebook = open_notebook("stream.ipynb", [START + SLOW, "%%llm sonnet\nTell me about a lighthouse."])
    notebook.watch(1)
    notebook.start_all()
    notebook.page.get_by_text("The lamp turned").first.wait_for()
    notebook.shoot("streaming")
    notebook.wait_ran()
    lengths = [len(text) for text in notebook.seen()]
    grew = sum(later > earlier for earlier, later in itertools.pairwise(lengths))
    assert grew >= 5, lengths
    assert "· simulated ·" in notebook.output(1)
    assert notebook.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output").count() == 1
    notebook.shoot("streamed")


def test_the_interrupt_button_stops_a_fan_out_and_keeps_the_finished_rows(open_notebook):
    cells = [
        START + ENDLESS,
        "%%llm rows << flash sonnet haiku mini luna --repeat 10 --max-parallel 50\nTell me about a lighthouse.",
        "%%llm after << flash sonnet\nhello",
        "len(rows), int(rows.error.isna().sum()), len(after)",
    ]
    notebook = open_notebook("interrupt.ipynb", cells)
    notebook.start_all()
    table = notebook.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea")
    table.get_by_text("10 of 50 calls").first.wait_for()
    notebook.shoot("fan-out")
    notebook.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    notebook.wait_ran()
    assert "KeyboardInterrupt: stopped; 10 of 50 calls are finished, all rows are in rows." in notebook.output(1)
    notebook.shoot("interrupted")
    notebook.run_cells_from(2)
    assert notebook.output(3).endswith("(50, 10, 2)")


def test_tab_completes_a_model_and_leaves_the_prompt_alone(open_notebook):
    notebook = open_notebook("tab.ipynb", [START, "x = 1"])
    notebook.run_all()
    page = notebook.page
    editor = page.locator(".jp-CodeCell .cm-content").nth(1)
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("%%llm anthropic/claude-s")
    page.keyboard.press("Tab")
    page.wait_for_selector(".jp-Completer-item")
    offered = page.locator(".jp-Completer-item").all_inner_texts()
    assert any("anthropic/claude-sonnet-5-5" in item for item in offered)
    notebook.shoot("tab")
    page.keyboard.press("Enter")
    assert "anthropic/claude-s" in editor.inner_text()
    page.keyboard.press("Escape")


def test_a_saved_notebook_shows_the_result_when_it_is_opened_again(open_notebook):
    notebook = open_notebook("saved.ipynb", [START, "%%llm flash sonnet\nWhy does bread rise?"])
    notebook.run_all()
    shown = notebook.output(1)
    notebook.save()
    notebook.close()
    again = open_notebook("saved.ipynb")
    assert (
        again.output(1).strip() == shown.partition("2 of 2 calls, ended")[0].strip()
    )  # the grid's line has gone with its kernel
    assert "2 simulated" in shown


def test_a_chain_shows_its_steps_while_it_runs_and_its_outputs_after(open_notebook):
    notebook = open_notebook("chain.ipynb", [START + SLOW, CHAIN])
    notebook.watch(1)
    notebook.start_all()
    notebook.page.get_by_text("of 3 items").first.wait_for()
    notebook.show_end(1)
    notebook.shoot("chain-items")
    notebook.wait_ran()
    seen = notebook.seen()
    assert any("of 3 items" in text for text in seen)
    assert any("turn 2 of at most 2" in text for text in seen)
    assert any("left" in text and "critique" in text and "the sea kept its own slow time" in text for text in seen)
    after = notebook.output(1)
    assert "waiting" not in after
    assert "9 calls: 9 simulated" in after
    assert notebook.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output").count() == 1
    notebook.show_end(1)
    notebook.shoot("chain-after")


@pytest.mark.soak  # at the pace of the models that it plays
def test_the_chains_story_runs_from_top_to_bottom(open_notebook, server):
    for name in ("05_chains.ipynb", "05_chains.yaml"):
        shutil.copy(NOTEBOOKS / name, server.root)
    shutil.copytree(NOTEBOOKS / "05_texts", server.root / "05_texts")
    notebook = open_notebook("05_chains.ipynb")
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.run_all()
    notebook.shoot_all("chains")
    [wrong] = notebook.errors()
    assert "answered 429 (quota)" in wrong  # the failure that the next cells recover from
    [resumed] = [i for i, cell in enumerate(notebook.sources()) if "%chain resume" in cell]
    assert "4 answers kept from before" in notebook.output(resumed)
    pictures = notebook.page.locator(
        '.jp-OutputArea-output img[src^="data:image/svg"], .jp-OutputArea-output svg'
    ).count()
    assert pictures >= 2
