"""All widgets on one page: in dark, in forced colours, at 200 %, by a screen reader's rules; and on the day after, when none of them lives."""

import re

from test_widgets import DARK, serious, theme

SETUP = """%load_ext orchestrator_nb
%llm simulate on
from orchestrator_nb import session
from orchestrator_nb.widgets import RunGrid, RunPanel
_ = session().compare(["one two three"], ["sonnet", "flash"])
first = session().last"""
CHAIN = """%%chain --save letter
steps:
  - {id: draft, prompt: "Write a letter.", model: sonnet}
  - {id: title, prompt: "A title for {{ draft }}", model: haiku}"""
TALK = "%%llm -c talk sonnet\nName a metal."
WIDGETS = {
    "%llm pick sonnet": ("picker", "can be asked now"),
    "%vault panel": ("vault", "not made yet"),
    "RunGrid(first)": ("grid", "2 simulated"),
    "RunPanel()": ("runs", "claude-sonnet-5-5"),
    "%llm runs": ("runs", "claude-sonnet-5-5"),
    "%chain edit letter": ("editor", "letter"),
    "%chain draw letter": ("editor", ""),
    "%llm chat talk": ("chat", "Name a metal."),
}
ALONE = "Error displaying|Loading widget|Error creating|Model not found"
WIDE = """() => [...document.querySelectorAll('.onb-widget')].filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => each.className)"""


def test_all_widgets_can_be_seen_and_read_whatever_the_colours_and_the_size_and_leave_their_static_forms(
    open_notebook, server
):
    notebook = open_notebook("all.ipynb", [SETUP, CHAIN, TALK, *WIDGETS])
    page = notebook.page
    notebook.run_all()
    assert notebook.errors() == []
    for name, _ in WIDGETS.values():
        page.locator(f".onb-{name}").first.wait_for()
    page.locator(".onb-grid [role=gridcell]").first.wait_for()
    page.locator(".onb-runs .onb-run").first.wait_for()
    found = {}
    theme(notebook, DARK)
    found["dark"] = serious(page, ".onb-widget")
    theme(notebook, "JupyterLab Light")
    page.emulate_media(forced_colors="active")
    found["forced colours"] = serious(page, ".onb-widget")
    page.set_viewport_size({"width": 1280, "height": 3600})
    notebook.shoot("everywhere-forced")
    page.emulate_media(forced_colors="none")
    page.set_viewport_size({"width": 640, "height": 450})  # what is left of the page at 200 %
    page.wait_for_timeout(300)
    assert page.evaluate(WIDE) == []
    found["200 %"] = serious(page, ".onb-widget")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert found == {"dark": {}, "forced colours": {}, "200 %": {}}
    notebook.save()
    notebook.close()

    again = open_notebook("all.ipynb")
    for number, (command, (_, said)) in enumerate(WIDGETS.items(), 3):
        shown = again.output(number)
        assert said in shown, command
        assert not re.search(ALONE, shown), command
    assert serious(page, ".onb-box") == {}
    page.set_viewport_size({"width": 1280, "height": 2000})
    again.shoot("everywhere-day-after")
    page.set_viewport_size({"width": 1280, "height": 900})
