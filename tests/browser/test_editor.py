"""The chain builder in JupyterLab: drawn, changed by keys alone, told what is wrong, run, saved, looked at in both themes and at 200 %, and what is left of it."""

import json

from test_widgets import ALERT, DARK, PAYLOADS, serious, theme

HOSTILE = "\n".join(text.replace("{K}", "editor").replace("{B}", "http://127.0.0.1:9") for text in PAYLOADS.values())
CHAIN = """%%chain --save review --dry-run
# what is said here stays
inputs: {topic: text}
defaults: {model: sonnet}
steps:
  - id: draft
    prompt: Write about {{ topic }}.  # in one line
  - id: sides
    parallel:
      pro: {prompt: "For it: {{ topic }}"}
      con:
        - {id: risks, prompt: "Risks: {{ topic }}"}
        - {id: against, prompt: "Against it: {{ risks }}"}
  - id: judge
    when: length(draft) > 0
    prompt: "Who is right? {{ sides }}"
"""


def chosen(page):
    """The step that has the focus in the picture."""
    return page.evaluate("() => document.activeElement.dataset.path")


def text_of(widget, page):
    """The YAML that Python holds."""
    widget.get_by_role("button", name="YAML", exact=True).click()
    text = widget.locator(".onb-source textarea").input_value()
    widget.get_by_role("button", name="Picture", exact=True).click()
    widget.locator(".onb-step").first.wait_for()
    return text


def test_a_chain_is_built_by_keys_alone_run_and_saved(open_notebook, server):
    cells = ["%load_ext orchestrator_nb\n%llm simulate on", CHAIN, "%chain edit review"]
    notebook = open_notebook("edit.ipynb", cells)
    page = notebook.page
    notebook.run_all()
    widget = page.locator(".onb-editor")
    widget.locator(".onb-step").first.wait_for()
    assert widget.locator(".onb-step").count() == 7
    assert widget.locator(".react-flow__edge-path").count() >= 3
    widget.locator(".onb-canvas").focus()
    for key, path in (("Home", "draft"), ("ArrowDown", None), ("End", "judge"), ("Home", "draft")):
        page.keyboard.press(key)
        if path:
            page.wait_for_function("path => document.activeElement.dataset.path === path", arg=path)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.matches('textarea')")
    page.keyboard.type("b d a: ")
    page.keyboard.press("Tab")
    widget.get_by_text("not saved").first.wait_for()
    begun = text_of(widget, page)
    assert "# what is said here stays" in begun
    assert "b d a: Write about {{ topic }}." in begun
    assert len(notebook.sources()) == 3  # no letter reached the notebook's shortcuts

    arrows = widget.locator(".react-flow__edge").count()
    widget.locator(".react-flow__edge", has_text="when").dispatch_event("click")
    widget.get_by_text("Delete takes this arrow away").first.wait_for()
    notebook.shoot("edit-arrow")
    page.keyboard.press("Delete")
    widget.locator(".onb-said", has_text="take it out of the text").first.wait_for()
    assert widget.locator(".react-flow__edge").count() == arrows, "what a text names is not taken out of it"

    widget.locator(".onb-canvas").focus()
    page.keyboard.press("Home")
    widget.get_by_role("button", name="Role", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.onb-step').length === 8")
    page.wait_for_function("() => document.activeElement.matches('.onb-step')")
    added = chosen(page)
    page.keyboard.press("Delete")
    page.wait_for_function("() => document.querySelectorAll('.onb-step').length === 7")
    page.keyboard.press("Control+z")
    page.wait_for_function("path => document.querySelector(`[data-path='${path}']`)", arg=added)
    page.keyboard.press("Control+Shift+Z")
    page.wait_for_function("() => document.querySelectorAll('.onb-step').length === 7")

    widget.locator(".onb-canvas").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    field = widget.get_by_label("Prompt", exact=True)
    field.fill(f"{{% raw %}}{HOSTILE}{{% endraw %}}{{{{ nobody }}}}")
    page.keyboard.press("Tab")
    widget.locator(".onb-problems", has_text="nobody").first.wait_for()
    assert widget.locator(".onb-panel .onb-beside", has_text="nobody").count() == 1
    notebook.shoot("editor-problem")
    widget.locator(".onb-problems button").first.press("Enter")
    page.wait_for_function("() => document.activeElement.dataset.place === '[\"prompt\"]'")
    field.fill("Who is right? {{ sides }}")
    page.keyboard.press("Tab")
    widget.locator(".onb-problems").wait_for(state="detached")

    widget.get_by_role("button", name="Run …").click()
    widget.get_by_label("topic").fill("sea ice")
    widget.get_by_role("button", name="Run now").press("Enter")
    widget.locator("[data-path=judge][data-state=done]").wait_for()
    notebook.shoot("editor-ran")
    found = {"light": serious(page, ".onb-editor")}
    widget.get_by_role("button", name="Save", exact=True).click()
    widget.locator("h3", has_text="review saved").first.wait_for()

    theme(notebook, DARK)
    found["dark"] = serious(page, ".onb-editor")
    notebook.shoot("editor-dark")
    theme(notebook, "JupyterLab Light")
    page.set_viewport_size({"width": 640, "height": 450})  # what is left of the page at 200 %
    page.wait_for_timeout(300)
    assert page.evaluate(
        "() => { const e = document.querySelector('.onb-editor'); return e.scrollWidth <= e.clientWidth + 1 }"
    )
    widget.locator(".onb-canvas").evaluate("element => element.scrollIntoView({block: 'center'})")
    notebook.shoot("editor-200-percent")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate(ALERT) == []
    assert found == {"light": {}, "dark": {}}
    notebook.save()
    shown = json.loads((server.root / "edit.ipynb").read_text())["cells"][2]["outputs"]
    [still] = ["".join(one["data"]["text/html"]) for one in shown if "text/html" in one.get("data", {})]
    assert "onb-still" in still
    assert "b d a: Write about" in still
