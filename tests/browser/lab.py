"""A private JupyterLab and a headless Chromium to look at it: what the browser tests stand on.

The server has its own config, data, runtime, settings and IPython folders, listens on loopback with a random port and token, and ends with the last test.
It is cleared between modules: a module finds no notebook, vault or store of another.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

PATIENCE_S = 120
"""How long anything may take: what is late on a busy machine is not wrong."""
SHOTS = Path(__file__).parent / "shots"
SETTINGS = {
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # every cell is drawn, also those out of sight
}
KEPT = ("home", "ipython", "settings", "workspaces")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def until(condition: Callable[[], bool], told: Callable[[], object] = lambda: "") -> None:
    """Wait for what no page tells. Fails with what is ``told`` by then."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


def chromium() -> str:
    """The browser's path. Raises `RuntimeError` that says how to get one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError(
            "the browser tests need Chromium: apt-get install chromium (or set ORCHESTRATOR_NB_NO_BROWSER=1 to leave them out)"
        )
    return found


@dataclass(frozen=True)
class Server:
    """A running JupyterLab that serves ``root``."""

    root: Path
    base: str
    token: str

    def write(self, name: str, cells: Sequence[str | tuple[str, str]]) -> str:
        """A new notebook in the served folder; a cell is code, or ("markdown", text)."""
        made = [
            nbformat.v4.new_markdown_cell(cell[1]) if isinstance(cell, tuple) else nbformat.v4.new_code_cell(cell)
            for cell in cells
        ]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(
            cells=made, metadata={"kernelspec": spec, "language_info": {"name": "python"}}
        )
        nbformat.write(notebook, self.root / name)
        return name

    def clear(self) -> None:
        """End all kernels; take away every notebook, and what kernels have kept."""
        for kernel in json.loads(self.ask("GET", "kernels")):
            self.ask("DELETE", f"kernels/{kernel['id']}")
        for path in [*self.root.iterdir(), *(self.root.parent / "state" / name for name in KEPT)]:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        _write_settings(self.root.parent / "state")

    def ask(self, method: str, path: str) -> bytes:
        """What the server's API gives."""
        request = urllib.request.Request(f"{self.base}/api/{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.read()


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """JupyterLab in its own process group, with all its state under ``folder``."""
    root, state = folder / "notebooks", folder / "state"
    for path in (root, state):
        path.mkdir(parents=True, exist_ok=True)
    _write_settings(state)
    with (state / "server.log").open("wb") as log:
        server, process = _start(root, state, log)
        try:
            yield server
        finally:
            _end(process)


def _start(root: Path, state: Path, log: BinaryIO) -> tuple[Server, subprocess.Popen[bytes]]:
    """Tried again where another process has taken the port meanwhile: on a crowded machine the server opens it seconds later."""
    for left in (2, 1, 0):
        server, process = _begin(root, state, log)
        try:
            _wait_until_up(server, process, state / "server.log")
        except BaseException as error:
            _end(process)
            if not left or not isinstance(error, RuntimeError):
                raise
        else:
            break
    return server, process


def _begin(root: Path, state: Path, log: BinaryIO) -> tuple[Server, subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"),
            *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"),
            *("--LabApp.expose_app_in_browser=True", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(state),
        start_new_session=True,
    )
    return Server(root, f"http://127.0.0.1:{port}", token), process


def _write_settings(state: Path) -> None:
    for name, settings in SETTINGS.items():
        file = state / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(settings)


def _environment(state: Path) -> dict[str, str]:
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "ORCHESTRATOR_NB_HOME": "home",
    }
    return {**os.environ, **{name: str(state / folder) for name, folder in own.items()}}


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.base}/api/status?token={server.token}", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Twice, as a person at the terminal would: the first asks, the second means it."""
    for sign in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(3 if sign == signal.SIGINT else 10)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def browse() -> Iterator[Browser]:
    """One headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    """A page that shares no cookies, storage or settings with another."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
    context.set_default_timeout(1_000 * PATIENCE_S)
    yield context.new_page()
    context.close()


@dataclass(frozen=True)
class Notebook:
    """A notebook that is open in the page, its kernel ready."""

    page: Page

    @classmethod
    def open(cls, page: Page, server: Server, name: str) -> Notebook:
        """Opens ``name`` in a fresh workspace."""
        page.goto(f"{server.base}/lab/workspaces/{secrets.token_hex(4)}/tree/{quote(name)}?token={server.token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        opened = cls(page)
        opened.wait_idle()
        return opened

    def wait_idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Until the kernel has nothing to do."""
        self.page.wait_for_function(
            """() => { const w = window.jupyterapp?.shell.currentWidget;
                       return w?.sessionContext?.session?.kernel?.status === 'idle' }""",
            timeout=timeout_s * 1000,
        )

    def command(self, name: str) -> None:
        """A command of JupyterLab, as a menu would give it; not waited for."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name) }", name)

    def start_all(self) -> None:
        """Run All; returns at once."""
        self.page.evaluate(
            """() => { window.__ran = false;
                       window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.__ran = true }) }"""
        )

    def run_all(self) -> None:
        """Run All, to the end."""
        self.start_all()
        self.wait_ran()

    def wait_ran(self, timeout_s: float = PATIENCE_S) -> None:
        """Until what was run has ended."""
        self.page.wait_for_function("() => window.__ran === true", timeout=timeout_s * 1000)
        self.wait_idle()

    def ran(self) -> bool:
        """Whether Run All has ended."""
        return bool(self.page.evaluate("() => window.__ran"))

    def start_cell(self, cell: int, command: str = "run-cell") -> None:
        """Run this cell; returns at once."""
        self.page.evaluate(
            """([index, command]) => { const notebook = window.jupyterapp.shell.currentWidget.content;
                      notebook.deselectAll(); notebook.activeCellIndex = index; window.__ran = false;
                      window.jupyterapp.commands.execute(`notebook:${command}`).finally(() => { window.__ran = true }) }""",
            [cell, command],
        )

    def run_cell(self, cell: int) -> None:
        """Run this cell, to the end."""
        self.start_cell(cell)
        self.wait_ran()

    def run_cells_from(self, cell: int) -> None:
        """Run this cell and all below, to the end."""
        self.start_cell(cell, "run-all-below")
        self.wait_ran()

    def sources(self) -> list[str]:
        """The code of each code cell."""
        return self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(w => w.model.type === 'code')
                     .map(w => w.model.sharedModel.source)"""
        )

    def errors(self) -> list[str]:
        """The text of every output that is an error."""
        return self.page.locator(
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
        ).all_inner_texts()

    def output(self, cell: int) -> str:
        """The text of a code cell's output area, as a reader sees it."""
        return self.page.evaluate(
            """i => { const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[i];
                      return cell?.querySelector('.jp-OutputArea')?.innerText ?? '' }""",
            cell,
        )

    def watch(self, cell: int) -> None:
        """Keep every state of a code cell's output area from now on, for `seen`: the page sees them all, however seldom a test looks."""
        self.page.evaluate(
            """i => { const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[i]; const seen = window.__seen = [];
                      const look = () => {
                          const text = cell.querySelector('.jp-OutputArea')?.innerText ?? '';
                          if (text !== seen.at(-1)) seen.push(text);
                      };
                      new MutationObserver(look).observe(cell, {subtree: true, childList: true, characterData: true}) }""",
            cell,
        )

    def seen(self) -> list[str]:
        """The texts of the watched output area, the first first."""
        return self.page.evaluate("() => window.__seen")

    def scroll_through(self) -> None:
        """Bring every cell into view once: Lab draws cells only when they are near."""
        cells = self.page.locator(".jp-Notebook .jp-Cell")
        for index in range(cells.count()):
            cells.nth(index).scroll_into_view_if_needed()

    def keep_widget_state(self) -> None:
        """From now on a saved notebook has the state of its widgets in it."""
        self.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
        self.page.wait_for_function(
            "() => window.jupyterapp.commands.isToggled('@jupyter-widgets/jupyterlab-manager:saveWidgetState')"
        )

    def save(self) -> None:
        """Save, and wait until the file is written."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save') }")

    def shoot(self, name: str) -> None:
        """A picture for a person to look at, in tests/browser/shots/."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def show_end(self, cell: int) -> None:
        """Scroll to the end of a code cell's output."""
        self.page.evaluate(
            """i => { const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[i];
                      cell?.querySelector('.jp-OutputArea')?.scrollIntoView({block: 'end'}) }""",
            cell,
        )

    def shoot_all(self, name: str) -> None:
        """Pictures of the whole notebook, one per screenful."""
        self.page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0 }")
        height = self.page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').clientHeight - 60")
        for number in range(8):
            self.page.wait_for_timeout(250)
            self.shoot(f"{name}-{number}")
            moved = self.page.evaluate(
                """height => { const panel = document.querySelector('.jp-WindowedPanel-outer'); const before = panel.scrollTop;
                               panel.scrollTop += height; return panel.scrollTop > before }""",
                height,
            )
            if not moved:
                return

    def close(self) -> None:
        """End the kernel."""
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
