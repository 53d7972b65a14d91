"""A vendor on loopback that is no simulator: each answer is another one, and what it does depends on the prompt."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = """\
lab:
  kind: openai-compatible
  base_url: {url}/v1
  models: [{{name: one, max_output: 100, price: {{input: 1000, output: 1000}}}}, {{name: two}}]
"""


class Lab:
    """``asked`` holds every prompt that arrived. ``heard`` is called with each before it is answered."""

    def __init__(self, pause_s=0.0, headers=()):
        self.asked, self.broken, self.pause_s, self.headers = [], set(), pause_s, dict(headers)
        self.heard = lambda prompt: None
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def settings(self, home, more=""):
        (home / "config").mkdir(parents=True, exist_ok=True)
        (home / "config" / "models.yaml").write_text(MODELS.format(url=self.url))
        (home / "config" / "config.yaml").write_text(f"limits: {{attempts: 1}}\n{more}")

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, prompt):
        """The status and the choice."""
        with self._lock:
            self.asked.append(prompt)
            number = len(self.asked)
        self.heard(prompt)
        time.sleep(self.pause_s)
        if prompt in self.broken:
            return 400, None
        finish = {"long": "length", "bad": "content_filter"}.get(prompt.split()[0], "stop")
        return 200, {
            "message": {"content": f"answer {number} to {prompt}" + "!" * (20_000 if prompt.startswith("huge") else 0)},
            "finish_reason": finish,
        }

    def _handler(self):
        lab = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, choice = lab.answer(body["messages"][-1]["content"])
                usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
                told = {"id": f"id-{len(lab.asked)}", "model": body["model"], "choices": [choice], "usage": usage}
                data = json.dumps(told if choice else {"error": {"message": "broken"}}).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **lab.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                """Not shown."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that is killed hangs up; that is the test."""
