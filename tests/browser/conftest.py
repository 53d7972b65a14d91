"""One Lab server and browser for all modules, cleared before each; one browser page per module."""

import http.server
import os
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lab

NO_BROWSER = os.environ.get("ORCHESTRATOR_NB_NO_BROWSER") == "1"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(5 * lab.PATIENCE_S))
            if NO_BROWSER:
                item.add_marker(pytest.mark.skip(reason="ORCHESTRATOR_NB_NO_BROWSER=1"))


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory):
    lab.chromium()  # without a browser, fail with its sentence before anything is started
    with lab.serve(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def server(lab_server):
    lab_server.clear()
    return lab_server


@pytest.fixture(scope="package")
def browser():
    with lab.browse() as running:
        yield running


@pytest.fixture(scope="module")
def browser_page(browser):
    with lab.page_of(browser) as page:
        yield page


@pytest.fixture
def open_notebook(server, browser_page):
    opened = []

    def open_one(name, cells=None):
        if cells is not None:
            server.write(name, cells)
        notebook = lab.Notebook.open(browser_page, server, name)
        opened.append(notebook)
        return notebook

    yield open_one
    for notebook in opened[-1:]:
        notebook.close()


@pytest.fixture(scope="module")
def beacon():
    """A server that nobody must call; the paths that were asked for."""
    hits = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", hits
        listener.shutdown()
        thread.join()
