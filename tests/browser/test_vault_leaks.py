"""Keys and passwords typed in JupyterLab: the prompt hides them, and no saved file nor any format that nbconvert makes of it holds them."""

import json
import secrets
import sys
from pathlib import Path

from nbconvert import get_exporter

from orchestrator_nb.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parents[1] / "security"))
from probe import Search

FORMATS = {"html": ".html", "markdown": ".md", "script": ".py", "latex": ".tex", "slides": ".slides.html"}
CALLS = [f"%%llm lab/openai/gpt-oss-120b\nQuestion {n}." for n in range(12)] + [
    f"%%llm lab/sim-{fault} -o max_tokens 400\nSay it." for fault in ("401", "echo-headers", "echo-answer", "500")
]


def typed(notebook, cell, *answers, shot=None):
    """Runs a cell and types at its hidden prompts, as a person would."""
    page = notebook.page
    page.evaluate(
        """index => { const notebook = window.jupyterapp.shell.currentWidget.content;
                      notebook.deselectAll(); notebook.activeCellIndex = index; window.__ran = false;
                      window.jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.__ran = true }) }""",
        cell,
    )
    for number, answer in enumerate(answers):
        field = page.wait_for_selector(".jp-Stdin-input")
        assert field.get_attribute("type") == "password"
        field.fill(answer)
        if shot and not number:
            notebook.shoot(shot)
        field.press("Enter")
        page.wait_for_function("field => !field.isConnected", arg=field)
    notebook.wait_ran()


def everything(server, search):
    """All that Lab and the kernel left on disk."""
    for path in server.root.parent.rglob("*"):
        if path.is_file() and path.suffix != ".password":
            search.text(f"end: file {path.name}", path.read_bytes())
    return search.hits


def convert(server, name):
    """As ``nbconvert --to`` does, in one process."""
    for kind, suffix in FORMATS.items():
        body, _ = get_exporter(kind)().from_filename(str(server.root / name))
        (server.root / f"{name}{suffix}").write_text(body)


def test_what_is_typed_at_a_prompt_is_in_no_file_and_no_export(open_notebook, server):
    key, password = f"cn.{secrets.token_hex(10)}+/9=", f"correct {secrets.token_hex(8)} horse"
    config = server.root.parent / "state" / "home" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text("limits: {attempts: 1}\nvault: {iterations: 100000}\n")
    with Simulator(key=key) as simulator:
        vendor = f"lab: {{kind: openai-compatible, base_url: '{simulator.url('compat')}', api_key_name: LAB_KEY}}"
        (config / "models.yaml").write_text(vendor)
        cells = [
            "%load_ext orchestrator_nb",
            "%vault set LAB_KEY",
            "%vault",
            "%vault lock",
            CALLS[0],
            *CALLS[1:],
            "%vault",
        ]
        notebook = open_notebook("typed.ipynb", cells)
        typed(notebook, 0)
        typed(notebook, 1, password, password, key, shot="vault-prompt")
        typed(notebook, 2)
        notebook.shoot("vault-status")
        typed(notebook, 3)
        typed(notebook, 4, password, shot="vault-unlock-asked-by-llm")
        notebook.run_cells_from(5)  # up to the first error
        for cell in range(17, len(cells)):
            typed(notebook, cell)
        notebook.shoot_all("vault-calls")
        notebook.save()
        used = [request for request in simulator.requests if key in str(request.headers)]
    convert(server, "typed.ipynb")
    saved = json.loads((server.root / "typed.ipynb").read_text())
    assert sum(bool(cell["outputs"]) for cell in saved["cells"]) >= len(CALLS)
    assert len(used) >= len(CALLS)
    names = {path.name for path in server.root.parent.rglob("*")}
    assert {f"typed.ipynb{suffix}" for suffix in FORMATS.values()} | {
        "history.sqlite",
        "typed-checkpoint.ipynb",
    } <= names
    search = Search(key, password)
    assert everything(server, search) == []
    print(f"\nJupyterLab: {len(cells)} cells, {search.looked} files, {len(FORMATS)} formats: 0 hits")  # noqa: T201


WIDGET = "import ipywidgets\nfield = ipywidgets.Password(description='key')\nfield"


def test_the_search_finds_what_a_password_widget_leaves(open_notebook, server):
    """The control: the state of a widget that is not cleared is saved with the notebook."""
    secret = f"cn.{secrets.token_hex(10)}+/9="
    notebook = open_notebook("widget.ipynb", [WIDGET])
    notebook.run_all()
    field = notebook.page.locator("input[type=password]").first
    field.wait_for(state="visible")
    field.fill(secret)
    field.press("Tab")
    notebook.keep_widget_state()
    notebook.save()
    hits = everything(server, Search(secret))
    assert "end: file widget.ipynb" in hits
