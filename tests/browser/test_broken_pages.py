"""A page that is closed while a run goes on, two tabs, a kernel that is restarted in the middle: the store has all that was answered, and the rest can be asked."""

import re
import sqlite3

import lab

SETUP = """
%load_ext orchestrator_nb
%llm simulate on
from orchestrator_nb import session
session().simulator.say("question", "slow " * 60)
rows = [{"p": f"question {number}"} for number in range(6)]
"""
RUN = "%%llm found << haiku flash --over rows --max-parallel 3\n{{ p }}"
HELD = 'session().simulator.say("question 5", "late", delay={seconds})'
ALONE = "Error displaying|Loading widget|Error creating"


def calls_of(server):
    """How many calls each run has in the store, the oldest first."""
    query = "SELECT runs.id, count(calls.id) FROM runs LEFT JOIN calls ON calls.run = runs.id AND calls.answer IS NOT NULL GROUP BY runs.id ORDER BY runs.id"
    with sqlite3.connect(server.root.parent / "state/home/data/store.db") as store:
        return [count for _, count in store.execute(query)]


def under_way(notebook):
    """Until all is answered but what is held."""
    notebook.page.locator(".onb-grid", has_text="10 of 12 calls").first.wait_for()


def opened(notebook):
    """The grid of the ended run, as this page finds it."""
    grid = notebook.page.locator(".onb-grid")
    grid.get_by_text("12 of 12 calls").first.wait_for()
    assert not re.search(ALONE, notebook.output(1))
    if (search := grid.get_by_role("button", name="Search, compare and rate")).is_visible():
        search.click()
    return grid


def test_whatever_happens_to_the_page_the_store_is_complete_and_the_rest_can_be_asked(open_notebook, server):
    cells = [SETUP, RUN, "%llm runs", HELD.format(seconds=15), HELD.format(seconds=600)]
    notebook = open_notebook("broken.ipynb", cells)
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(3)
    notebook.start_cell(1)
    under_way(notebook)
    notebook.save()
    page.goto("about:blank")  # closed, as far as the kernel can tell
    assert calls_of(server) == [10]
    lab.until(lambda: calls_of(server) == [12], lambda: calls_of(server))

    again = open_notebook("broken.ipynb")
    opened(again)
    with page.context.new_page() as second:  # two tabs on one notebook
        other = opened(lab.Notebook.open(second, server, "broken.ipynb"))
        other.get_by_role("gridcell").first.click()
        second.keyboard.press("Escape")
        second.keyboard.press("4")
        page.locator(".onb-grid").get_by_role("img", name="rated 4 of 5").wait_for()

    again.run_cell(4)
    again.start_cell(1)
    under_way(again)
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart() }")
    again.wait_idle()
    again.shoot("broken-restarted")
    page.get_by_text("The kernel has gone").first.wait_for()
    again.run_cell(0)
    again.run_cell(2)
    line = page.locator(".onb-runs .onb-run").first
    line.wait_for()
    again.shoot("broken-off")
    line.get_by_text("broken off").first.wait_for()
    assert calls_of(server) == [12, 10]
    assert "10 of 12" in line.inner_text()
    line.get_by_role("button").click()
    page.get_by_role("button", name="Resume: 2 left").click()
    page.get_by_role("button", name="Ask 2 calls now").click()
    lab.until(lambda: calls_of(server) == [12, 12], lambda: calls_of(server))
    page.get_by_text("has ended").first.wait_for()
    again.shoot("broken-resumed")
