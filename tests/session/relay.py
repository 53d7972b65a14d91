"""A vendor that is the simulator in all but its mark: a relay that takes ``x-simulated`` out of the answers, so that they are kept, priced and served as live ones."""

import contextlib
import socket
import threading

from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.mounts import URLS

VENDORS = ("anthropic", "gemini", "openai", "deepseek", "mistral")
KEYS = {f"{name.upper()}_API_KEY": f"test-key-of-{name}" for name in VENDORS}


class Relay:
    """``asked`` counts the connections' requests; ``settings(home)`` writes a models.yaml that leads here."""

    def __init__(self, seed=0):
        self._simulator = Simulator(seed=seed).__enter__()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def requests(self):
        return self._simulator.requests

    def settings(self, home, more=""):
        (home / "config").mkdir(parents=True, exist_ok=True)
        kinds = "".join(f"{name}: {{base_url: 'http://127.0.0.1:{self.port}{URLS[name]}'}}\n" for name in VENDORS)
        (home / "config" / "models.yaml").write_text(kinds)
        (home / "config" / "config.yaml").write_text(f"limits: {{attempts: 1}}\n{more}")

    def close(self):
        for end in (self._server, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._simulator.__exit__(None, None, None)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                vendor = socket.create_connection(("127.0.0.1", self._simulator.port))
                for end in (client, vendor):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [client, vendor]
                threading.Thread(target=_pass, args=(client, vendor), daemon=True).start()
                threading.Thread(target=_pass, args=(vendor, client, True), daemon=True).start()


def _pass(source, target, unmark=False):
    """What arrives goes on at once; a mark is in one piece with its head, for the server writes that at once."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data.replace(b"x-simulated: 1", b"x-simulated: 0") if unmark else data)
        target.shutdown(socket.SHUT_WR)
