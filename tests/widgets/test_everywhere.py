"""Where no widget can be shown: a program that runs the notebook, an exported page, a page whose style is taken out, a terminal. Each shows a static form, in words."""

import base64
import html
import os
import pty
import re
import select
import subprocess
import sys
import time

import nbformat
import nh3
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

VIEW = "application/vnd.jupyter.widget-view+json"
SETUP = """%load_ext orchestrator_nb
%llm simulate on
from orchestrator_nb import session
from orchestrator_nb.widgets import RunGrid, RunPanel
_ = session().compare(["one two three"], ["sonnet", "flash"])
first = session().last"""
CHAIN = """%%chain --save letter
steps:
  - {id: draft, prompt: "Write a letter.", model: sonnet}"""
TALK = "%%llm -c talk sonnet\nName a metal."
COMMANDS = {
    "%llm pick": "models can be asked now",
    "%vault panel": "the vault of profile 'default' is not made yet",
    "%llm runs": "claude-sonnet-5-5",
    "RunPanel()": "claude-sonnet-5-5",
    "RunGrid(first)": "2 calls: 2 simulated",
    "%%llm sonnet flash\nWhy is the sky blue?": "2 calls: 2 simulated",
    "%chain edit letter": "Write a letter",
    "%chain draw letter": "draft",
    "%llm chat talk": "Name a metal.",
}
GITHUB = {
    "a",
    "b",
    "br",
    "code",
    "div",
    "em",
    "h3",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}

pytestmark = pytest.mark.slow


def words(page):
    return " ".join(html.unescape(re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)).split())


def sanitised(outputs):
    """The words of the outputs as a site shows them that takes out style, script and every attribute, and knows no widgets."""
    shown = []
    for output in outputs:
        data = output.get("data", {})
        if VIEW in data and "text/html" not in data:
            shown.append(data.get("text/plain", ""))
        elif "text/html" in data:
            shown.append(words(nh3.clean(data["text/html"], tags=GITHUB, attributes={})))
        else:
            shown.append(output.get("text", "") or data.get("text/plain", "") + str(data.get("image/svg+xml", "")))
    return " ".join(shown)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A notebook that a program has run: no cell is asked for by a front end, and no widget is drawn."""
    folder = tmp_path_factory.mktemp("everywhere")
    sources = [SETUP, CHAIN, TALK, *COMMANDS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    env = {**os.environ, "ORCHESTRATOR_NB_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute(env=env)
    return notebook


def test_commands_leave_no_code_of_a_widget_in_a_notebook_that_a_program_ran(run):
    made = [command for command in COMMANDS if command.startswith("%")]
    for cell in run.cells:
        if cell.source in made:
            assert [output for output in cell.outputs if VIEW in output.get("data", {})] == []
    states = run.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    assert len(states) == 4, "two widgets made in Python, each with its layout"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_notebook_that_a_program_ran_shows_the_static_form(run, command):
    [cell] = [cell for cell in run.cells if cell.source == command]
    said = COMMANDS[command]
    assert [output for output in cell.outputs if output.output_type == "error"] == []
    plain = "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    assert not re.search("Error displaying|Loading widget", plain)
    assert said in sanitised(cell.outputs)
    alone = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(command, outputs=cell.outputs)])
    for store_state in (True, False):
        page, _ = HTMLExporter().from_notebook_node(with_state(alone, run) if store_state else alone)
        body = drawn(page.partition("<body")[2])
        assert said in words(body.partition("jp-Cell-outputWrapper")[2])


def drawn(body):
    """With what is written in its pictures."""
    return re.sub(
        r'<img [^>]*data:image/svg\+xml;base64,([^"]+)"[^>]*>', lambda found: base64.b64decode(found[1]).decode(), body
    )


def with_state(alone, run):
    """With what a front end saves of the widgets."""
    return nbformat.from_dict({**alone, "metadata": {**alone.metadata, "widgets": run.metadata.get("widgets", {})}})


TERMINAL = {
    "%llm pick sonnet": "claude-sonnet-5-5",
    "%vault panel": "the vault of profile 'default' is not made yet",
    "%llm runs": "claude-sonnet-5-5",
    "RunGrid(first)": "2 calls: 2 simulated",
    "%chain edit letter": "Write a letter.",
    "%chain draw letter": "draft",
    "%llm chat talk": "Name a metal.",
}


def test_a_terminal_shows_each_as_text(tmp_path):
    """A real IPython on a real terminal, to which the lines are typed."""
    (tmp_path / "home/chains").mkdir(parents=True)
    (tmp_path / "letter.yaml").write_text(CHAIN.partition("\n")[2])
    talk = "get_ipython().run_cell_magic('llm', '-c talk sonnet', 'Name a metal.')"
    lines = [*SETUP.splitlines(), talk, *(line.replace("letter", "letter.yaml") for line in TERMINAL), "exit"]
    env = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    env |= {"TERM": "dumb", "COLUMNS": "200", "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "IPython",
        "--simple-prompt",
        "--no-banner",
        "--no-confirm-exit",
        "--colors=NoColor",
    ]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=tmp_path)
    os.close(theirs)
    try:
        shown = typed(ours, lines)
        child.wait(20)
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    for line, said in TERMINAL.items():
        asked = line.replace("letter", "letter.yaml")
        assert said in " ".join(shown[asked].split()), (line, shown[asked])
        assert "Traceback" not in shown[asked]


def typed(terminal, lines):
    """What follows each line, up to the next prompt."""
    shown, seen = {}, until_prompt(terminal)
    for line in lines:
        os.write(terminal, f"{line}\n".encode())
        seen = until_prompt(terminal) if line != "exit" else ""
        shown[line] = seen.partition("\n")[2]
    return shown


def until_prompt(terminal):
    seen, until = "", time.monotonic() + 90
    while not re.search(r"In \[\d+\]: $", seen) and time.monotonic() < until:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                seen += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
            except OSError:
                break
    return seen
