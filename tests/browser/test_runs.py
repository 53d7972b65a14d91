"""The run panel in JupyterLab: found, opened, gone on with, with the keyboard alone; themes, zoom, a screen reader's rules, hostile names; and what stays in the notebook."""

import json
import re
import sqlite3

from test_widgets import ALERT, DARK, PAYLOADS, serious, theme

MADE = """
%load_ext orchestrator_nb
%llm simulate on
from orchestrator_nb import session
import json
hostile = json.loads({payloads!r})
session().simulator._world.lively = False
for number in range(50):
    _ = session().compare([f"question {{number}} " + hostile[number % len(hostile)]], ["sonnet"])
session().simulator.fail("400", times=1)
plan = session().plan("{{{{ p }}}}", ["sonnet", "flash"], over=[dict(p="will it?"), dict(p=hostile[1])])
session().run(plan, about=dict(notebook="study/" + hostile[0] + ".ipynb")).id
"""


def test_runs_are_found_opened_and_gone_on_with(open_notebook, server):
    payloads = json.dumps(
        [text.replace("{K}", "runs").replace("{B}", "http://127.0.0.1:9") for text in PAYLOADS.values()]
    )
    notebook = open_notebook("runs.ipynb", [MADE.format(payloads=payloads), "%llm runs", "frame = %llm runs"])
    page = notebook.page
    notebook.run_all()
    panel = page.locator(".onb-runs")
    panel.locator(".onb-run").first.wait_for()
    assert panel.count() == 1  # the assignment shows none
    assert page.locator("table.dataframe").first.is_hidden()
    assert panel.locator(".onb-run").count() == 50
    panel.locator("svg").wait_for()
    panel.get_by_role("button", name="Older").click()
    page.wait_for_function("() => document.querySelectorAll('.onb-run').length === 1")
    panel.get_by_role("button", name="Newer").click()
    page.wait_for_function("() => document.querySelectorAll('.onb-run').length === 50")
    panel.locator("input[type=search]").focus()
    page.keyboard.type("will it")
    page.wait_for_function("() => document.querySelectorAll('.onb-run').length === 1")
    panel.locator(".onb-toggle").first.focus()
    page.keyboard.press("Enter")
    panel.locator(".onb-answers table").wait_for()
    assert len(notebook.sources()) == 3  # no letter reached the notebook's shortcuts
    panel.get_by_role("button", name="Retry errors").click()
    asking = panel.locator(".onb-asking")
    asking.wait_for()
    assert "1 call: 1 new" in asking.inner_text()
    panel.scroll_into_view_if_needed()
    notebook.shoot("runs")
    found = {"light": serious(page, ".onb-runs")}
    theme(notebook, DARK)
    found["dark"] = serious(page, ".onb-runs")
    notebook.shoot("runs-dark")
    theme(notebook, "JupyterLab Light")
    page.set_viewport_size({"width": 640, "height": 450})  # what is left of the page at 200 %
    page.wait_for_timeout(300)
    assert page.evaluate(
        "() => { const e = document.querySelector('.onb-runs'); return e.scrollWidth <= e.clientWidth + 1 }"
    )
    panel.locator(".onb-list").scroll_into_view_if_needed()
    notebook.shoot("runs-200-percent")
    page.set_viewport_size({"width": 1280, "height": 900})
    asking.get_by_role("button", name="Ask 1 call now").click()
    panel.get_by_text("has ended").first.wait_for()
    panel.locator(".onb-run").first.get_by_text("answered").wait_for()
    panel.get_by_role("button", name="Insert a cell with its frame").click()
    page.wait_for_function("() => document.querySelectorAll('.jp-Notebook .jp-CodeCell').length > 3")
    assert notebook.sources()[2].startswith("%llm show 2")
    assert page.evaluate(ALERT) == []
    assert found == {"light": {}, "dark": {}}
    notebook.save()
    notebook.close()
    again = open_notebook("runs.ipynb")
    again.page.locator("table.dataframe").first.wait_for()
    again.page.wait_for_timeout(800)
    assert again.page.locator("table.dataframe").first.is_visible()
    assert not re.search("Error displaying|Loading widget|Error creating", again.output(1))
    again.shoot("runs-reopened")
    assert "onb-beside" in (server.root / "runs.ipynb").read_text()
    assert sqlite3.connect(server.root.parent / "state/home/data/store.db").execute(
        "SELECT count(*) FROM runs"
    ).fetchone() == (51,)
