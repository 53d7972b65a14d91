"""Loading, unloading, and living beside another ``%%llm``."""

import json
import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb.magics.extension import load, unload

MEASURE = """
import json, socket, sys, time
import pandas
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
opened = []
sys.addaudithook(lambda name, args: opened.append(name) if name.startswith("socket.") else None)
before = set(sys.modules)
with capture_output() as said:
    start = time.perf_counter()
    shell.run_line_magic("load_ext", "orchestrator_nb")
    seconds = time.perf_counter() - start
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"seconds": seconds, "said": said.stdout + said.stderr, "opened": opened, "new": sorted(new)}))
"""


@pytest.fixture
def shell():
    made = InteractiveShell()
    yield made
    unload(made)


def fresh_load():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.alone
def test_loading_takes_no_longer_than_a_blink_says_nothing_and_opens_nothing():
    runs = [fresh_load() for _ in range(3)]
    assert min(run["seconds"] for run in runs) <= 0.150
    assert runs[0]["said"] == ""
    assert runs[0]["opened"] == []
    assert not {"httpx2", "pydantic", "jinja2", "genai_prices"} & set(runs[0]["new"])


def state(shell):
    return (
        set(shell.magics_manager.magics["cell"]),
        set(shell.magics_manager.magics["line"]),
        list(shell.input_transformers_post),
        list(shell.Completer.custom_matchers),
        {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
    )


def test_unloading_takes_back_everything_and_loading_twice_is_loading_once(shell):
    before = state(shell)
    load(shell)
    once = state(shell)
    load(shell)
    assert state(shell) == once != before
    unload(shell)
    assert state(shell) == before
    unload(shell)
    load(shell)
    assert state(shell)[0] == once[0] == before[0] | {"llm", "onb", "vault", "chain"}


def test_a_magic_of_another_package_stays_and_one_line_says_so(shell, capsys):
    def other(line, cell):
        return "theirs"

    shell.register_magic_function(other, "cell", "llm")
    load(shell)
    assert shell.find_cell_magic("llm") is other
    assert shell.find_cell_magic("onb").__name__ == "cell"
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "%%onb" in said
    unload(shell)
    assert shell.find_cell_magic("llm") is other


def test_the_help_of_the_cell_magic_has_options_and_examples(shell):
    load(shell)
    page = shell.object_inspect_text("%%llm")
    assert "--repeat N" in page
    assert "Examples" in page
    assert "simulate on [SCRIPT]|off" in shell.object_inspect_text("%llm")
