"""A far side that sends exactly the bytes a test wants, over real TCP or TLS on loopback."""

import asyncio
import contextlib
import json
import ssl
from types import SimpleNamespace

import pytest

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.messages import Message
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.http import Exchange
from orchestrator_nb.providers.keys import StaticKeys
from orchestrator_nb.providers.network import Network
from orchestrator_nb.secret import Hidden, Secret
from orchestrator_nb.vault.kdf import Pbkdf2
from orchestrator_nb.vault.vault import Vault

KEY = "sk-canary-7f3a91c2d8e4b605"


class Clock:
    def wall(self):
        return 1_800_000_000.0

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        raise AssertionError("the exchange never sleeps")


class Far:
    """What arrived (`requests`), how many sockets are open now, how many there ever were."""

    def __init__(self, scheme):
        self.scheme, self.requests, self.tasks = scheme, [], set()
        self.open = self.accepted = 0
        self.changed = asyncio.Event()

    def listen(self, port):
        self.port, self.url = port, f"{self.scheme}://127.0.0.1:{port}"

    async def until(self, true, within_s=2.0):
        """Wait for something that a socket's coming, going or asking brings about."""
        async with asyncio.timeout(within_s):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    async def asked(self, count):
        await self.until(lambda: len(self.requests) >= count)

    async def all_closed(self):
        """True when every socket is gone within the time."""
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: self.open == 0)
        return self.open == 0


class Line(asyncio.StreamReaderProtocol):
    """One socket of the far side: counted from its first to its last moment; its handler ends with it."""

    def __init__(self, far, answer):
        self.far, self.answer, self.task = far, answer, None
        self.stream = asyncio.StreamReader(limit=2**26)
        super().__init__(self.stream, self.started)

    async def started(self, reader, writer):
        self.task = asyncio.current_task()
        self.far.tasks.add(self.task)
        self.task.add_done_callback(self.far.tasks.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                await self.exchange(reader, writer)
        writer.transport.abort()

    async def exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((line.split(b":")[1] for line in lines if line.startswith(b"content-length")), b"0")
        request = head + await reader.readexactly(int(length))
        self.far.requests.append(request)
        self.far.changed.set()
        if isinstance(self.answer, bytes):
            writer.write(self.answer)
        else:
            await self.answer(request, writer)
        await writer.drain()

    def connection_made(self, transport):
        self.far.open += 1
        self.far.accepted += 1
        super().connection_made(transport)

    def eof_received(self):
        super().eof_received()
        return False  # a client that has gone is gone: no half-open sockets

    def connection_lost(self, exc):
        self.far.open -= 1
        self.far.changed.set()
        super().connection_lost(exc)
        if self.task is not None:
            self.task.cancel()


@contextlib.asynccontextmanager
async def serve(answer, *, tls: ssl.SSLContext | None = None):
    """``answer`` is the bytes for every request, or ``async (request, writer) -> None``."""
    far = Far("https" if tls else "http")
    server = await asyncio.get_running_loop().create_server(
        lambda: Line(far, answer), "127.0.0.1", 0, ssl=tls, backlog=2048
    )
    far.listen(server.sockets[0].getsockname()[1])
    try:
        yield far
    finally:
        server.close()
        for task in list(far.tasks):
            task.cancel()
        await asyncio.gather(*far.tasks, return_exceptions=True)
        await far.all_closed()


def http(body=b"", status="200 OK", content_type="application/json", *lines):
    """A whole answer with a length."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def chat(text="Hello.", finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }


def event(text, finish=None):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def sse(*events):
    """A streamed answer that ends with the connection."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + b"".join(events)


OK = http(chat())
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def vendor(url, key_name="LAB_KEY", kind="openai-compatible"):
    return Vendor("lab", kind, url, key_name)


def question(url, stream=False, **how):
    return Request(ModelSpec(vendor(url, **how), "m"), (Message.user("hi"),), stream=stream)


def exchange(network=None, keys=None, observe=lambda _request, _hint: None, **how):
    return Exchange(PROVIDERS, keys or StaticKeys(KEY), network or Network(), Clock(), observe, **how)


async def ask(url, *, stream=False, network=None, keys=None, emit=lambda _event: None, **how):
    """One call on an exchange of its own; the response, or the error as a value."""
    one = exchange(network, keys)
    try:
        return await one(question(url, stream, **how), emit)
    except Exception as error:  # noqa: BLE001 - the tests look at it
        return error
    finally:
        await one.aclose()


class BoundKeys:
    """A key for these origins only, whatever the vendor's address says."""

    def __init__(self, value, *origins):
        self.secret = Secret("lab", value, frozenset(origins))

    def key_for(self, vendor):
        return self.secret


class VaultKeys:
    """The same, from a vault in a file."""

    def __init__(self, folder, value, *origins):
        folder.mkdir(parents=True)
        self.vault = Vault(folder / "default.onbv", state=folder, kdf=Pbkdf2(100_000))
        self.vault.create(Hidden("correct horse battery"))
        self.vault.put("LAB_KEY", "lab", Hidden(value), origins)

    def key_for(self, vendor):
        return self.vault.secret("LAB_KEY", vendor.name)


@pytest.fixture(params=["handle", "vault"])
def bound(request, tmp_path):
    """A function: keys that hold this value for these origins, made by hand or in a vault."""
    made = iter(range(1000))
    if request.param == "handle":
        return BoundKeys
    return lambda value, *origins: VaultKeys(tmp_path / f"vault-{next(made)}", value, *origins)


@pytest.fixture
def far():
    """The tools of this folder under one name."""
    return SimpleNamespace(
        **{
            name: globals()[name]
            for name in [
                "KEY",
                "Clock",
                "serve",
                "http",
                "chat",
                "event",
                "sse",
                "chunk",
                "OK",
                "STREAM_HEAD",
                "vendor",
                "question",
                "exchange",
                "ask",
                "VaultKeys",
            ]
        }
    )
