"""A server that answers like OpenAI's chat completions, as cheaply as Python can: it must never be what is measured.

The first part of the path sets its manners: ``/200/v1/chat/completions`` answers after 200 ms, ``/200-5/v1/...`` also waits 5 ms between the
chunks of a stream. A streamed answer has `CHUNKS` pieces, each written in a turn of its own, as a model's tokens arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from functools import lru_cache

from benchmarks.machine import pin

CHUNKS = 50
MODEL = "mock-1"
WORDS = [f"word{n} is number {n}, " for n in range(CHUNKS)]
USAGE = {"prompt_tokens": 20, "completion_tokens": 250, "total_tokens": 270}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream": ?true')


def _head(content_type: str, extra: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"content-type: {content_type}", "x-request-id: req_mock", extra)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _base(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-mock", "object": kind, "created": 1_760_000_000, "model": MODEL}


def _plain() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({**_base("chat.completion"), "choices": [choice], "usage": USAGE}).encode()
    return _head("application/json", f"content-length: {len(body)}") + body


def _pieces() -> list[bytes]:
    """The streamed answer as the writes it is sent in: the head goes with the first word, the end with the last."""
    deltas = [{"role": "assistant", "content": WORDS[0]}, *({"content": word} for word in WORDS[1:])]
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    pieces = [_chunk(_event({"choices": choice})) for choice in choices]
    end = _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + _event(
        {"choices": [], "usage": USAGE}
    )
    pieces[0] = _head("text/event-stream", "transfer-encoding: chunked") + pieces[0]
    pieces[-1] += _chunk(end + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return pieces


def _event(fields: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({**_base("chat.completion.chunk"), **fields}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


PLAIN, PIECES = _plain(), _pieces()


@lru_cache(maxsize=64)
def manners(path: bytes) -> tuple[float, float]:
    """(latency, pace) in seconds from ``/200-5/...``; 0 where the path says nothing."""
    found = re.match(rb"/(\d+)(?:-(\d+))?/", path)
    return (int(found[1]) / 1000, int(found[2] or 0) / 1000) if found else (0.0, 0.0)


class Answers(asyncio.Protocol):
    """One connection: collect a request, answer it, wait for the next."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.loop = asyncio.get_running_loop()
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head + 2) if head >= 0 else None
        whole = head >= 0 and len(data) >= head + 4 + (int(length[1]) if length else 0)
        self.rest = b"" if whole else data
        if whole:
            self.answer(data.split(b" ", 2)[1], _STREAMED.search(data, head) is not None)

    def answer(self, path: bytes, streamed: bool) -> None:
        latency, pace = manners(path)
        send = (self.piece, 0, pace) if streamed else (self.transport.write, PLAIN)
        if latency:
            self.loop.call_later(latency, *send)
        else:
            send[0](*send[1:])

    def piece(self, number: int, pace: float) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(PIECES[number])
        if number + 1 < CHUNKS and pace:
            self.loop.call_later(pace, self.piece, number + 1, pace)
        elif number + 1 < CHUNKS:
            self.loop.call_soon(self.piece, number + 1, pace)


async def serve(core: int) -> None:
    """Answer until standard input closes; the first line printed is the port."""
    pin(core)
    loop = asyncio.get_running_loop()
    stay_awake(loop)
    server = await loop.create_server(Answers, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, input_closed)


def stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    """Never sleep in select: waking a sleeper is paid by whoever writes to it, so a client that asks less often would pay more per call."""
    loop.call_soon(stay_awake, loop)


def input_closed() -> None:
    """Wait for the parent to go: our standard input is its end of a pipe."""
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, default=1)
    asyncio.run(serve(parser.parse_args().core))
