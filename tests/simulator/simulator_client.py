"""A client that knows nothing but sockets, and one good request for each vendor."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field

from orchestrator_nb.simulator import Simulator

PROMPT = "Why is the evening sky red above the sea?"
USER = [{"role": "user", "content": PROMPT}]
CHAT = {"messages": USER}

# vendor -> path under the simulator's origin, model, body, headers
DOORS = {
    "anthropic": (
        "/anthropic/v1/messages",
        "claude-haiku-5-5",
        {"max_tokens": 500, **CHAT},
        {"x-api-key": "k", "anthropic-version": "2026-10-21"},
    ),
    "gemini": (
        "/gemini/v1/models/{model}:{method}",
        "gemini-3.8-flash",
        {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
        {"x-goog-api-key": "k"},
    ),
    "openai": ("/openai/v1/chat/completions", "gpt-6-luna", CHAT, {"authorization": "Bearer k"}),
    "responses": ("/openai/v1/responses", "gpt-6-luna", {"input": PROMPT}, {"authorization": "Bearer k"}),
    "deepseek": ("/deepseek/chat/completions", "deepseek-flash", CHAT, {"authorization": "Bearer k"}),
    "mistral": ("/mistral/v1/chat/completions", "mistral-small-latest", CHAT, {"authorization": "Bearer k"}),
    "ollama": ("/ollama/api/chat", "qwen3.5", CHAT, {}),
    "ollama-v1": ("/ollama/v1/chat/completions", "qwen3.5", CHAT, {}),
    "compat": ("/compat/v1/chat/completions", "qwen3.5", CHAT, {}),
    "vllm": ("/vllm/v1/chat/completions", "qwen3.5", CHAT, {}),
    "llamacpp": ("/llamacpp/v1/chat/completions", "qwen3.5", CHAT, {}),
    "lmstudio": ("/lmstudio/v1/chat/completions", "qwen3.5", CHAT, {}),
    "openrouter": ("/openrouter/api/v1/chat/completions", "openai/gpt-oss-120b", CHAT, {"authorization": "Bearer k"}),
    "groq": ("/groq/openai/v1/chat/completions", "openai/gpt-oss-120b", CHAT, {"authorization": "Bearer k"}),
}


@dataclass
class Seen:
    """What a plain socket got."""

    raw: bytes
    ended: str
    """``done`` (the framing is complete), ``closed``, ``reset``, ``silent``, ``enough``."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        """The payloads of the stream's events that are JSON."""
        lines = self.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        payloads = [line.removeprefix(b"data:").strip() for line in lines if line.startswith((b"data:", b"{"))]
        return [json.loads(payload) for payload in payloads if payload and payload != b"[DONE]"]


class Client:
    """One request, one connection, bytes as they come."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def ask(
        self, vendor: str, *, stream: bool = False, model: str | None = None, headers=(), body=None, **more
    ) -> Seen:
        path, usual, fields, auth = DOORS[vendor]
        model = model or usual
        sent = {**fields, **(body or {})}
        if vendor == "gemini":
            path = path.format(model=model, method="streamGenerateContent?alt=sse" if stream else "generateContent")
        else:
            sent = {"model": model, "stream": stream, **sent}
        return self.send("POST", path, json.dumps(sent).encode(), {**auth, **dict(headers)}, **more)

    def send(
        self, method: str, path: str, body: bytes = b"", headers=(), *, patience: float = 5.0, most: int = 4_000_000
    ) -> Seen:
        rows = {
            "host": "127.0.0.1",
            "content-length": str(len(body)),
            "content-type": "application/json",
            **dict(headers),
        }
        head = (
            f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in rows.items()) + "\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.sim.port), timeout=patience) as line:
            line.sendall(head.encode() + body)
            return _parsed(*_received(line, most, time.monotonic() + patience))


def _received(line: socket.socket, most: int, until: float) -> tuple[bytes, str]:
    raw = bytearray()
    while len(raw) < most:
        if _complete(bytes(raw[:65_536]), len(raw), bytes(raw[-7:])):
            return bytes(raw), "done"
        try:
            line.settimeout(max(until - time.monotonic(), 0.001))
            more = line.recv(1_000_000)
        except TimeoutError:
            return bytes(raw), "silent"
        except ConnectionResetError:
            return bytes(raw), "reset"
        if not more:
            return bytes(raw), "closed"
        raw += more
    return bytes(raw), "enough"


def _complete(start: bytes, size: int, tail: bytes) -> bool:
    head, gap, _ = start.partition(b"\r\n\r\n")
    if not gap:
        return False
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        return tail.endswith(b"\r\n0\r\n\r\n") or start.endswith(b"\r\n\r\n0\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in fields.split(b"\r\n") if line.startswith(b"content-length")), None
    )
    return size >= len(head) + 4 + length if length is not None else b" 204 " in head


def _parsed(raw: bytes, ended: str) -> Seen:
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/"):
        return Seen(raw, ended)
    first, *rows = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Seen(raw, ended, int(first.split()[1]), headers, body)


def _joined(body: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(body):
        line = body.find(b"\r\n", at)
        if line < 0:
            break
        size = int(body[at:line], 16)
        out += body[line + 2 : line + 2 + size]
        at = line + 2 + size + 2
    return bytes(out)
