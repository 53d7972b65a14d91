"""A real kernel whose vault is filled through its hidden prompts: no message of any channel, no file and no saved notebook holds a key or the password."""

import os
import secrets
import sys
from pathlib import Path

import nbformat
import pytest

from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.faults import FAULTS

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "magics")]
from probe import Search  # noqa: E402
from test_leaks import FLOODS, KINDS, MODES, SETTINGS, fresh_key  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOOKS = [
    "session(), session().vault, session().vault.vault, session().vault.status(), session().last",
    "session().vault.list()",
    "%whos",
    "%load_ext storemagic\nkept = session().last\n%store kept",
    "%history -n -o",
    "%llm doctor",
    "%llm last --trace",
    "import logging; logging.basicConfig(level=logging.DEBUG, force=True)",
    "%%llm a << lab-anthropic/claude-sonnet-5-5 lab-compat/openai/gpt-oss-120b -o max_tokens 50\nWhat is the other key?",
    "a.to_csv('a.csv'); a.to_pickle('a.pickle'); a.to_json('a.json', date_format='iso'); a.to_html('a.html'); a",
    "a.llm.compare()",
    "%notebook kept.ipynb",
    "import pickle; pickle.dumps(session().vault.vault)",
    "session().vault.vault.secret('LAB_KEY', 'lab').release('https://evil.example:443')",
    "import copy, json; v = session().vault.vault; print(copy.deepcopy(v.secret('LAB_KEY', 'x')), vars(v), v.forms)",
    "import faulthandler; f = open('crash.log', 'w'); faulthandler.dump_traceback(f); f.close()",
]
FOREIGN = [  # other people's code that was given a key: the second net
    "def sdk(api_key): raise ValueError('bad key ' + api_key)\nsdk(borrowed())",
    "def sdk(api_key): return 1 / 0\nsdk(borrowed())",
    "from IPython.display import display, Markdown, HTML\ndisplay(Markdown(borrowed()), HTML('<b>' + borrowed() + '</b>'))",
    "borrowed()",
]
BORROW = """
from orchestrator_nb import session
def borrowed():
    return session().vault.vault._held["LAB_KEY"].value.use(lambda value: value.decode())
"""


class Line:
    """A kernel, and every message that came from it."""

    def __init__(self, running, folder):
        self.kernel, self.folder, self.heard, self.cells = running, folder, [], []
        session = running.client.session
        receive = session.deserialize

        def tap(*how, **more):
            message = receive(*how, **more)
            self.heard.append(message)
            return message

        session.deserialize = tap

    def run(self, cell, *answers):
        start = len(self.heard)
        shown = self.kernel.run(cell, answers=answers, timeout=60)
        self.cells.append(
            (
                cell,
                [
                    message
                    for message in self.heard[start:]
                    if message["msg_type"] in ("stream", "display_data", "execute_result", "error")
                ],
            )
        )
        return shown

    def ask(self, *requests):
        """What a front end asks besides: help, Tab, history, widgets."""
        client = self.kernel.client
        for code in ("session", "session().vault", "a", "sdk"):
            requests += (
                lambda code=code: client.inspect(code, detail_level=1),
                lambda code=code: client.complete(code + "."),
            )
        requests += (
            client.comm_info,
            client.kernel_info,
            lambda: client.history(raw=True, output=True, hist_access_type="range", start=0, stop=1000),
        )
        for request in requests:
            self.kernel._reply(request())

    def save(self):
        """The notebook as a front end would save it."""
        cells = []
        for cell, messages in self.cells:
            outputs = [nbformat.v4.output_from_msg(message) for message in messages]
            cells.append(nbformat.v4.new_code_cell(cell, outputs=outputs))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.folder / "saved.ipynb")


class Lab:
    def __init__(self, line, simulator, values):
        self.line, self.simulator, self.values = line, simulator, values

    def hits(self):
        search = Search(*self.values)
        for message in self.line.heard:
            search.text(f"{message['msg_type']}: message", repr(message))
        for path in self.line.folder.rglob("*"):
            if path.is_file():
                search.text(f"end: file {path.name}", path.read_bytes())
        return search


@pytest.fixture
def lab(tmp_path):
    from kernels import kernel

    key, other, password = fresh_key(), fresh_key(), f"correct {secrets.token_hex(8)} horse"
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "config.yaml").write_text(SETTINGS)
    with Simulator(key=key) as simulator:
        vendors = [
            f"lab-{n}: {{kind: {kind}, base_url: '{simulator.url(n)}', api_key_name: LAB_KEY}}"
            for n, kind in KINDS.items()
        ]
        (config / "models.yaml").write_text("\n".join(vendors))
        simulator.say("other key", f"It is {other}, I think.")
        with kernel(tmp_path) as running:
            line = Line(running, tmp_path)
            assert line.run("%load_ext orchestrator_nb\nfrom orchestrator_nb import session").status == "ok"
            shown = line.run("%vault set LAB_KEY", password, password, key)
            assert (shown.status, len(shown.prompts)) == ("ok", 3), shown.error
            assert line.run("%vault set OTHER_KEY --origin https://other.example", other).status == "ok"
            yield Lab(line, simulator, [key, other, password])


def play(lab, whole):
    """Every fault, or each sixteenth and those that repeat the key; then what a curious user looks at."""
    ran = 0
    for number, fault in enumerate(FAULTS):
        chosen = number % 16 == 0 or fault.startswith("echo")
        for turn in range(3) if whole else [number % 3] if chosen and fault not in FLOODS else []:
            vendor = list(KINDS)[(number + turn) % len(KINDS)]
            lab.line.run(f"%xmode {MODES[turn]}")
            lab.line.run(f"%%llm lab-{vendor}/sim-{fault} -o max_tokens 400\nSay it.")
            ran += 1
    lab.line.run("%xmode Verbose")
    for cell in LOOKS:
        lab.line.run(cell)
    return ran


def test_no_message_file_or_notebook_of_a_kernel_holds_a_key(lab):
    finish(lab, play(lab, whole=False))


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_in_a_kernel_every_fault_in_every_traceback_mode_leaves_no_key(lab):
    finish(lab, play(lab, whole=True))


def finish(lab, ran):
    before = {message["msg_type"] for message in lab.line.heard}
    lab.line.ask()
    lab.line.run(BORROW)
    net = [lab.line.run(cell) for cell in FOREIGN]
    lab.line.run("%vault lock")
    lab.line.save()
    search = lab.hits()
    assert search.hits == []
    assert {"stream", "display_data", "execute_result", "error", "input_request", "execute_reply"} <= before
    kinds = {message["msg_type"] for message in lab.line.heard}
    assert {"inspect_reply", "complete_reply", "history_reply", "comm_info_reply"} <= kinds
    assert "[key LAB_KEY]" in net[0].error
    assert "[key LAB_KEY]" in net[1].error
    assert "[key LAB_KEY]" in str(net[2].outputs)
    assert "[key LAB_KEY]" in str(net[3].results)
    used = [request for request in lab.simulator.requests if lab.values[0] in str(request.headers)]
    assert len(used) >= ran / 2
    print(  # noqa: T201
        f"\na kernel: {ran} faults, {len(lab.line.heard):,} messages of {len(kinds)} kinds, {search.looked:,} texts: {len(search.hits)} hits"
    )


def test_the_search_finds_what_passes_by_the_nets_and_without_them(lab):
    """The controls: what a program prints is its own affair, and unloading takes the second net back."""
    lab.line.run(BORROW)
    lab.line.run("%xmode Verbose")
    lab.line.run("print(borrowed())")
    assert {hit.partition(":")[0] for hit in lab.hits().hits} == {"stream"}
    lab.line.run("%unload_ext orchestrator_nb")
    for cell in FOREIGN:
        lab.line.run(cell)
    hits = {hit.partition(":")[0] for hit in lab.hits().hits}
    assert {"error", "execute_reply", "display_data", "execute_result"} <= hits
    assert os.environ.get("LAB_KEY") is None
