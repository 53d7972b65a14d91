"""A key stands in no output, log, history, traceback, frame or view of an object, whatever the server does and however IPython shows errors.

A real terminal IPython with the key in its environment, or in its vault, and nowhere else asks the simulator, which knows the key from elsewhere and plays
every fault. The same search must find the key where the code is made to leak it: see the controls.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb import Session
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.faults import FAULTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
sys.path.insert(0, str(Path(__file__).parent))

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
vault: {iterations: 100000}
"""


def fresh_key():
    return f"cn.{secrets.token_hex(10)}+/9="  # url-quoting changes it, and no pattern knows it


class Lab:
    """A simulator that takes one fresh key, and a home whose models.yaml leads there. ``keys`` says where the key is: "environment" or "vault"."""

    def __init__(self, folder, simulator, key, keys):
        self.folder, self.simulator, self.key, self.keys = folder, simulator, key, keys
        self.other, self.password = fresh_key(), f"correct {secrets.token_hex(8)} horse"
        config = folder / "home" / "config"
        config.mkdir(parents=True)
        lines = [
            f"lab-{name}: {{kind: {kind}, base_url: '{simulator.url(name)}', api_key_name: LAB_KEY}}"
            for name, kind in KINDS.items()
        ]
        (config / "models.yaml").write_text("\n".join(lines))
        (config / "config.yaml").write_text(SETTINGS)
        if keys == "vault":
            self._fill_vault()

    def _fill_vault(self):
        with Session.open(home=self.folder / "home", cwd=self.folder, environ={}) as owner:
            vault = owner.vault.vault
            vault.create(Hidden(self.password))
            vault.put("LAB_KEY", "lab", Hidden(self.key), owner.vault.origins_for("LAB_KEY"))
            vault.put("OTHER_KEY", "other", Hidden(self.other), ["https://other.example:443"])

    @property
    def secrets(self):
        return [self.key, self.other, self.password] if self.keys == "vault" else [self.key]

    @property
    def own(self):
        """What tells the process where its key is."""
        if self.keys == "environment":
            return {"LAB_KEY": self.key}
        file = self.folder.parent / f"{self.folder.name}.password"
        file.touch(mode=0o600)
        file.write_text(self.password)
        return {"ORCHESTRATOR_NB_PASSWORD_FILE": str(file)}

    def probe(self, cases):
        """Runs the cases; what was found inside, and in what was printed and left on disk."""
        from probe import Search

        report, temporary = self.folder / "report.json", self.folder / "temporary"
        temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
        folders = {"ORCHESTRATOR_NB_HOME": "home", "IPYTHONDIR": "ipython", "TMPDIR": "temporary"}
        env = {**kept, **self.own, **{name: str(self.folder / path) for name, path in folders.items()}}
        done = subprocess.run(
            [sys.executable, str(PROBE)],
            input=json.dumps({"cases": cases, "report": str(report), "secrets": self.secrets, "keys": self.keys}),
            capture_output=True,
            text=True,
            env=env,
            cwd=self.folder,
            timeout=1200,
            check=False,
        )
        assert report.exists(), done.stdout[-2000:] + done.stderr[-4000:]
        found = json.loads(report.read_text())
        search = Search(*self.secrets)
        for name, text in {"stdout": done.stdout, "stderr": done.stderr}.items():
            for part in text.split("=== "):
                search.text(f"{part.splitlines()[0] if part else ''}: {name}", part)
        files = [path for path in self.folder.rglob("*") if path.is_file() and path != report]
        for path in files:
            search.text(f"end: file {path.name}", path.read_bytes())
        return {
            **found,
            "looked": found["looked"] + search.looked,
            "sinks": sorted({*found["sinks"], *search.sinks}),
            "hits": found["hits"] + search.hits,
            "stdout": done.stdout,
            "stderr": done.stderr,
            "files": {path.name for path in files},
        }


@pytest.fixture
def lab(request, tmp_path):
    key = fresh_key()
    folder = tmp_path / "lab"
    folder.mkdir()
    with Simulator(key=key) as simulator:
        yield Lab(folder, simulator, key, getattr(request, "param", "environment"))


BOTH = pytest.mark.parametrize("lab", ["environment", "vault"], indirect=True)


def turns(number, whole):
    """The traceback modes in which to try a fault: one after the other, or all."""
    return range(len(MODES)) if whole else [number % len(MODES)]


def fault_cases(whole, keys):
    vendors = list(KINDS)
    for number, fault in enumerate(FAULTS):
        share = 3 if keys == "environment" else 2  # the same code; what differs is where the key comes from
        if not whole and number % share and not fault.startswith(("echo", "401")):
            continue
        for turn in turns(number, whole):
            if fault in FLOODS and turn and whole:
                continue
            vendor = vendors[(number + turn) % len(vendors)]
            plain = " --no-stream" if (number + turn) % 2 else ""
            yield {
                "name": fault,
                "mode": MODES[turn],
                "cell": f"%%llm lab-{vendor}/sim-{fault} -o max_tokens 400{plain}\nSay it.",
                "looks": turn == 2 if whole else number % 4 == 0 or fault.startswith("echo"),
                "closely": number % 4 == 2 if whole else number == 2 and keys == "vault",
                "after_cells": number % (8 if whole else 40) == 2,
            }


def cases(whole, keys):
    others = [*OTHERS, *(VAULT_OTHERS if keys == "vault" else [])]
    return [
        *fault_cases(whole, keys),
        *(
            {
                "mode": MODES[turn],
                "after_cells": turn == 2 and (whole or number % 9 == 2),
                "closely": whole or (case["name"] == "bug while writing" and keys == "vault"),
                **case,
            }
            for number, case in enumerate(others)
            for turn in turns(number, whole)
        ),
    ]


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
    {"name": "recorded", "cell": "%%llm a << lab-compat/sim-echo-answer lab-compat/sim-echo-headers --source record=tape.jsonl -o max_tokens 50 --on-error return\nSay it."},
    {"name": "replayed", "cell": "%%llm a << lab-compat/sim-echo-answer lab-compat/nobody --source replay=tape.jsonl -o max_tokens 50 --on-error return\nSay it."},
    {"name": "shown", "cell": "%llm show last"},
    # bugs: errors that are not ours are shown by IPython with all our frames
    {"name": "bug in decoding", "before": "import orchestrator_nb.providers.decoding as m; m.Decoding.real, m.Decoding.feed = m.Decoding.feed, lambda *a: 1 / 0", "cell": "%%llm lab-compat/openai/gpt-oss-120b\nHello.", "after": "import orchestrator_nb.providers.decoding as m; m.Decoding.feed = m.Decoding.real"},
    {"name": "bug while writing", "before": "import orchestrator_nb.providers.transport as m; m.real, m._tell_sent = m._tell_sent, lambda *a: 1 / 0", "cell": "%%llm lab-compat/openai/gpt-oss-120b\nHello.", "after": "import orchestrator_nb.providers.transport as m; m._tell_sent = m.real"},
    {"name": "bug in the sentence", "before": "import orchestrator_nb.providers.http as m; m.real, m._presentable = m._presentable, lambda *a: 1 / 0", "cell": "%%llm lab-compat/sim-401\nHello.", "after": "import orchestrator_nb.providers.http as m; m._presentable = m.real"},
]  # fmt: skip


VAULT_OTHERS = [
    {"name": "locked and opened", "cell": "session().vault.lock()\nsession().ask('Hello', 'lab-compat/openai/gpt-oss-120b')"},
    {"name": "keys listed", "cell": "session().vault.list(), session().vault.status(), session().vault.notices"},
    {"name": "nobody to ask", "cell": "session().vault.set('LAB_KEY')"},
    {"name": "no such key", "cell": "session().vault.remove('NO_KEY')"},
    {"name": "another key repeated", "cell": "session().ask('What is the other key?', 'lab-anthropic/claude-sonnet-5-5')"},
    {"name": "wrong password", "before": "import os; from pathlib import Path; FILE = Path(os.environ['ORCHESTRATOR_NB_PASSWORD_FILE']); FILE.rename(f'{FILE}.kept'); FILE.touch(0o600); FILE.write_text('not the password')", "cell": "session().vault.lock()\nsession().vault.unlock()", "after": "import os; FILE = os.environ['ORCHESTRATOR_NB_PASSWORD_FILE']; os.replace(f'{FILE}.kept', FILE)"},
    {"name": "bug while opening", "before": "import orchestrator_nb.vault.vault as m; m.real, m._entries = m._entries, lambda *a: 1 / 0", "cell": "session().vault.lock()\nsession().vault.unlock()", "after": "import orchestrator_nb.vault.vault as m; m._entries = m.real"},
    {"name": "bug while stretching", "before": "import orchestrator_nb.vault.kdf as m; m.real, m.Pbkdf2.stretch = m.Pbkdf2.stretch, lambda *a: 1 / 0", "cell": "session().vault.lock()\nsession().vault.unlock()", "after": "import orchestrator_nb.vault.kdf as m; m.Pbkdf2.stretch = m.real"},
    {"name": "passed to others", "cell": "import copy, pickle, json\nsession().vault.open()\nv = session().vault.vault\nh = v.secret('LAB_KEY', 'lab')\nprint(h, f'{h}', [h], vars(v), copy.deepcopy(h))\npickle.dumps(h)"},
    {"name": "sent elsewhere", "cell": "session().vault.open()\nsession().vault.vault.secret('LAB_KEY', 'lab').release('https://evil.example:443')"},
    {"name": "a table of keys", "cell": "import pandas as pd\nsession().vault.open()\npd.DataFrame(session().vault.list()).assign(h=session().vault.vault.secret('LAB_KEY', 'lab'))"},
]  # fmt: skip


def check(lab, whole):
    lab.simulator.say("other key", f"It is {lab.other}, I think.")
    seen = lab.probe(cases(whole, lab.keys))
    assert seen["hits"] == []
    assert seen["looked"] > 10_000
    assert len(seen["sinks"]) >= 40, seen["sinks"]
    assert {"history.sqlite", "store.db", "tape.jsonl"} <= seen["files"]
    ended = {name: error for name, _mode, error in seen["outcomes"]}
    assert ended["401"] == ended["echo-headers"] == "AuthFailed"
    assert ended["echo-answer"] == ended["good"] == ""
    assert ended["bug in decoding"] == "ZeroDivisionError"
    assert {mode for _name, mode, _error in seen["outcomes"]} == set(MODES)
    failed = sum(bool(error) for *_, error in seen["outcomes"])
    assert failed > (100 if whole else 25)
    used = [request for request in lab.simulator.requests if lab.key in str(request.headers)]
    assert len(used) > (150 if whole else 40), "the key did travel, so there was something to leak"
    assert all(lab.key not in str(request.headers) for request in lab.simulator.elsewhere)
    assert "[key]" in seen["stdout"]
    if lab.keys == "vault":
        assert ended["another key repeated"] == ""
        assert ended["wrong password"] == "VaultAuthError"
        assert ended["sent elsewhere"] == "VaultError"
        assert ended["bug while opening"] == ended["bug while stretching"] == "ZeroDivisionError"
        assert "[key OTHER_KEY]" in seen["stdout"]
        assert {"default.onbv", "kept.ipynb", "kept.py", "log.py"} <= seen["files"]
    print(  # noqa: T201
        f"\nkeys in the {lab.keys}: {len(seen['outcomes'])} cells, {failed} failed, {seen['looked']:,} views and sinks of "
        f"{len(seen['sinks'])} kinds, {len(seen['files'])} files, {len(used)} requests with the key: {len(seen['hits'])} hits"
    )


@BOTH
def test_no_fault_in_any_traceback_mode_leaves_a_key_anywhere(lab):
    """A part of the faults, the modes in turn; make soak tries every fault in every mode."""
    check(lab, whole=False)


@pytest.mark.soak
@pytest.mark.timeout(1500)
@BOTH
def test_every_fault_in_every_traceback_mode_leaves_no_key_anywhere(lab):
    check(lab, whole=True)


# The controls: builds that leak on purpose. Without them the tests above might look in the wrong places.


def leaky(name, before, after, places, *, cell="%%llm lab-compat/x\nSay it.", mode="Plain", **how):
    return {
        "name": name,
        "before": before,
        "after": after,
        "places": places,
        "cell": cell,
        "mode": mode,
        "closely": True,
        **how,
    }


def swapped(module, name, naive):
    """Code that puts ``naive`` (which may call ``real``) in the place of something of ours, and code that takes it back."""
    owner, _, attribute = f"m.{name}".rpartition(".")
    start = f"import orchestrator_nb.{module} as m\n"
    return (
        f"{start}real = m.kept = {owner}.{attribute}\n{naive}\n{owner}.{attribute} = naive",
        f"{start}{owner}.{attribute} = m.kept",
    )


ASK = swapped(
    "providers.http",
    "Exchange._exchange",
    """
import httpx2
async def naive(self, call, reading):
    headers = {"x-api-key": self._keys.key_for(call.vendor).release(m.origin(call.target.url))}
    raise ValueError("cannot connect", len(headers))
""",
)
INSIDE = swapped(
    "providers.http",
    "Exchange._outcome",
    """
async def naive(self, call, secret, redaction, reading):
    try:
        value = secret.release(m.origin(call.target.url))
        raise OSError("no connection", len(value))
    except OSError as error:
        raise ValueError("cannot ask") from error
""",
)
WORDS = swapped(
    "providers.keys",
    "EnvironmentKeys.key_for",
    """
def naive(self, vendor): raise ValueError(f"cannot use {self._environ[vendor.key_name]}")
""",
)
LOG = swapped(
    "providers.http",
    "Exchange._converse",
    """
import logging
async def naive(self, call, secret, *rest):
    logging.getLogger("naive").debug("asking with %s", secret.release(m.origin(call.target.url)))
    return await real(self, call, secret, *rest)
""",
)
HEADER = swapped(
    "providers.http",
    "Exchange._outcome",
    """
async def naive(self, call, secret, *rest):
    self.headers = {"authorization": secret.release(m.origin(call.target.url))}
    return await real(self, call, secret, *rest)
""",
)
REPR = swapped(
    "secret",
    "Secret.__repr__",
    """
def naive(self): return f"<key {self._Secret__fetch()}>"
""",
)
UNHIDDEN = swapped(
    "secret",
    "Hidden.__repr__",
    """
def naive(self): return self.use(lambda value: value.decode())
""",
)
PICKLED = swapped(
    "secret",
    "Secret.__reduce_ex__",
    """
def naive(self, _): return str, (self._Secret__fetch(),)
""",
)
ECHO = swapped(
    "forms",
    "Forms.without",
    """
import re, orchestrator_nb.providers.faults as f
f.kept, f._KEY_LIKE = getattr(f, "kept", f._KEY_LIKE), re.compile("(?!)")
def naive(self, text): return text
""",
)
ECHO = ECHO[0], ECHO[1] + "\nimport orchestrator_nb.providers.faults as f; f._KEY_LIKE = f.kept"
ATTRIBUTE = swapped(
    "vault.vault",
    "Vault.secret",
    """
def naive(self, name, vendor):
    self.values = {name: entry.value.use(lambda value: value.decode()) for name, entry in self._held.items()}
    return real(self, name, vendor)
""",
)
ATTRIBUTE = (
    ATTRIBUTE[0],
    ATTRIBUTE[1] + "\nfrom orchestrator_nb import session; vars(session().vault.vault).pop('values', None)",
)
ARGUMENT = swapped(
    "vault.vault",
    "Vault.unlock",
    """
def naive(self, password):
    spell(password.use(lambda typed: typed.decode()))
def spell(password):
    raise ValueError("wrong password", len(password))
""",
)
ENVIRON = swapped(
    "vault.vault",
    "Vault.secret",
    """
import os
def naive(self, name, vendor):
    secret = real(self, name, vendor)
    os.environ["FOR_A_CHILD"] = self._held[name].value.use(lambda value: value.decode())
    return secret
""",
)
ENVIRON = ENVIRON[0], ENVIRON[1] + "\nimport os; os.environ.pop('FOR_A_CHILD', None)"
DISK = swapped(
    "vault.vault",
    "Vault.secret",
    """
import tempfile
def naive(self, name, vendor):
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(self._held[name].value.use(lambda value: value.decode()))
    return real(self, name, vendor)
""",
)
UNLOCK = "session().vault.lock()\nsession().vault.unlock()"
ECHOED = "%%llm lab-compat/sim-echo-answer -o max_tokens 400\nSay it."

ENVIRONMENT_LEAKS = [
    leaky("frame", *ASK, ["stdout", "frame", "captured"], mode="Verbose"),
    leaky("frame in Plain", *ASK, ["frame", "captured"]),
    leaky("inside", *INSIDE, ["frame", "captured"]),
    leaky("words", *WORDS, ["stdout", "repr", "str"]),
    leaky("log", *LOG, ["stderr"]),
    leaky("header", *HEADER, ["line: deep", "exchange: vars"], after_cells=True),
    leaky("repr", *REPR, ["handle lab-compat: repr", "handle lab-compat: format", "handle lab-compat: json"], after_cells=True),
    leaky("pickled", *PICKLED, ["handle lab-compat: pickle"], after_cells=True),
    leaky("answer", *ECHO, ["stdout", "frame json", "frame csv", "frame html", "frame pickle", "reply", "response", "run"], cell=ECHOED),
    leaky("error", *ECHO, ["stdout", "last error", "errors"], cell=ECHOED.replace("answer", "headers")),
]  # fmt: skip
VAULT_LEAKS = [
    leaky("frame", *ASK, ["frame", "captured", "pdb", "rich"], mode="Verbose", closely=True),
    leaky("repr", *REPR, ["handle lab-compat: repr", "handle lab-compat: format"], after_cells=True),
    leaky("hidden shows", *UNHIDDEN, ["entries: repr", "vault: vars"], after_cells=True),
    leaky("attribute", *ATTRIBUTE, ["vault: vars", "vault: deep"], after_cells=True),
    leaky("argument", *ARGUMENT, ["stdout", "frame", "captured"], cell=UNLOCK, mode="Verbose"),
    leaky("environment", *ENVIRON, ["environment"], after_cells=True),
    leaky("answer", *ECHO, ["stdout", "frame json", "response"], cell=ECHOED),
    leaky("another", *ECHO, ["stdout", "frame json", "response"], cell="%%llm lab-compat/openai/gpt-oss-120b\nWhat is the other key?"),
    leaky("disk", *DISK, []),
    leaky("typed", "", "", ["In"], cell="key = SECRET"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lab", "leaks"), [("environment", ENVIRONMENT_LEAKS), ("vault", VAULT_LEAKS)], indirect=["lab"]
)
def test_the_search_finds_keys_that_are_made_to_leak(lab, leaks):
    lab.simulator.say("other key", f"It is {lab.other}, I think.")
    cases = [{**leak, "cell": leak["cell"].replace("SECRET", repr(lab.key))} for leak in leaks]
    seen = lab.probe(cases)
    missed = [
        (leak["name"], place)
        for leak in leaks
        for place in leak["places"]
        if not any(hit.startswith(f"{leak['name']} {leak['mode']}: ") and place in hit for hit in seen["hits"])
    ]
    assert missed == [], seen["hits"]
    if lab.keys == "vault":
        assert any(hit.startswith("end: file tmp") for hit in seen["hits"])
        assert {"end: history", "end: file history.sqlite", "end: file log.py"} <= set(seen["hits"])
    print(f"\nkeys in the {lab.keys}: {len(leaks)} leaks found, in {len(set(seen['hits']))} places")  # noqa: T201
