"""The chat in JupyterLab: asked, stopped, edited and ordered with the keyboard; hostile text, themes, zoom, a screen reader's rules, and five hundred turns."""

import json
import time
from pathlib import Path

from test_widgets import ALERT, DARK, PAYLOADS, serious, theme

SETUP = """
%load_ext orchestrator_nb
%llm simulate on
import json
from dataclasses import replace
from orchestrator_nb import session
from orchestrator_nb.conversations import Turn
from orchestrator_nb.messages import Message, Text
texts = json.loads({texts!r})
turns, parent = {{}}, None
for number in range(500):
    text = texts[number % len(texts)]
    name = f"t{{number:04}}"
    said = Message("assistant", (Text(f"## {{number}}\\n\\n{{text}}\\n\\n```python\\nprint({{number}})\\n```"),))
    turns[name] = Turn(name, parent, (Message.user(f"{{number}} {{text}}"),), said, "answered", model="anthropic/claude-sonnet-5-5", system=text if number == 499 else None)
    parent = name
talk = session().conversation("long talk")
talk.take(replace(talk.tree, turns=turns, heads={{"main": parent}}))
"""
TYPING = """async () => {
    const field = document.querySelector('.onb-chat .onb-typing textarea'); const times = [];
    for (const sign of '/model claude-haiku') {
        const start = performance.now();
        field.value += sign; field.dispatchEvent(new Event('input'));
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - start);
    }
    field.value = ''; field.dispatchEvent(new Event('input'));
    return Math.max(...times);
}"""


def test_a_chat_is_led_with_the_keyboard_and_stays_readable_and_harmless(open_notebook, server):
    texts = [text.replace("{K}", "chat").replace("{B}", "http://127.0.0.1:9") for text in PAYLOADS.values()]
    cells = [
        SETUP.format(texts=json.dumps(texts)),
        "%llm chat 'long talk' sonnet",
        "print(len(session().conversation('long talk').tree.turns))",
    ]
    notebook = open_notebook("chat.ipynb", cells)
    page = notebook.page
    notebook.run_cell(0)
    began = time.monotonic()
    notebook.run_cells_from(1)
    chat = page.locator(".onb-chat")
    chat.locator(".onb-turns article").first.wait_for()
    opening = time.monotonic() - began
    field = chat.get_by_label("Question", exact=True)

    field.press_sequentially("/mod")
    page.keyboard.press("Tab")
    page.keyboard.type("hai")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("Name a metal.")  # at once: who types on does not wait for the kernel
    page.keyboard.press("Enter")
    chat.locator(".onb-turns article[aria-label='turn 501'] .onb-foot", has_text="haiku").first.wait_for()
    assert field.input_value() == ""

    chat.get_by_label("Edit question 501 and ask again").press("Enter")
    page.keyboard.type("Name a salt instead of: ")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    chat.get_by_text("2 of 2").first.wait_for()
    chat.get_by_label("the branch before").last.press("Enter")
    chat.get_by_text("1 of 2").first.wait_for()
    notebook.shoot("chat-light")

    field.press_sequentially("/nonsense")
    page.keyboard.press("Enter")
    chat.get_by_text("/help lists them").first.wait_for()
    assert field.input_value() == "/nonsense"
    assert page.evaluate(ALERT) == []
    assert chat.locator("img, script, iframe").count() == 0
    assert serious(page, ".onb-chat") == {}
    theme(notebook, DARK)
    assert serious(page, ".onb-chat") == {}
    notebook.shoot("chat-dark")
    page.set_viewport_size({"width": 640, "height": 450})  # what is left of the page at 200 %
    notebook.shoot("chat-200-percent")
    assert chat.evaluate("box => box.scrollWidth <= box.clientWidth + 1")
    page.set_viewport_size({"width": 1280, "height": 900})
    theme(notebook, "JupyterLab Light")

    while chat.get_by_role("button", name="Earlier turns").is_visible():
        before = chat.locator(".onb-turns article").count()
        chat.get_by_role("button", name="Earlier turns").click()
        page.wait_for_function("n => document.querySelectorAll('.onb-turns article').length > n", arg=before)
    assert chat.locator(".onb-turns article").count() == 501
    slowest = page.evaluate(TYPING)
    print(f"\na chat of 500 turns opens in {opening:.1f} s; all shown, the slowest sign takes {slowest:.0f} ms")  # noqa: T201  # the figures

    chat.get_by_label("Put this code into a cell").last.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.jp-CodeCell').length === 4")
    notebook.save()
    saved = (Path(server.root) / "chat.ipynb").read_text()
    assert "onb-still" in saved
    assert '"print(499)"' in saved


STORY = """
%load_ext orchestrator_nb
%llm simulate on
from orchestrator_nb import session
from orchestrator_nb.widgets import Chat
session().simulator.say("long story", "once upon a time " * 10_000)
chat = Chat("busy", "sonnet")
chat
"""
BUSY = """
import time
until = time.monotonic() + 300
def cut():
    return any(turn.outcome == "cut" for turn in session().conversation("busy").tree.turns.values())
while time.monotonic() < until and not cut():
    time.sleep(0.05)
print("stopped while this cell ran:", cut())
"""


def test_two_panes_show_one_chat_and_both_work_while_a_cell_runs(open_notebook):
    notebook = open_notebook("panes.ipynb", [STORY, "chat", BUSY])
    page = notebook.page
    notebook.start_all()
    panes = page.locator(".onb-chat")
    page.wait_for_function("() => document.querySelectorAll('.onb-chat').length === 2")
    one, other = panes.nth(0), panes.nth(1)
    other.get_by_label("Question", exact=True).fill("not sent yet")
    one.get_by_label("Question", exact=True).fill("Tell a long story.")
    one.get_by_label("Question", exact=True).press("Enter")
    for pane in (one, other):
        pane.locator(".onb-arriving", has_text="once upon a time").first.wait_for()
    assert not notebook.ran(), "the cell below still runs"
    other.get_by_role("button", name="Stop").click()
    for pane in (one, other):
        pane.get_by_text("No whole answer").first.wait_for()
    notebook.wait_ran()
    assert "stopped while this cell ran: True" in notebook.output(2)
    assert one.get_by_label("Question", exact=True).input_value() == ""
    assert other.get_by_label("Question", exact=True).input_value() == "not sent yet"
    notebook.shoot("chat-two-panes")
