"""The live grid in JupyterLab: it streams, is stopped, searched, compared and rated with the keyboard alone, and leaves the static result."""

import json
from pathlib import Path

from test_widgets import ALERT, DARK, serious, theme

PAYLOADS = json.loads((Path(__file__).parents[1] / "results/xss_payloads.json").read_text())["payloads"]
SETUP = """
%load_ext orchestrator_nb
%llm simulate on
import json
from orchestrator_nb import session
hostile = json.loads({payloads!r})
for number, payload in enumerate(hostile):
    session().simulator.say(f"case{{number}}z", payload + f" lamp {{number}} turned, and the sea kept its own slow time. " * 3)
rows = [{{"p": f"case{{number}}z {{hostile[number]}}"}} for number in range(len(hostile))]
slow = [{{"p": f"How is the sea, day {{number}}?"}} for number in range(100)]
session().simulator.say("How is the sea", "slow " * 40_000)
session().simulator._world.lively = False  # at once, not at a vendor's pace
"""
RUN = "%%llm found << flash haiku --over rows --quiet\n{{ p }}"
GRID = "session().simulator._world.lively = True\nfound.llm.grid()"
STOPPED = "%%time\n%%llm stopped << flash haiku --over slow --max-parallel 4 --max-cost 5\n{{ p }}"  # blocks
MARKED = "marked = found.llm.marked()\nprint(marked.loc[marked.rating.notna(), ['best', 'rating', 'thumbs', 'note']].to_dict('records'))"


def cell(grid, row, column):
    return grid.locator(f'[role=row][aria-rowindex="{row + 2}"] [role=gridcell][aria-colindex="{column + 2}"]')


def pressed(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def test_a_fan_out_is_watched_stopped_compared_and_rated_with_the_keyboard_and_ends_static(open_notebook, server):
    hostile = [text.replace("{K}", "grid").replace("{B}", "http://127.0.0.1:9") for text in PAYLOADS.values()]
    setup = SETUP.format(payloads=json.dumps(hostile))
    notebook = open_notebook("grid.ipynb", [setup, RUN, GRID, STOPPED, MARKED])
    page = notebook.page
    notebook.start_all()
    grid, live = page.locator(".onb-grid").first, page.locator(".onb-grid").nth(1)
    live.get_by_role("button", name="Cancel").wait_for()
    live.get_by_role("grid").scroll_into_view_if_needed()  # text comes where somebody looks
    live.locator('[data-kind="running"] .onb-grid-text', has_text="slow").first.wait_for()
    result = page.locator(".jp-CodeCell").nth(3).locator(".onb-box").first
    assert result.is_hidden()  # it is drawn, and covered
    assert "of $5.00" in live.inner_text()
    notebook.shoot("grid-running")
    live.get_by_role("button", name="Cancel").click()
    notebook.wait_ran()
    assert "KeyboardInterrupt: stopped; " in notebook.output(3)
    assert result.is_visible()  # it has replaced the grid, which comes again when it is wanted
    live.get_by_role("button", name="Search, compare and rate").click()
    assert result.is_hidden()

    table = grid.get_by_role("grid")
    grid.get_by_text(f"{2 * len(hostile)} of {2 * len(hostile)} calls, ended").first.wait_for()
    assert grid.get_by_role("gridcell").count() < 40  # only what is in sight
    table.focus()
    pressed(page, "ArrowDown", "Enter")
    detail = grid.get_by_role("region", name="One answer")
    detail.get_by_text("lamp 1 turned").first.wait_for()
    assert hostile[1] in detail.inner_text()
    pressed(page, "Escape", "4", "b", "+")
    cell(grid, 1, 0).get_by_role("img", name="pinned as the best, rated 4 of 5, thumbs up").wait_for()
    pressed(page, "ArrowRight", "b")
    cell(grid, 1, 1).get_by_role("img", name="pinned as the best").wait_for()
    cell(grid, 1, 0).get_by_role("img", name="rated 4 of 5, thumbs up", exact=True).wait_for()
    pressed(page, "d", "Control+End", "d")
    grid.locator("ins").first.wait_for()
    notebook.shoot("grid-compared")
    pressed(page, "Escape")
    assert len(notebook.sources()) == 5  # no letter reached the notebook's shortcuts
    grid.get_by_role("searchbox").fill("LAMP 1 turned")
    grid.get_by_text(f"1 of {len(hostile)} prompts").first.wait_for()
    cell(grid, 0, 0).click()
    detail.get_by_label("Note").fill("dull <b>but</b> true")
    page.keyboard.press("Enter")
    cell(grid, 0, 0).get_by_role("img", name="note: dull <b>but</b> true").wait_for()
    found = {"light": serious(page, ".onb-grid")}
    notebook.shoot("grid-opened")
    grid.get_by_role("searchbox").fill("")
    theme(notebook, DARK)
    found["dark"] = serious(page, ".onb-grid")
    notebook.shoot("grid-dark")
    theme(notebook, "JupyterLab Light")
    page.set_viewport_size({"width": 640, "height": 450})  # what is left of the page at 200 %
    grid.scroll_into_view_if_needed()
    assert page.evaluate(
        "() => { const e = document.querySelector('.onb-grid'); return e.scrollWidth <= e.clientWidth + 1 }"
    )
    notebook.shoot("grid-200-percent")
    page.set_viewport_size({"width": 1280, "height": 900})
    notebook.run_cells_from(4)
    assert "'best': False, 'rating': 4, 'thumbs': 'up', 'note': 'dull <b>but</b> true'" in notebook.output(4)
    assert page.evaluate(ALERT) == []
    assert found == {"light": {}, "dark": {}}
    notebook.save()
    assert "widgets" not in json.loads((server.root / "grid.ipynb").read_text())["metadata"]
