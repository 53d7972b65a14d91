"""Hostile model text in every display of ours, in a real JupyterLab: no script runs and nobody is called.

The control shows the same texts with IPython's own ``Markdown``, which lets many of them through: it proves that the test would see it.
"""

import json
import subprocess
import sys
from pathlib import Path

import lab

PAYLOADS = Path(__file__).parents[1] / "results" / "xss_payloads.json"

SETUP = """
%load_ext orchestrator_nb
%llm simulate on
import json, re
from IPython.display import display, Markdown
from orchestrator_nb import session
from orchestrator_nb.calls import Delta, Response, ThinkingDelta, Waiting
from orchestrator_nb.errors import BadRequest
from orchestrator_nb.magics.screen import Picture, show
from orchestrator_nb.messages import Text, Thinking
from orchestrator_nb.results.frames import frame
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.runs import Call, Run
item = session().plan("x", ["sonnet"]).items[0]
payloads = json.loads(open({path!r}).read())["payloads"]
def hostile(place):
    return [text.replace("{{K}}", place + re.sub("[^a-z0-9]", "_", name)).replace("{{B}}", {beacon!r}) for name, text in payloads.items()]
def rows(place):
    texts = hostile(place)
    for number, text in enumerate(texts):
        session().simulator.say(f"{{place}}case{{number:03d}}z", text + " (end)")
    return [{{"case": f"{{place}}case{{number:03d}}z"}} for number in range(len(texts))]
ask = get_ipython().run_cell_magic
"""

PATHS = {
    "answer": """
for row in rows("asked_")[:4]: ask("llm", "flash", row["case"])
for text in hostile("answer_"): show(Run("r", (Call(item, "c", response=Response("m", (Text(text),))),)), get_ipython())
""",
    "compare": 'compare_rows = rows("compare_")\n',
    "prompts": 'prompt_rows = [{"p": text} for text in hostile("prompts_")]\n',
    "errors": """
failed = [Call(item, str(n), error=BadRequest(text, kind="invalid_request")) for n, text in enumerate(hostile("errors_"))]
show(Run("r", tuple(failed), {}, tuple(hostile("notices_"))), get_ipython())
for call in failed: show(Run("r", (call,)), get_ipython())
errors = frame(Run("r", tuple(failed)))
display(errors, errors.llm.errors, errors.llm.compare())
""",
    "live": """
def live(items, place):
    progress = Progress(items, large=1000)
    for n, text in enumerate(hostile(place)):
        n = n % len(items)
        for event in (ThinkingDelta(text), Delta(text)): progress.feed(n, event)
    progress.feed(0, Waiting(hostile("waiting_")[0], 1.0))
    return Picture(progress.html(), progress.text())
display(live(session().plan("x", ["sonnet"]).items, "stream_"))
display(live(session().plan("{{ p }}", ["sonnet"], over=prompt_rows).items, "table_"))
""",
    "frames": 'display(found, found.llm.compare(), found[["text"]])\nprint(found.text[0])',
    "thinking": """
for text in hostile("thinking_"):
    show(Run("r", (Call(item, "c", response=Response(text, (Thinking(text), Text("fine")), finish_raw=text)),)), get_ipython())
""",
}
GRID = {
    "compared": "%%llm found << flash sonnet --over compare_rows\n{{ case }}",
    "prompted": "%%llm flash sonnet --over prompt_rows -o max_tokens 40\n{{ p }}",
    "stacked": "%%llm flash sonnet haiku mini --grid case=['compare_case000z'] --repeat 2\n{{ case }}",
}
KEEP_THE_PAGE = """
payloads = {name: text for name, text in payloads.items() if not re.match("meta|base|form|command|style|link", name)}
"""  # what leads the page elsewhere would take the harness with it
ALERT = "() => Object.keys(window).filter(name => name.startsWith('xss_'))"
LINKS = """() => [...document.querySelectorAll('.jp-OutputArea [href], .jp-OutputArea [src], .jp-OutputArea [data-commandlinker-command]')]
    .map(e => e.getAttribute('href') || e.getAttribute('src') || 'command').filter(u => /^(javascript|data|vbscript):|^command$/i.test(u.trim()))"""


def setup_cell(beacon):
    return SETUP.format(path=str(PAYLOADS), beacon=beacon[0])


def look(notebook):
    """Everything seen, every fold opened, a moment for whatever would run; then what ran and which links could."""
    page = notebook.page
    page.evaluate("() => document.querySelectorAll('.onb-box details').forEach(d => { d.open = true })")
    page.wait_for_timeout(1_500)
    return page.evaluate(ALERT), page.evaluate(LINKS)


def export(notebook):
    """The notebook as the HTML page that nbconvert makes."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, capture_output=True, timeout=lab.PATIENCE_S)
    return notebook.with_suffix(".html")


def test_no_payload_runs_or_calls_home_on_any_display_path_nor_when_reopened(open_notebook, server, beacon):
    assert len(json.loads(PAYLOADS.read_text())["payloads"]) >= 34
    order = ["answer", "compare", "compared", "frames", "prompts", "prompted", "stacked", "errors", "thinking", "live"]
    notebook = open_notebook("xss.ipynb", [setup_cell(beacon), *({**PATHS, **GRID}[name] for name in order)])
    notebook.run_all()
    assert notebook.errors() == []
    for number, name in enumerate(order, 1):
        shown = notebook.output(number)
        assert name in ("compare", "prompts") or len(shown) > 300, (name, shown)
    assert look(notebook) == ([], [])
    assert beacon[1] == []
    notebook.shoot_all("xss")
    notebook.save()
    notebook.close()
    again = open_notebook("xss.ipynb")
    assert look(again) == ([], [])
    assert beacon[1] == []
    exported = export(server.root / "xss.ipynb")
    again.page.route(lambda url: not url.startswith(("file:", "http://127.0.0.1")), lambda route: route.abort())
    again.page.goto(exported.as_uri(), wait_until="domcontentloaded")
    assert again.page.locator(".onb-box").count() > 100
    assert look(again)[0] == []
    assert beacon[1] == []
    open_notebook("xss.ipynb")  # for the harness, which ends the kernel of the page that is open


def test_the_control_fires(open_notebook, beacon):
    notebook = open_notebook(
        "control.ipynb",
        [setup_cell(beacon) + KEEP_THE_PAGE, 'for text in hostile("control_"): display(Markdown(text))'],
    )
    notebook.run_all()
    assert notebook.errors() == []
    look(notebook)
    notebook.page.wait_for_function(f"() => ({ALERT})().length >= 9")
    lab.until(lambda: len({path for path in beacon[1] if "control" in path}) >= 5, lambda: beacon[1])
    beacon[1].clear()
