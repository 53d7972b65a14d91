"""The clients that are compared. Each is a `Contender`: hand it a batch of questions, get the answers' texts."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version as installed
from typing import Any, ClassVar, Protocol

NAMES = ("raw_aiohttp", "httpx2_default", "httpx2_thin", "openai_sdk", "litellm_sdk", "ours", "ours_storeless")
GRAPHS = ("engine_graph", "langgraph_graph", "ours_chain")
"""Those that run graphs of questions."""
MODEL = "mock-1"


@dataclass
class Batch:
    """Texts in the order of the questions (``None``: failed) and the seconds each call took."""

    texts: list[str | None] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    kept: object = None
    """What the client hands to its user besides the texts; it counts as memory."""


class Contender(Protocol):
    """A client that keeps its connections between batches."""

    def version(self) -> str: ...

    async def batch(self, base: str, questions: list[str], parallel: int, stream: bool) -> Batch: ...

    async def on_its_loop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | Future[None]: ...

    async def close(self) -> None: ...


class Client:
    """What single-call clients share: as many workers as calls may run at once, drawing from one list. Nothing is cheaper."""

    package: ClassVar[str]

    def __init__(self) -> None:
        self._clients: dict[tuple[str, int], Any] = {}

    def version(self) -> str:
        return f"{self.package} {installed(self.package)}"

    async def open(self, base: str, parallel: int) -> Any:
        """A client for this server with room for ``parallel`` connections."""
        raise NotImplementedError

    async def ask(self, client: Any, base: str, question: str, stream: bool) -> str:
        """One call."""
        raise NotImplementedError

    async def batch(self, base: str, questions: list[str], parallel: int, stream: bool) -> Batch:
        if (base, parallel) not in self._clients:
            self._clients[base, parallel] = await self.open(base, parallel)
        client = self._clients[base, parallel]
        return await pump(lambda question: self.ask(client, base, question, stream), questions, parallel)

    async def on_its_loop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close() if hasattr(client, "close") else await client.aclose()


async def pump(ask: Callable[[str], Awaitable[str]], questions: list[str], parallel: int) -> Batch:
    """Ask all questions, ``parallel`` at a time."""
    batch = Batch([None] * len(questions), [0.0] * len(questions))
    waiting = iter(enumerate(questions))

    async def work() -> None:
        for place, question in waiting:
            started = time.perf_counter()
            try:
                batch.texts[place] = await ask(question)
            except Exception as error:  # noqa: BLE001 a failed call is counted and named, the rest go on
                print(f"call {place} failed: {type(error).__name__}: {error}"[:300], file=sys.stderr)
            batch.latencies_s[place] = time.perf_counter() - started

    await asyncio.gather(*(work() for _ in range(min(parallel, len(questions)))))
    return batch


def body(question: str, stream: bool) -> dict[str, Any]:
    """The JSON every client sends in its own way."""
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": question}], "stream": stream}
    return asked | ({"stream_options": {"include_usage": True}} if stream else {})


def load(name: str) -> Contender:
    """The contender called ``name``, from the module of that name."""
    contender: Contender = import_module(f"benchmarks.contenders.{name}").Contender()
    return contender
