"""A key stands in no output, log, history, traceback, frame or view of an object, whatever the server does and however IPython shows errors.

A real terminal IPython with the key in its environment and nowhere else asks the simulator, which knows the key from elsewhere and plays every fault.
The same search must find the key where the code is made to leak it: see the controls.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.faults import FAULTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROBE = Path(__file__).with_name("probe.py")
MODES = ["Plain", "Context", "Verbose"]
KINDS = {
    "anthropic": "anthropic",
    "gemini": "gemini",
    "openai": "openai",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "compat": "openai-compatible",
}
FLOODS = {
    "gzip-bomb",
    "double-gzip-bomb",
    "huge-body",
    "endless-line",
    "endless-headers",
    "endless-events",
}  # once each is enough

SETTINGS = """
limits: {attempts: 1}
timeouts: {connect_s: 2, first_byte_s: 0.3, gap_s: 0.3, total_s: 3}
"""


class Lab:
    """A simulator that takes one fresh key, and a home whose models.yaml leads there."""

    def __init__(self, folder, simulator, key):
        self.folder, self.simulator, self.key = folder, simulator, key
        config = folder / "home" / "config"
        config.mkdir(parents=True)
        lines = [
            f"lab-{name}: {{kind: {kind}, base_url: '{simulator.url(name)}', api_key_name: LAB_KEY}}"
            for name, kind in KINDS.items()
        ]
        (config / "models.yaml").write_text("\n".join(lines))
        (config / "config.yaml").write_text(SETTINGS)

    def probe(self, cases):
        """Runs the cases; what was found inside, and in what was printed and left on disk."""
        report = self.folder / "report.json"
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
        env = {
            **kept,
            "LAB_KEY": self.key,
            "ORCHESTRATOR_NB_HOME": str(self.folder / "home"),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }
        done = subprocess.run(
            [sys.executable, str(PROBE)],
            input=json.dumps({"cases": cases, "report": str(report)}),
            capture_output=True,
            text=True,
            env=env,
            cwd=self.folder,
            timeout=280,
            check=False,
        )
        assert report.exists(), done.stdout[-2000:] + done.stderr[-4000:]
        found = json.loads(report.read_text())
        sys.path.insert(0, str(PROBE.parent))
        from probe import Search

        search = Search(self.key)
        for name, text in {"stdout": done.stdout, "stderr": done.stderr}.items():
            for part in text.split("=== "):
                search.text(f"{name}: {part.splitlines()[0] if part else ''}", part)
        files = [path for path in self.folder.rglob("*") if path.is_file() and path != report]
        for path in files:
            search.text(f"file {path.name}", path.read_bytes())
        return {
            **found,
            "hits": found["hits"] + search.hits,
            "stdout": done.stdout,
            "stderr": done.stderr,
            "files": {path.name for path in files},
        }


@pytest.fixture
def lab(tmp_path):
    key = f"cn.{secrets.token_hex(10)}+/9="  # url-quoting changes it, and no pattern knows it
    with Simulator(key=key) as simulator:
        yield Lab(tmp_path, simulator, key)


def fault_cases():
    vendors = list(KINDS)
    for number, fault in enumerate(FAULTS):
        for turn, mode in enumerate(MODES):
            if fault in FLOODS and turn:
                continue
            vendor = vendors[(number + turn) % len(vendors)]
            plain = " --no-stream" if (number + turn) % 2 else ""
            yield {
                "name": fault,
                "mode": mode,
                "cell": f"%%llm lab-{vendor}/sim-{fault} -o max_tokens 400{plain}\nSay it.",
                "looks": turn == 2,
                "after_cells": turn == 2 and number % 8 == 0,
            }


BUG = "import orchestrator_nb.providers.{module} as m; m.{name} = lambda *a, **k: 1 / 0"
OTHERS = [
    {"name": "good", "cell": "%%llm a << lab-anthropic/claude-sonnet-5-5 lab-compat/openai/gpt-oss-120b --repeat 2 -o max_tokens 50\nHello."},
    {"name": "rows", "cell": "%%llm a << lab-anthropic/sim-echo-answer lab-gemini/sim-echo-headers lab-mistral/nobody -o max_tokens 50 --on-error return\nHello."},
    {"name": "ask", "cell": "session().ask('Hello', 'lab-compat/sim-echo-headers')"},
    {"name": "stream", "cell": "print(list(session().stream('Hello', 'lab-compat/sim-echo-answer')))"},
    {"name": "listing", "cell": "%llm models --live lab-compat"},
    {"name": "time is up", "cell": "%%llm lab-deepseek/sim-slow-headers --timeout 0.1\nHello."},
    {"name": "unknown", "cell": "%%llm lab-nobody/x\nHello."},
    {"name": "template", "cell": "%%llm lab-openai/x\n{{ 1 // 0 }}"},
    {"name": "refused", "cell": "%%llm nowhere/x\nHello."},
    {"name": "bad file", "cell": "import os; open('orchestrator-nb.yaml', 'w').write('network: {proxy: x}')\n%llm config", "after": "import os; os.unlink('orchestrator-nb.yaml')"},
    # bugs: errors that are not ours are shown by IPython with all our frames
    {"name": "bug in decoding", "before": "import orchestrator_nb.providers.decoding as m; m.Decoding.real, m.Decoding.feed = m.Decoding.feed, lambda *a: 1 / 0", "cell": "%%llm lab-compat/openai/gpt-oss-120b\nHello.", "after": "import orchestrator_nb.providers.decoding as m; m.Decoding.feed = m.Decoding.real"},
    {"name": "bug while writing", "before": "import orchestrator_nb.providers.transport as m; m.real, m._tell_sent = m._tell_sent, lambda *a: 1 / 0", "cell": "%%llm lab-compat/openai/gpt-oss-120b\nHello.", "after": "import orchestrator_nb.providers.transport as m; m._tell_sent = m.real"},
    {"name": "bug in the sentence", "before": "import orchestrator_nb.providers.http as m; m.real, m._presentable = m._presentable, lambda *a: 1 / 0", "cell": "%%llm lab-compat/sim-401\nHello.", "after": "import orchestrator_nb.providers.http as m; m._presentable = m.real"},
]  # fmt: skip


def test_every_fault_in_every_traceback_mode_leaves_no_key_anywhere(lab):
    cases = [
        *fault_cases(),
        *({"mode": mode, "after_cells": mode == "Verbose", **case} for case in OTHERS for mode in MODES),
    ]
    seen = lab.probe(cases)
    assert seen["hits"] == []
    assert seen["looked"] > 10_000
    assert "history.sqlite" in seen["files"]
    ended = {(name, mode): error for name, mode, error in seen["outcomes"]}
    assert ended["401", "Verbose"] == "AuthFailed"
    assert ended["echo-headers", "Plain"] == "AuthFailed"
    assert ended["echo-answer", "Plain"] == ended["good", "Verbose"] == ""
    assert {ended["bug in decoding", mode] for mode in MODES} == {"ZeroDivisionError"}
    assert sum(bool(error) for error in ended.values()) > 100
    used = [request for request in lab.simulator.requests if lab.key in str(request.headers)]
    assert len(used) > 150, "the key did travel, so there was something to leak"
    assert all(lab.key not in str(request.headers) for request in lab.simulator.elsewhere)
    assert "[key]" in seen["stdout"]


FRAME = """
import orchestrator_nb.providers.http as m
async def naive(self, call, reading):
    headers = {"x-api-key": self._keys.key_for(call.vendor).release(m.origin(call.target.url))}
    raise ValueError("cannot connect", len(headers))
m.Exchange._exchange = naive
"""
WORDS = """
import orchestrator_nb.providers.keys as m
def naive(self, vendor): raise ValueError(f"cannot use {self._environ[vendor.key_name]}")
m.EnvironmentKeys.key_for = naive
"""
LOG = """
import logging, orchestrator_nb.providers.http as m
real = m.Exchange._converse
async def naive(self, call, secret, *rest):
    logging.getLogger("naive").debug("asking with %s", secret.release(m.origin(call.target.url)))
    return await real(self, call, secret, *rest)
m.Exchange._converse = naive
"""
ECHO = """
import re, orchestrator_nb.providers.faults as f, orchestrator_nb.providers.redaction as m
m._needles, f._KEY_LIKE = lambda value: iter(()), re.compile("(?!)")
"""


@pytest.mark.parametrize(
    ("before", "mode", "model", "places"),
    [
        (FRAME, "Verbose", "x", ["stdout", "frame", "captured"]),
        (FRAME, "Plain", "x", ["frame", "captured"]),
        (WORDS, "Plain", "x", ["stdout", "repr", "str"]),
        (LOG, "Plain", "x", ["stderr"]),
        (ECHO, "Plain", "sim-echo-answer", ["stdout", "frame json", "reply", "response", "run"]),
        (ECHO, "Plain", "sim-echo-headers", ["stdout", "last error", "errors"]),
    ],
)
def test_the_search_finds_a_key_that_is_made_to_leak(lab, before, mode, model, places):
    """The controls: without them the test above might look in the wrong places."""
    seen = lab.probe(
        [
            {
                "name": "control",
                "mode": mode,
                "before": before,
                "cell": f"%%llm lab-compat/{model} -o max_tokens 400\nSay it.",
            }
        ]
    )
    for place in places:
        assert any(place in hit for hit in seen["hits"]), (place, seen["hits"], seen["stdout"][-1500:])
