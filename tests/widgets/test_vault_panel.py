"""The vault's form, as far as it is Python: what it does with what is typed, and where that does not go."""

import json
import secrets
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets import vault as module
from orchestrator_nb.widgets.vault import VaultPanel

PASSWORD = b"correct horse battery staple"


class Moved(SystemClock):
    """The machine's clock, some seconds on."""

    ahead_s = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead_s

    def wall(self):
        return super().wall() + self.ahead_s


@pytest.fixture
def session(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("vault: {iterations: 100000}\n")
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as opened:
        yield opened


@pytest.fixture
def shell(monkeypatch):
    made = InteractiveShell()
    monkeypatch.setattr(module, "get_ipython", lambda: made)
    return made


@pytest.fixture
def panel(session, shell):
    made = VaultPanel(session.vault)
    made.sent = []
    made.send = lambda message, buffers=None: made.sent.append(message)  # the wire to the browser
    made.shown = []
    made._shown = types.SimpleNamespace(update=made.shown.append)
    yield made
    made.close()


def hear(panel, kind, *typed, **more):
    """What the panel answers: the new state, and what it says."""
    panel.sent.clear()
    panel._handle_custom_msg({"kind": kind, **more}, [memoryview(one) for one in typed])
    state = next((one for one in panel.sent if one["kind"] == "state"), None)
    return state, next((one["text"] for one in panel.sent if one["kind"] == "said"), "")


def test_a_vault_is_made_locked_unlocked_and_gets_a_key_in_the_form(panel, session):
    value = f"cn.{secrets.token_hex(10)}".encode()
    assert hear(panel, "look")[0]["state"] == "none"
    state, said = hear(panel, "make", PASSWORD, PASSWORD)
    assert (state["state"], said) == ("open", "The vault is made, and open.")
    assert 0 < state["idle_left_s"] <= state["limit_left_s"]
    state, said = hear(panel, "put", value, name="OPENAI_API_KEY")
    assert said == f"OPENAI_API_KEY: fp:{state['keys'][0]['fp']}, for https://api.openai.com:443 (openai)"
    assert "is replaced" in hear(panel, "put", b"another-value-of-it", name="OPENAI_API_KEY")[1]
    state, said = hear(panel, "lock")
    assert (state["state"], state["keys"]) == ("locked", [])
    assert not session.vault.vault.is_open
    assert hear(panel, "unlock", b"not the password at all")[1].startswith("cannot open the vault")
    assert hear(panel, "unlock", PASSWORD)[0]["state"] == "open"


def test_wrong_input_changes_nothing_and_is_not_repeated(panel, session):
    key = f"sk-proj-{secrets.token_urlsafe(40)}"
    assert "the two differ" in hear(panel, "make", PASSWORD, b"correct horse battery stable")[1]
    assert hear(panel, "make", b"short", b"short")[1]
    assert not session.vault.vault.exists
    assert "the vault is locked" in hear(panel, "put", b"value", name="OPENAI_API_KEY")[1]
    hear(panel, "make", PASSWORD, PASSWORD)
    for name in (key, "no name", "", "NOBODYS_KEY"):
        state, said = hear(panel, "put", b"a-value-for-nobody", name=name)
        assert said
        assert state["keys"] == []
        assert key not in json.dumps(panel.sent)
    for strange in ({"kind": "put"}, {"kind": "unlock"}, {"kind": "export"}, {}):
        panel._handle_custom_msg(strange, [])
    assert session.vault.vault.glance() == ()


def test_nothing_that_was_typed_is_in_a_trait_a_message_or_the_static_form(panel):
    value = f"cn.{secrets.token_hex(10)}"
    everything = []
    for kind, typed, more in (
        ("make", (PASSWORD, PASSWORD), {}),
        ("put", (value.encode(),), {"name": "OPENAI_API_KEY"}),
        ("lock", (), {}),
        ("unlock", (PASSWORD,), {}),
    ):
        hear(panel, kind, *typed, **more)
        everything += [json.dumps(panel.sent), repr(panel.get_state()), repr(vars(panel)), *map(repr, panel.shown)]
    said = "".join(everything)
    assert value not in said
    assert PASSWORD.decode() not in said
    state = set(panel.get_state()) - set(type(panel).__mro__[1]().get_state())
    assert state == set()  # no trait beyond those of every widget


def test_what_a_cell_does_to_the_vault_is_seen_in_the_form(panel, session, shell):
    hear(panel, "make", PASSWORD, PASSWORD)
    panel.sent.clear()
    shell.run_cell("1 + 1")
    assert panel.sent == []
    session.vault.lock()
    shell.run_cell("1 + 1")
    assert [one["state"] for one in panel.sent] == ["locked"]
    panel.close()
    before = len(shell.events.callbacks["post_run_cell"])
    shell.run_cell("1 + 1")
    assert len(shell.events.callbacks["post_run_cell"]) == before - 1


def test_looking_does_not_keep_the_vault_open(tmp_path):
    """A clock on the screen asks again and again: the idle limit must still be reached."""
    clock = Moved()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("vault: {iterations: 100000, idle_s: 60}\n")
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}, clock=clock) as session:
        panel = VaultPanel(session.vault)
        panel.send = lambda message, buffers=None: None
        hear_ = lambda *typed, kind: panel._handle_custom_msg({"kind": kind}, list(typed))  # noqa: E731
        hear_(PASSWORD, PASSWORD, kind="make")
        for _ in range(7):
            clock.ahead_s += 10
            hear_(kind="look")
            panel.look()
        assert session.vault.status().state == "locked"
        panel.close()


def test_the_static_form_says_what_is_so_and_no_value(panel):
    hear(panel, "make", PASSWORD, PASSWORD)
    hear(panel, "put", b"a-value-of-somebody", name="OPENAI_API_KEY")
    bundle = panel.still()._repr_mimebundle_()
    assert "is open" in bundle["text/plain"]
    assert "OPENAI_API_KEY: fp:" in bundle["text/html"]
    assert "a-value-of-somebody" not in str(bundle)
    assert panel.shown  # the saved notebook has it too
