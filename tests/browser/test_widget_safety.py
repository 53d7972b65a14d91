"""Hostile text in every field of every widget, in a real JupyterLab: no script runs and nobody is called, while a widget lives and when its notebook is opened again.

The control is a widget that takes a text for HTML: it proves that the test would see it.
"""

from test_xss import KEEP_THE_PAGE, look, setup_cell

HOSTILE = """
from dataclasses import replace
from orchestrator_nb.messages import Message
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.widgets import ModelPicker, RunGrid
vendor = Vendor("lab", "openai-compatible", "https://example.com")
cast = session()._wiring._playing.cast
session()._wiring._playing.cast = lambda catalog: cast(catalog).with_vendor(vendor).with_models([ModelSpec(vendor, name) for name in hostile("picked_")])
live_rows = [{**row, text: text} for row, text in zip(rows("live_")[:8], hostile("column_"))]
def asked(text):
    return replace(item, request=replace(item.request, messages=(Message.user(text),), model=ModelSpec(vendor, text)))
"""
PICKER = """
picker = ModelPicker()
picker.chosen = [ref for ref in picker._offer.choices if ref.startswith("lab/")][:20]
picker
"""
GRID = """
calls = [Call(asked(text), str(n), response=Response(text, (Thinking(text), Text(text)), finish_raw=text)) for n, text in enumerate(hostile("grid_"))]
calls += [Call(asked(text), f"e{n}", error=BadRequest(text, kind="invalid_request")) for n, text in enumerate(hostile("failed_"))]
calls = [replace(call, item=replace(call.item, row=n)) for n, call in enumerate(calls)]
RunGrid(Run("r", tuple(calls), {}, tuple(hostile("notice_"))))
"""
LIVE = """%%llm live << flash sonnet --over live_rows
{{ case }}"""
NOTES = """
for call, text in zip(session().last.calls, hostile("noted_")):
    session().mark(call.id, note=text, rating=2)
RunGrid()
"""
VAULT = """
from orchestrator_nb.secret import Hidden
keyring = session().own_vault()
keyring.vault.create(Hidden("correct horse battery staple"))
for number, text in enumerate(hostile("vault_")):
    keyring.vault.put(f"KEY_{number}", text, Hidden("a-value-of-somebody"), ["https://example.com:443"])
%vault panel
"""
RUNS = "from orchestrator_nb.widgets import RunPanel\nRunPanel()"
CHAIN = """
import json
from pathlib import Path
from orchestrator_nb.widgets import ChainEditor
texts = hostile("chain_")
chain = {"name": "letter", "description": "".join(texts), "inputs": {"topic": {"type": "text", "description": texts[6], "default": texts[6]}},
         "steps": [{"id": f"s{n}", "prompt": text, "model": text} for n, text in enumerate(texts)], "outputs": {"o": texts[6]}}
Path("hostile.yaml").write_text(json.dumps(chain))
ChainEditor("hostile.yaml").show()
Path("wrong.yaml").write_text(json.dumps({"name": texts[6], "steps": [{"id": text, text: text} for text in texts]}))
ChainEditor("wrong.yaml").show()
"""
CHAT = """
from orchestrator_nb.conversations import Turn
from orchestrator_nb.widgets import Chat
talk, turns, parent = session().conversation("talk"), {}, None
for number, text in enumerate(hostile("chat_")):
    turns[f"t{number}"] = Turn(f"t{number}", parent, (Message.user(text),), Message("assistant", (Thinking(text), Text(text))), "answered", model=text, system=text)
    parent = f"t{number}"
talk.take(replace(talk.tree, turns=turns, heads={"main": parent}))
Chat("talk").show()
"""
WIDGETS = {
    "picker": PICKER,
    "grid": GRID,
    "live": LIVE,
    "notes": NOTES,
    "vault": VAULT,
    "runs": RUNS,
    "chain": CHAIN,
    "chat": CHAT,
}
OPEN = """() => {
    document.querySelectorAll('.onb-widget details').forEach(each => { each.open = true });
    document.querySelectorAll('.onb-widget [aria-expanded=false]').forEach(each => each.click());
}"""
NAMED = "<img src=x onerror=window.xss_named=1>.ipynb"
NAIVE = """
import anywidget, traitlets
class Naive(anywidget.AnyWidget):
    _esm = "export default { render({ model, el }) { for (const text of model.get('texts')) { const div = document.createElement('div'); el.append(div); div.innerHTML = text; } } }"
    texts = traitlets.List().tag(sync=True)
Naive(texts=hostile("control_"))
"""


def seen(notebook):
    """As `look`; an image, as a chain is drawn, runs nothing."""
    ran, links = look(notebook)
    return ran, [link for link in links if not link.startswith("data:image/svg+xml;base64,")]


def in_every_cell(page):
    """Each cell of a grid that is in sight is opened, and two are compared."""
    for grid in page.locator(".onb-grid").all():
        if not (table := grid.get_by_role("grid")).is_visible():
            continue
        table.focus()
        for key in (
            "Control+Home",
            "Enter",
            "Escape",
            "d",
            "ArrowDown",
            "Enter",
            "Escape",
            "d",
            "Escape",
            "Control+End",
            "Enter",
        ):
            page.keyboard.press(key)
        page.wait_for_timeout(200)


def test_no_payload_runs_or_calls_home_in_any_field_of_a_widget_nor_when_reopened(open_notebook, server, beacon):
    setup = setup_cell(beacon) + HOSTILE
    notebook = open_notebook(NAMED, [setup, *WIDGETS.values()])
    page = notebook.page
    notebook.run_all()
    assert notebook.errors() == []
    page.locator(".onb-runs .onb-run").first.wait_for()
    page.locator(".onb-chat article").first.wait_for()
    for button in page.get_by_role("button", name="Search, compare and rate").all():
        button.click()
    in_every_cell(page)
    for editor in page.locator(".onb-editor").all():
        for name in ("List", "Check"):
            editor.get_by_role("button", name=name, exact=True).click()
    page.evaluate(OPEN)
    assert page.get_by_text("window.xss_").count() > 50
    assert "xss_named" in (page.locator(".onb-runs").last.text_content() or "")
    assert seen(notebook) == ([], [])
    assert beacon[1] == []
    notebook.shoot("safety")
    notebook.save()
    notebook.close()
    again = open_notebook(NAMED)
    assert seen(again) == ([], [])
    assert beacon[1] == []

    control = open_notebook("naive.ipynb", [setup_cell(beacon) + KEEP_THE_PAGE, NAIVE])
    control.run_all()
    ran, _ = look(control)
    assert len(ran) >= 5
    assert len({path for path in beacon[1] if "control" in path}) >= 3
